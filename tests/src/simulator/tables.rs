//! What must hold of tables that someone takes back, told from the events alone: who made what each snapshot shows, what a
//! rollback brings back of it, and what stands by one.

use std::collections::{BTreeMap, BTreeSet};

use assets::outcome::TablePointer;
use assets::{AssetKey, AssetPartition, Fingerprint, InputRole, PartitionKey};
use orchestrator::core::{Adoption, Broken, Definitions, InvariantId, Sight, StepScope, World};
use state::event::{Event, Materialization, Micros, Only, PinnedVersion, Recorded};
use state::ids::{AttemptId, RunId};

/// Who made the rows of a partition, and what they are a function of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    run: RunId,
    attempt: AttemptId,
    version: Fingerprint,
}

impl Made {
    fn of(run: &RunId, attempt: &AttemptId, made: &Materialization) -> Self {
        Self {
            run: run.clone(),
            attempt: attempt.clone(),
            version: made.data_version.clone(),
        }
    }
}

/// What a partition would be made from, as far as events and the clock tell: its code, how often what it reads and its raw files
/// have changed, and which partitions it reads. The last follows the clock: what is read by `latest` is another as soon as the
/// next one exists, and a partition of a day that is yet to come, because the clock was set back, reads none until it has come
/// (seed 115 with nine jumps of the clock: taken back at 11,240 s, when the day was to come, made at 43,658 s, when it had).
type MadeFrom = (Option<Fingerprint>, u64, Vec<StepScope>);

type Shown = BTreeMap<Option<PartitionKey>, Made>;

/// What was told so far.
#[derive(Clone, Default)]
pub(super) struct Tables {
    current: BTreeMap<AssetKey, Shown>,
    /// What each snapshot showed.
    shown: BTreeMap<(AssetKey, i64), Shown>,
    /// The snapshots that rollbacks made.
    rollbacks: BTreeSet<(AssetKey, i64)>,
    /// The rollback that is being told, and the snapshot that it goes back to.
    under_way: Option<(AssetKey, i64)>,
    /// Tables that were cut in another way: partitions of theirs have rows that no step has made.
    cut: BTreeSet<AssetKey>,
    /// What was taken back, and what it would have been made from then.
    stands: BTreeMap<AssetPartition, MadeFrom>,
    /// How often the rows or models of each asset changed, and its raw files.
    changes: BTreeMap<AssetKey, (u64, u64)>,
    /// Whether anything that runs did was removed: nobody knows then who made what is long gone.
    pub(super) retired: bool,
    /// What models learned from.
    pub(super) learned_from: BTreeMap<(AssetKey, u64), Vec<PinnedVersion>>,
    /// How many expiries there were.
    pub(super) expiries: usize,
}

impl Tables {
    /// How many rollbacks there were.
    pub(super) fn rollbacks(&self) -> usize {
        self.rollbacks.len()
    }

    /// Whether a partition was taken back and not made since.
    pub(super) fn stands(&self, step: &AssetPartition) -> bool {
        self.stands.contains_key(step)
    }

    fn made_from(&self, world: &World, definitions: &Definitions, at: Micros, step: &AssetPartition) -> MadeFrom {
        let of = |key: &AssetKey| self.changes.get(key).copied().unwrap_or_default();
        let Some(definition) = definitions.get(&step.asset) else {
            return (None, 0, Vec::new());
        };
        let rows: u64 = definition.inputs.iter().map(|input| of(&input.asset).0).sum();
        let sight = Sight::new(world, definitions, at);
        let read = definition.inputs.iter().filter(|input| input.role == InputRole::Rows);
        let scopes = read.map(|input| sight.scopes().of(definition, input, step.partition.as_ref()));
        (
            Some(definition.fingerprint.clone()),
            rows + of(&step.asset).1,
            scopes.collect(),
        )
    }

    fn changed(&mut self, asset: &AssetKey) {
        self.changes.entry(asset.clone()).or_default().0 += 1;
    }

    /// Takes the events of one turn in.
    pub(super) fn tell(&mut self, world: &World, events: &[Recorded]) -> Result<(), Broken> {
        let mut moved: BTreeMap<&AssetKey, &TablePointer> = BTreeMap::new();
        self.under_way = None;
        for recorded in events {
            match &recorded.event {
                Event::PointerMoved { table, to, .. } => {
                    moved.insert(table, to);
                }
                Event::StepSucceeded {
                    run,
                    attempt,
                    materialization,
                } => {
                    let step = &materialization.step;
                    let shown = self.current.entry(step.asset.clone()).or_default();
                    shown.insert(step.partition.clone(), Made::of(run, attempt, materialization));
                    self.stands.remove(step);
                    self.changed(&step.asset);
                }
                Event::RolledBack { asset, rollback } => {
                    let to = moved.get(asset).and_then(|to| to.snapshot_id);
                    let place = (asset.clone(), rollback.snapshot_id);
                    if to != Some(rollback.snapshot_id) || !self.rollbacks.insert(place) {
                        let found = format!("{asset} was taken back to {}: {moved:?}", rollback.to_snapshot);
                        return Err(Broken::new(InvariantId::RollbackCountsOnce, found));
                    }
                    self.under_way = Some((asset.clone(), rollback.to_snapshot));
                }
                Event::PartitionRolledBack { step, restored, .. } => {
                    self.is_what_was(
                        step,
                        restored
                            .as_ref()
                            .map(|restored| Made::of(&restored.run, &restored.attempt, &restored.materialization)),
                    )?;
                    let from = self.made_from(world, world.definitions(), recorded.at, step);
                    self.stands.insert(step.clone(), from);
                    self.changed(&step.asset);
                }
                Event::TableRepartitioned { table, .. } => {
                    self.cut.insert(table.clone());
                }
                Event::PartitionCutAway { step } => {
                    self.cut.insert(step.asset.clone());
                    if let Some(shown) = self.current.get_mut(&step.asset) {
                        shown.remove(&step.partition);
                    }
                    self.stands.remove(step);
                    self.changed(&step.asset);
                }
                // What is tried anew stands by no rollback, whatever comes of it.
                Event::StepFailed {
                    attempt: Some(_), step, ..
                } => {
                    self.stands.remove(step);
                }
                Event::AttemptStarted {
                    run, asset, partitions, ..
                } => {
                    for partition in partitions {
                        let step = AssetPartition::new(asset.clone(), partition.clone());
                        self.may_be_made(world, recorded.at, run, &step)?;
                    }
                }
                Event::ModelRegistered {
                    model, version, inputs, ..
                } => {
                    self.learned_from.insert((model.clone(), *version), inputs.clone());
                    self.changed(model);
                }
                Event::AliasMoved { model, .. } => self.changed(model),
                Event::SourceObserved { asset, .. } => self.changes.entry(asset.clone()).or_default().1 += 1,
                Event::SnapshotsExpired { .. } => self.expiries += 1,
                _ => {}
            }
        }
        for (table, to) in moved {
            if let Some(snapshot) = to.snapshot_id {
                let shown = self.current.get(table).cloned().unwrap_or_default();
                let place = (table.clone(), snapshot);
                // A name, or an expiry, changes nothing of what is shown.
                let before = self.shown.insert(place, shown.clone());
                if before.is_some_and(|before| before != shown) {
                    let found = format!("{table} shows something else in snapshot {snapshot} than before");
                    return Err(Broken::new(InvariantId::RestoredIsWhatWas, found));
                }
            }
        }
        Ok(())
    }

    /// What was made in an environment counts: its snapshots show what they showed there. Of what was made anew there before the merge
    /// nothing is known here. `known` are the runs from before.
    pub(super) fn adopt(&mut self, theirs: &Self, adoption: &Adoption, known: &BTreeSet<RunId>) {
        let unknown = Made {
            run: RunId::unknown(),
            attempt: AttemptId::from_bits(0),
            version: Fingerprint::of(["unknown"]),
        };
        let made = adoption.attempts.iter().flat_map(|attempt| &attempt.made);
        let mut here: BTreeMap<AssetPartition, (Made, Made)> = BTreeMap::new();
        for made in made {
            let step = &made.step;
            let of = |tables: &Self| {
                let shown = tables.current.get(&step.asset)?;
                shown.get(&step.partition).cloned()
            };
            if let (Some(there), Some(made)) = (of(theirs), of(self)) {
                here.insert(step.clone(), (there, made));
            }
        }
        for ((table, snapshot), shown) in &theirs.shown {
            let place = (table.clone(), *snapshot);
            if !adoption.tables.iter().any(|changed| changed.table == *table) || self.shown.contains_key(&place) {
                continue;
            }
            let translated = shown.iter().map(|(partition, there)| {
                let made = here.get(&AssetPartition::new(table.clone(), partition.clone()));
                let made = match made {
                    Some((own, made)) if own == there => made.clone(),
                    _ if known.contains(&there.run) => there.clone(),
                    _ => unknown.clone(),
                };
                (partition.clone(), made)
            });
            let translated = translated.collect();
            self.shown.insert(place, translated);
        }
    }

    /// What is brought back of a partition is what the older snapshot showed.
    fn is_what_was(&mut self, step: &AssetPartition, restored: Option<Made>) -> Result<(), Broken> {
        let Some((asset, target)) = self.under_way.clone().filter(|(asset, _)| *asset == step.asset) else {
            let found = format!("{step} was taken back, and its table was not");
            return Err(Broken::new(InvariantId::RollbackCountsOnce, found));
        };
        let was = self.shown.get(&(asset.clone(), target));
        let was = was.and_then(|shown| shown.get(&step.partition));
        let unknown = match was {
            Some(was) => was.run.is_unknown(),
            None => restored.is_some() && self.cut.contains(&step.asset),
        };
        let forgotten = (self.retired || unknown) && restored.as_ref().is_none_or(|restored| restored.run.is_unknown());
        if was != restored.as_ref() && !forgotten {
            let found = format!("{step} in snapshot {target} was of {was:?}, and is back as of {restored:?}");
            return Err(Broken::new(InvariantId::RestoredIsWhatWas, found));
        }
        let current = self.current.entry(asset).or_default();
        match restored {
            Some(made) => current.insert(step.partition.clone(), made),
            None => current.remove(&step.partition),
        };
        Ok(())
    }

    /// A step that begins does not undo a rollback of which nothing changed.
    fn may_be_made(&mut self, world: &World, at: Micros, run: &RunId, step: &AssetPartition) -> Result<(), Broken> {
        // One that is canceled, or that its owner leaves unfinished, does not end it: what it is made from may be the same again
        // later (seed 666 of a run of 2026-11-26: a file came and went again, with a start that died in between).
        let Some(stood) = self.stands.get(step).cloned() else {
            return Ok(());
        };
        let Some(run) = world.run(run) else { return Ok(()) };
        // Who asks to retry what failed asks for just that, and so does who merges what was made elsewhere.
        let asked_for = run.request.trigger.starts_with("environment ")
            || run.request.force
            || run.request.only == Some(Only::Failed);
        if asked_for || self.made_from(world, &run.definitions, at, step) != stood {
            return Ok(());
        }
        let found = format!("{} makes {step}, which was taken back, from the same", run.id);
        Err(Broken::new(InvariantId::RollbackStands, found))
    }
}
