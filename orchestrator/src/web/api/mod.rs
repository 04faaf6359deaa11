//! JSON under `/api/v1`: what commands use, and the twins of the pages.

mod actions;
mod alerts;
mod automation;
mod definitions;
pub mod events;
mod operations;
mod replays;
mod schedules;
pub mod sensors;
mod tables;
mod twins;

pub use actions::{
    cancel_run, collect_garbage, merge_environment, move_alias, pause_run, publish_staged, resume_run, retry_run,
    submit_run,
};
pub use alerts::test_alert;
pub use automation::{pause_all, pause_asset, resume_all, resume_asset};
pub use definitions::{look_at_definitions, show_definitions};
pub use events::events;
pub use operations::{healthz, log_level, readyz, set_log_level};
pub use replays::{cancel_replay, show_replay, start_replay};
pub use schedules::{pause_schedule, resume_schedule, tick_schedule};
pub use sensors::{pause_sensor, resume_sensor, sensor_events, tick_sensor};
pub use tables::{change_tag, repartition, roll_back};
pub use twins::{
    list_alerts, list_assets, list_automation, list_backfills, list_models, list_runs, list_schedules, list_sensors,
    overview, preview_backfill, show_asset, show_backfill, show_checks, show_columns, show_graph, show_log, show_model,
    show_own_log, show_rows, show_run, show_snapshots, show_stream,
};
