//! What pages and commands ask: one file per question, each with its SQL, its row and the conversion.
//!
//! Every list has a limit and a cursor ([`Page`]). Nothing here counts steps or partitions: sums are stored when they change.
//!
//! | file | question |
//! |---|---|
//! | `runs` | which runs, newest first, by status and asset |
//! | `run` | one run, its request, and its steps counted by asset |
//! | `run_steps` | the steps of a run |
//! | `attempts` | the attempts of a run, with their log files; one attempt |
//! | `assets` | every asset with its sums; one asset |
//! | `asset_history` | how large each partition is, and how long materializations took |
//! | `asset_partitions` | where each partition of an asset stands |
//! | `materializations` | the history of an asset or a partition |
//! | `rollbacks` | how an asset, or one of its partitions, was taken back |
//! | `snapshot_makers` | which runs made a snapshot, of which partitions and why |
//! | `restored` | the materialization that a partition had in a snapshot |
//! | `checks` | the newest result of each check, the history of one, the results of one step |
//! | `events` | what happened since an event |
//! | `models` | models, versions, aliases and how they moved |
//! | `alerts` | what is wrong now, and the messages that told of it |
//! | `schedules` | schedules, and what became of their instants |
//! | `automation` | what automation requested and why, and whether it is paused |
//! | `freshness` | how assets stand by their freshness policies |
//! | `sensors` | sensors, their ticks and what they told of |
//! | `why` | everything known about one partition |
//! | `sources` | the source files of an ingest asset |
//!
//! Tables and their pointers are in [`super::catalog`].

pub mod alerts;
pub mod asset_history;
pub mod asset_partitions;
pub mod assets;
pub mod attempts;
pub mod automation;
pub mod checks;
pub mod events;
pub mod freshness;
pub mod materializations;
pub mod models;
mod page;
pub mod restored;
pub mod rollbacks;
pub mod run;
pub mod run_steps;
pub mod runs;
pub mod schedules;
pub mod sensors;
pub mod snapshot_makers;
pub mod sources;
pub mod why;

pub use page::Page;
