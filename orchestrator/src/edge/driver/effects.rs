//! What follows from a commit: orders for workers, versions of tables for the committer, answers; and what is kept of steps until they are
//! over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use assets::outcome::TablePointer;
use assets::{AssetKey, AssetPartition};
use state::event::{Event, Recorded};
use state::ids::AttemptId;

use super::super::kept_staged;
use super::super::order::order;
use super::Driver;
use crate::core::Effect;

impl Driver {
    /// Drops what is kept beside the world for steps and attempts that are over.
    pub(super) fn forget(&mut self, events: &[Recorded]) {
        let mut over = false;
        for recorded in events {
            match &recorded.event {
                Event::StepSucceeded {
                    attempt,
                    materialization,
                    ..
                } => self.unstage(attempt, &materialization.step),
                Event::StepFailed {
                    attempt: Some(attempt),
                    step,
                    ..
                }
                | Event::StepUpForRetry { attempt, step, .. } => self.unstage(attempt, step),
                Event::AttemptEnded { attempt, .. } => {
                    self.handle
                        .progress
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(attempt);
                }
                Event::RunEnded { .. } => {
                    let world = &self.world;
                    self.staged.retain(|attempt, _| world.attempt(attempt).is_some());
                    over = true;
                }
                _ => {}
            }
        }
        if over && self.projects.len() > 1 {
            self.drop_versions();
        }
    }

    fn unstage(&mut self, attempt: &AttemptId, step: &AssetPartition) {
        if let Some(steps) = self.staged.get_mut(attempt) {
            steps.remove(step);
            if steps.is_empty() {
                self.staged.remove(attempt);
            }
        }
    }

    pub(super) fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Start(start) => {
                let attempt = start.attempt.clone();
                let quarantine = self.world.pointer(&quarantine_table(&start.asset.key)).cloned();
                let project = self.project_of(&start.run);
                let order = order(
                    *start,
                    quarantine,
                    &project.settings,
                    &self.parts.folder,
                    &project.orders,
                );
                self.pool.work(attempt, order);
            }
            Effect::CancelAttempt { attempt } => self.pool.cancel(attempt),
            Effect::Prepare { asset, members } => {
                let assets: BTreeSet<&AssetKey> = members.iter().map(|member| &member.step.asset).collect();
                let pointers: BTreeMap<AssetKey, TablePointer> = assets
                    .into_iter()
                    .flat_map(|asset| [asset.clone(), quarantine_table(asset)])
                    .filter_map(|table| Some((table.clone(), self.world.pointer(&table)?.clone())))
                    .collect();
                let staged = members
                    .iter()
                    .map(|member| {
                        let staged = self
                            .staged
                            .get(&member.attempt)
                            .and_then(|steps| steps.get(&member.step));
                        (member.clone(), staged.cloned())
                    })
                    .collect();
                self.parts
                    .committer
                    .prepare(asset, staged, pointers, self.last_at, self.handle.clone());
            }
            Effect::KeepStaged(kept) => {
                if let Err(error) = kept_staged::keep(&self.parts.folder, &kept) {
                    tracing::warn!(step = %kept.made.step, %error, "what a check kept back cannot be kept to be looked at");
                }
            }
            Effect::Reply { request, answer } => {
                if let Some(asked) = self.requests.remove(&request) {
                    // Who asked may have gone in the meantime.
                    asked.send(answer).ok();
                }
            }
        }
    }
}

/// The table that holds the rows which an ingest asset could not take.
pub fn quarantine_table(asset: &AssetKey) -> AssetKey {
    let name = format!("{}{}", asset.name(), plugins::kind::QUARANTINE_SUFFIX);
    // A name so long that it leaves no room for the suffix has no quarantine table; a step that needs one fails and says so.
    AssetKey::new(asset.layer(), &name).unwrap_or_else(|_| asset.clone())
}
