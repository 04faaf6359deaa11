//! Which waiting steps go to a free worker next. Runs take turns ([`super::super::queue`]). Within a run, upstream comes first; a
//! run that goes newest first begins with what is furthest downstream, so that its newest partitions come through before it
//! turns to older ones. What has no place in its pools is passed over.
//! Runs of one schedule are never under way side by side: the later waits.
//!
//! A step that is fresh by now ends without running: its upstream made the same rows again, or another run made it.

use std::collections::BTreeSet;

use assets::outcome::{Failure, FailureClass};
use assets::{Asset, AssetKey, AssetPartition, InputRole, WriteMode};
use state::event::{Event, Micros, PinnedVersion};

use super::super::effect::{Decision, Effect, StartAttempt, StartInput, StartModel, StartPartition};
use super::super::plan::reference_text;
use super::super::queue::Queue;
use super::super::staleness::Sight;
use super::super::world::{Group, Run, World, split_mix};
use assets::check::CheckRule;

/// The next attempt, or steps that end without one; nothing when no worker is free or nothing is ready.
pub(super) fn next(world: &World, at: Micros) -> Decision {
    let slots = world.definitions().settings.slots;
    if world.is_draining() || world.slots_used() >= slots {
        return Decision::default();
    }
    let queue = Queue::of(world, at);
    for run in &queue.turns {
        let sight = Sight::new(world, &run.definitions, at);
        for group in run.groups_in_turn().filter(|group| group.has_ready()) {
            if queue.held(run, group).is_some() {
                continue;
            }
            let decision = from_group(world, at, &sight, run, group);
            if !decision.events.is_empty() {
                return decision;
            }
        }
    }
    Decision::default()
}

fn from_group(world: &World, at: Micros, sight: &Sight<'_>, run: &Run, group: &Group) -> Decision {
    let settings = &world.definitions().settings;
    let mut decision = Decision::default();
    let earlier: Vec<&Run> = world
        .open_runs()
        .take_while(|other| other.number < run.number)
        .collect();
    let size = match &group.definition {
        Some(asset) if world.definitions().makes_together(asset) => usize::MAX,
        _ => group
            .ready
            .len()
            .div_ceil(settings.slots.max(1))
            .clamp(1, settings.largest_batch.max(1)),
    };
    let size = size.min(run.batch()).min(run.room());
    let mut batch = Vec::new();
    for position in run.ready_in_turn(group) {
        if batch.len() == size {
            break;
        }
        let step = run.name(position);
        // Two runs never work on one partition at once: the later waits, and then looks again whether it is still stale.
        let claimed = |other: &&Run| other.step(&step).is_some_and(|theirs| !theirs.status.is_terminal());
        if earlier.iter().any(claimed) {
            continue;
        }
        // It was to be tried again when another failed that is published together with it.
        if let Some(mate) = run.mate_in_vain(position) {
            decision.events.push(Event::StepSkipped {
                run: run.id.clone(),
                step,
                because: run.name(mate),
            });
            continue;
        }
        match turn_of(sight, run, group, &step) {
            Turn::Start => batch.push((position, step)),
            Turn::Fresh => decision.events.push(Event::StepFresh {
                run: run.id.clone(),
                step,
            }),
            Turn::Fail(failure) => {
                let run = run.id.clone();
                decision.events.push(Event::StepFailed {
                    run,
                    attempt: None,
                    step,
                    failure,
                    checks: Vec::new(),
                });
            }
        }
    }
    if let (Some(asset), false) = (&group.definition, batch.is_empty()) {
        let start = start(world, at, sight, run, asset, &batch);
        decision.events.push(Event::AttemptStarted {
            attempt: start.attempt.clone(),
            run: run.id.clone(),
            asset: asset.key.clone(),
            partitions: start.partitions.iter().map(|partition| partition.key.clone()).collect(),
            number: start.number,
            inputs: pins(&start),
            table: start.table.clone(),
        });
        decision.effects.push(Effect::Start(Box::new(start)));
    }
    decision
}

/// What becomes of a step whose turn it is.
enum Turn {
    Start,
    Fresh,
    Fail(Failure),
}

fn turn_of(sight: &Sight<'_>, run: &Run, group: &Group, step: &AssetPartition) -> Turn {
    let Some(asset) = &group.definition else {
        return Turn::Fail(super::definitions::gone(&group.asset));
    };
    if !sight.scopes().exists(asset, step.partition.as_ref()) {
        let message = format!("{step} is no longer a partition of {}", asset.key);
        return Turn::Fail(Failure::new(FailureClass::Declaration, message).with_help("submit the request again"));
    }
    if !run.request.runs_fresh() && sight.stale(asset, step.partition.as_ref()).is_none() {
        return Turn::Fresh;
    }
    for input in &asset.inputs {
        let InputRole::Model(reference) = &input.role else {
            continue;
        };
        if sight.model_version(&input.asset, reference).is_none() {
            let message = format!(
                "{} needs {}@{}, which does not exist",
                asset.key,
                input.asset,
                reference_text(reference)
            );
            let help = format!(
                "train {} until a version is promoted, or promote one by hand",
                input.asset
            );
            return Turn::Fail(Failure::new(FailureClass::MissingInput, message).with_help(help));
        }
    }
    Turn::Start
}

fn start(
    world: &World,
    at: Micros,
    sight: &Sight<'_>,
    run: &Run,
    asset: &std::sync::Arc<Asset>,
    batch: &[(u32, AssetPartition)],
) -> StartAttempt {
    let partitions = batch.iter().map(|(_, step)| {
        let key = step.partition.clone();
        let bounds = key
            .as_ref()
            .zip(asset.partitions.as_ref())
            .and_then(|(key, by)| by.partitioning.bounds(key));
        let rows = asset.inputs.iter().filter(|input| input.role == InputRole::Rows);
        StartPartition {
            bounds: bounds.map(|(start, end)| (start.as_microsecond(), end.as_microsecond())),
            scopes: rows
                .map(|input| (input.asset.clone(), sight.scopes().of(asset, input, key.as_ref())))
                .collect(),
            has: match asset.write {
                WriteMode::Append | WriteMode::Merge => world
                    .partition(&asset.key, key.as_ref())
                    .and_then(|record| record.materialization.as_ref())
                    .map_or_else(Vec::new, |made| made.sources.clone()),
                WriteMode::Replace => Vec::new(),
            },
            key,
        }
    });
    let inputs = tables_read(asset).into_iter().map(|table| StartInput {
        asset: table.clone(),
        table: world.pointer(table).cloned(),
        partition_column: run
            .definitions
            .get(table)
            .and_then(|upstream| upstream.partitions.as_ref())
            .map(|by| by.column.clone()),
    });
    let models = asset.inputs.iter().filter_map(|input| {
        let InputRole::Model(reference) = &input.role else {
            return None;
        };
        let version = sight.model_version(&input.asset, reference)?;
        let artifact = world.model(&input.asset)?.versions.get(&version)?.artifact.clone();
        Some(StartModel {
            model: input.asset.clone(),
            version,
            artifact,
        })
    });
    let tries = batch
        .iter()
        .map(|(position, _)| run.steps[*position as usize].tries)
        .max()
        .unwrap_or(0);
    StartAttempt {
        attempt: world.next_attempt_id(at),
        run: run.id.clone(),
        number: tries + 1,
        asset: asset.clone(),
        partitions: partitions.collect(),
        table: world.pointer(&asset.key).cloned(),
        inputs: inputs.collect(),
        models: models.collect(),
        observation: world.asset(&asset.key).and_then(|record| record.observation.clone()),
        seed: seed_of(asset),
    }
}

fn pins(start: &StartAttempt) -> Vec<PinnedVersion> {
    let tables = start.inputs.iter().map(|input| PinnedVersion {
        asset: input.asset.clone(),
        table: input.table.clone(),
        model_version: None,
    });
    let models = start.models.iter().map(|model| PinnedVersion {
        asset: model.model.clone(),
        table: None,
        model_version: Some(model.version),
    });
    tables.chain(models).collect()
}

/// The tables that a step reads, for its rows or for its checks.
pub(in super::super) fn tables_read(asset: &Asset) -> BTreeSet<&AssetKey> {
    let inputs = asset.inputs.iter().filter(|input| input.role == InputRole::Rows);
    let referenced = asset.checks.iter().filter_map(|check| match &check.rule {
        CheckRule::ForeignKey { references, .. } => Some(references),
        _ => None,
    });
    inputs.map(|input| &input.asset).chain(referenced).collect()
}

/// The same code draws the same numbers, in whatever batch and however often its steps run.
pub(in super::super) fn seed_of(asset: &Asset) -> u64 {
    let bytes = asset.key.as_str().bytes().chain(asset.fingerprint.as_str().bytes());
    bytes.fold(0, |seed, byte| split_mix(seed, u64::from(byte)))
}
