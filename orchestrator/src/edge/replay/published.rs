//! What there is to make again: the partitions that a run, or anyone, has published, each with the code and the inputs that it was
//! made from.

use assets::outcome::TablePointer;
use assets::{AssetKey, AssetPartition};
use plugins::lakehouse::Lake;
use plugins::step_run::Cancellation;
use serde::{Deserialize, Serialize};
use state::event::Micros;
use state::ids::RunId;
use state::sqlite::queries::attempts::attempt;
use state::sqlite::queries::materializations::{MaterializationRow, of_partition};
use state::sqlite::queries::models::versions;
use state::sqlite::queries::run_steps::{StepFilter, run_steps};
use state::sqlite::{StateError, Store};
use state::status::StepStatus;

use super::super::opened::OpenedProject;
use super::attempt::{Replayed, Then, readable, replay};
use crate::core::World;
use crate::core::replay as attempt_again;

/// Rows of a page of the history.
const PAGE: usize = 200;

/// What may be of today and not of then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// The code, as it is declared now.
    #[serde(default)]
    pub current_code: bool,
    /// The inputs, as they are now.
    #[serde(default)]
    pub current_data: bool,
}

/// One partition, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verdict {
    /// Which.
    pub step: AssetPartition,
    /// The run that published it.
    pub run: Option<RunId>,
    /// Whether the same came out.
    pub same: bool,
    /// How it compares.
    pub compared: Option<Replayed>,
    /// Why it was not made again.
    pub error: Option<String>,
}

/// What is published, to be made again.
pub struct Published<'a> {
    /// The project as it is declared now.
    pub project: &'a OpenedProject,
    /// Its state.
    pub store: &'a Store,
    /// The world by that state.
    pub world: &'a World,
    /// Now.
    pub at: Micros,
    /// Its tables.
    pub lake: &'a Lake,
    /// Stops it.
    pub cancel: Cancellation,
}

impl Published<'_> {
    /// What a run has published.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn by_run(&self, run: &RunId) -> Result<Vec<AssetPartition>, StateError> {
        let mut steps = Vec::new();
        let mut after = None;
        loop {
            let page = run_steps(self.store, run, &StepFilter::default(), after.as_ref(), PAGE)?;
            for row in page.rows {
                // A step that was fresh was made by another run.
                if row.status == StepStatus::Succeeded && self.made(&row.step, Some(run))?.is_some() {
                    steps.push(row.step);
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(steps);
            }
        }
    }

    /// Makes a partition again as it was made last, or by a run, and compares.
    ///
    /// # Errors
    /// The state cannot be read. What is wrong with this partition alone is part of the verdict.
    pub async fn again(&self, step: AssetPartition, of_run: Option<&RunId>, with: With) -> Result<Verdict, StateError> {
        let (run, result) = match self.made(&step, of_run)? {
            None => (
                of_run.cloned(),
                Err("what was made then is not known any more".to_owned()),
            ),
            Some(made) => (Some(made.run.clone()), self.made_again(&step, &made, with).await?),
        };
        let (compared, error) = match result {
            Ok(compared) => (Some(compared), None),
            Err(why) => (None, Some(why)),
        };
        Ok(Verdict {
            step,
            run,
            same: compared.as_ref().is_some_and(Replayed::same),
            compared,
            error,
        })
    }

    /// The inner error is about this partition alone.
    async fn made_again(
        &self,
        step: &AssetPartition,
        made: &MaterializationRow,
        with: With,
    ) -> Result<Result<Replayed, String>, StateError> {
        let Some(asset) = self.project.definitions.get(&step.asset) else {
            return Ok(Err("it is not declared any more".to_owned()));
        };
        if asset.fingerprint != made.fingerprint && !with.current_code {
            return Ok(Err(
                "its code was changed since: with the code of today (--with code=current) it is made from the data of then".to_owned(),
            ));
        }
        let pinned = match (with.current_data, attempt(self.store, &made.attempt)?) {
            (true, _) => None,
            (false, Some(attempt)) => Some(attempt.inputs),
            (false, None) => {
                return Ok(Err(
                    "what it read is not known any more: [retention] says how long that is kept".to_owned(),
                ));
            }
        };
        let partition = step.partition.as_ref();
        let start = attempt_again(self.world, self.at, &made.run, asset, partition, pinned.as_deref());
        let start = match start {
            Ok(start) => start,
            Err(why) => return Ok(Err(why)),
        };
        let current = |table: &AssetKey| self.world.pointer(table).cloned();
        let then = match (asset.kind.as_str(), made.snapshot_id, current(&step.asset)) {
            ("training", ..) => match self.sha_of(&step.asset, &made.run)? {
                Some(sha) => Then::Model(sha),
                None => return Ok(Err("its model is not in the registry".to_owned())),
            },
            (_, Some(snapshot), Some(pointer)) => {
                let pinned = TablePointer {
                    snapshot_id: Some(snapshot),
                    ..pointer.clone()
                };
                match readable(self.lake, &step.asset, &pinned, Some(pointer)).await {
                    Ok(pointer) => Then::Table(pointer),
                    Err(failure) => return Ok(Err(failure.message)),
                }
            }
            _ => Then::Nothing,
        };
        let replayed = replay(self.project, self.lake, start, current, then, &self.cancel).await;
        Ok(replayed.map_err(|failure| failure.to_string()))
    }

    /// What a partition was made by: its newest materialization, or that of a run.
    fn made(&self, step: &AssetPartition, of_run: Option<&RunId>) -> Result<Option<MaterializationRow>, StateError> {
        let mut before = None;
        loop {
            let page = of_partition(self.store, step, before, PAGE)?;
            let found = page
                .rows
                .into_iter()
                .find(|made| of_run.is_none_or(|run| made.run == *run));
            before = page.next;
            if found.is_some() || before.is_none() {
                return Ok(found);
            }
        }
    }

    /// The artifact that a run registered.
    fn sha_of(&self, model: &AssetKey, run: &RunId) -> Result<Option<String>, StateError> {
        let mut before = None;
        loop {
            let page = versions(self.store, model, before, PAGE)?;
            let found = page.rows.into_iter().find(|version| version.run == *run);
            before = page.next;
            if found.is_some() || before.is_none() {
                return Ok(found.map(|version| version.sha256));
            }
        }
    }
}
