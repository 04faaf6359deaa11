//! Telling people: messages of alerts on their way to their receivers.
//!
//! ```text
//!  teller ── asks the core what is to be sent ──► deliver ──► webhook │ mail │ command
//!    ▲                                               └── taken, or why not ──► core
//! ```
//! Whether there is something to tell, and when it is tried again, is the core's to decide (`core::decide::alert`). Each
//! message is sent by a task of its own with a bounded time, so that a receiver that is slow delays no other and nothing else.
//! A message may arrive twice (the daemon died after the receiver took it and before that was committed): it bears the same
//! name at every try.

mod command;
mod deliver;
mod mail;
mod teller;
mod webhook;
mod words;

pub use deliver::{Letter, deliver};
pub use teller::Teller;
