//! What becomes of steps and attempts: who has which, how they end, and what is published of them.

use std::collections::BTreeMap;

use ::assets::{AssetKey, AssetPartition, Fingerprint};
use state::event::{Materialization, Micros, PinnedVersion};
use state::ids::{AttemptId, RunId};
use state::status::{RunStatus, StepStatus};

use super::super::definitions::Definitions;
use super::super::invariants::InvariantId;
use super::super::staleness::Sight;
use super::apply::{Broken, illegal};
use super::assets::LastMaterialization;
use super::runs::Attempt;
use super::{Run, World};

/// How a step ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Succeeded,
    Failed,
    Skipped,
    Canceled,
}

impl World {
    pub(super) fn attempt_started(
        &mut self,
        at: Micros,
        attempt: &AttemptId,
        run_id: &RunId,
        asset: &AssetKey,
        names: Vec<AssetPartition>,
        number: u32,
        inputs: &[PinnedVersion],
    ) -> Result<(), Broken> {
        let run = self
            .runs
            .get(run_id)
            .ok_or_else(|| illegal(format!("{run_id} is not open")))?;
        let definitions = run.definitions.clone();
        let versions = match run.definitions.get(asset) {
            // What the steps see is what the catalog points to now.
            Some(definition) => {
                let sight = Sight::new(self, &definitions, at);
                names
                    .iter()
                    .map(|name| sight.input_versions(definition, name.partition.as_ref()))
                    .collect()
            }
            None => vec![BTreeMap::new(); names.len()],
        };
        let tried = self.to_be_tried(&definitions, at, &names, &versions);
        self.minted += 1;
        let run = self.run_mut(run_id)?;
        if names.len() > run.room() {
            let found = format!(
                "{} steps of {run_id} started, it had room for {}",
                names.len(),
                run.room()
            );
            return Err(Broken::new(InvariantId::PaceIsKept, found));
        }
        run.in_flight += names.len();
        let mut steps = Vec::with_capacity(names.len());
        for name in &names {
            let position = run
                .position(name)
                .ok_or_else(|| illegal(format!("{name} is not part of {run_id}")))?;
            let group = &mut run.groups[run.steps[position as usize].group as usize];
            if group.blocked_by > 0 || !group.ready.remove(&position) {
                let found = format!("{name} of {run_id} was given to a worker before its turn");
                return Err(Broken::new(InvariantId::UpstreamFirst, found));
            }
            let step = &mut run.steps[position as usize];
            step.status = StepStatus::Running;
            step.attempt = Some(attempt.clone());
            step.tries = number;
            steps.push(position);
        }
        run.attempts += 1;
        run.last_start = run.last_start.max(at);
        if run.status == RunStatus::Queued {
            run.status = RunStatus::Running;
        }
        let attempt = Attempt {
            id: attempt.clone(),
            run: run_id.clone(),
            asset: asset.clone(),
            open: steps.len(),
            steps,
            number,
            inputs: inputs.to_vec(),
            versions,
            tried,
            started_at: at,
            timed_out: None,
            ended: false,
        };
        if self.attempts.insert(attempt.id.clone(), attempt).is_some() {
            return Err(illegal("two attempts have the same id"));
        }
        Ok(())
    }

    pub(super) fn run_mut(&mut self, id: &RunId) -> Result<&mut Run, Broken> {
        self.runs.get_mut(id).ok_or_else(|| {
            Broken::new(
                InvariantId::TerminalIsFinal,
                format!("something happened to {id}, which is not open"),
            )
        })
    }

    pub(super) fn run_of(&self, attempt: &AttemptId) -> Result<RunId, Broken> {
        let known = self.attempts.get(attempt);
        known
            .map(|attempt| attempt.run.clone())
            .ok_or_else(|| illegal(format!("{attempt} is not known")))
    }

    /// The open step of that name, if `attempt` is the one whose word counts (or none claims to speak).
    pub(super) fn current(
        &mut self,
        run: &RunId,
        name: &AssetPartition,
        attempt: Option<&AttemptId>,
    ) -> Result<(&mut Run, u32), Broken> {
        let run = self.run_mut(run)?;
        let position = run
            .position(name)
            .ok_or_else(|| illegal(format!("{name} is not part of {}", run.id)))?;
        let step = &run.steps[position as usize];
        if step.status.is_terminal() {
            let found = format!("{name} of {} is {:?} and something happened to it", run.id, step.status);
            return Err(Broken::new(InvariantId::TerminalIsFinal, found));
        }
        if attempt.is_some() && step.attempt.as_ref() != attempt {
            let found = format!("{name} of {} took the word of an attempt that is not its own", run.id);
            return Err(Broken::new(InvariantId::OneCurrentAttempt, found));
        }
        Ok((run, position))
    }

    pub(super) fn end_step(
        &mut self,
        run: &RunId,
        name: &AssetPartition,
        attempt: Option<&AttemptId>,
        end: End,
    ) -> Result<(), Broken> {
        let (run, position) = self.current(run, name, attempt)?;
        let counted = run.counts_in_flight(position);
        let has_mates = run.mates(position).next().is_some();
        let step = &mut run.steps[position as usize];
        if end == End::Succeeded && attempt.is_none() && step.status != StepStatus::Waiting {
            return Err(illegal(format!("{name} was found fresh while {:?}", step.status)));
        }
        if end == End::Skipped && step.status != StepStatus::Waiting && !has_mates {
            return Err(illegal(format!("{name} was skipped while {:?}", step.status)));
        }
        step.status = match end {
            End::Succeeded => StepStatus::Succeeded,
            End::Failed => StepStatus::Failed,
            End::Skipped => StepStatus::Skipped,
            End::Canceled => StepStatus::Canceled,
        };
        let released = step.attempt.take();
        run.in_flight -= usize::from(counted);
        run.open -= 1;
        run.failed |= end == End::Failed;
        run.step_ended(position, end == End::Succeeded);
        // Of a run that is paused nobody waits for what has not begun.
        let over = run.paused || run.groups[run.steps[position as usize].group as usize].open == 0;
        let id = run.id.clone();
        self.forget_retry(&id, position);
        self.release(released);
        self.partition_changed(name);
        if over {
            self.asset_released(&name.asset);
        }
        Ok(())
    }

    /// What an attempt of a step was made from, if that is kept.
    pub(super) fn tried(&self, attempt: &AttemptId, step: &AssetPartition) -> Option<Fingerprint> {
        let attempt = self.attempts.get(attempt).filter(|attempt| !attempt.tried.is_empty())?;
        let position = self.runs.get(&attempt.run)?.position(step)?;
        let index = attempt.steps.iter().position(|&own| own == position)?;
        attempt.tried.get(index).cloned()
    }

    /// What steps of automated assets are about to be made from; nothing for those of others.
    pub(super) fn to_be_tried(
        &self,
        definitions: &Definitions,
        at: Micros,
        names: &[AssetPartition],
        versions: &[BTreeMap<AssetKey, Fingerprint>],
    ) -> Vec<Fingerprint> {
        let automated = |name: &AssetPartition| self.definitions.is_made_by_automation(&name.asset);
        let Some(first) = names.first().filter(|first| automated(first)) else {
            return Vec::new();
        };
        let Some(asset) = definitions.get(&first.asset) else {
            return Vec::new();
        };
        let sight = Sight::new(self, definitions, at);
        let steps = names.iter().zip(versions);
        steps
            .map(|(name, inputs)| sight.made_from_inputs(asset, name.partition.as_ref(), inputs))
            .collect()
    }

    /// A run was paused, resumed or canceled: who waits for it looks again.
    pub(super) fn run_released(&mut self, id: &RunId) {
        let Some(run) = self.runs.get(id) else { return };
        let open = run.groups.iter().filter(|group| group.open > 0);
        let assets: Vec<AssetKey> = open.map(|group| group.asset.clone()).collect();
        for asset in assets {
            self.asset_released(&asset);
        }
    }

    pub(super) fn requeue_step(&mut self, run: &RunId, name: &AssetPartition) -> Result<(), Broken> {
        let (run, position) = self.current(run, name, None)?;
        let counted = run.counts_in_flight(position);
        let step = &mut run.steps[position as usize];
        if step.status == StepStatus::Waiting {
            return Err(illegal(format!("{name} was requeued while it waited")));
        }
        step.status = StepStatus::Waiting;
        let released = step.attempt.take();
        let group = step.group as usize;
        run.in_flight -= usize::from(counted);
        run.groups[group].ready.insert(position);
        let paused = run.paused;
        self.release(released);
        if paused {
            self.asset_released(&name.asset);
        }
        Ok(())
    }

    /// One step of the attempt is no longer its business.
    pub(super) fn release(&mut self, attempt: Option<AttemptId>) {
        let Some(id) = attempt else { return };
        let attempt = self
            .attempts
            .get_mut(&id)
            .expect("a step's current attempt is known until its steps are over");
        attempt.open -= 1;
        if attempt.open == 0 && attempt.ended {
            self.attempts.remove(&id);
        }
    }

    pub(super) fn materialized(&mut self, at: Micros, run: &RunId, materialization: &Materialization) {
        let step = &materialization.step;
        let record = self.assets.entry(step.asset.clone()).or_default();
        let partition = record.partitions.entry(step.partition.clone()).or_default();
        partition.materialization = Some(LastMaterialization::new(run.clone(), at, materialization));
        partition.failure = None;
        partition.rolled_back = None;
        // Where the clock was set back, what was the newest may have given way to something older.
        let made = record
            .partitions
            .values()
            .filter_map(|known| known.materialization.as_ref());
        record.newest = match record.newest.filter(|newest| *newest > at) {
            Some(_) => made.map(|made| made.at).max(),
            None => Some(at),
        };
        self.automation.release(step);
        self.asset_made(&step.asset);
    }
}
