//! Alerts of the real program, told to real receivers: an HTTP server, a mail server, a program.
#![allow(clippy::disallowed_methods)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod command;
mod http;
mod lineage;
mod mail;
mod metrics;
mod smtp;
mod webhook;
mod world;
