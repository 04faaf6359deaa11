//! Entry point; wires and nothing else.
fn main() {}
