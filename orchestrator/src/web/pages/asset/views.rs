//! Checks, materializations and partitions of an asset as its pages show them.

use std::collections::BTreeSet;

use assets::outcome::{Sample, Severity};
use assets::{AssetKey, AssetPartition, PartitionKey};
use state::event::Micros;
use state::ids::RunId;
use state::sqlite::queries::asset_partitions::PartitionRow;
use state::sqlite::queries::checks::CheckRow;

use super::super::failures::{self, Failed, FailureView};
use super::super::figures::{Clock, NOTHING, bytes, count, duration, figure, number};
use super::super::markup::{Markup, encode, escape};
use super::super::plots::{Plot, Point, line};
use super::super::tone::Tone;
use super::facts::{CheckTick, Made, PartitionFacts};

pub(super) struct NeighbourView {
    pub(super) key: AssetKey,
    pub(super) mark: Markup,
    pub(super) mapping: String,
}

pub(super) struct CheckView {
    pub(super) name: String,
    pub(super) state: Markup,
    pub(super) figure: String,
    pub(super) expected: String,
    pub(super) failing: String,
    pub(super) partition: String,
    pub(super) when: Markup,
    pub(super) error: Option<String>,
    pub(super) sample: Option<SampleView>,
    pub(super) blocking: bool,
    /// Its last results drawn, oldest first.
    pub(super) results: Option<Markup>,
    /// The page with all its results.
    pub(super) href: String,
}

pub(super) struct SampleView {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
    pub(super) more: String,
}

pub(super) struct MadeView {
    pub(super) when: Markup,
    pub(super) partition: String,
    pub(super) rows: String,
    pub(super) size: String,
    pub(super) took: String,
    pub(super) snapshot: Option<(String, String)>,
    /// `None` where it is not known any more.
    pub(super) run: Option<String>,
    pub(super) numbers: String,
}

pub(super) struct RangeView {
    pub(super) range: String,
    pub(super) count: String,
    pub(super) state: Markup,
}

pub(super) struct PartitionView {
    pub(super) key: Option<PartitionKey>,
    pub(super) state: &'static str,
    pub(super) made: Option<String>,
    pub(super) made_when: Markup,
    pub(super) made_run: Option<String>,
    pub(super) asked_by: Option<String>,
    /// When its newest step was skipped, in which run, and for which other.
    pub(super) skipped: Option<(Markup, String, String)>,
    pub(super) inputs: Vec<(String, String)>,
    pub(super) sources: Vec<String>,
    pub(super) checks: Vec<CheckView>,
    pub(super) failures: Vec<FailureView>,
    pub(super) tries: Vec<TryView>,
    pub(super) history: Vec<MadeView>,
    pub(super) rows_href: String,
}

pub(super) struct TryView {
    pub(super) run: String,
    pub(super) attempt: String,
    pub(super) number: u32,
    pub(super) when: Markup,
    pub(super) state: Markup,
    pub(super) note: String,
}

/// A result of a check; `ticks` are the last results of that check.
pub(super) fn check_view(check: &CheckRow, ticks: Option<&[CheckTick]>, clock: &Clock) -> CheckView {
    let result = &check.result;
    let (tone, word) = match (result.passed, &result.error, result.blocks()) {
        (true, _, _) => (Tone::Good, "passed"),
        (false, Some(_), true) => (Tone::Bad, "no result"),
        (false, None, true) => (Tone::Bad, "failed"),
        (false, _, false) => (Tone::Warn, "warned"),
    };
    CheckView {
        name: result.name.clone(),
        state: tone.state(word),
        figure: result.figure.map_or_else(|| NOTHING.to_owned(), figure),
        expected: result.expected.clone(),
        failing: result
            .failing_rows
            .filter(|rows| *rows > 0)
            .map_or_else(String::new, |rows| count(rows, "row", "rows")),
        partition: check
            .step
            .partition
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        when: clock.when(check.at),
        error: result.error.clone(),
        sample: result
            .sample
            .as_ref()
            .filter(|sample| !sample.rows.is_empty())
            .map(|sample| sample_view(sample, result.failing_rows)),
        blocking: result.severity == Severity::Error,
        results: ticks.filter(|ticks| ticks.len() > 1).map(|ticks| drawn(ticks, clock)),
        href: format!(
            "/assets/{}/checks?check={}#results",
            check.step.asset,
            encode(&result.name)
        ),
    }
}

pub(super) fn sample_view(sample: &Sample, failing: Option<u64>) -> SampleView {
    let shown = sample.rows.len() as u64;
    let more = failing.filter(|failing| *failing > shown).map_or_else(
        || count(shown, "failing row", "failing rows"),
        |failing| format!("{shown} of {} failing rows", number(failing)),
    );
    SampleView {
        columns: sample.columns.clone(),
        rows: sample.rows.clone(),
        more,
    }
}

/// The newest failure of a partition.
pub(super) fn failed<'a>(asset: &AssetKey, row: &'a PartitionRow) -> Option<Failed<'a>> {
    let failure = row.last_failure.as_ref()?;
    Some(Failed {
        step: AssetPartition::new(asset.clone(), row.partition.clone()),
        failure: &failure.failure,
        at: Some(failure.at),
        run: Some(&failure.run),
        attempt: None,
    })
}

/// Whether it told of more than how large it is.
pub(super) fn has_figures(made: &Made) -> bool {
    made.row
        .metadata
        .keys()
        .any(|name| !matches!(name.as_str(), "rows" | "bytes"))
}

pub(super) fn made_view(made: &Made, clock: &Clock) -> MadeView {
    let (took, made) = (made.took, &made.row);
    let numbers = made
        .metadata
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "rows" | "bytes"))
        .take(4);
    let numbers = numbers.map(|(name, value)| {
        let value = value.as_f64().map_or_else(|| value.to_string(), figure);
        format!("{name} {value}")
    });
    MadeView {
        when: clock.when(made.at),
        partition: made
            .step
            .partition
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        rows: number(made.rows),
        size: bytes(made.bytes),
        took: took.map_or_else(|| NOTHING.to_owned(), duration),
        snapshot: made.snapshot_id.map(|id| {
            let text = id.to_string();
            (format!("/assets/{}/snapshots?snapshot={text}", made.step.asset), text)
        }),
        run: known(&made.run),
        numbers: numbers.collect::<Vec<_>>().join(", "),
    }
}

/// A run that has a page.
fn known(run: &RunId) -> Option<String> {
    (!run.is_unknown()).then(|| run.to_string())
}

pub(super) fn partition_view(asset: &AssetKey, facts: &PartitionFacts, clock: &Clock) -> PartitionView {
    let row = facts.why.partition.as_ref();
    let current = row.and_then(|row| row.current.as_ref());
    let made_by = facts.why.made_by.as_ref();
    let last_failed = row.filter(|row| row.failed);
    let inputs = made_by
        .and_then(|made| made.attempt.as_ref())
        .map_or_else(Vec::new, |attempt| {
            let version = |input: &state::event::PinnedVersion| match (&input.table, input.model_version) {
                (_, Some(version)) => format!("version {version}"),
                (Some(table), None) => table
                    .snapshot_id
                    .map_or_else(|| "empty".to_owned(), |id| format!("snapshot {id}")),
                (None, None) => "never materialized".to_owned(),
            };
            attempt
                .inputs
                .iter()
                .map(|input| (input.asset.to_string(), version(input)))
                .collect()
        });
    let tries = facts.why.attempts.iter().map(|tried| {
        let attempt = &tried.attempt;
        let failure = tried.failure.as_ref().or(attempt.failure.as_ref());
        let kept_back_by = facts.why.kept_back_by(&attempt.attempt);
        let (tone, word) = match (failure, kept_back_by, attempt.ended_at) {
            (Some(_), ..) => (Tone::Bad, "failed"),
            (None, Some(_), _) => (Tone::Warn, "not published"),
            (None, None, None) => (Tone::Busy, "running"),
            (None, None, Some(_)) => (Tone::Good, "ended well"),
        };
        let note = match (failure, kept_back_by) {
            (Some(failure), _) => failure.message.clone(),
            (None, Some(other)) => format!("{other}, which is published together with it, was not made"),
            (None, None) => String::new(),
        };
        TryView {
            run: attempt.run.to_string(),
            attempt: attempt.attempt.to_string(),
            number: attempt.number,
            when: clock.when(attempt.started_at),
            state: tone.state(word),
            note,
        }
    });
    let checks = if last_failed.is_some() {
        &facts.why.failed_checks[..]
    } else {
        made_by.map_or(&[][..], |made| &made.checks)
    };
    PartitionView {
        key: facts.key.clone(),
        state: facts.state,
        made: current.map(|current| {
            let snapshot = current
                .snapshot_id
                .map_or_else(String::new, |id| format!(", snapshot {id}"));
            format!(
                "{}, {}{snapshot}",
                count(current.rows, "row", "rows"),
                bytes(current.bytes)
            )
        }),
        made_when: clock.when_known(current.map(|current| current.at)),
        made_run: current.and_then(|current| known(&current.run)),
        skipped: facts.why.skipped_last().map(|(step, because)| {
            (
                clock.when_known(step.ended_at),
                step.run.to_string(),
                because.to_string(),
            )
        }),
        asked_by: made_by
            .and_then(|made| made.request.as_ref())
            .map(|request| format!("{} asked for `{}`", request.trigger, request.selection)),
        inputs,
        sources: made_by.map_or_else(Vec::new, |made| {
            made.sources.iter().take(20).map(|file| file.path.clone()).collect()
        }),
        checks: checks.iter().map(|check| check_view(check, None, clock)).collect(),
        failures: failures::group(last_failed.and_then(|row| failed(asset, row)).into_iter(), 1, clock).0,
        tries: tries.collect(),
        history: facts.history.iter().map(|made| made_view(made, clock)).collect(),
        rows_href: match &facts.key {
            Some(key) => format!("/assets/{asset}/rows?partition={}", encode(key)),
            None => format!("/assets/{asset}/rows"),
        },
    }
}

/// The last results of a check as small squares: one that failed differs in height and colour.
fn drawn(ticks: &[CheckTick], clock: &Clock) -> Markup {
    let failing = ticks.iter().filter(|tick| !tick.passed).count();
    let words = format!("of the last {} results {failing} did not pass", ticks.len());
    let mut svg = format!(
        "<svg class=\"ticks\" width=\"{0}\" height=\"14\" viewBox=\"0 0 {0} 14\" role=\"img\" aria-label=\"{1}\">",
        ticks.len() * 5,
        escape(words)
    );
    for (place, tick) in ticks.iter().enumerate() {
        let (tone, y, word) = match (tick.passed, tick.blocked) {
            (true, _) => (Tone::Good, 5, "passed"),
            (false, true) => (Tone::Bad, 0, "failed"),
            (false, false) => (Tone::Warn, 2, "warned"),
        };
        let of = tick
            .partition
            .as_ref()
            .map_or_else(String::new, |key| format!("{key} "));
        let found = tick
            .figure
            .map_or_else(String::new, |found| format!(", found {}", figure(found)));
        svg.push_str(&format!(
            "<rect class=\"{}\" x=\"{}\" y=\"{y}\" width=\"4\" height=\"{}\"><title>{}</title></rect>",
            tone.class(),
            place * 5,
            14 - y,
            escape(format!("{of}{word}{found}, {}", clock.plain(tick.at))),
        ));
    }
    svg.push_str("</svg>");
    Markup(svg)
}

/// The numbers of materializations over time, oldest first: rows, bytes, how long, and what else was told as a number.
pub(super) fn plots(plotted: &[Made], clock: &Clock) -> Vec<Plot> {
    const MOST: usize = 6;
    let oldest_first = || plotted.iter().rev();
    let points = |value: &dyn Fn(&Made) -> Option<f64>, text: &dyn Fn(f64) -> String| -> Vec<Point> {
        oldest_first()
            .filter_map(|made| {
                let value = value(made)?;
                let row = &made.row;
                let of = row
                    .step
                    .partition
                    .as_ref()
                    .map_or_else(String::new, |key| format!("{key}: "));
                Some(Point {
                    value,
                    label: format!("{of}{}, {}", text(value), clock.plain(row.at)),
                    href: known(&row.run).map(|run| format!("/runs/{run}")),
                })
            })
            .collect()
    };
    let whole = |value: f64| number(value as u64);
    let size = |value: f64| bytes(value as u64);
    let length = |value: f64| duration(value as Micros);
    let mut found: Vec<Option<Plot>> = Vec::new();
    if plotted.iter().any(|made| made.row.rows > 0) {
        found.push(line(
            "rows",
            &points(&|made| Some(made.row.rows as f64), &whole),
            &whole,
        ));
        found.push(line("size", &points(&|made| Some(made.row.bytes as f64), &size), &size));
    }
    found.push(line(
        "time",
        &points(&|made| made.took.map(|took| took as f64), &length),
        &length,
    ));
    let names: BTreeSet<&String> = plotted
        .iter()
        .flat_map(|made| &made.row.metadata)
        .filter(|(name, value)| value.is_number() && !matches!(name.as_str(), "rows" | "bytes"))
        .map(|(name, _)| name)
        .collect();
    for name in names {
        let value = |made: &Made| made.row.metadata.get(name).and_then(serde_json::Value::as_f64);
        // What never changes tells nothing over time.
        found.push(line(name, &points(&value, &figure), &figure).filter(|plot| plot.range.is_some()));
    }
    found.into_iter().flatten().take(MOST).collect()
}
