//! What the machine, the pools, the pace of runs and their rules allow, and whether what is said to wait for it does.

use assets::outcome::FailureClass;
use assets::{AssetKey, AssetPartition, StepRules};
use orchestrator::core::{Broken, Input, InvariantId, WaitsFor, World, waits};
use state::event::{Event, Micros, Recorded};
use state::ids::RunId;
use state::status::{RunStatus, StepStatus};

use super::{History, Limits, broken};

impl History {
    /// The rules of the assets that attempts in flight work on, as their runs know them.
    pub(super) fn rules_in_flight(&self) -> Vec<(&RunId, StepRules)> {
        let rules = self.in_flight.values().map(|(run, asset)| {
            let known = self.runs[run].definitions.get(asset);
            (run, known.map(|asset| asset.rules.clone()).unwrap_or_default())
        });
        rules.collect()
    }

    /// No wait for a retry ends before its time.
    pub(in super::super) fn waited_long_enough(&self, input: &Input, events: &[Recorded]) -> Result<(), Broken> {
        let over = match input {
            Input::RetriesDue { until } => *until,
            _ => Micros::MIN,
        };
        for recorded in events {
            let Event::StepRetryDue { run, step } = &recorded.event else {
                continue;
            };
            let known = self.runs.get(run).and_then(|told| told.retries.get(step));
            if known.is_none_or(|(_, due)| due.is_none_or(|due| due > over)) {
                let found = format!("{step} of {run} was to wait longer: {known:?}");
                return broken(InvariantId::RetriesAreBounded, found);
            }
        }
        Ok(())
    }

    /// How many have a place in a pool, and how much memory is given away.
    pub(super) fn used(&self, limits: &Limits, pool: &str) -> (usize, u64) {
        let rules = self.rules_in_flight();
        let memory = |rules: &StepRules| rules.memory_bytes.unwrap_or(limits.step_memory).min(limits.memory);
        let places = rules
            .iter()
            .filter(|(_, rules)| rules.pools.iter().any(|other| other == pool));
        (places.count(), rules.iter().map(|(_, rules)| memory(rules)).sum())
    }

    /// The attempt that has just started has its places within the limits in force, which may have been lowered under others.
    pub(super) fn places_are_kept(&self, limits: &Limits, run: &RunId, asset: &AssetKey) -> Result<(), Broken> {
        let all = self.rules_in_flight();
        let Some(newest) = self.runs[run].definitions.get(asset) else {
            return Ok(());
        };
        for pool in &newest.rules.pools {
            let (used, _) = self.used(limits, pool);
            let limit = limits.pools.get(pool).copied().unwrap_or(u32::MAX);
            if used > limit as usize {
                return broken(
                    InvariantId::PoolsAreBounded,
                    format!("{used} of {limit} in {pool}: {all:?}"),
                );
            }
        }
        let (_, memory) = self.used(limits, "");
        if memory > limits.memory {
            return broken(InvariantId::PoolsAreBounded, format!("{memory} bytes: {all:?}"));
        }
        Ok(())
    }

    /// What the core says that runs wait for is so.
    pub(in super::super) fn reasons_are_true(&self, world: &World, limits: &Limits, at: Micros) -> Result<(), Broken> {
        for (id, told) in self.runs.iter().filter(|(_, told)| !told.over) {
            let said = waits(world, at, id);
            let waiting = told
                .steps
                .values()
                .filter(|status| **status == StepStatus::Waiting)
                .count();
            // What is staged is told to wait for others, and is not among those that wait to be made.
            let unmade = said
                .iter()
                .filter(|wait| !matches!(wait.waits_for, WaitsFor::Together { .. }));
            let steps: usize = unmade.map(|wait| wait.steps).sum();
            let canceling = world.run(id).is_some_and(|run| run.status == RunStatus::Canceling);
            if !canceling && steps != waiting {
                let found = format!("{waiting} steps of {id} wait, and reasons are given for {steps}: {said:?}");
                return broken(InvariantId::ReasonsAreTrue, found);
            }
            for wait in said {
                let is_true = match &wait.waits_for {
                    WaitsFor::Resume => told.paused,
                    WaitsFor::NextStart => world.is_draining() && !told.paused,
                    WaitsFor::EarlierRun { run, paused } | WaitsFor::Partition { run, paused } => {
                        run != id
                            && self
                                .runs
                                .get(run)
                                .is_some_and(|other| !other.over && other.paused == *paused)
                    }
                    WaitsFor::KeptFree { run } => run != id && self.runs.get(run).is_some_and(|other| !other.over),
                    WaitsFor::Upstream { asset } => told
                        .steps
                        .iter()
                        .any(|(step, status)| step.asset == *asset && *status != StepStatus::Succeeded),
                    WaitsFor::Together { asset } => told
                        .steps
                        .iter()
                        .any(|(step, status)| step.asset == *asset && !status.is_terminal()),
                    WaitsFor::Retry { retry, due } => told.retries.values().any(|known| *known == (*retry, Some(*due))),
                    WaitsFor::Pace { max_in_flight } => *max_in_flight as usize == told.max_in_flight,
                    WaitsFor::Pool { pool, limit, used, .. } => {
                        self.used(limits, pool).0 == *used && used >= &(*limit as usize)
                    }
                    WaitsFor::Memory { needs, used, total, .. } => {
                        self.used(limits, "").1 == *used && used + needs > *total
                    }
                    WaitsFor::Worker { workers, .. } => {
                        *workers == limits.slots && self.in_flight.len() >= limits.slots
                    }
                };
                if !is_true {
                    return broken(InvariantId::ReasonsAreTrue, format!("{id}: {wait:?}"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn may_be_tried_again(
        &mut self,
        run: &RunId,
        step: &AssetPartition,
        class: FailureClass,
        retry: u32,
    ) -> Result<(), Broken> {
        let told = self.told(run)?;
        let before = told.retries.get(step).map_or(0, |(retries, _)| *retries);
        let rule = told
            .definitions
            .get(&step.asset)
            .and_then(|asset| asset.rules.retry.as_ref());
        match rule {
            Some(rule) if retry == before + 1 && retry <= rule.max && rule.on.contains(&class) => Ok(()),
            _ => broken(
                InvariantId::RetriesAreBounded,
                format!("retry {retry} of {step} in {run} after {class:?}, by {rule:?}"),
            ),
        }
    }

    /// A run that has just started an attempt may do so.
    pub(super) fn keeps_its_pace(&mut self, run: &RunId) -> Result<(), Broken> {
        let told = self.told(run)?;
        let in_hand = |(step, status): &(&AssetPartition, &StepStatus)| match status {
            StepStatus::Running => true,
            StepStatus::Publishing => told.definitions.published_with(&step.asset).is_empty(),
            _ => false,
        };
        let in_flight = told.steps.iter().filter(in_hand).count();
        if told.paused || in_flight > told.max_in_flight {
            let found = format!("{run} started, paused: {}, in flight: {in_flight}", told.paused);
            return broken(InvariantId::PaceIsKept, found);
        }
        Ok(())
    }
}
