//! The flights example, cold and again: a year from raw files to predictions.

use super::processes::{Cost, cost, millpond, seconds};
use super::{BenchError, Measured, Settings, median};
use crate::program::Project;

/// All assets from nothing, in seconds.
pub(super) fn cold_seconds(_: &Settings) -> Result<Measured, BenchError> {
    let cost = cold()?;
    Ok(Measured::against_limit(
        cost.seconds,
        60.0,
        format!("{:.0} MB at most", cost.peak_mb),
    ))
}

/// All assets from nothing, largest memory of all processes together.
pub(super) fn cold_megabytes(_: &Settings) -> Result<Measured, BenchError> {
    let cost = cold()?;
    Ok(Measured::against_limit(
        cost.peak_mb,
        1500.0,
        format!("in {:.1} s", cost.seconds),
    ))
}

/// Nothing changed: what is fresh is seen to be fresh.
pub(super) fn again_seconds(_: &Settings) -> Result<Measured, BenchError> {
    let project = Project::example("flights");
    cost(millpond(project.path(), &["materialize"]))?;
    let mut each = Vec::new();
    for _ in 0..5 {
        each.push(seconds(millpond(project.path(), &["materialize"]))?);
    }
    Ok(Measured::against_limit(median(each), 0.5, String::new()))
}

fn cold() -> Result<Cost, BenchError> {
    let project = Project::example("flights");
    cost(millpond(project.path(), &["materialize"]))
}
