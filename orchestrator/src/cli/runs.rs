//! `millpond runs`: the list of runs, or one run.

use clap::Args;
use serde::Serialize;
use serde_json::json;
use state::ids::RunId;
use state::sqlite::queries::run_steps::{StepFilter, run_steps};
use state::sqlite::queries::runs::{RunFilter, RunRow, runs};
use state::sqlite::queries::{attempts, run};
use state::status::{RunStatus, StepStatus};

use super::look::{Look, Place};
use super::terminal::{Terminal, count, duration, moment, table};
use super::{Exit, Stop};
use crate::core::waits;
use crate::edge::clock;
use crate::rate::Rate;
use crate::waiting::WaitFact;

/// List runs, or show one.
#[derive(Args)]
pub struct Runs {
    /// One run: run_…
    run: Option<String>,
    /// How many runs to list.
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
    /// Only runs that touch this asset.
    #[arg(long)]
    asset: Option<String>,
    /// Only runs in this state: queued, running, canceling, succeeded, failed, canceled.
    #[arg(long)]
    status: Option<String>,
}

impl Runs {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        match &self.run {
            Some(id) => one(&look, id, terminal),
            None => self.list(&look, terminal),
        }
    }

    fn list(&self, look: &Look, terminal: &Terminal) -> Result<Exit, Stop> {
        let status = match &self.status {
            None => None,
            Some(text) => Some(
                RunStatus::ALL
                    .into_iter()
                    .find(|status| status.as_str() == text)
                    .ok_or_else(|| {
                        let known: Vec<&str> = RunStatus::ALL.iter().map(|status| status.as_str()).collect();
                        Stop::new(Exit::Usage, format!("there is no state `{text}`"))
                            .with_help(format!("states are {}", known.join(", ")))
                    })?,
            ),
        };
        let asset = self
            .asset
            .as_ref()
            .map(|text| look.asset(text).map(|asset| asset.key.clone()))
            .transpose()?;
        let page = runs(look.store()?, &RunFilter { status, asset }, None, self.limit)?;
        if terminal.json() {
            for row in &page.rows {
                terminal.answer(&Listed {
                    waits: told_waits(look, row),
                    row,
                });
            }
            return Ok(Exit::Done);
        }
        let mut rows = vec![
            ["run", "state", "began", "took", "steps", "selection"]
                .map(|head| terminal.dim(head))
                .to_vec(),
        ];
        for row in &page.rows {
            rows.push(vec![
                row.run.to_string(),
                state_text(row, terminal),
                moment(row.submitted_at, &look.project.settings.timezone),
                took(row),
                steps_text(row),
                row.selection.clone(),
            ]);
        }
        terminal.say(table(&rows));
        let idle = |row: &&RunRow| !row.status.is_terminal() && row.steps.running + row.steps.publishing == 0;
        for row in page.rows.iter().filter(idle) {
            if let Some(wait) = told_waits(look, row).first() {
                terminal.say(format!("{} {}", row.run, wait.text));
            }
        }
        if page.next.is_some() {
            terminal.say(terminal.dim(&format!("older runs: --limit {}", self.limit * 5)));
        }
        Ok(Exit::Done)
    }
}

/// A run of the list, for programs.
#[derive(Serialize)]
struct Listed<'r> {
    #[serde(flatten)]
    row: &'r RunRow,
    /// What its steps wait for, by asset.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waits: Vec<WaitFact>,
}

/// What the steps of a run wait for, as the state has it.
fn told_waits(look: &Look, row: &RunRow) -> Vec<WaitFact> {
    if row.status.is_terminal() {
        return Vec::new();
    }
    let zone = &look.project.settings.timezone;
    let told = waits(&look.world, look.at, &row.run).into_iter();
    told.map(|wait| WaitFact::new(wait, |at| moment(at, zone))).collect()
}

fn took(row: &RunRow) -> String {
    duration(row.ended_at.unwrap_or_else(clock::now) - row.submitted_at)
}

fn steps_text(row: &RunRow) -> String {
    let steps = &row.steps;
    let mut text = format!("{}/{}", steps.succeeded, steps.total());
    for (number, word) in [
        (steps.failed, "failed"),
        (steps.skipped, "skipped"),
        (steps.canceled, "canceled"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {word}"));
        }
    }
    text
}

/// The state of a run, coloured.
pub fn state_text(row: &RunRow, terminal: &Terminal) -> String {
    if row.paused {
        return terminal.yellow("paused");
    }
    let status = row.status;
    match status {
        RunStatus::Succeeded => terminal.green(status.as_str()),
        RunStatus::Failed => terminal.red(status.as_str()),
        RunStatus::Queued | RunStatus::Running | RunStatus::Canceling | RunStatus::Canceled => {
            terminal.yellow(status.as_str())
        }
    }
}

fn one(look: &Look, id: &str, terminal: &Terminal) -> Result<Exit, Stop> {
    let id = parse(id)?;
    let store = look.store()?;
    let detail = run::run(store, &id)?.ok_or_else(|| missing(&id))?;
    let failed = StepFilter {
        asset: None,
        status: Some(StepStatus::Failed),
    };
    let failures = run_steps(store, &id, &failed, None, 20)?;
    let tries = attempts::attempts(store, &id, None, None, 1000)?;
    if terminal.json() {
        let waits = told_waits(look, &detail.row);
        terminal.answer(&json!({
            "run": detail, "rate": Rate::of(&detail.row, clock::now()), "waits": waits, "failures": failures.rows, "attempts": tries.rows
        }));
        return Ok(Exit::Done);
    }
    let row = &detail.row;
    let zone = &look.project.settings.timezone;
    terminal.say(format!(
        "{}  {}",
        terminal.bold(row.run.as_str()),
        state_text(row, terminal)
    ));
    terminal.say(format!("  selection  {}", row.selection));
    terminal.say(format!(
        "  asked      {} by {}",
        moment(row.submitted_at, zone),
        row.trigger
    ));
    terminal.say(format!("  took       {}", took(row)));
    let now = clock::now();
    if let Some(rate) = Rate::of(row, now) {
        let end = moment(rate.expected_end, zone);
        terminal.say(format!("  rate       {}, until {end}", rate.words(now)));
    }
    terminal.say(format!("  priority   {}", detail.request.priority()));
    let mut rows = vec![
        ["asset", "steps", "failed", "skipped", "log"]
            .map(|head| terminal.dim(head))
            .to_vec(),
    ];
    for asset in &detail.assets {
        let log = tries.rows.iter().rev().find(|attempt| attempt.asset == asset.asset);
        rows.push(vec![
            asset.asset.to_string(),
            format!("{}/{}", asset.steps.succeeded, asset.steps.total()),
            asset.steps.failed.to_string(),
            asset.steps.skipped.to_string(),
            log.map_or_else(String::new, |attempt| attempt.attempt.to_string()),
        ]);
    }
    terminal.say(table(&rows));
    for fact in told_waits(look, row) {
        let steps = count(fact.wait.steps as u64, "step", "steps");
        terminal.say(format!("{} of {} {}", steps, fact.wait.asset, fact.text));
    }
    for step in &failures.rows {
        if let Some(failure) = &step.failure {
            terminal.say(format!("{} {}: {failure}", terminal.red("failed"), step.step));
            if let Some(help) = &failure.help {
                terminal.say(format!("  help: {help}"));
            }
        }
    }
    let more = detail.row.steps.failed.saturating_sub(failures.rows.len() as u64);
    if more > 0 {
        terminal.say(terminal.dim(&format!("and {} more", count(more, "failure", "failures"))));
    }
    Ok(Exit::Done)
}

/// Reads a run's id.
pub fn parse(id: &str) -> Result<RunId, Stop> {
    id.parse()
        .map_err(|error: state::ids::IdError| Stop::new(Exit::Usage, error.to_string()))
}

/// There is no such run.
pub fn missing(id: &RunId) -> Stop {
    Stop::not_found(format!("there is no run `{id}`")).with_help("`millpond runs` lists them")
}
