//! Rows that a check kept back are published by hand: somebody looked at them and says why they are right all the same.
//!
//! The next version of each table is built here on what the table is now, and counts once the core has taken it over in one transaction.
//! If a table is written meanwhile, it is built again.

use std::collections::{BTreeMap, BTreeSet};

use assets::outcome::TablePointer;
use assets::{AssetKey, AssetPartition};
use plugins::lakehouse::{CommitMember, CommitOutcome, prepare_commit};
use state::ids::RunId;

use super::super::environment;
use super::super::kept_staged::{Found, KeptStagedError, of_run};
use super::EngineHandle;
use super::handle::RequestError;
use super::tables::TableError;
use crate::core::{AdoptedAttempt, AdoptedFrom, AdoptedModel, Adoption, Answer, Input, PreparedTable};
use crate::wire::PublishedStaged;

/// How often it is built again on tables that are written all the time.
const MOST_TRIES: usize = 8;
/// Longest note, in bytes: it is shown with the run.
const LONGEST_NOTE: usize = 500;
/// What says in a materialization's metadata why it was published.
const NOTE: &str = "published_by_hand";

impl From<KeptStagedError> for TableError {
    fn from(error: KeptStagedError) -> Self {
        match error {
            KeptStagedError::Lake(error) => error.into(),
            error @ KeptStagedError::File { .. } => Self::Refused(error.to_string()),
        }
    }
}

impl EngineHandle {
    /// Publishes what checks kept back of a run, of one asset or all of it, though they have not passed.
    pub async fn publish_staged(
        &self,
        run: &RunId,
        asset: Option<&AssetKey>,
        note: &str,
        by: &str,
    ) -> Result<PublishedStaged, TableError> {
        if note.len() > LONGEST_NOTE {
            return Err(TableError::Refused(format!(
                "the note has more than {LONGEST_NOTE} bytes"
            )));
        }
        let mut found = of_run(self.folder(), run)?;
        found.retain(|found| asset.is_none_or(|asset| found.is_of(asset)));
        if found.is_empty() {
            return Err(TableError::NotThere {
                message: format!("nothing is kept of {run} that could be published"),
                help: Some("`millpond staged list` shows what checks kept back".to_owned()),
            });
        }
        self.refuse_what_is_older(&found).await?;
        self.refuse_a_part(&found).await?;
        for _ in 0..MOST_TRIES {
            let adoption = Box::new(self.adoption(run, &found, note, by).await?);
            let before = adoption.tables.clone();
            let asked = self.driver().request(move |request| Input::Adopt { request, adoption });
            match asked.await {
                Some(Answer::Adopted { run: published }) => {
                    for found in &found {
                        found.forget()?;
                    }
                    return Ok(PublishedStaged {
                        run: published,
                        partitions: found.len() as u64,
                        rows: found.iter().map(|found| found.kept.made.rows).sum(),
                    });
                }
                Some(Answer::Refused { .. }) if self.moved(&before).await? => {}
                Some(Answer::Refused { reasons }) => return Err(TableError::Refused(reasons.join("\n"))),
                Some(_) | None => return Err(RequestError::Stopping.into()),
            }
        }
        Err(TableError::Refused(
            "the tables are written all the time; nothing was published".to_owned(),
        ))
    }

    /// Rows that were staged before those that are there would take their place.
    async fn refuse_what_is_older(&self, found: &[Found]) -> Result<(), TableError> {
        let steps: Vec<_> = found
            .iter()
            .map(|found| (found.kept.made.step.clone(), found.kept.at))
            .collect();
        let newer = self.driver().ask(move |world, _| {
            let newer = steps.into_iter().filter(|(step, at)| {
                let made = world.partition(&step.asset, step.partition.as_ref());
                let made = made.and_then(|record| record.materialization.as_ref());
                made.is_some_and(|made| made.at > *at)
            });
            newer.map(|(step, _)| step.to_string()).collect::<Vec<_>>()
        });
        match newer.await.ok_or(RequestError::Stopping)?.as_slice() {
            [] => Ok(()),
            newer => Err(TableError::Refused(format!(
                "{} was made anew since: those rows would be replaced by older ones",
                newer.join(", ")
            ))),
        }
    }

    /// Of what is published together only a part was kept, or is asked for.
    async fn refuse_a_part(&self, found: &[Found]) -> Result<(), TableError> {
        let steps: BTreeSet<AssetPartition> = found.iter().map(|found| found.kept.made.step.clone()).collect();
        let lacks = self.driver().ask(move |world, _| {
            steps.iter().find_map(|step| {
                let group = world.definitions().published_with(&step.asset).iter();
                let mut others = group.map(|other| AssetPartition::new(other.clone(), step.partition.clone()));
                let lacking = others.find(|other| !steps.contains(other))?;
                Some((step.clone(), lacking))
            })
        });
        match lacks.await.ok_or(RequestError::Stopping)? {
            None => Ok(()),
            Some((step, lacking)) => Err(TableError::Refused(format!(
                "{step} is published together with {lacking}, of which nothing is to be published: change what the check asks for and \
                 materialize both"
            ))),
        }
    }

    async fn moved(&self, tables: &[PreparedTable]) -> Result<bool, TableError> {
        let tables = tables.to_vec();
        let moved = self.driver().ask(move |world, _| {
            tables
                .iter()
                .any(|table| world.pointer(&table.table) != table.from.as_ref())
        });
        Ok(moved.await.ok_or(RequestError::Stopping)?)
    }

    async fn adoption(&self, run: &RunId, found: &[Found], note: &str, by: &str) -> Result<Adoption, TableError> {
        let mut members: BTreeMap<AssetKey, Vec<CommitMember>> = BTreeMap::new();
        for kept in found.iter().map(|found| &found.kept) {
            for table in &kept.staged.tables {
                members.entry(table.table.clone()).or_default().push(CommitMember {
                    token: format!("{}/{}", kept.attempt, kept.made.step),
                    run: kept.attempt.to_string(),
                    staged: table.clone(),
                });
            }
        }
        let names: Vec<AssetKey> = members.keys().cloned().collect();
        let models: Vec<AssetKey> = found
            .iter()
            .filter(|found| found.kept.staged.model.is_some())
            .map(|found| found.kept.made.step.asset.clone())
            .collect();
        let asked = self.driver().ask(move |world, at| {
            let pointers: BTreeMap<AssetKey, TablePointer> = names
                .into_iter()
                .filter_map(|table| Some((table.clone(), world.pointer(&table)?.clone())))
                .collect();
            let newest: BTreeMap<AssetKey, u64> = models
                .into_iter()
                .map(|model| {
                    let known = world.model(&model).and_then(|known| known.versions.last_key_value());
                    let newest = known.map_or(0, |(newest, _)| *newest);
                    (model, newest)
                })
                .collect();
            (pointers, newest, at)
        });
        let (pointers, newest, at) = asked.await.ok_or(RequestError::Stopping)?;
        let mut tables = Vec::with_capacity(members.len());
        for (table, members) in &members {
            let base = pointers.get(table);
            let prepared = prepare_commit(self.lake(), table, base, members, at / 1000, environment::seed()).await?;
            let to = match prepared {
                CommitOutcome::Prepared(commit) => commit.pointer,
                CommitOutcome::AlreadyCommitted { pointer, .. } => pointer,
            };
            tables.push(PreparedTable {
                table: table.clone(),
                from: base.cloned(),
                to,
            });
        }
        let attempts = found.iter().map(|found| {
            let mut made = found.kept.made.clone();
            let own = tables.iter().find(|table| table.table == made.step.asset);
            made.snapshot_id = own.and_then(|table| table.to.snapshot_id);
            made.metadata.insert(NOTE.to_owned(), note.into());
            AdoptedAttempt {
                asset: made.step.asset.clone(),
                inputs: found.kept.inputs.clone(),
                made: vec![made],
            }
        });
        let models = found.iter().filter_map(|found| {
            let kept = &found.kept;
            let model = kept.made.step.asset.clone();
            Some(AdoptedModel {
                version: newest.get(&model).copied().unwrap_or_default() + 1,
                model,
                staged: kept.staged.model.clone()?,
                fingerprint: kept.made.fingerprint.clone(),
                inputs: kept.inputs.clone(),
            })
        });
        Ok(Adoption {
            from: AdoptedFrom::Staged {
                run: run.clone(),
                note: note.to_owned(),
            },
            by: by.to_owned(),
            cut_away: Vec::new(),
            attempts: attempts.collect(),
            models: models.collect(),
            aliases: Vec::new(),
            observations: Vec::new(),
            tables,
        })
    }
}
