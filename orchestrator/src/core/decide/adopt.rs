//! What was made elsewhere is to count here: what an environment made, or rows that a check kept back and someone publishes by hand.
//!
//! It becomes a run, which was over when it began: its steps are the partitions that were made, each with the rows, checks and
//! versions that it has. So history, staleness, `why` and everything else know them as they know any other, and it happens in one
//! transaction or not at all.
//!
//! It is refused where things moved on underneath: a table, a model or an alias that would change is not what it was when that was
//! made. What was only read may have changed; then what was made from it is stale, as ever.

use std::collections::{BTreeMap, BTreeSet};

use assets::{AssetKey, AssetPartition};
use state::event::{Event, Micros, OwnerMode, Pace, PartitionChoice, PlannedStep, RunRequest};

use super::super::effect::{Answer, Decision, Effect, RequestId};
use super::super::input::{AdoptedAttempt, AdoptedFrom, Adoption};
use super::super::world::World;
use super::publish::cut_away_by;
use super::table::about_to_write;

pub(super) fn adopt(world: &World, at: Micros, request: RequestId, adoption: &Adoption) -> Decision {
    let mut decision = Decision::default();
    let reasons = refused(world, adoption);
    let answer = if reasons.is_empty() {
        take_over(world, at, adoption, &mut decision.events)
    } else {
        Answer::Refused { reasons }
    };
    decision.effects.push(Effect::Reply { request, answer });
    decision
}

/// Why it cannot count here.
pub fn refused(world: &World, adoption: &Adoption) -> Vec<String> {
    let mut reasons = Vec::new();
    let (name, again) = match &adoption.from {
        AdoptedFrom::Environment(name) => (name.clone(), format!("millpond --env {name} materialize")),
        AdoptedFrom::Staged { run, .. } => (run.to_string(), "millpond materialize".to_owned()),
    };
    for (asset, attempts) in by_asset(adoption) {
        let Some(definition) = world.definitions().get(asset) else {
            reasons.push(format!("{asset} is not declared here: take over its declaration first"));
            continue;
        };
        let mut made = attempts.iter().flat_map(|attempt| &attempt.made);
        if made.any(|made| made.fingerprint != definition.fingerprint) {
            reasons.push(format!(
                "{asset} is declared otherwise now than it was made in {name}: take over its declaration, or make it again with \
                 `{again} {asset}`"
            ));
        }
        reasons.extend(about_to_write(world, asset));
    }
    let made = by_asset(adoption);
    let tables = adoption.tables.iter().map(|table| &table.table);
    for table in tables.filter(|table| !made.contains_key(table)) {
        reasons.extend(about_to_write(world, table));
    }
    for table in &adoption.tables {
        if world.pointer(&table.table) != table.from.as_ref() {
            reasons.push(format!("{} has changed here since {name} was made", table.table));
        }
    }
    for model in &adoption.models {
        let known = world.model(&model.model);
        let taken = known.is_some_and(|known| known.versions.contains_key(&model.version));
        if taken {
            reasons.push(format!(
                "version {} of {} was trained here since {name} was made",
                model.version, model.model
            ));
        }
    }
    for alias in &adoption.aliases {
        let now = world
            .model(&alias.model)
            .and_then(|known| known.aliases.get(&alias.alias));
        if now != alias.from.as_ref() {
            reasons.push(format!(
                "the alias {} of {} was moved here since {name} was made",
                alias.alias, alias.model
            ));
        }
    }
    reasons
}

fn by_asset(adoption: &Adoption) -> BTreeMap<&AssetKey, Vec<&AdoptedAttempt>> {
    let mut attempts: BTreeMap<&AssetKey, Vec<&AdoptedAttempt>> = BTreeMap::new();
    for attempt in &adoption.attempts {
        attempts.entry(&attempt.asset).or_default().push(attempt);
    }
    attempts
}

fn take_over(world: &World, at: Micros, adoption: &Adoption, events: &mut Vec<Event>) -> Answer {
    let attempts = by_asset(adoption);
    let ordered: Vec<&AdoptedAttempt> = world
        .definitions()
        .ordered()
        .iter()
        .filter_map(|asset| attempts.get(&asset.key))
        .flatten()
        .copied()
        .collect();
    let run = world.next_run_id(at);
    let steps: Vec<AssetPartition> = ordered
        .iter()
        .flat_map(|attempt| attempt.made.iter().map(|made| made.step.clone()))
        .collect();
    let names: BTreeSet<&str> = steps.iter().map(|step| step.asset.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let (reason, trigger) = match &adoption.from {
        AdoptedFrom::Environment(name) => (
            format!("merged from the environment {name}"),
            format!("environment {name} ({})", adoption.by),
        ),
        AdoptedFrom::Staged { run, note } => (
            format!("published as {run} staged it, though a check had not passed: {note}"),
            format!("publish ({}): {note}", adoption.by),
        ),
    };
    events.push(Event::RunSubmitted {
        run: run.clone(),
        request: RunRequest {
            selection: names.join(" or "),
            partitions: Some(PartitionChoice::Steps(steps.clone())),
            force: false,
            only: None,
            pace: Pace::default(),
            owner: if world.keeps_schedules() {
                OwnerMode::Daemon
            } else {
                OwnerMode::Foreground
            },
            trigger,
        },
        steps: steps
            .into_iter()
            .map(|step| PlannedStep {
                step,
                reason: reason.clone(),
            })
            .collect(),
        definitions: world.definitions().version().cloned(),
    });
    for (asset, observation) in &adoption.observations {
        events.push(Event::SourceObserved {
            asset: asset.clone(),
            observation: observation.clone(),
        });
    }
    for table in &adoption.tables {
        events.push(Event::PointerMoved {
            table: table.table.clone(),
            from: table.from.clone(),
            to: table.to.clone(),
        });
    }
    for step in &adoption.cut_away {
        events.push(Event::PartitionCutAway { step: step.clone() });
    }
    // The run took the first id.
    for (ahead, attempt) in (1..).zip(ordered) {
        let id = world.attempt_id_ahead(at, ahead);
        events.push(Event::AttemptStarted {
            attempt: id.clone(),
            run: run.clone(),
            asset: attempt.asset.clone(),
            partitions: attempt.made.iter().map(|made| made.step.partition.clone()).collect(),
            number: 1,
            inputs: attempt.inputs.clone(),
            table: None,
        });
        for made in &attempt.made {
            // An environment's own are told with it.
            if matches!(adoption.from, AdoptedFrom::Staged { .. }) {
                events.extend(cut_away_by(world, &made.step));
            }
            events.push(Event::StepSucceeded {
                run: run.clone(),
                attempt: id.clone(),
                materialization: made.clone(),
            });
        }
        events.push(Event::AttemptEnded {
            attempt: id,
            failure: None,
        });
    }
    for model in &adoption.models {
        events.push(Event::ModelRegistered {
            model: model.model.clone(),
            version: model.version,
            run: run.clone(),
            staged: model.staged.clone(),
            fingerprint: model.fingerprint.clone(),
            inputs: model.inputs.clone(),
        });
    }
    for alias in &adoption.aliases {
        events.push(Event::AliasMoved {
            model: alias.model.clone(),
            alias: alias.alias.clone(),
            from: alias.from,
            to: alias.to,
            reason: reason.clone(),
        });
    }
    Answer::Adopted { run }
}
