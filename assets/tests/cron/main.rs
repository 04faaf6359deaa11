//! Crons: what is read and refused, when they tick, and an independent walker that says the same minute by minute.

mod instants;
mod texts;
mod walker;
