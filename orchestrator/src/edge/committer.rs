//! Builds the next version of tables from staged rows. What it writes is invisible until the driver moves the pointers.

use std::collections::BTreeMap;
use std::sync::Arc;

use assets::AssetKey;
use assets::outcome::{Failure, FailureClass, Staged, StagedTable, TablePointer};
use futures::future::try_join_all;
use plugins::lakehouse::{CommitMember, CommitOutcome, Lake, LakeError, history, prepare_commit};
use state::event::{Event, Micros};
use tokio::runtime::Handle;

use super::driver::DriverHandle;
use crate::core::{Input, Member, PreparedMember, PreparedTable};

/// Builds commits on a runtime.
#[derive(Clone)]
pub struct Committer {
    lake: Arc<Lake>,
    runtime: Handle,
    seed: u64,
}

impl Committer {
    /// A committer over a lake. `seed` makes snapshot ids differ between starts.
    pub fn new(lake: Arc<Lake>, runtime: Handle, seed: u64) -> Self {
        Self { lake, runtime, seed }
    }

    /// Prepares the publishing of some steps of one asset and tells the driver `CommitPrepared` or `CommitFailed`.
    ///
    /// `pointers` are the current versions of the tables involved. `None` instead of what a member staged means that its rows
    /// are not in hand any more, which is a failure of that commit.
    pub fn prepare(
        &self,
        asset: AssetKey,
        members: Vec<(Member, Option<Box<Staged>>)>,
        pointers: BTreeMap<AssetKey, TablePointer>,
        at: Micros,
        driver: DriverHandle,
    ) {
        let committer = self.clone();
        self.runtime.spawn(async move {
            let names: Vec<Member> = members.iter().map(|(member, _)| member.clone()).collect();
            let worker = committer.clone();
            let task = tokio::spawn(async move { worker.build(members, pointers, at).await });
            let input = match task.await {
                Ok(Ok((tables, members))) => Input::CommitPrepared { asset, tables, members },
                Ok(Err(failure)) => Input::CommitFailed {
                    asset,
                    members: names,
                    failure,
                },
                Err(panic) => {
                    let failure = Failure::new(FailureClass::Panic, format!("building the commit failed: {panic}"))
                        .with_help("this is a bug; the table is as it was");
                    Input::CommitFailed {
                        asset,
                        members: names,
                        failure,
                    }
                }
            };
            driver.send(input);
        });
    }

    /// The events that take over what another program made of our tables. A table whose metadata cannot be read is left as it
    /// is, with a word in the log: its next commit will fail and say why.
    pub fn adopt(&self, moved: &BTreeMap<AssetKey, String>, pointers: &BTreeMap<AssetKey, TablePointer>) -> Vec<Event> {
        let mut events = Vec::new();
        for (table, location) in moved {
            let pointer = TablePointer {
                metadata_location: location.clone(),
                snapshot_id: None,
            };
            let newest = self.runtime.block_on(async {
                let table = self.lake.table(table, &pointer).await?;
                Ok::<_, LakeError>(history(&table)?.first().map(|snapshot| snapshot.id))
            });
            match newest {
                Ok(snapshot_id) => {
                    tracing::warn!(%table, "another program wrote this table; its newest version is taken over");
                    let to = TablePointer { snapshot_id, ..pointer };
                    events.push(Event::PointerMoved {
                        table: table.clone(),
                        from: pointers.get(table).cloned(),
                        to,
                    });
                }
                Err(error) => {
                    tracing::error!(%table, %error, "another program moved this table, and it cannot be read")
                }
            }
        }
        events
    }

    async fn build(
        &self,
        members: Vec<(Member, Option<Box<Staged>>)>,
        pointers: BTreeMap<AssetKey, TablePointer>,
        at: Micros,
    ) -> Result<(Vec<PreparedTable>, Vec<PreparedMember>), Failure> {
        let mut prepared = Vec::with_capacity(members.len());
        for (member, staged) in members {
            let staged = staged.ok_or_else(|| {
                Failure::new(
                    FailureClass::Internal,
                    format!("the staged rows of {} are not in hand", member.step),
                )
            })?;
            prepared.push(PreparedMember {
                attempt: member.attempt,
                step: member.step,
                staged,
            });
        }
        let mut tables: BTreeMap<AssetKey, Vec<CommitMember>> = BTreeMap::new();
        for member in &prepared {
            for table in &member.staged.tables {
                tables
                    .entry(table.table.clone())
                    .or_default()
                    .push(commit_member(member, table));
            }
        }
        let built = try_join_all(tables.iter().map(|(table, members)| {
            let base = pointers.get(table);
            async move {
                let seed = self.seed.wrapping_add(at as u64);
                let to = match prepare_commit(&self.lake, table, base, members, at / 1000, seed).await? {
                    CommitOutcome::Prepared(commit) => commit.pointer,
                    CommitOutcome::AlreadyCommitted { pointer, .. } => pointer,
                };
                Ok::<_, LakeError>(PreparedTable {
                    table: table.clone(),
                    from: base.cloned(),
                    to,
                })
            }
        }))
        .await
        .map_err(|error| error.failure())?;
        Ok((built, prepared))
    }
}

fn commit_member(member: &PreparedMember, table: &StagedTable) -> CommitMember {
    CommitMember {
        token: format!("{}/{}", member.attempt, member.step),
        run: member.attempt.to_string(),
        staged: table.clone(),
    }
}
