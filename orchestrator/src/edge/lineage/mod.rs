//! Lineage for other tools: OpenLineage events (<https://openlineage.io/spec/2-0-2/OpenLineage.json>) of what ran.
//!
//! ```text
//!  committed events ──► story (what OpenLineage calls a run, per run and per step) ──► url │ file
//!        ▲ from the cursor                                                │
//!        └──────────────── cursor, saved after what it covers was taken ──┘
//! ```
//! Everything is told from committed events, from a cursor that is kept beside the state: a crash tells some again and leaves
//! none out, and the same event has the same run id each time. A receiver that is away is waited for; nothing else waits.
//!
//! Deliberately absent: lineage of columns, which would have to be guessed from the text of queries.

mod cursor;
mod facets;
mod pump;
mod story;
mod target;

pub use pump::Lineage;
