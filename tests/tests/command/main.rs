//! Assets of the kind `command`: real programs, real processes, real tables.
//!
//! `shell` needs a POSIX shell alone. `pipes` runs the published Python client of the Dagster Pipes protocol; it belongs to the
//! second tier: `MILLPOND_PYTHON=…/bin/python cargo test --workspace --test command -- --ignored`, with a Python that has
//! `dagster-pipes` and `pyarrow`.

#![allow(clippy::disallowed_methods)]

mod pipes;
mod shell;
mod world;
