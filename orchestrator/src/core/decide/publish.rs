//! The committer's answer: if every row it prepared may still be published and was built on the current version, one
//! decision moves the pointers, ends the steps, registers the models and moves the aliases. Otherwise it prepares again.

use std::collections::BTreeMap;

use assets::outcome::{Failure, Staged};
use assets::{Asset, AssetKey, AssetPartition};
use state::event::{Event, Materialization, Micros};
use state::status::StepStatus;

use super::super::effect::{Decision, Effect, Member};
use super::super::input::{PreparedMember, PreparedTable};
use super::super::staleness::data_version;
use super::super::world::{Attempt, ModelRecord, ModelVersion, Run, World};
use super::ended::known;
use super::{promote, retry};

/// The staged steps that are published next, in one commit: of those that can be, the ones that are cut alike.
pub(super) fn publishing(world: &World, committed_as: &AssetKey) -> Vec<Member> {
    alike(world, publishable(world, committed_as))
}

/// Of staged steps those whose assets have the partitions that the first one's run knows of. Where an asset got other ones while a run was
/// under way, its table can have the rows of one or of the other.
fn alike(world: &World, mut members: Vec<Member>) -> Vec<Member> {
    let Some((_, first)) = members.first().and_then(|first| known(world, &first.attempt)) else {
        return members;
    };
    members.retain(|member| {
        let asset = &member.step.asset;
        let of = |run: &Run| run.definitions.get(asset).map(|asset| asset.partitions.clone());
        known(world, &member.attempt).is_some_and(|(_, run)| of(run) == of(first))
    });
    members
}

/// The staged steps that can be published, of an asset or of those that are published together under its name. One that still waits
/// for another of its atomic group is not among them.
pub(super) fn publishable(world: &World, committed_as: &AssetKey) -> Vec<Member> {
    let mut members = Vec::new();
    for attempt in world.attempts() {
        let Some(run) = world.run(&attempt.run) else { continue };
        if run.definitions.committed_as(&attempt.asset) != committed_as {
            continue;
        }
        for &position in &attempt.steps {
            let step = &run.steps[position as usize];
            let is_its = step.status == StepStatus::Publishing && step.attempt.as_ref() == Some(&attempt.id);
            if is_its && !run.waits_for_mates(position) {
                members.push(Member {
                    attempt: attempt.id.clone(),
                    step: run.name(position),
                });
            }
        }
    }
    members
}

/// The work of the committer that begins now that a step of an atomic group waits no more: it was staged, or is fresh.
pub(super) fn completed(world: &World, run: &Run, step: &AssetPartition) -> Option<Effect> {
    let position = run.position(step)?;
    let complete: Vec<u32> = run.mates(position).chain([position]).collect();
    let committed_as = run.definitions.committed_as(&step.asset);
    let members = publishable(world, committed_as);
    // Where others are being published already, the committer's answer leads to these.
    let own = |member: &Member| {
        let of_run = run
            .position(&member.step)
            .is_some_and(|position| complete.contains(&position));
        of_run && known(world, &member.attempt).is_some_and(|(attempt, _)| attempt.run == run.id)
    };
    (!members.is_empty() && members.iter().all(own)).then(|| Effect::Prepare {
        asset: committed_as.clone(),
        members,
    })
}

/// Whether the attempt is the one whose word counts for the step, and the step is not over.
fn counts(world: &World, attempt: &state::ids::AttemptId, step: &assets::AssetPartition) -> bool {
    known(world, attempt)
        .and_then(|(_, run)| run.step(step))
        .is_some_and(|found| {
            matches!(found.status, StepStatus::Running | StepStatus::Publishing)
                && found.attempt.as_ref() == Some(attempt)
        })
}

pub(super) fn prepared(
    world: &World,
    asset: &AssetKey,
    tables: &[PreparedTable],
    members: &[PreparedMember],
) -> Decision {
    let mut decision = Decision::default();
    let fenced = members
        .iter()
        .any(|member| !counts(world, &member.attempt, &member.step));
    let moved = tables
        .iter()
        .any(|table| world.pointer(&table.table) != table.from.as_ref());
    let mut left = publishable(world, asset);
    if !fenced && !moved && !members.is_empty() {
        left.retain(|waiting| {
            members
                .iter()
                .all(|done| done.attempt != waiting.attempt || done.step != waiting.step)
        });
        for table in tables {
            decision.events.push(Event::PointerMoved {
                table: table.table.clone(),
                from: table.from.clone(),
                to: table.to.clone(),
            });
        }
        let mut models: BTreeMap<&AssetKey, ModelRecord> = BTreeMap::new();
        for member in members {
            let asset = &member.step.asset;
            let own = tables.iter().find(|table| table.table == *asset);
            let snapshot_id = own.and_then(|table| table.to.snapshot_id);
            if own.is_some() {
                decision.events.extend(cut_away_by(world, &member.step));
            }
            let registered = models.entry(asset);
            let registered = registered.or_insert_with(|| world.model(asset).cloned().unwrap_or_default());
            publish(world, member, snapshot_id, registered, &mut decision.events);
        }
    }
    if !left.is_empty() {
        decision.effects.push(Effect::Prepare {
            asset: asset.clone(),
            members: alike(world, left),
        });
    }
    decision
}

/// What is none any more once a step is published: one of an asset without partitions replaces its table whole, with the partitions
/// that it had while the asset had some.
pub(super) fn cut_away_by<'w>(world: &'w World, step: &'w AssetPartition) -> impl Iterator<Item = Event> + 'w {
    let known = world.asset(&step.asset).filter(|_| step.partition.is_none());
    let others = known.into_iter().flat_map(|known| &known.partitions);
    let made = others.filter(|(partition, known)| partition.is_some() && known.materialization.is_some());
    made.map(|(partition, _)| Event::PartitionCutAway {
        step: AssetPartition::new(step.asset.clone(), partition.clone()),
    })
}

fn publish(
    world: &World,
    member: &PreparedMember,
    snapshot_id: Option<i64>,
    registered: &mut ModelRecord,
    events: &mut Vec<Event>,
) {
    let (attempt, run) = known(world, &member.attempt).expect("the member's attempt counts");
    let asset = asset_of(attempt, run);
    let staged = &member.staged;
    events.push(Event::StepSucceeded {
        run: run.id.clone(),
        attempt: attempt.id.clone(),
        materialization: materialization(world, attempt, run, &member.step, staged, snapshot_id),
    });
    let Some(model) = &staged.model else { return };
    let version = registered.versions.last_key_value().map_or(1, |(newest, _)| newest + 1);
    events.push(Event::ModelRegistered {
        model: asset.key.clone(),
        version,
        run: run.id.clone(),
        staged: model.clone(),
        fingerprint: asset.fingerprint.clone(),
        inputs: attempt.inputs.clone(),
    });
    if let Some((alias, reason)) = promote::earned(asset, model, registered) {
        let from = registered.aliases.insert(alias.clone(), version);
        events.push(Event::AliasMoved {
            model: asset.key.clone(),
            alias,
            from,
            to: version,
            reason,
        });
    }
    registered.versions.insert(version, ModelVersion::from(model));
}

fn asset_of<'r>(attempt: &Attempt, run: &'r Run) -> &'r Asset {
    run.definitions
        .get(&attempt.asset)
        .expect("an attempt is only made of a declared asset")
}

/// What publishing a step makes, of what an attempt staged.
pub(super) fn materialization(
    world: &World,
    attempt: &Attempt,
    run: &Run,
    step: &AssetPartition,
    staged: &Staged,
    snapshot_id: Option<i64>,
) -> Materialization {
    let position = run.position(step).expect("the step is part of its attempt's run");
    let index = attempt
        .steps
        .iter()
        .position(|&own| own == position)
        .expect("the step is part of its attempt");
    let asset = asset_of(attempt, run);
    let inputs: BTreeMap<_, _> = attempt.versions[index].clone();
    let before = world
        .partition(&step.asset, step.partition.as_ref())
        .and_then(|record| record.materialization.as_ref())
        .map(|made| &made.data_version);
    Materialization {
        step: step.clone(),
        fingerprint: asset.fingerprint.clone(),
        data_version: data_version(asset, &inputs, staged, before, &attempt.id),
        inputs,
        snapshot_id,
        rows: staged.rows(),
        bytes: staged.bytes(),
        metadata: staged.metadata.clone(),
        checks: staged.checks.clone(),
        sources: staged.sources.clone(),
    }
}

pub(super) fn failed(world: &World, at: Micros, asset: &AssetKey, members: &[Member], failure: &Failure) -> Decision {
    let mut decision = Decision::default();
    let mut left = publishable(world, asset);
    for member in members
        .iter()
        .filter(|member| counts(world, &member.attempt, &member.step))
    {
        let Some((attempt, run)) = known(world, &member.attempt) else {
            continue;
        };
        left.retain(|waiting| waiting != member);
        let position = run
            .position(&member.step)
            .expect("the attempt's word counts for this step of its run");
        let checks = Vec::new();
        decision
            .events
            .push(retry::failed(at, attempt, run, position, failure.clone(), checks));
    }
    if !left.is_empty() {
        decision.effects.push(Effect::Prepare {
            asset: asset.clone(),
            members: alike(world, left),
        });
    }
    decision
}
