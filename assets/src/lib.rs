//! Floor 0: names, partitions, the TOML language, diagnostics, the graph of assets and selections over it.
//!
//! Nothing here reads a file, a clock or an environment variable: text comes in, checked values come out.
