//! Floor 2: joins state and plugins. `core` decides, `edge` acts, `web` and `cli` show.

pub mod core;
pub mod edge;
