//! Floor 2: joins state and plugins. `core` decides, `edge` acts, `web` and `cli` show.
//!
//! | module | what |
//! |---|---|
//! | [`core`] | decisions as a pure function: plan, admit, publish, recover |
//! | [`edge`] | clocks, files, processes, threads: everything with an effect |
//! | `web` | the dashboard and the HTTP interface |
//! | [`cli`] | the commands |
//! | [`as_of`] | the moment as of which a query reads |
//! | [`estimate`] | how long a plan would take, by history |
//! | [`evaluation`] | evaluations of automation in words |
//! | [`figures`] | numbers, sizes and lengths of time in words |
//! | [`happened`] | events in words |
//! | [`metrics`] | figures for Prometheus: what is counted, and how it is written down |
//! | [`rate`] | how fast a run goes |
//! | [`snapshots`] | what a table was, and how two of its states differ |
//! | [`waiting`] | what waits, and for what, in words |
//! | [`wire`] | the shapes that a command and the daemon exchange |

pub mod as_of;
pub mod cli;
pub mod core;
pub mod edge;
pub mod estimate;
pub mod evaluation;
pub mod figures;
pub mod happened;
pub mod metrics;
pub mod rate;
pub mod snapshots;
pub mod waiting;
pub mod web;
pub mod wire;
