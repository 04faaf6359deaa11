//! Floor 1: the asset kinds and the lakehouse they read and write.
pub mod checks;
pub mod command;
pub mod features;
pub mod formats;
pub mod inference;
pub mod ingest;
pub mod kind;
pub mod lakehouse;
pub mod models;
pub mod point_in_time;
pub mod query;
pub mod sql;
pub mod step;
pub mod step_run;
pub mod training;
pub mod training_set;
