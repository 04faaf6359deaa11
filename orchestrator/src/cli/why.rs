//! `millpond why`: fresh or stale, because of what, and what became of it.

use std::collections::BTreeSet;

use assets::{AssetPartition, PartitionKey};
use clap::Args;
use serde_json::json;
use state::event::PartitionChoice;
use state::freshness::FreshnessState;
use state::sqlite::queries::automation::{AutomationRow, requests};
use state::sqlite::queries::why::{WhyFacts, why};

use super::automation::tree;
use super::check::input_text;
use super::look::{Look, Place};
use super::terminal::{Terminal, count, moment};
use super::{Exit, Stop};
use crate::core::{Explanation, FreshnessNow, PlanRequest, Sight, explain, freshness_now, plan, waits_of};
use crate::evaluation::set;
use crate::waiting::words;

/// Explain why a partition is fresh or stale, and what became of it.
#[derive(Args)]
pub struct Why {
    /// The asset, or one of its partitions: silver.flights@2013-03-01
    step: String,
}

impl Why {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let mut look = Look::new(place, terminal)?;
        let (asset, partition) = look.step(&self.step)?;
        look.observe(std::slice::from_ref(&asset.key))?;
        let request = PlanRequest {
            assets: BTreeSet::from([asset.key.clone()]),
            partitions: partition.clone().map(PartitionChoice::One),
            force: false,
            only: None,
            alone: true,
        };
        let plan = plan(&look.world, look.at, &request);
        let freshness = freshness_now(&look.world, look.at, &asset);
        let automation = explain(&look.world, look.at, &asset.key, partition.as_ref());
        if partition.is_none() && asset.partitions.is_some() {
            return summary(&asset.key, &plan, (freshness.as_ref(), automation.as_ref()), terminal);
        }
        let step = AssetPartition::new(asset.key.clone(), partition);
        let facts = look.store.as_ref().map(|store| why(store, &step, 5)).transpose()?;
        let stands = Sight::new(&look.world, &look.project.definitions, look.at)
            .stands_by_rollback(&asset, step.partition.as_ref())
            .is_some();
        let waiting = waiting(&look, &step);
        let requested = match &look.store {
            Some(store) if automation.is_some() => requested_for(store, &asset, step.partition.as_ref())?,
            _ => None,
        };
        let reason = plan.steps.first().map(|step| step.reason.to_string());
        let problems: Vec<String> = plan.problems.iter().map(ToString::to_string).collect();
        if terminal.json() {
            terminal.answer(&json!({
                "step": step, "stale": reason, "problems": problems, "waiting": waiting, "facts": facts,
                "stands_by_rollback": stands, "freshness": freshness,
                "automation": automation.as_ref().map(|now| json!({
                    "verdict": now.verdict(), "now": now, "requested": requested,
                })),
            }));
            return Ok(Exit::Done);
        }
        match (&reason, problems.first()) {
            (Some(reason), _) => terminal.say(format!(
                "{} is {}: {reason}",
                terminal.bold(&step.to_string()),
                terminal.yellow("stale")
            )),
            (None, Some(problem)) => terminal.say(format!(
                "{} {}: {problem}",
                terminal.bold(&step.to_string()),
                terminal.red("cannot run")
            )),
            (None, None) => terminal.say(format!(
                "{} is {}",
                terminal.bold(&step.to_string()),
                terminal.green("fresh")
            )),
        }
        if let Some(rollback) = facts.as_ref().and_then(|facts| facts.rolled_back.as_ref()) {
            let note = rollback
                .note
                .as_ref()
                .map_or_else(String::new, |note| format!("; {note}"));
            terminal.say(format!(
                "  {} by {} at {}{note} (the rows of snapshot {})",
                terminal.yellow("rolled back"),
                rollback.by,
                moment(rollback.at, &look.project.settings.timezone),
                rollback.to_snapshot
            ));
            if stands {
                terminal.say(format!(
                    "  it stays so until its code or what it reads changes; to make it anew: millpond materialize {}{} --force",
                    asset.key,
                    partition_option(step.partition.as_ref())
                ));
            }
        }
        for input in &asset.inputs {
            terminal.say(format!("  reads {}", input_text(input)));
        }
        for wait in &waiting {
            terminal.say(format!("  {} {wait}", terminal.yellow("waiting:")));
        }
        if let Some(facts) = &facts {
            history(facts, &look.project.settings.timezone, terminal);
        }
        if let Some(freshness) = &freshness {
            terminal.say(format!("  freshness: {}", freshness_line(freshness, terminal)));
        }
        if let Some(automation) = &automation {
            terminal.say(format!("  automation {}: {}", automation.rule, automation.verdict()));
            tree(automation, terminal);
            if let Some(row) = &requested {
                terminal.say(format!(
                    "  automation requested it {} in {}, with {}",
                    moment(row.at, &look.project.settings.timezone),
                    row.run,
                    set(&row.partitions)
                ));
            }
        }
        if reason.is_some() {
            terminal.say(format!(
                "  to make it: millpond materialize {}{}",
                asset.key,
                partition_option(step.partition.as_ref())
            ));
        }
        Ok(Exit::Done)
    }
}

fn partition_option(partition: Option<&PartitionKey>) -> String {
    partition.map_or_else(String::new, |key| format!(" --partition {key}"))
}

/// In which open runs a step waits, and for what.
fn waiting(look: &Look, step: &AssetPartition) -> Vec<String> {
    let zone = &look.project.settings.timezone;
    let each = look.world.open_runs().filter_map(|run| {
        let told = waits_of(&look.world, look.at, &run.id, std::slice::from_ref(step));
        let wait = told.into_iter().next().flatten()?;
        Some(format!("in {} it {}", run.id, words(&wait, |at| moment(at, zone))))
    });
    each.collect()
}

/// A whole partitioned asset: how many partitions are stale and for which reasons.
fn summary(
    asset: &assets::AssetKey,
    plan: &crate::core::Plan,
    (freshness, automation): (Option<&FreshnessNow>, Option<&Explanation>),
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let mut reasons: std::collections::BTreeMap<String, (u64, &AssetPartition)> = std::collections::BTreeMap::new();
    for step in &plan.steps {
        reasons.entry(step.reason.to_string()).or_insert((0, &step.step)).0 += 1;
    }
    let fresh: usize = plan.fresh.values().sum();
    if terminal.json() {
        let stale: Vec<_> = reasons
            .iter()
            .map(|(reason, (count, first))| json!({ "reason": reason, "partitions": count, "first": first }))
            .collect();
        let problems: Vec<String> = plan.problems.iter().map(ToString::to_string).collect();
        terminal.answer(&json!({
            "asset": asset, "fresh": fresh, "stale": stale, "problems": problems, "freshness": freshness,
            "automation": automation,
        }));
        return Ok(Exit::Done);
    }
    terminal.say(format!(
        "{}: {} fresh, {} stale",
        terminal.bold(asset.as_str()),
        fresh,
        plan.steps.len()
    ));
    for (reason, (number, first)) in &reasons {
        terminal.say(format!(
            "  {}: {reason} (the first is {first})",
            count(*number, "partition", "partitions")
        ));
    }
    for problem in &plan.problems {
        terminal.say(format!("  {problem}"));
    }
    if let Some(freshness) = freshness {
        terminal.say(format!("  freshness: {}", freshness_line(freshness, terminal)));
    }
    if let Some(automation) = automation {
        terminal.say(format!("  automation {}", automation.rule));
        if let Some((_, by)) = &automation.paused {
            terminal.say(format!("  automation is paused by {by}"));
        }
        tree(automation, terminal);
        for left in &automation.left_out {
            terminal.say(format!("  not requested: {}: {}", set(&left.partitions), left.why));
        }
    }
    Ok(Exit::Done)
}

/// How an asset stands by its freshness policy, in a line.
pub fn freshness_line(now: &FreshnessNow, terminal: &Terminal) -> String {
    format!("{}: {}", freshness_word(now, terminal), now.reason)
}

/// The same in a word.
pub fn freshness_word(now: &FreshnessNow, terminal: &Terminal) -> String {
    let word = now.state.words();
    match now.state {
        FreshnessState::OnTime => terminal.green(word),
        FreshnessState::Unknown => terminal.dim(word),
        FreshnessState::Warning => terminal.yellow(word),
        FreshnessState::Late => terminal.red(word),
    }
}

/// Most decisions that are looked through for the one that requested a partition.
const MOST_DECISIONS: usize = 200;

/// The newest decision that requested a partition.
fn requested_for(
    store: &state::Store,
    asset: &assets::Asset,
    partition: Option<&PartitionKey>,
) -> Result<Option<AutomationRow>, Stop> {
    let rows = requests(store, &asset.key, None, MOST_DECISIONS)?.rows;
    let index = |key: &PartitionKey| asset.partitions.as_ref()?.partitioning.index_of(key);
    let has = |row: &AutomationRow| match partition {
        None => true,
        Some(partition) => row.partitions.stretches.iter().any(|(first, last)| {
            let (Some(own), Some(first), Some(last)) = (index(partition), index(first), index(last)) else {
                return false;
            };
            (first..=last).contains(&own)
        }),
    };
    Ok(rows.into_iter().find(has))
}

fn history(facts: &WhyFacts, zone: &str, terminal: &Terminal) {
    // The newest step, if it was skipped: it may never have begun.
    if let Some((step, because)) = facts.skipped_last() {
        terminal.say(format!(
            "  {} {} in {}: {because} was not made",
            terminal.yellow("skipped last"),
            step.ended_at.map_or_else(String::new, |at| moment(at, zone)),
            step.run,
        ));
    }
    if let Some(partition) = &facts.partition {
        if let Some(current) = &partition.current {
            let snapshot = current
                .snapshot_id
                .map_or_else(String::new, |id| format!(", snapshot {id}"));
            let by = match current.run.is_unknown() {
                true => "a run of which nothing is known".to_owned(),
                false => current.run.to_string(),
            };
            terminal.say(format!(
                "  made {} by {by} ({}{snapshot})",
                moment(current.at, zone),
                count(current.rows, "row", "rows"),
            ));
        }
        if let Some(failure) = &partition.last_failure {
            let word = if partition.failed {
                terminal.red("failed last")
            } else {
                "failed before that".to_owned()
            };
            terminal.say(format!(
                "  {word} {} in {}: {}",
                moment(failure.at, zone),
                failure.run,
                failure.failure
            ));
            if let Some(help) = failure.failure.help.as_ref().filter(|_| partition.failed) {
                terminal.say(format!("    help: {help}"));
            }
        }
    }
    if let Some(made) = &facts.made_by {
        if let Some(request) = &made.request {
            terminal.say(format!(
                "  because {} asked for `{}`",
                request.trigger, request.selection
            ));
        }
        if let Some(attempt) = &made.attempt {
            for input in &attempt.inputs {
                let version = match (&input.table, input.model_version) {
                    (_, Some(version)) => format!("version {version}"),
                    (Some(table), None) => table
                        .snapshot_id
                        .map_or_else(|| "empty".to_owned(), |id| format!("snapshot {id}")),
                    (None, None) => "never materialized".to_owned(),
                };
                terminal.say(format!("  it read {} ({version})", input.asset));
            }
        }
        for source in made.sources.iter().take(10) {
            terminal.say(format!(
                "  it read {} (sha256 {})",
                source.path,
                &source.sha256[..12.min(source.sha256.len())]
            ));
        }
    }
    // Of the newest failure, if nothing was made since: those that passed did not stop it.
    let is_failed = facts.partition.as_ref().is_some_and(|partition| partition.failed);
    for check in facts
        .failed_checks
        .iter()
        .filter(|check| is_failed && !check.result.passed)
    {
        let word = if check.result.blocks() { "failed" } else { "warned" };
        let figure = check
            .result
            .figure
            .map_or_else(String::new, |figure| format!(", found {figure}"));
        terminal.say(format!(
            "  check {} {word}: expected {}{figure}",
            check.result.name, check.result.expected
        ));
    }
    for attempt in &facts.attempts {
        let end = match (&attempt.failure, facts.kept_back_by(&attempt.attempt.attempt)) {
            (Some(failure), _) => format!("failed: {failure}"),
            (None, Some(other)) => {
                format!("was not published: {other}, which is published together with it, was not made")
            }
            (None, None) => "ended well".to_owned(),
        };
        terminal.say(terminal.dim(&format!(
            "  attempt {} at {} {end}",
            attempt.attempt.number,
            moment(attempt.attempt.started_at, zone)
        )));
    }
}
