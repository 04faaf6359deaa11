//! `/runs/{id}`: where a run is, asset by asset, what failed, and what its attempts wrote.

use std::collections::BTreeMap;

use askama::Template;
use assets::{AssetKey, AssetPartition, PartitionKey};
use axum::extract::{Path, Query, State};
use axum::response::Html;
use serde::{Deserialize, Serialize};
use state::ids::{AttemptId, RunId};
use state::sqlite::queries::attempts::{AttemptBar, AttemptRow, attempt_bars, attempts};
use state::sqlite::queries::run::{RunDetail, run};
use state::sqlite::queries::run_steps::{StepFilter, StepRow, run_steps};
use state::sqlite::queries::runs::{RunSpan, retries_of};
use state::sqlite::queries::schedules::{TickRow, tick_of_run};
use state::sqlite::queries::sensors::{SensorTickRow, sensor_tick_of_run};
use state::status::StepStatus;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::failures::{self, Failed, FailureView, step_href};
use super::figures::{Clock, NOTHING, count, number};
use super::frame::{Frame, Section, page_clock};
use super::gantt::Stretch;
use super::log;
use super::markup::{Markup, query};
use super::request::{Buttons, asked_for, pace};
use super::run_attempts::{Lane, Unfolded, lanes, log_href, unfolded};
use super::run_data::{AssetData, DataView, data};
use super::run_log::{Choice, LogView, choice, log_view};
use super::tone::{bar, in_words, run_state, step_parts, step_state};
use super::{asset_key, given, read, render, run_id};
use crate::core::{waits, waits_of};
use crate::edge::engine::RequestError;
use crate::rate::Rate;
use crate::waiting::{WaitFact, words};

const STEPS: usize = 50;
/// Attempts that are listed, and those that are drawn.
const ATTEMPTS: usize = 200;
const BARS: usize = 12_000;
/// Attempts of an asset that are unfolded at a time.
const UNFOLDED: usize = 100;
const RETRIES: usize = 5;
/// Failed steps that are looked at, and entries that they become.
const FAILURES: usize = 500;
const FAILURES_SHOWN: usize = 8;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    asset: Option<String>,
    status: Option<String>,
    after_asset: Option<String>,
    after_partition: Option<String>,
    /// The attempts of this asset one by one.
    unfold: Option<String>,
    /// Attempts after the one with this number.
    after_attempt: Option<i64>,
    attempt: Option<String>,
    offset: Option<u64>,
    /// The line that a link is to, by where it begins.
    line: Option<u64>,
    level: Option<String>,
    stream: Option<String>,
    /// Only lines about this partition.
    only: Option<String>,
    find: Option<String>,
    left_out: Option<String>,
}

impl Asked {
    /// What is asked of the log.
    pub fn log(&self) -> log::Asked {
        log::Asked {
            attempt: given(self.attempt.clone()),
            offset: self.offset,
            line: self.line,
            level: given(self.level.clone()),
            stream: given(self.stream.clone()),
            partition: given(self.only.clone()),
            find: given(self.find.clone()),
        }
    }
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct RunFacts {
    /// The run, its request and its assets.
    pub run: RunDetail,
    /// The tick of a schedule that requested it.
    pub tick: Option<TickRow>,
    /// The tick of a sensor that requested it.
    pub sensor_tick: Option<SensorTickRow>,
    /// Its attempts (those of the asset that is asked for), oldest first; 200 of them, or 100 of one asset.
    pub attempts: Vec<AttemptRow>,
    /// Pass as `after_attempt` for the attempts after these.
    pub next_attempt: Option<i64>,
    /// When each attempt was.
    #[serde(skip)]
    pub bars: Vec<AttemptBar>,
    /// Whether there are more than are drawn.
    #[serde(skip)]
    pub more_bars: bool,
    /// What it read and wrote.
    pub data: Vec<AssetData>,
    /// Runs that ran again what it left undone, newest first.
    pub retries: Vec<RunSpan>,
    /// Rows done so far by attempts that run now.
    pub progress: BTreeMap<AttemptId, ProgressFact>,
    /// How fast it goes, once that can be said.
    pub rate: Option<Rate>,
    /// What its steps wait for, by asset.
    pub waits: Vec<WaitFact>,
    /// Steps that failed; the first 500.
    pub failures: Vec<StepRow>,
    /// Steps that are asked for.
    pub steps: Vec<StepRow>,
    /// What each of these waits for.
    pub step_waits: Vec<Option<String>>,
    /// Pass as `after_asset` and `after_partition` for the steps after these.
    pub next: Option<AssetPartition>,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
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
    let unfold = given(asked.unfold.clone()).map(|text| asset_key(&text)).transpose()?;
    let after_attempt = asked.after_attempt;
    let asked_run = id.clone();
    let found = read(&state.engine, move |store| {
        let Some(detail) = run(store, &asked_run)? else {
            return Ok(Err(sensor_tick_of_run(store, &asked_run)?));
        };
        let most = if unfold.is_some() { UNFOLDED } else { ATTEMPTS };
        let attempts = attempts(store, &asked_run, unfold.as_ref(), after_attempt, most)?;
        let bars = attempt_bars(store, &asked_run, BARS)?;
        let data = data(store, &detail, &attempts.rows)?;
        let retries = retries_of(store, &asked_run, RETRIES)?;
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
        Ok(Ok((detail, ticks, (attempts, bars, data, retries), failures, steps)))
    })
    .await?;
    let (run, (tick, sensor_tick), (attempts, (bars, more_bars), data, retries), failures, steps) =
        found.map_err(|asked_by| gone(&id, asked_by))?;
    let clock = page_clock(state);
    let (mut told, mut step_waits) = (Vec::new(), Vec::new());
    if !run.row.status.is_terminal() {
        let names: Vec<AssetPartition> = steps.rows.iter().map(|step| step.step.clone()).collect();
        let asked = state
            .engine
            .driver()
            .ask(move |world, at| (waits(world, at, &id), waits_of(world, at, &id, &names)));
        (told, step_waits) = asked.await.ok_or(RequestError::Stopping)?;
    }
    let step_waits: Vec<Option<String>> = step_waits
        .iter()
        .map(|wait| Some(words(wait.as_ref()?, |at| clock.time_of_day(at))))
        .collect();
    let told = told
        .into_iter()
        .map(|wait| WaitFact::new(wait, |at| clock.time_of_day(at)));
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
        rate: Rate::of(&run.row, clock.now()),
        run,
        tick,
        sensor_tick,
        next_attempt: attempts.next,
        attempts: attempts.rows,
        bars,
        more_bars,
        data,
        retries,
        progress,
        waits: told.collect(),
        failures,
        step_waits,
        steps: steps.rows,
        next: steps.next,
    })
}

/// A step as a row of a table.
pub struct StepView {
    /// The asset.
    pub asset: AssetKey,
    /// The partition.
    pub partition: String,
    /// The partition on the asset's page.
    pub href: String,
    /// Where it is.
    pub state: Markup,
    /// Why it is part of the run.
    pub reason: String,
    /// Rows.
    pub rows: String,
    /// How long it took.
    pub length: String,
    /// What else there is to say.
    pub note: String,
    /// The log of its attempt, as a query of the run's page.
    pub log: Option<String>,
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    id: String,
    state: Markup,
    open: bool,
    buttons: Buttons,
    backfill: bool,
    pace: Option<String>,
    rate: Option<String>,
    selection: String,
    asked_for: String,
    trigger: String,
    /// Where what asked is shown, and the instant for which.
    tick: Option<(String, Markup)>,
    retry_of: Option<RunId>,
    retries: Vec<(RunId, Markup)>,
    owner: String,
    submitted: Markup,
    started: Markup,
    ended: Markup,
    length: String,
    bar: Markup,
    words: String,
    done: String,
    lanes: Vec<Lane>,
    quarters: Option<[String; 5]>,
    no_attempt: Option<&'static str>,
    unfolded: Option<Unfolded>,
    more_bars: bool,
    data: Vec<DataView>,
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

/// `GET /runs/{id}?attempt=att_…&offset=0&level=warn&find=text&asset=…&status=…&unfold=…`
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
    let whole = row.started_at.map(|_| Stretch {
        from: row.submitted_at,
        to: row.ended_at.unwrap_or_else(|| clock.now()),
    });
    let steps = facts.steps.iter().enumerate().map(|(place, step)| {
        let waits = facts.step_waits.get(place).and_then(Option::as_deref);
        step_view(step, waits, &clock)
    });
    let unfold = given(asked.unfold.clone());
    render(&RunPage {
        frame: Frame::new(&state, format!("Run {}", row.run), Section::Runs),
        id: row.run.to_string(),
        state: run_state(row.status, row.paused),
        open: !row.status.is_terminal(),
        buttons: Buttons::of(row, request, "runs"),
        backfill: facts.run.row.steps.total() > 1,
        pace: pace(&request.pace),
        rate: facts.rate.as_ref().map(|rate| rate.words(clock.now())),
        selection: row.selection.clone(),
        asked_for: asked_for(request),
        retry_of: row.trigger.strip_prefix("retry of ").and_then(|run| run.parse().ok()),
        trigger: row.trigger.clone(),
        tick: asked_by(&facts, &clock),
        retries: facts
            .retries
            .iter()
            .map(|retry| (retry.run.clone(), run_state(retry.status, false)))
            .collect(),
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
        lanes: lanes(&facts, whole, unfold.as_deref()),
        quarters: whole.filter(|_| !facts.bars.is_empty()).map(Stretch::quarters),
        no_attempt: (facts.bars.is_empty() && row.status.is_terminal()).then(|| {
            match row.steps.succeeded == row.steps.total() {
                true => "Nothing was made: every step was fresh when its turn came.",
                false => "No attempt was begun.",
            }
        }),
        unfolded: unfold
            .as_deref()
            .and_then(|unfold| unfolded(&facts, unfold, whole?, &clock)),
        more_bars: facts.more_bars,
        data: facts.data.iter().map(DataView::of).collect(),
        failures,
        more_failures: (more > 0).then(|| format!("{} more", number(more))),
        steps: steps.collect(),
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

/// Why there is no such run: it was removed, for sure where something that is kept longer still names it.
fn gone(id: &RunId, asked_by: Option<SensorTickRow>) -> ErrorPage {
    match asked_by {
        Some(tick) => ErrorPage::not_found(format!("the run {id} was removed"))
            .with_help(format!(
                "it ended longer ago than [retention] keeps runs; the sensor {} still has the tick that asked for it",
                tick.sensor
            ))
            .with_back(
                format!("/sensors{}", query(&[("sensor", Some(tick.sensor))])),
                "Back to the sensor",
            ),
        None => ErrorPage::not_found(format!("there is no run {id}"))
            .with_help("if there was one, it ended longer ago than [retention] keeps runs, and was removed")
            .with_back("/runs", "The runs that are kept"),
    }
}

/// The page of the schedule or sensor that asked for the run, and its instant.
fn asked_by(facts: &RunFacts, clock: &Clock) -> Option<(String, Markup)> {
    if let Some(tick) = &facts.tick {
        let pairs = [("schedule", Some(tick.schedule.clone()))];
        return Some((format!("/schedules{}", query(&pairs)), clock.when(tick.instant)));
    }
    let tick = facts.sensor_tick.as_ref()?;
    let pairs = [("sensor", Some(tick.sensor.clone()))];
    Some((format!("/sensors{}", query(&pairs)), clock.when(tick.at)))
}

/// A step as it is, and what it waits for.
pub fn step_view(step: &StepRow, waits: Option<&str>, clock: &Clock) -> StepView {
    let note = match (&step.failure, &step.because, &step.requeued) {
        (Some(failure), _, _) if step.retries > 0 => {
            format!(
                "{} (after {})",
                failure.message,
                count(step.retries.into(), "retry", "retries")
            )
        }
        (Some(failure), _, _) => failure.message.clone(),
        (None, None, Some(requeued)) if waits.is_some() => format!("{}; {requeued}", waits.unwrap_or_default()),
        (None, None, None) if waits.is_some() => waits.unwrap_or_default().to_owned(),
        (None, Some(because), _) => format!("because {because} failed"),
        (None, None, Some(requeued)) if !step.status.is_terminal() => requeued.clone(),
        _ if step.status == StepStatus::Succeeded && step.retries > 0 => {
            format!("after {}", count(step.retries.into(), "retry", "retries"))
        }
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
