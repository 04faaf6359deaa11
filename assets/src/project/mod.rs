//! A whole project: read, checked, resolved.
//!
//! [`load`] reads every file and reports every mistake in one pass: each file becomes drafts of assets (`load`), names of
//! other assets become inputs with partition mappings (`resolve`), circles are told with their path (`cycles`). There is a
//! [`Project`] only if nothing is wrong; warnings do not count.

mod atomic_groups;
mod conditions;
mod cycles;
mod load;
mod resolve;

pub use load::{load, load_with};

use std::collections::BTreeMap;

use serde_json::Value;

use crate::alert::Alert;
use crate::diagnostic::Diagnostics;
use crate::graph::AssetGraph;
use crate::openlineage::OpenLineage;
use crate::partition::Partitioning;
use crate::schedule::Schedule;
use crate::sensor::Sensor;
use crate::span::Sources;
use crate::step_rules::Pool;
use crate::warehouse::{S3Store, Warehouse};

pub use crate::declaration::{Daemon, Execution, Maintenance, Retention};

/// The file that makes a folder a project.
pub const PROJECT_FILE: &str = "millpond.toml";

/// The folder of the files that declare assets.
pub const ASSETS_FOLDER: &str = "assets";

/// A project without mistakes.
#[derive(Debug)]
pub struct Project {
    /// What it is called.
    pub name: String,
    /// IANA name of the zone whose days count.
    pub timezone: String,
    /// Where its tables are kept, as declared.
    pub warehouse: Warehouse,
    /// How the store of raw files is reached, if it is said: that of the tables otherwise.
    pub s3: Option<S3Store>,
    /// What its steps may use of the machine.
    pub execution: Execution,
    /// Its pools, by name.
    pub pools: BTreeMap<String, Pool>,
    /// How its daemon ends.
    pub daemon: Daemon,
    /// How long what happened is kept.
    pub retention: Retention,
    /// How long old versions of its tables can be read.
    pub maintenance: Maintenance,
    /// Values that queries use as `$name`.
    pub params: BTreeMap<String, Value>,
    /// Declared sets of partitions.
    pub partitions: BTreeMap<String, Partitioning>,
    /// Its schedules, by name.
    pub schedules: BTreeMap<String, Schedule>,
    /// Its alerts, by name.
    pub alerts: BTreeMap<String, Alert>,
    /// Where lineage is told of what runs.
    pub openlineage: Option<OpenLineage>,
    /// Its sensors, by name.
    pub sensors: BTreeMap<String, Sensor>,
    /// Its assets, each with its inputs resolved.
    pub graph: AssetGraph,
}

/// What came of reading a project.
#[derive(Debug)]
pub struct Loaded {
    /// The project; `None` if there are errors.
    pub project: Option<Project>,
    /// All mistakes and warnings.
    pub diagnostics: Diagnostics,
    /// The files that were read, to show diagnostics and declarations.
    pub sources: Sources,
}
