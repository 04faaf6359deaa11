//! Floor 2: joins state and plugins. `core` decides, `edge` acts, `web` and `cli` show.
//!
//! | module | what |
//! |---|---|
//! | [`core`] | decisions as a pure function: plan, admit, publish, recover |
//! | [`edge`] | clocks, files, processes, threads: everything with an effect |
//! | `web` | the dashboard and the HTTP interface |
//! | [`cli`] | the commands |
//! | [`evaluation`] | evaluations of automation in words |
//! | [`figures`] | numbers, sizes and lengths of time in words |
//! | [`metrics`] | figures for Prometheus: what is counted, and how it is written down |
//! | [`wire`] | the shapes that a command and the daemon exchange |

pub mod cli;
pub mod core;
pub mod edge;
pub mod evaluation;
pub mod figures;
pub mod metrics;
pub mod web;
pub mod wire;
