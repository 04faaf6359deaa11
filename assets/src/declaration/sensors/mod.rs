//! `[sensor.NAME]`: what is watched, and what a change in it starts. Each kind has a file and a line in [`SENSOR_KINDS`].

mod asset;
mod command;
mod files;
mod http;
mod run;
mod sql;
mod webhook;

use std::collections::BTreeMap;

use serde_json::Value;

use super::context::inline_text;
use super::schedules::{read_select, told};
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink, closest};
use crate::graph::AssetGraph;
use crate::key::is_name;
use crate::sensor::{AssetSource, RunSource, Sensor, SensorSource, SqlSource};
use crate::span::{Sources, Span, Spanned};
use crate::sql::QueryText;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec, bad_name};

const DAY: u64 = 24 * 3600;

/// The keys of every sensor.
pub(crate) static SENSOR: TableSpec = TableSpec {
    name: "sensor",
    doc: "Something that is watched: a change in it materializes what is stale among the selected assets. Its kind has \
          further keys.",
    fields: &[
        FieldSpec::required("kind", FieldType::Text, "What is watched: `files`, …."),
        FieldSpec::required(
            "select",
            FieldType::Text,
            "The assets: `bronze.flights+`, `tag:nightly`.",
        ),
        FieldSpec::optional("description", FieldType::Text, "What it is for, for people."),
        FieldSpec::optional(
            "every",
            FieldType::Duration,
            "At least so long between two looks: `30s` if left out, and `1s` for what tells of its changes itself.",
        ),
        FieldSpec::optional(
            "deadline",
            FieldType::Duration,
            "A look that takes longer is given up and tried again later; `60s` if left out.",
        ),
        FieldSpec::optional(
            "max_events",
            FieldType::IntegerWithin(1, 10_000),
            "Most events of one tick; the rest follows at once in further ticks. 1000 if left out.",
        ),
        FieldSpec::optional(
            "remember",
            FieldType::Duration,
            "How long it remembers what it told of once that is shown no more, at least a day; `90 days` if left out.",
        ),
        FieldSpec::optional(
            "paused",
            FieldType::Boolean,
            "Whether it waits for `millpond sensor resume` when it is first seen.",
        ),
    ],
};

/// One kind of sensor.
pub(crate) struct SensorKind {
    /// The word in `kind = "…"`.
    pub(crate) name: &'static str,
    /// Its own keys, beside those of every sensor.
    pub(crate) spec: &'static TableSpec,
    /// Seconds of `every` where it is left out.
    every_seconds: u64,
    /// Turns its own keys into a source; `None` after a report.
    read: fn(&TableReader<'_>, &Reading<'_>) -> Option<SensorSource>,
}

/// What a sensor is read in.
pub(crate) struct Reading<'a> {
    /// The texts of the project's files.
    pub(crate) sources: &'a Sources,
    /// The project's `[params]`.
    pub(crate) params: &'a BTreeMap<String, Value>,
    /// Whether everything in `millpond.toml` could be read.
    pub(crate) params_complete: bool,
    /// Where mistakes are told.
    pub(crate) sink: &'a DiagnosticSink,
}

/// The kinds, in the order shown to people.
pub(crate) static SENSOR_KINDS: &[SensorKind] = &[
    SensorKind {
        name: "files",
        spec: &files::FILES,
        every_seconds: 1,
        read: files::read,
    },
    SensorKind {
        name: "http",
        spec: &http::HTTP,
        every_seconds: 30,
        read: http::read,
    },
    SensorKind {
        name: "webhook",
        spec: &webhook::WEBHOOK,
        every_seconds: 1,
        read: webhook::read,
    },
    SensorKind {
        name: "asset",
        spec: &asset::ASSET,
        every_seconds: 1,
        read: asset::read,
    },
    SensorKind {
        name: "run",
        spec: &run::RUN,
        every_seconds: 1,
        read: run::read,
    },
    SensorKind {
        name: "sql",
        spec: &sql::SQL,
        every_seconds: 30,
        read: sql::read,
    },
    SensorKind {
        name: "command",
        spec: &command::COMMAND,
        every_seconds: 30,
        read: command::read,
    },
];

/// A sensor as declared, its selection not resolved yet.
pub(crate) struct SensorDraft {
    sensor: Sensor,
    /// Where the selection's text stands, to point into it.
    select: QueryText,
    /// Where a placeholder for a partition stands, if one does.
    partition: Option<Span>,
    /// Where an asset or the assets that are watched are named.
    watched: Option<Span>,
    /// The text of a selection of what is watched.
    of: Option<QueryText>,
}

/// Reads one sensor; `None` if something in it is wrong (and reported).
pub(crate) fn read_sensor(name: Spanned<&str>, table: TableReader<'_>, reading: &Reading<'_>) -> Option<SensorDraft> {
    let sources = reading.sources;
    if !is_name(name.value) {
        table.report(bad_name(
            &format!("`{}` cannot be the name of a sensor", name.value),
            name.span,
        ));
    }
    let Some(kind) = table.string("kind") else {
        // Without its kind nobody knows which other keys it may have.
        table.check_known_keys();
        return None;
    };
    let Some(known) = SENSOR_KINDS.iter().find(|known| known.name == kind.value) else {
        table.check_known_keys();
        table.report(unknown_kind(kind));
        return None;
    };
    let table = table.with_more_keys(known.spec);
    table.check();
    let select = read_select(&table, sources);
    let source = (known.read)(&table, reading);
    let (selection, select) = select?;
    let source = source?;
    let remember_seconds = seconds(&table, "remember", 90 * DAY)?;
    let needed = match &source {
        // A request that is as old as `tolerance` allows could otherwise be played again.
        SensorSource::Webhook(webhook) => DAY.max(webhook.tolerance_seconds.saturating_mul(2)),
        _ => DAY,
    };
    if remember_seconds < needed {
        table.invalid(
            "remember",
            match needed {
                DAY => "`remember` is less than a day".to_owned(),
                _ => "`remember` is less than twice the `tolerance`".to_owned(),
            },
        );
        return None;
    }
    let most_events = match table.has("max_events") {
        true => u32::try_from(table.integer("max_events")?.value).ok()?,
        false => 1000,
    };
    // Another project does not tell when it has changed.
    let every_seconds = match &source {
        SensorSource::Asset(AssetSource { project: Some(_), .. }) => 30,
        _ => known.every_seconds,
    };
    let partition = matches!(&source, SensorSource::Files(files) if files.path.contains("{partition}"));
    Some(SensorDraft {
        sensor: Sensor {
            name: name.value.to_owned(),
            description: table.string("description").map(|text| text.value.to_owned()),
            source,
            selection,
            every_seconds: seconds(&table, "every", every_seconds)?,
            deadline_seconds: seconds(&table, "deadline", 60)?,
            most_events,
            remember_seconds,
            paused: table.boolean("paused").unwrap_or(false),
            location: sources.location(name.span),
        },
        select,
        partition: partition.then(|| table.span_of("path")),
        watched: (kind.value == "asset").then(|| table.span_of("asset")),
        of: match kind.value {
            "run" => table.string("of").map(|of| inline_text(of, sources)),
            _ => None,
        },
    })
}

impl SensorDraft {
    /// The sensor, once it is known which assets there are.
    pub(crate) fn resolve(self, graph: &AssetGraph, sink: &DiagnosticSink) -> Option<Sensor> {
        // What is stale or missing changes from tick to tick; here only names count.
        let selected = match self.sensor.selection.resolve(graph, &|_, _| true) {
            Ok(selected) => selected,
            Err(error) => {
                sink.report(told(&error, &self.select));
                return None;
            }
        };
        if let (SensorSource::Run(RunSource { of: Some(of), .. }), Some(text)) = (&self.sensor.source, &self.of)
            && let Err(error) = of.resolve(graph, &|_, _| true)
        {
            sink.report(told(&error, text));
            return None;
        }
        if let (SensorSource::Asset(AssetSource { asset, project: None }), Some(place)) =
            (&self.sensor.source, self.watched)
            && graph.get(asset).is_none()
        {
            let diagnostic = Diagnostic::new(
                Code::UnknownAsset,
                format!("`{asset}` is not an asset of this project"),
                place,
            );
            sink.report(match graph.nearest(asset.as_str()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help("name the folder of its project: `project = \"../other\"`"),
            });
            return None;
        }
        if let SensorSource::Sql(SqlSource { tables, .. }) = &self.sensor.source {
            let unknown = tables.iter().filter(|(asset, _)| graph.get(asset).is_none());
            let mut any = false;
            for (asset, place) in unknown {
                any = true;
                let diagnostic = Diagnostic::new(
                    Code::UnknownAsset,
                    format!("`{asset}` is not an asset of this project"),
                    *place,
                );
                sink.report(match graph.nearest(asset.as_str()) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic,
                });
            }
            if any {
                return None;
            }
        }
        let cut = |key| graph.get(key).is_some_and(|asset| asset.partitions.is_some());
        if let Some(place) = self.partition.filter(|_| !selected.iter().any(cut)) {
            sink.report(
                Diagnostic::new(
                    Code::BadPattern,
                    "`{partition}` names a partition, and nothing that is selected has any",
                    place,
                )
                .help("write `*` instead, or select an asset with `partitions`"),
            );
            return None;
        }
        Some(self.sensor)
    }
}

/// A length of time in seconds; `None` if it is wrong (and reported).
fn seconds(table: &TableReader<'_>, key: &str, left_out: u64) -> Option<u64> {
    match table.has(key) {
        true => table.duration(key).map(|seconds| seconds.value),
        false => Some(left_out),
    }
}

fn unknown_kind(kind: Spanned<&str>) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        Code::UnknownKind,
        format!("there is no kind of sensor `{}`", kind.value),
        kind.span,
    );
    let names = || SENSOR_KINDS.iter().map(|kind| kind.name);
    match closest(kind.value, names()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => {
            let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
            diagnostic.help(format!("the kinds are {}", names.join(", ")))
        }
    }
}
