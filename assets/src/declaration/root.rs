//! What a whole file may hold.

use super::alerts::ALERT;
use super::lakehouse::{LAKEHOUSE, S3};
use super::openlineage::OPENLINEAGE;
use super::operations::{DAEMON, MAINTENANCE, RETENTION};
use super::partitions::PARTITIONS;
use super::schedules::SCHEDULE;
use super::settings::{EXECUTION, PARAM, PROJECT};
use super::step_rules::POOL;
use crate::diagnostic::{Code, Diagnostic};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

const ASSETS: FieldSpec = FieldSpec::optional(
    "asset",
    FieldType::Map(&FieldType::Map(&FieldType::Asset)),
    "Assets, one table each: `[asset.LAYER.NAME]`.",
);
const ALERTS_DOC: &str = "Alerts, one table each: `[alert.NAME]`.";
const SCHEDULES_DOC: &str = "Schedules, one table each: `[schedule.NAME]`.";
const SENSORS: FieldSpec = FieldSpec::optional(
    "sensor",
    FieldType::Map(&FieldType::Sensor),
    "Sensors, one table each: `[sensor.NAME]`.",
);

/// `millpond.toml`.
pub(crate) static PROJECT_FILE: TableSpec = TableSpec {
    name: "project file",
    doc: "A project: its name, its lakehouse, its partitions.",
    fields: &[
        FieldSpec::required("project", FieldType::Table(&PROJECT), "The project itself."),
        FieldSpec::optional("lakehouse", FieldType::Table(&LAKEHOUSE), "Where its tables are kept."),
        FieldSpec::optional(
            "s3",
            FieldType::Table(&S3),
            "How the store of raw files at `s3://` is reached; as that of the tables if left out.",
        ),
        FieldSpec::optional(
            "execution",
            FieldType::Table(&EXECUTION),
            "What its steps may use of the machine.",
        ),
        FieldSpec::optional("daemon", FieldType::Table(&DAEMON), "How `millpond up` behaves."),
        FieldSpec::optional(
            "retention",
            FieldType::Table(&RETENTION),
            "How long what happened is kept.",
        ),
        FieldSpec::optional(
            "maintenance",
            FieldType::Table(&MAINTENANCE),
            "How long old versions of tables can be read.",
        ),
        FieldSpec::optional(
            "openlineage",
            FieldType::Table(&OPENLINEAGE),
            "Where OpenLineage events of runs and steps go.",
        ),
        FieldSpec::optional(
            "params",
            FieldType::Map(&PARAM),
            "Values that queries use as parameters `$name`; bound, never pasted as text.",
        ),
        FieldSpec::optional(
            "partitions",
            FieldType::Map(&FieldType::Table(&PARTITIONS)),
            "Sets of partitions, one table each: `[partitions.NAME]`.",
        ),
        FieldSpec::optional(
            "pool",
            FieldType::Map(&FieldType::Table(&POOL)),
            "Pools, one table each: `[pool.NAME]`.",
        ),
        FieldSpec::optional("schedule", FieldType::Map(&FieldType::Table(&SCHEDULE)), SCHEDULES_DOC),
        SENSORS,
        FieldSpec::optional("alert", FieldType::Map(&FieldType::Table(&ALERT)), ALERTS_DOC),
        ASSETS,
    ],
};

/// A file under `assets/`.
pub(crate) static ASSET_FILE: TableSpec = TableSpec {
    name: "asset file",
    doc: "Assets of a project.",
    fields: &[
        ASSETS,
        FieldSpec::optional("schedule", FieldType::Map(&FieldType::Table(&SCHEDULE)), SCHEDULES_DOC),
        SENSORS,
        FieldSpec::optional("alert", FieldType::Map(&FieldType::Table(&ALERT)), ALERTS_DOC),
    ],
};

/// Judges the outermost table of a file under `assets/`: a table of `millpond.toml` is told where it belongs.
pub(crate) fn check_asset_file(reader: &TableReader<'_>) {
    let mut strangers = 0;
    for (key, _) in reader.entries() {
        let elsewhere = PROJECT_FILE.fields.iter().any(|field| field.name == key.value);
        if elsewhere && ASSET_FILE.fields.iter().all(|field| field.name != key.value) {
            strangers += 1;
            reader.report(
                Diagnostic::new(
                    Code::UnknownKey,
                    format!("`{}` has no place in an asset file", key.value),
                    key.span,
                )
                .help(format!("`[{}]` belongs in millpond.toml", key.value)),
            );
        }
    }
    if strangers == 0 {
        reader.check();
    } else {
        reader.check_known_keys();
    }
}
