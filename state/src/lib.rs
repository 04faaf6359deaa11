//! Floor 1: what is remembered. One SQLite file holds events, runs, the catalog's pointers and the model registry.
