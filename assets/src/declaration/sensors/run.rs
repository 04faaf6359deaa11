//! `kind = "run"`: runs of this project that end.

use super::Reading;
use crate::selection::Selection;
use crate::sensor::{RunSource, RunStatusWatched, SensorSource};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

use crate::declaration::context::inline_text;
use crate::declaration::schedules::told;

pub(super) static RUN: TableSpec = TableSpec {
    name: "run sensor",
    doc: "Runs of this project that end.",
    fields: &[
        FieldSpec::optional(
            "status",
            FieldType::OneOf(&[STATUS, FieldType::List(&STATUS)]),
            "How a run has to end: \"succeeded\" (the default), \"failed\", \"canceled\", or a list of them.",
        ),
        FieldSpec::optional(
            "of",
            FieldType::Text,
            "Only runs that hold one of these assets, as a selection: `layer:gold`. All runs if left out.",
        ),
    ],
};

const STATUS: FieldType = FieldType::Choice(&["succeeded", "failed", "canceled"]);

pub(super) fn read(table: &TableReader<'_>, reading: &Reading<'_>) -> Option<SensorSource> {
    let mut statuses = Vec::new();
    for word in table.strings("status") {
        statuses.push(RunStatusWatched::of(word.value)?);
    }
    if statuses.is_empty() {
        if table.has("status") {
            if table
                .value("status")
                .is_some_and(|status| status.as_list().is_some_and(|list| list.is_empty()))
            {
                table.invalid("status", "`status` names no way to end");
            }
            return None;
        }
        statuses.push(RunStatusWatched::Succeeded);
    }
    let of = match table.string("of") {
        None if table.has("of") => return None,
        None => None,
        Some(written) => match Selection::parse(written.value) {
            Ok(selection) => Some(selection),
            Err(error) => {
                table.report(told(&error, &inline_text(written, reading.sources)));
                return None;
            }
        },
    };
    Some(SensorSource::Run(RunSource { statuses, of }))
}
