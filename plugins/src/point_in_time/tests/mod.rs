//! The join against an oracle in plain loops, and the cases that a reader would ask about.

mod cases;
mod data;
mod oracle;
mod property;
