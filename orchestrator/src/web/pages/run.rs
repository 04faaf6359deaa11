//! `/runs/{id}`: where a run is, asset by asset, what failed, and what its attempts wrote.

use std::collections::BTreeMap;

use askama::Template;
use assets::{AssetKey, AssetPartition, PartitionKey};
use axum::extract::{Path, Query, State};
use axum::response::Html;
use serde::{Deserialize, Serialize};
use state::event::{Micros, Only, Pace, PartitionChoice};
use state::ids::AttemptId;
use state::sqlite::queries::attempts::{AttemptRow, attempts};
use state::sqlite::queries::run::{RunDetail, run};
use state::sqlite::queries::run_steps::{StepFilter, StepRow, run_steps};
use state::sqlite::queries::runs::RunRow;
use state::sqlite::queries::schedules::{TickRow, tick_of_run};
use state::sqlite::queries::sensors::{SensorTickRow, sensor_tick_of_run};
use state::status::{RunStatus, StepStatus};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::failures::{self, Failed, FailureView, step_href};
use super::figures::{Clock, NOTHING, bytes, count, duration, number};
use super::frame::{Frame, Section, page_clock};
use super::gantt::{Stretch, draw};
use super::log::{self, LEVELS, LogFacts, tail_offset};
use super::markup::{Markup, query};
use super::tone::{Tone, bar, in_words, run_state, step_parts, step_state};
use super::{asset_key, given, read, render, run_id};

const STEPS: usize = 50;
const ATTEMPTS: usize = 500;
/// Failed steps that are looked at, and entries that they become.
const FAILURES: usize = 500;
const FAILURES_SHOWN: usize = 8;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Asked {
    asset: Option<String>,
    status: Option<String>,
    after_asset: Option<String>,
    after_partition: Option<String>,
    attempt: Option<String>,
    offset: Option<u64>,
    level: Option<String>,
    find: Option<String>,
    left_out: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct RunFacts {
    /// The run, its request and its assets.
    pub run: RunDetail,
    /// The tick of a schedule that requested it.
    pub tick: Option<TickRow>,
    /// The tick of a sensor that requested it.
    pub sensor_tick: Option<SensorTickRow>,
    /// Its attempts, oldest first; the first 500.
    pub attempts: Vec<AttemptRow>,
    /// Whether there are more attempts.
    pub more_attempts: bool,
    /// Rows done so far by attempts that run now.
    pub progress: BTreeMap<AttemptId, ProgressFact>,
    /// Steps that failed; the first 500.
    pub failures: Vec<StepRow>,
    /// Steps that are asked for.
    pub steps: Vec<StepRow>,
    /// Pass as `after_asset` and `after_partition` for the steps after these.
    pub next: Option<AssetPartition>,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProgressFact {
    /// The partition it works on.
    pub partition: Option<PartitionKey>,
    /// Rows written of it.
    pub rows: u64,
}

/// What is asked of a run.
pub async fn facts(state: &WebState, id: &str, asked: &Asked) -> Result<RunFacts, ErrorPage> {
    let id = run_id(id)?;
    let filter = StepFilter {
        asset: given(asked.asset.clone()).map(|text| asset_key(&text)).transpose()?,
        status: given(asked.status.clone())
            .map(|text| {
                let known = StepStatus::ALL.into_iter().find(|status| status.as_str() == text);
                known.ok_or_else(|| {
                    ErrorPage::new(axum::http::StatusCode::BAD_REQUEST, format!("no step is ever `{text}`"))
                })
            })
            .transpose()?,
    };
    let after = match given(asked.after_asset.clone()) {
        Some(asset) => {
            let partition = given(asked.after_partition.clone())
                .map(|key| PartitionKey::new(&key))
                .transpose();
            let partition = partition.map_err(|error| ErrorPage::not_found(error.to_string()))?;
            Some(AssetPartition::new(asset_key(&asset)?, partition))
        }
        None => None,
    };
    let asked_run = id.clone();
    let found = read(&state.engine, move |store| {
        let Some(detail) = run(store, &asked_run)? else {
            return Ok(None);
        };
        let attempts = attempts(store, &asked_run, None, None, ATTEMPTS)?;
        let failed = StepFilter {
            asset: None,
            status: Some(StepStatus::Failed),
        };
        let failures = if detail.row.steps.failed > 0 {
            run_steps(store, &asked_run, &failed, None, FAILURES)?.rows
        } else {
            Vec::new()
        };
        let steps = run_steps(store, &asked_run, &filter, after.as_ref(), STEPS)?;
        let ticks = (tick_of_run(store, &asked_run)?, sensor_tick_of_run(store, &asked_run)?);
        Ok(Some((detail, ticks, attempts, failures, steps)))
    })
    .await?;
    let (run, (tick, sensor_tick), attempts, failures, steps) = found.ok_or_else(|| {
        ErrorPage::not_found(format!("there is no run {id}")).with_help("the list of runs has those that are kept")
    })?;
    let mut progress = BTreeMap::new();
    if !run.row.status.is_terminal() {
        let now = state.engine.driver().progress_now();
        for attempt in attempts.rows.iter().filter(|attempt| attempt.ended_at.is_none()) {
            if let Some((partition, rows)) = now.get(&attempt.attempt) {
                progress.insert(
                    attempt.attempt.clone(),
                    ProgressFact {
                        partition: partition.clone(),
                        rows: *rows,
                    },
                );
            }
        }
    }
    Ok(RunFacts {
        run,
        tick,
        sensor_tick,
        more_attempts: attempts.next.is_some(),
        attempts: attempts.rows,
        progress,
        failures,
        steps: steps.rows,
        next: steps.next,
    })
}

struct Lane {
    asset: AssetKey,
    state: Markup,
    bar: Markup,
    words: String,
    done: String,
    doing: Option<String>,
    gantt: Option<Markup>,
}

struct StepView {
    asset: AssetKey,
    partition: String,
    href: String,
    state: Markup,
    reason: String,
    rows: String,
    length: String,
    note: String,
    log: Option<String>,
}

struct Choice {
    value: String,
    text: String,
    here: bool,
}

struct LogView {
    facts: LogFacts,
    choices: Vec<Choice>,
    levels: Vec<Choice>,
    find: String,
    filtered: bool,
    first: Option<String>,
    next: Option<String>,
    end: Option<String>,
    size: String,
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    id: String,
    state: Markup,
    open: bool,
    can_cancel: bool,
    paused: bool,
    pace: Option<String>,
    rate: Option<String>,
    selection: String,
    partition: String,
    from: String,
    to: String,
    these: String,
    asked_for: String,
    trigger: String,
    /// Where the schedule that asked is shown, and its instant.
    tick: Option<(String, Markup)>,
    owner: String,
    submitted: Markup,
    started: Markup,
    ended: Markup,
    length: String,
    bar: Markup,
    words: String,
    done: String,
    lanes: Vec<Lane>,
    more_attempts: bool,
    failures: Vec<FailureView>,
    more_failures: Option<String>,
    steps: Vec<StepView>,
    step_assets: Vec<Choice>,
    step_states: Vec<Choice>,
    steps_filtered: bool,
    first_steps: Option<String>,
    next_steps: Option<String>,
    log: Option<LogView>,
    left_out: Option<String>,
}

/// `GET /runs/{id}?attempt=att_…&offset=0&level=warn&find=text&asset=…&status=…`
pub async fn page(
    State(state): State<WebState>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&state, &id, &asked).await?;
    let clock = page_clock(&state);
    let log = log_view(&state, &facts, &asked).await?;
    let row = &facts.run.row;
    let parts = step_parts(&row.steps);
    let request = &facts.run.request;
    let none = String::new;
    let (partition, from, to, these) = match &request.partitions {
        None => (none(), none(), none(), none()),
        Some(PartitionChoice::One(key)) => (key.to_string(), none(), none(), none()),
        Some(PartitionChoice::Range(from, to)) => (none(), from.to_string(), to.to_string(), none()),
        Some(PartitionChoice::These(keys)) => (none(), none(), none(), these_text(keys)),
    };
    let mut asked_for = match &request.partitions {
        None => "every partition that is not fresh".to_owned(),
        Some(PartitionChoice::One(key)) => format!("partition {key}"),
        Some(PartitionChoice::Range(from, to)) => format!("partitions {from} to {to}"),
        Some(PartitionChoice::These(keys)) => some_of(keys),
    };
    if request.force {
        asked_for.push_str(", fresh or not");
    }
    match request.only {
        None => {}
        Some(Only::Missing) => asked_for.push_str(", only those never materialized"),
        Some(Only::Failed) => asked_for.push_str(", only those that failed last"),
    }
    let (asset, status) = (given(asked.asset.clone()), given(asked.status.clone()));
    let link = |after: Option<&AssetPartition>| {
        let pairs = [
            ("asset", asset.clone()),
            ("status", status.clone()),
            ("after_asset", after.map(|after| after.asset.to_string())),
            (
                "after_partition",
                after.and_then(|after| Some(after.partition.as_ref()?.to_string())),
            ),
        ];
        format!("/runs/{}{}#steps", row.run, query(&pairs))
    };
    let failed = facts.failures.iter().filter_map(|step| {
        let failure = step.failure.as_ref()?;
        Some(Failed {
            step: step.step.clone(),
            failure,
            at: step.ended_at,
            run: None,
            attempt: step.attempt.as_ref(),
        })
    });
    let (failures, left_out) = failures::group(failed, FAILURES_SHOWN, &clock);
    let more = row.steps.failed.saturating_sub(facts.failures.len() as u64) + left_out as u64;
    render(&RunPage {
        frame: Frame::new(&state, format!("Run {}", row.run), Section::Runs),
        id: row.run.to_string(),
        state: run_state(row.status, row.paused),
        open: !row.status.is_terminal(),
        can_cancel: matches!(row.status, RunStatus::Queued | RunStatus::Running),
        paused: row.paused,
        pace: pace_text(&request.pace),
        rate: rate(row, clock.now()),
        selection: row.selection.clone(),
        partition,
        from,
        to,
        these,
        asked_for,
        trigger: row.trigger.clone(),
        tick: facts.tick.as_ref().map(|tick| {
            let pairs = [("schedule", Some(tick.schedule.clone()))];
            (format!("/schedules{}", query(&pairs)), clock.when(tick.instant))
        }),
        owner: row.owner.clone(),
        submitted: clock.when(row.submitted_at),
        started: clock.when_known(row.started_at),
        ended: clock.when_known(row.ended_at),
        length: clock.length(row.started_at, row.ended_at),
        bar: bar(&parts),
        words: in_words(&parts),
        done: format!(
            "{} of {}",
            number(row.steps.over()),
            count(row.steps.total(), "step", "steps")
        ),
        lanes: lanes(&facts, &clock),
        more_attempts: facts.more_attempts,
        failures,
        more_failures: (more > 0).then(|| format!("{} more", number(more))),
        steps: facts.steps.iter().map(|step| step_view(step, &clock)).collect(),
        step_assets: facts
            .run
            .assets
            .iter()
            .map(|found| choice(found.asset.as_str(), found.asset.as_str(), asset.as_deref()))
            .collect(),
        step_states: StepStatus::ALL
            .iter()
            .map(|found| choice(found.as_str(), found.as_str(), status.as_deref()))
            .collect(),
        steps_filtered: asset.is_some() || status.is_some(),
        first_steps: given(asked.after_asset.clone()).map(|_| link(None)),
        next_steps: facts.next.as_ref().map(|next| link(Some(next))),
        log,
        left_out: given(asked.left_out),
    })
}

/// How the run goes through its partitions, if that was asked for.
fn pace_text(pace: &Pace) -> Option<String> {
    let mut parts = Vec::new();
    if pace.newest_first {
        parts.push("newest first".to_owned());
    }
    parts.extend(pace.max_in_flight.map(|most| format!("at most {most} in flight")));
    parts.extend(pace.batch.map(|most| format!("at most {most} to a worker")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Steps per second so far, and when the rest would be done at that rate. Only once there is something to go by.
fn rate(row: &RunRow, now: Micros) -> Option<String> {
    let over = row.steps.over();
    let left = row.steps.total() - over;
    let elapsed = now - row.started_at?;
    if row.ended_at.is_some() || row.paused || over < 10 || elapsed < 2_000_000 {
        return None;
    }
    let per_second = over as f64 / (elapsed as f64 / 1e6);
    let rest = duration((left as f64 / per_second * 1e6) as i64);
    // Slow steps are counted by the minute: "0.0 steps a second" says nothing.
    Some(match per_second {
        0.5.. => format!("{per_second:.1} steps a second, about {rest} left"),
        _ => format!("{:.1} steps a minute, about {rest} left", per_second * 60.0),
    })
}

fn choice(value: &str, text: &str, chosen: Option<&str>) -> Choice {
    Choice {
        value: value.to_owned(),
        text: text.to_owned(),
        here: chosen == Some(value),
    }
}

fn lanes(facts: &RunFacts, clock: &Clock) -> Vec<Lane> {
    let row = &facts.run.row;
    let whole = row.started_at.map(|from| Stretch {
        from,
        to: row.ended_at.unwrap_or_else(|| clock.now()),
    });
    let lanes = facts.run.assets.iter().map(|lane| {
        let parts = step_parts(&lane.steps);
        let steps = &lane.steps;
        let tone = match steps {
            _ if steps.failed > 0 => Tone::Bad,
            _ if steps.running + steps.publishing > 0 => Tone::Busy,
            _ if steps.waiting > 0 => Tone::Idle,
            _ if steps.skipped + steps.canceled > 0 => Tone::Off,
            _ => Tone::Good,
        };
        let own = || facts.attempts.iter().filter(|attempt| attempt.asset == lane.asset);
        let doing = own().find_map(|attempt| {
            let progress = facts.progress.get(&attempt.attempt)?;
            let rows = count(progress.rows, "row", "rows");
            Some(
                progress
                    .partition
                    .as_ref()
                    .map_or_else(|| rows.clone(), |partition| format!("{partition}: {rows}")),
            )
        });
        Lane {
            state: tone.mark(),
            bar: bar(&parts),
            words: in_words(&parts),
            done: format!("{} / {}", number(steps.over()), number(steps.total())),
            doing,
            gantt: whole.filter(|_| own().next().is_some()).map(|whole| draw(own(), whole)),
            asset: lane.asset.clone(),
        }
    });
    lanes.collect()
}

fn log_href(attempt: &AttemptId) -> String {
    format!("?attempt={attempt}#log")
}

fn step_view(step: &StepRow, clock: &Clock) -> StepView {
    let note = match (&step.failure, &step.because, &step.requeued) {
        (Some(failure), _, _) => failure.message.clone(),
        (None, Some(because), _) => format!("because {because} failed"),
        (None, None, Some(requeued)) if !step.status.is_terminal() => requeued.clone(),
        _ if step.status == StepStatus::Succeeded && step.number == 0 => "was fresh when its turn came".to_owned(),
        _ => String::new(),
    };
    StepView {
        asset: step.step.asset.clone(),
        partition: step
            .step
            .partition
            .as_ref()
            .map_or_else(|| NOTHING.to_owned(), ToString::to_string),
        href: step_href(&step.step),
        state: step_state(step.status),
        reason: step.reason.clone(),
        rows: step.rows.map_or_else(|| NOTHING.to_owned(), number),
        length: if step.started_at.is_some() {
            clock.length(step.started_at, step.ended_at)
        } else {
            NOTHING.to_owned()
        },
        note,
        log: step.attempt.as_ref().map(log_href),
    }
}

/// The log on the page: of the attempt that is asked for, or the one most worth looking at.
async fn log_view(state: &WebState, facts: &RunFacts, asked: &Asked) -> Result<Option<LogView>, ErrorPage> {
    let run = &facts.run.row.run;
    let given_attempt = given(asked.attempt.clone());
    let log_asked = log::Asked {
        attempt: given_attempt.clone(),
        offset: asked.offset,
        level: asked.level.clone(),
        find: asked.find.clone(),
    };
    let found = if given_attempt.is_some() {
        log::facts(state, run.as_str(), &log_asked).await?
    } else {
        let worth = facts.attempts.iter().rev();
        let Some(attempt) = worth
            .clone()
            .find(|attempt| {
                attempt.failure.is_some()
                    || facts
                        .failures
                        .iter()
                        .any(|step| step.attempt.as_ref() == Some(&attempt.attempt))
            })
            .or_else(|| worth.clone().find(|attempt| attempt.ended_at.is_none()))
            .or_else(|| worth.clone().next())
        else {
            return Ok(None);
        };
        log::part(
            state,
            run.clone(),
            attempt.attempt.clone(),
            attempt.ended_at.is_some(),
            &log_asked,
        )
        .await?
    };
    let (level, find) = (given(asked.level.clone()), given(asked.find.clone()));
    let link = |offset: u64| {
        let pairs = [
            ("attempt", Some(found.attempt.to_string())),
            ("offset", Some(offset.to_string())),
            ("level", level.clone()),
            ("find", find.clone()),
        ];
        format!("/runs/{run}{}#log", query(&pairs))
    };
    let choices = facts.attempts.iter().map(|attempt| {
        let partitions = match attempt.partitions.as_slice() {
            [None] => String::new(),
            [Some(one)] => format!(" @ {one}"),
            [Some(first), .., Some(last)] => format!(" @ {first} … {last}"),
            _ => String::new(),
        };
        let end = match (&attempt.failure, attempt.ended_at) {
            (Some(_), _) => ", failed",
            (None, None) => ", running",
            (None, Some(_)) => "",
        };
        let text = format!("{}{partitions}, attempt {}{end}", attempt.asset, attempt.number);
        choice(attempt.attempt.as_str(), &text, Some(found.attempt.as_str()))
    });
    Ok(Some(LogView {
        choices: choices.collect(),
        levels: LEVELS
            .iter()
            .map(|found| choice(found, found, Some(level.as_deref().unwrap_or("trace"))))
            .collect(),
        filtered: level.as_deref().is_some_and(|level| level != "trace") || find.is_some(),
        first: (found.offset > 0).then(|| link(0)),
        next: (!found.complete && found.next_offset < found.size).then(|| link(found.next_offset)),
        end: (!found.complete && tail_offset(found.size) > found.next_offset).then(|| link(tail_offset(found.size))),
        size: bytes(found.size),
        find: find.unwrap_or_default(),
        facts: found,
    }))
}

/// The keys as a form carries them: JSON, since a key may hold any character that separates.
fn these_text(keys: &[PartitionKey]) -> String {
    serde_json::to_string(keys).expect("partition keys are texts")
}

/// `partitions a, b and 4 more`
fn some_of(keys: &[PartitionKey]) -> String {
    const SHOWN: usize = 4;
    let first: Vec<&str> = keys.iter().take(SHOWN).map(PartitionKey::as_str).collect();
    let word = if keys.len() == 1 { "partition" } else { "partitions" };
    match keys.len().saturating_sub(SHOWN) {
        0 => format!("{word} {}", first.join(", ")),
        more => format!("{word} {} and {more} more", first.join(", ")),
    }
}
