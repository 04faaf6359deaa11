//! Automation and freshness in the core, without processes: what is requested by itself, what is left alone, and when.

mod conditions;
mod daemon;
mod eager;
mod freshness;
