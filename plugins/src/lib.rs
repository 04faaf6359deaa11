//! Floor 1: the asset kinds and the lakehouse they read and write.
pub mod formats;
pub mod lakehouse;
pub mod models;
pub mod point_in_time;
pub mod query;
pub mod step;
