//! `[schedule.NAME]`: what is materialized by the clock.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::context::inline_text;
use super::settings::check_zone;
use crate::cron::{Cron, MistakeKind, Repeated, Timetable};
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink};
use crate::graph::AssetGraph;
use crate::key::is_name;
use crate::schedule::{CatchUp, CatchUpPolicy, Overlap, Schedule};
use crate::selection::{Selection, SelectionError};
use crate::span::{Sources, Spanned};
use crate::sql::QueryText;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec, bad_name};

const POLICY: FieldType = FieldType::Choice(&["skip", "latest", "all"]);

pub(crate) static SCHEDULE: TableSpec = TableSpec {
    name: "schedule",
    doc: "What is materialized by the clock: what is stale among the selected assets, whenever a cron is due.",
    fields: &[
        FieldSpec::required(
            "cron",
            FieldType::STRINGS,
            "Five fields (minute, hour, day of the month, month, day of the week) or a word such as `@daily`; a list of \
             crons is due whenever one of them is.",
        ),
        FieldSpec::required(
            "select",
            FieldType::Text,
            "The assets: `silver.flights`, `+predictions.delay`, `tag:nightly`.",
        ),
        FieldSpec::optional("description", FieldType::Text, "What it is for, for people."),
        FieldSpec::optional(
            "timezone",
            FieldType::Text,
            "IANA name of the zone whose local time counts; the project's if left out.",
        ),
        FieldSpec::optional(
            "catch_up",
            FieldType::OneOf(&[POLICY, FieldType::Table(&CATCH_UP)]),
            "What becomes of instants that passed while no daemon ran: \"latest\" (the default) runs the newest, \"all\" \
             every one, \"skip\" none.",
        ),
        FieldSpec::optional(
            "overlap",
            FieldType::Choice(&["skip", "queue", "cancel_previous"]),
            "What becomes of an instant while the run of an earlier one is not over: it is skipped (the default), its run \
             waits, or the earlier run is canceled.",
        ),
        FieldSpec::optional(
            "jitter",
            FieldType::Duration,
            "Puts each start off by up to this long, so that many schedules do not start at once: `5m`.",
        ),
        FieldSpec::optional(
            "repeated",
            FieldType::Choice(&["first", "last", "both"]),
            "When clocks go back, at which pass of a repeated hour a time of the day is due: the first (the default), the \
             last, or both. A cron of every hour is due at both.",
        ),
        FieldSpec::optional(
            "paused",
            FieldType::Boolean,
            "Whether it waits for `millpond schedule resume` when it is first seen.",
        ),
    ],
};

static CATCH_UP: TableSpec = TableSpec {
    name: "catch-up",
    doc: "What becomes of instants that passed while no daemon ran.",
    fields: &[
        FieldSpec::required("policy", POLICY, "Which of them run: none, the newest, or all."),
        FieldSpec::optional(
            "window",
            FieldType::Duration,
            "How long ago an instant may be to run still; `24h` if left out.",
        ),
        FieldSpec::optional(
            "max",
            FieldType::IntegerWithin(1, 1000),
            "For \"all\": most instants that run, the newest ones; 10 if left out.",
        ),
    ],
};

/// A schedule as declared, its selection not resolved yet.
pub(crate) struct ScheduleDraft {
    pub(crate) schedule: Schedule,
    /// Where the selection's text stands, to point into it.
    select: QueryText,
}

/// Reads one schedule; `None` if something in it is wrong (and reported).
pub(crate) fn read_schedule(
    name: Spanned<&str>,
    table: &TableReader<'_>,
    project_zone: &str,
    sources: &Sources,
) -> Option<ScheduleDraft> {
    if !is_name(name.value) {
        table.report(bad_name(
            &format!("`{}` cannot be the name of a schedule", name.value),
            name.span,
        ));
    }
    let timetable = read_timetable(table, project_zone, sources);
    let select = read_select(table, sources);
    let catch_up = read_catch_up(table);
    let (zone, timetable) = timetable?;
    let jitter_seconds = read_jitter(table, &timetable);
    let (selection, select) = select?;
    let schedule = Schedule {
        name: name.value.to_owned(),
        description: table.string("description").map(|text| text.value.to_owned()),
        timetable,
        zone,
        selection,
        catch_up: catch_up?,
        overlap: table
            .string("overlap")
            .and_then(|word| Overlap::of(word.value))
            .unwrap_or_default(),
        jitter_seconds: jitter_seconds?,
        paused: table.boolean("paused").unwrap_or(false),
        location: sources.location(name.span),
    };
    Some(ScheduleDraft { schedule, select })
}

impl ScheduleDraft {
    /// The schedule, once it is known which assets there are.
    pub(crate) fn resolve(self, graph: &AssetGraph, sink: &DiagnosticSink) -> Option<Schedule> {
        // What is stale or missing changes from tick to tick; here only names count.
        match self.schedule.selection.resolve(graph, &|_, _| true) {
            Ok(_) => Some(self.schedule),
            Err(error) => {
                sink.report(told(&error, &self.select));
                None
            }
        }
    }
}

/// The crons under a key; `None` if there is none, or if one is wrong (and reported).
pub(super) fn read_crons(table: &TableReader<'_>, key: &str, sources: &Sources) -> Option<Vec<Cron>> {
    let written = table.strings(key);
    if table
        .value(key)
        .and_then(|cron| cron.as_list())
        .is_some_and(|list| list.is_empty())
    {
        table.invalid(key, "there must be at least one cron");
    }
    let mut crons: Vec<Cron> = Vec::new();
    for text in &written {
        match Cron::parse(text.value) {
            Ok(cron) => crons.push(cron),
            Err(mistakes) => {
                let place = inline_text(*text, sources);
                for mistake in mistakes {
                    let code = match mistake.kind {
                        MistakeKind::Never => Code::NeverRuns,
                        MistakeKind::Syntax | MistakeKind::Fields | MistakeKind::Range | MistakeKind::TooLong => {
                            Code::BadCron
                        }
                    };
                    let diagnostic =
                        Diagnostic::new(code, mistake.message, place.span(mistake.at.start, mistake.at.end));
                    table.report(match mistake.help {
                        Some(help) => diagnostic.help(help),
                        None => diagnostic,
                    });
                }
            }
        }
    }
    (!crons.is_empty() && crons.len() == written.len()).then_some(crons)
}

/// The zone under `timezone`, or the project's; `None` if it is wrong (and reported).
pub(super) fn read_zone<'z>(table: &TableReader<'z>, project_zone: &'z str) -> Option<&'z str> {
    match table.string("timezone") {
        Some(zone) if check_zone(table, zone) => Some(zone.value),
        Some(_) => None,
        None => Some(project_zone),
    }
}

fn read_timetable(table: &TableReader<'_>, project_zone: &str, sources: &Sources) -> Option<(String, Timetable)> {
    let crons = read_crons(table, "cron", sources);
    let zone = read_zone(table, project_zone)?;
    let crons = crons?;
    let repeated = table.string("repeated").and_then(|word| {
        let mut choices = Repeated::ALL.into_iter();
        choices.find(|choice| choice.as_str() == word.value)
    });
    let time_zone = TimeZone::get(zone).ok()?;
    Some((
        zone.to_owned(),
        Timetable::new(crons, time_zone, repeated.unwrap_or_default()),
    ))
}

pub(super) fn read_select(table: &TableReader<'_>, sources: &Sources) -> Option<(Selection, QueryText)> {
    let written = table.string("select")?;
    let place = inline_text(written, sources);
    match Selection::parse(written.value) {
        Ok(selection) => Some((selection, place)),
        Err(error) => {
            table.report(told(&error, &place));
            None
        }
    }
}

/// A mistake in a selection, at its place in the TOML string.
pub(super) fn told(error: &SelectionError, place: &QueryText) -> Diagnostic {
    let start = error.at.0.min(error.text.len());
    let end: usize = error.text[start..]
        .chars()
        .take(error.at.1.max(1))
        .map(char::len_utf8)
        .sum();
    let diagnostic = Diagnostic::new(
        Code::BadSelection,
        error.message.clone(),
        place.span(start, start + end),
    );
    match &error.help {
        Some(help) => diagnostic.help(help.clone()),
        None => diagnostic,
    }
}

fn read_catch_up(table: &TableReader<'_>) -> Option<CatchUp> {
    let default = CatchUp::default();
    let Some(inner) = table.table("catch_up") else {
        return match table.string("catch_up") {
            Some(word) => Some(CatchUp {
                policy: CatchUpPolicy::of(word.value)?,
                ..default
            }),
            // A value of the wrong type is reported already.
            None => (!table.has("catch_up")).then_some(default),
        };
    };
    let policy = CatchUpPolicy::of(inner.string("policy")?.value)?;
    let needless = |key: &str, why: &str| {
        if inner.has(key) {
            let message = format!("`{key}` means nothing where `policy` is \"{}\"", policy.as_str());
            inner.report(Diagnostic::new(Code::InvalidValue, message, inner.key_span(key)).help(why.to_owned()));
        }
    };
    if policy != CatchUpPolicy::All {
        needless("max", "it bounds how many run where `policy` is \"all\"");
    }
    if policy == CatchUpPolicy::Skip {
        needless("window", "nothing is caught up");
    }
    let window_seconds = match inner.has("window") {
        true => inner.duration("window")?.value,
        false => default.window_seconds,
    };
    let most = match inner.has("max") {
        true => u32::try_from(inner.integer("max")?.value).ok()?,
        false => default.most,
    };
    Some(CatchUp {
        policy,
        window_seconds,
        most,
    })
}

/// The jitter, which has to be over before the next instant.
fn read_jitter(table: &TableReader<'_>, timetable: &Timetable) -> Option<u64> {
    if !table.has("jitter") {
        return Some(0);
    }
    let jitter = table.duration("jitter")?;
    let some_year = DateTime::constant(2024, 1, 1, 0, 0, 0, 0);
    let apart = timetable.closest_ticks(some_year).unwrap_or(u64::MAX);
    if jitter.value >= apart {
        let diagnostic = Diagnostic::new(
            Code::InvalidValue,
            format!(
                "`jitter` is not shorter than the time between two ticks, which is {}",
                length(apart)
            ),
            jitter.span,
        )
        .note("these ticks", Some(table.span_of("cron")));
        table.report(diagnostic.help("a start that is put off past the next tick would come after it"));
        return None;
    }
    Some(jitter.value)
}

/// `15m`, `6h`, `2 days`.
fn length(seconds: u64) -> String {
    match seconds {
        _ if seconds.is_multiple_of(86_400) => format!("{} days", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ => format!("{}m", seconds / 60),
    }
}
