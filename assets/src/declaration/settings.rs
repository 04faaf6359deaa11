//! `[project]`, `[execution]` and `[params]`.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::lakehouse::{read_lakehouse, read_sources};
use super::openlineage::read_openlineage;
use super::operations::{Daemon, Maintenance, Retention, read_daemon, read_maintenance, read_retention};
use crate::diagnostic::{Code, Diagnostic, closest};
use crate::key::is_name;
use crate::openlineage::OpenLineage;
use crate::span::{Sources, Spanned};
use crate::sql::STEP_PARAMETERS;
use crate::step_rules::StepRules;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec, bad_name};
use crate::warehouse::{S3Store, Warehouse};

use super::step_rules::{Pools, RETRY, read_defaults, read_pools};

pub(super) static PROJECT: TableSpec = TableSpec {
    name: "project",
    doc: "The project itself.",
    fields: &[
        FieldSpec::required("name", FieldType::Text, "What the project is called."),
        FieldSpec::optional(
            "timezone",
            FieldType::Text,
            "IANA name of the zone whose days count, such as `America/New_York`; UTC if left out.",
        ),
    ],
};

pub(super) static EXECUTION: TableSpec = TableSpec {
    name: "execution",
    doc: "What the project's steps may use of the machine.",
    fields: &[
        FieldSpec::optional(
            "workers",
            FieldType::IntegerWithin(1, 1024),
            "Steps at the same time; one per core if left out.",
        ),
        FieldSpec::optional(
            "memory",
            FieldType::ByteSize,
            "Memory that the queries of one step may use, where its asset does not say: `1 GB`.",
        ),
        FieldSpec::optional(
            "total_memory",
            FieldType::ByteSize,
            "Memory that the queries of all steps under way may use together; half of the machine's if left out.",
        ),
        FieldSpec::optional(
            "retry",
            RETRY,
            "When a step that failed is tried again, where its asset does not say.",
        ),
        FieldSpec::optional(
            "timeout",
            FieldType::Duration,
            "How long a step may take, where its asset does not say: `2h`.",
        ),
    ],
};

pub(super) const PARAM: FieldType = FieldType::OneOf(&[
    FieldType::String,
    FieldType::Integer,
    FieldType::Float,
    FieldType::Boolean,
    FieldType::DateTime,
]);

/// What the project's steps may use of the machine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Execution {
    /// Steps at the same time; `None` is one per core.
    pub workers: Option<u32>,
    /// Bytes that the queries of one step may use; `None` leaves it to the program.
    pub memory_bytes: Option<u64>,
    /// Bytes that the queries of all steps under way may use together; `None` leaves it to the program.
    pub total_memory_bytes: Option<u64>,
    /// What holds for the steps of assets that say nothing else.
    pub rules: StepRules,
}

/// Everything of `millpond.toml` that is one value.
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) timezone: String,
    pub(crate) warehouse: Warehouse,
    pub(crate) s3: Option<S3Store>,
    pub(crate) execution: Execution,
    pub(crate) pools: Pools,
    pub(crate) daemon: Daemon,
    pub(crate) retention: Retention,
    pub(crate) maintenance: Maintenance,
    pub(crate) params: BTreeMap<String, Value>,
    pub(crate) openlineage: Option<OpenLineage>,
}

/// Reads the settings; what is absent or wrong (and reported) has its default.
pub(crate) fn read_settings(root: &TableReader<'_>, sources: &Sources) -> Settings {
    let project = root.table("project");
    let text = |name| project.as_ref().and_then(|project| project.string(name));
    let timezone = text("timezone").filter(|zone| check_zone(root, *zone));
    let execution = root.table("execution").map(|execution| Execution {
        workers: execution.integer("workers").map(|workers| workers.value as u32),
        memory_bytes: execution.byte_size("memory").map(|bytes| bytes.value),
        total_memory_bytes: execution.byte_size("total_memory").map(|bytes| bytes.value),
        rules: read_defaults(&execution),
    });
    let timezone = timezone.map_or_else(|| "UTC".to_owned(), |zone| zone.value.to_owned());
    let name = text("name").map_or_else(String::new, |name| name.value.to_owned());
    Settings {
        openlineage: read_openlineage(root, &name),
        name,
        maintenance: read_maintenance(root, &timezone, sources),
        timezone,
        warehouse: read_lakehouse(root),
        s3: read_sources(root),
        execution: execution.unwrap_or_default(),
        pools: read_pools(root),
        daemon: read_daemon(root),
        retention: read_retention(root),
        params: read_params(root),
    }
}

fn read_params(root: &TableReader<'_>) -> BTreeMap<String, Value> {
    let mut params = BTreeMap::new();
    for (name, value) in root.map("params") {
        if !is_name(name.value) {
            root.report(bad_name(
                &format!("`{}` cannot be the name of a parameter", name.value),
                name.span,
            ));
        } else if STEP_PARAMETERS.contains(&name.value) {
            root.report(
                Diagnostic::new(
                    Code::BadName,
                    format!("`${}` is bound by every step", name.value),
                    name.span,
                )
                .help("give the parameter another name"),
            );
        }
        // Kept even under a bad name, so that its uses are not reported as well.
        params.insert(name.value.to_owned(), value.to_json().unwrap_or_default());
    }
    params
}

/// Whether a zone is known; if not, that is reported.
pub(super) fn check_zone(reader: &TableReader<'_>, zone: Spanned<&str>) -> bool {
    if TimeZone::get(zone.value).is_ok() {
        return true;
    }
    let diagnostic = Diagnostic::new(
        Code::InvalidValue,
        format!("there is no time zone `{}`", zone.value),
        zone.span,
    );
    let names: Vec<String> = jiff::tz::db()
        .available()
        .map(|name| name.as_str().to_owned())
        .collect();
    reader.report(match closest(zone.value, names.iter().map(String::as_str)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help("zones have names such as `Europe/Zurich` and `UTC`"),
    });
    false
}
