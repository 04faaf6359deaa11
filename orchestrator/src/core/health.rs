//! The state of one asset in a few numbers: what pages and lists show of it.

use std::collections::BTreeSet;
use std::fmt;

use assets::AssetKey;
use serde::Serialize;
use state::event::Micros;

use super::plan::{PlanProblem, PlanRequest, plan};
use super::staleness::StaleReason;
use super::world::World;

/// How many of an asset's partitions (1 for a whole) are in which state. The numbers do not overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Health {
    /// All partitions that exist.
    pub partitions: usize,
    /// Up to date with code, inputs and sources.
    pub fresh: usize,
    /// Materialized, and not up to date.
    pub stale: usize,
    /// Never materialized, though they could be.
    pub missing: usize,
    /// Their last try failed.
    pub failed: usize,
    /// Wait for source files that have not come.
    pub waiting: usize,
    /// Why the first stale partition is stale, for people.
    pub reason: Option<String>,
}

/// The one word for an asset's state: the worst that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Everything is up to date.
    Fresh,
    /// Nothing can be made yet.
    Waiting,
    /// Something was never made.
    Missing,
    /// Something is out of date.
    Stale,
    /// Something failed.
    Failed,
}

impl HealthState {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Waiting => "waiting",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Failed => "failed",
        }
    }
}

impl Health {
    /// The state of an asset; `None` for an asset that is not defined.
    pub fn of(world: &World, at: Micros, key: &AssetKey) -> Option<Self> {
        world.definitions().get(key)?;
        let request = PlanRequest {
            assets: BTreeSet::from([key.clone()]),
            partitions: None,
            force: false,
            only: None,
            alone: true,
        };
        let plan = plan(world, at, &request);
        let mut health = Self {
            partitions: 0,
            fresh: plan.fresh.get(key).copied().unwrap_or(0),
            stale: 0,
            missing: 0,
            failed: 0,
            waiting: 0,
            reason: None,
        };
        for step in &plan.steps {
            match &step.reason {
                StaleReason::NeverMaterialized => health.missing += 1,
                StaleReason::LastFailed => health.failed += 1,
                _ => health.stale += 1,
            }
            if health.reason.is_none() && !matches!(step.reason, StaleReason::NeverMaterialized) {
                health.reason = Some(step.reason.to_string());
            }
        }
        for problem in &plan.problems {
            match problem {
                PlanProblem::NoSource { partitions, .. }
                | PlanProblem::WaitsForSource { partitions, .. }
                | PlanProblem::RolledBack { partitions, .. }
                | PlanProblem::Together { partitions, .. } => {
                    health.waiting += partitions;
                }
                PlanProblem::MissingInput { partitions, .. } => health.missing += partitions,
                PlanProblem::MissingModel { .. } => health.missing += 1,
                PlanProblem::UnknownPartition { .. } => {}
            }
        }
        health.partitions = health.fresh + health.stale + health.missing + health.failed + health.waiting;
        Some(health)
    }

    /// The one word.
    pub fn state(&self) -> HealthState {
        match self {
            Self { failed: 1.., .. } => HealthState::Failed,
            Self { stale: 1.., .. } => HealthState::Stale,
            Self { missing: 1.., .. } => HealthState::Missing,
            Self { fresh: 0, .. } => HealthState::Waiting,
            _ => HealthState::Fresh,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.partitions == 1 {
            return f.pad(self.state().as_str());
        }
        let parts: Vec<String> = [
            (self.failed, "failed"),
            (self.stale, "stale"),
            (self.missing, "missing"),
            (self.waiting, "waiting"),
            (self.fresh, "fresh"),
        ]
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
        f.pad(&parts.join(", "))
    }
}
