//! `/backfills/{run}`: how far a backfill is, partition by partition; also of any other run over partitions.

use std::sync::Arc;

use askama::Template;
use assets::{AssetKey, PartitionKey};
use axum::extract::{Path, Query, State};
use axum::response::Html;
use serde::{Deserialize, Serialize};
use state::sqlite::queries::run::{RunDetail, run};
use state::sqlite::queries::run_steps::{StepFilter, StepRow, run_steps, steps_of_partition};
use state::sqlite::queries::runs::{RunSpan, retries_of};
use state::status::StepStatus;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::failures::{self, Failed, FailureView};
use super::figures::{Clock, NOTHING, count, duration, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, query};
use super::request::{Buttons, asked_for, pace};
use super::run::{StepView, step_view};
use super::run_grid::grids;
use super::step_grid::{StepGrid, caption, draw, legend};
use super::tone::{bar, in_words, run_state, step_parts};
use super::{given, read, render, run_id};
use crate::core::waits;
use crate::edge::engine::RequestError;
use crate::rate::Rate;
use crate::waiting::WaitFact;

/// Failed steps that are looked at, and entries that they become.
const FAILURES: usize = 500;
const FAILURES_SHOWN: usize = 6;
const RETRIES: usize = 5;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    /// The first partition of a stretch to show alone.
    from: Option<String>,
    /// Its last.
    to: Option<String>,
    /// The partition whose steps are listed.
    partition: Option<String>,
    left_out: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct BackfillFacts {
    /// The run, its request and its assets.
    pub run: RunDetail,
    /// How fast it goes, once that can be said.
    pub rate: Option<Rate>,
    /// What its steps wait for, by asset.
    pub waits: Vec<WaitFact>,
    /// Its steps by partition, for each set of partitions.
    pub grids: Arc<Vec<StepGrid>>,
    /// Steps that failed; the first 500.
    pub failures: Vec<StepRow>,
    /// Runs that ran again what it left undone, newest first.
    pub retries: Vec<RunSpan>,
    /// The steps of the partition that is asked for.
    pub steps: Vec<StepRow>,
}

/// What is known of a backfill.
pub async fn facts(state: &WebState, id: &str, asked: &Asked) -> Result<BackfillFacts, ErrorPage> {
    let id = run_id(id)?;
    let key = given(asked.partition.clone())
        .map(|key| PartitionKey::new(&key))
        .transpose()
        .map_err(|error| ErrorPage::not_found(error.to_string()))?;
    let wanted = id.clone();
    let found = read(&state.engine, move |store| {
        let Some(detail) = run(store, &wanted)? else {
            return Ok(None);
        };
        let failed = StepFilter {
            asset: None,
            status: Some(StepStatus::Failed),
        };
        let failures = match detail.row.steps.failed {
            0 => Vec::new(),
            _ => run_steps(store, &wanted, &failed, None, FAILURES)?.rows,
        };
        let steps = match &key {
            Some(key) => {
                let assets = detail.assets.iter().map(|asset| &asset.asset);
                steps_of_partition(store, &wanted, assets, key)?
            }
            None => Vec::new(),
        };
        let retries = retries_of(store, &wanted, RETRIES)?;
        Ok(Some((detail, failures, steps, retries)))
    })
    .await?;
    let (run, failures, steps, retries) = found.ok_or_else(|| {
        ErrorPage::not_found(format!("there is no run {id}"))
            .with_help("if there was one, it ended longer ago than [retention] keeps runs, and was removed")
            .with_back("/backfills", "The backfills that are kept")
    })?;
    let stretch = given(asked.from.clone()).zip(given(asked.to.clone()));
    let grids = grids(state, &run, stretch).await?;
    let clock = page_clock(state);
    let told = match run.row.status.is_terminal() {
        true => Vec::new(),
        false => {
            let told = state.engine.driver().ask(move |world, at| waits(world, at, &id));
            told.await.ok_or(RequestError::Stopping)?
        }
    };
    let waits = told
        .into_iter()
        .map(|wait| WaitFact::new(wait, |at| clock.time_of_day(at)));
    Ok(BackfillFacts {
        rate: Rate::of(&run.row, clock.now()),
        waits: waits.collect(),
        run,
        grids,
        failures,
        retries,
        steps,
    })
}

struct GridView {
    set: String,
    caption: String,
    legend: Vec<Markup>,
    cells: Markup,
}

struct Lane {
    asset: AssetKey,
    bar: Markup,
    words: String,
    done: String,
    waits: Vec<String>,
}

#[derive(Template)]
#[template(path = "backfill.html")]
struct BackfillPage {
    frame: Frame,
    id: String,
    open: bool,
    state: Markup,
    buttons: Buttons,
    selection: String,
    asked_for: String,
    pace: Option<String>,
    trigger: String,
    submitted: Markup,
    started: Markup,
    length: String,
    rate: Option<String>,
    end: Markup,
    end_word: &'static str,
    bar: Markup,
    words: String,
    share: String,
    done: String,
    left: String,
    grids: Vec<GridView>,
    stretch: Option<(String, String)>,
    partition: Option<String>,
    steps: Vec<StepView>,
    lanes: Vec<Lane>,
    failures: Vec<FailureView>,
    more_failures: Option<String>,
    retries: Vec<(String, Markup, Markup)>,
    left_out: Option<String>,
}

fn grid_view(grid: &StepGrid, id: &str, chosen: Option<&str>, stretch: Option<&(String, String)>) -> GridView {
    let cells = draw(grid, chosen, |cell| match cell.partitions {
        1 => {
            let pairs = [
                ("from", stretch.map(|(from, _)| from.clone())),
                ("to", stretch.map(|(_, to)| to.clone())),
                ("partition", Some(cell.from.clone())),
            ];
            format!("/backfills/{id}{}#partition", query(&pairs))
        }
        _ => {
            let pairs = [("from", Some(cell.from.clone())), ("to", Some(cell.to.clone()))];
            format!("/backfills/{id}{}#grid", query(&pairs))
        }
    });
    GridView {
        set: grid.set.clone(),
        caption: caption(grid),
        legend: legend(grid),
        cells,
    }
}

fn lanes(facts: &BackfillFacts) -> Vec<Lane> {
    let lanes = facts.run.assets.iter().map(|lane| {
        let parts = step_parts(&lane.steps);
        let own = facts.waits.iter().filter(|fact| fact.wait.asset == lane.asset);
        Lane {
            asset: lane.asset.clone(),
            bar: bar(&parts),
            words: in_words(&parts),
            done: format!("{} / {}", number(lane.steps.over()), number(lane.steps.total())),
            waits: own
                .map(|fact| format!("{}: {}", count(fact.wait.steps as u64, "step", "steps"), fact.text))
                .collect(),
        }
    });
    lanes.collect()
}

/// `GET /backfills/{run}?from=…&to=…&partition=…`
pub async fn page(
    State(state): State<WebState>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&state, &id, &asked).await?;
    let clock: Clock = page_clock(&state);
    let row = &facts.run.row;
    let id = row.run.to_string();
    let parts = step_parts(&row.steps);
    let (over, total) = (row.steps.over(), row.steps.total());
    let failed = facts.failures.iter().filter_map(|step| {
        Some(Failed {
            step: step.step.clone(),
            failure: step.failure.as_ref()?,
            at: step.ended_at,
            run: Some(&step.run),
            attempt: step.attempt.as_ref(),
        })
    });
    let (mut failures, left_out) = failures::group(failed, FAILURES_SHOWN, &clock);
    // The run is told at the head of the page.
    for failure in &mut failures {
        failure.run = None;
    }
    let more = row.steps.failed.saturating_sub(facts.failures.len() as u64) + left_out as u64;
    let stretch = given(asked.from.clone()).zip(given(asked.to.clone()));
    let partition = given(asked.partition.clone());
    let (end_word, end) = match (row.ended_at, &facts.rate) {
        (Some(at), _) => ("Ended", clock.when(at)),
        (None, Some(rate)) => ("Expected end", clock.when(rate.expected_end)),
        (None, None) => ("Expected end", Markup(NOTHING.to_owned())),
    };
    render(&BackfillPage {
        frame: Frame::new(&state, format!("Backfill {id}"), Section::Backfills),
        open: !row.status.is_terminal(),
        state: run_state(row.status, row.paused),
        buttons: Buttons::of(row, &facts.run.request, "backfills"),
        selection: row.selection.clone(),
        asked_for: asked_for(&facts.run.request),
        pace: pace(&facts.run.request.pace),
        trigger: row.trigger.clone(),
        submitted: clock.when(row.submitted_at),
        started: clock.when_known(row.started_at),
        length: clock.length(row.started_at, row.ended_at),
        rate: facts.rate.as_ref().map(Rate::pace),
        left: match (&facts.rate, row.ended_at) {
            (Some(rate), _) => format!("about {} left", duration(rate.expected_end - clock.now())),
            (None, _) => String::new(),
        },
        end,
        end_word,
        bar: bar(&parts),
        words: in_words(&parts),
        share: match total {
            0 => String::new(),
            total => format!("{} %", over * 100 / total),
        },
        done: format!("{} of {}", number(over), count(total, "step", "steps")),
        grids: facts
            .grids
            .iter()
            .map(|grid| grid_view(grid, &id, partition.as_deref(), stretch.as_ref()))
            .collect(),
        steps: facts
            .steps
            .iter()
            .map(|step| {
                let mut view = step_view(step, None, &clock);
                view.log = view.log.map(|log| format!("/runs/{id}{log}"));
                view
            })
            .collect(),
        stretch,
        partition,
        lanes: lanes(&facts),
        failures,
        more_failures: (more > 0).then(|| format!("{} more", number(more))),
        retries: facts
            .retries
            .iter()
            .map(|retry| {
                let state = run_state(retry.status, false);
                (retry.run.to_string(), state, clock.when(retry.submitted_at))
            })
            .collect(),
        left_out: given(asked.left_out),
        id,
    })
}
