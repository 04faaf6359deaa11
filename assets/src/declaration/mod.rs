//! The tables of a project's files, one file per table: what they hold and what they come to.
//!
//! Each file has the description of its table (from which diagnostics and the JSON Schema are made) and the function that
//! turns a judged table into a checked value. A declaration is checked as far as it can be without the others; names of other
//! assets are resolved in [`crate::project`].

mod ahead;
mod alerts;
mod asset;
mod automation;
mod checks;
mod columns;
mod context;
mod freshness;
mod inputs;
mod lakehouse;
mod openlineage;
mod operations;
mod partitions;
mod read_files;
mod root;
mod schedules;
mod secret_references;
mod secrets;
mod sensors;
mod settings;
mod step_rules;
mod write;

pub(crate) use ahead::Ahead;
pub(crate) use alerts::{ALERT, AlertDraft, read_alert};
pub(crate) use asset::{ASSET, AssetDraft, Surrounding, read_asset};
pub use columns::{declared_columns, declared_types};
pub use context::{CompileContext, ProjectText};
pub use operations::{Daemon, Maintenance, Retention};
pub(crate) use partitions::{PARTITIONS, read_partitions};
pub(crate) use read_files::ReadFiles;
pub(crate) use root::{ASSET_FILE, PROJECT_FILE, check_asset_file};
pub(crate) use schedules::{SCHEDULE, ScheduleDraft, read_schedule};
pub(crate) use secrets::{mask_secret_lines, mask_secrets};
pub(crate) use sensors::{Reading, SENSOR, SENSOR_KINDS, SensorDraft, read_sensor};
pub use settings::Execution;
pub(crate) use settings::{Settings, read_settings};
