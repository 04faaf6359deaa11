//! The second half of a partition's step: files are synced, then queries check the rows as readers would see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use assets::PartitionKey;
use assets::check::{Check, CheckRule};
use assets::outcome::{CheckResult, Failure, SourceFile, Staged, StagedTable};
use serde_json::Value;

use super::compute::{Computed, Streamed};
use super::execute::Shell;
use super::parameters::parameters;
use super::session::StepSession;
use crate::checks::{Checking, Finished, QueryCheck, Verdict, asked};
use crate::kind::Extras;
use crate::lakehouse::{Merge, StagingWriter, staged_provider};
use crate::step::OrderedPartition;

/// Makes of one unit what would be published, one per partition.
pub(super) async fn finish(
    shell: &Shell,
    unit: &[OrderedPartition],
    computed: Computed,
) -> Result<Vec<Staged>, Failure> {
    match computed {
        Computed::Model(model, extras) => Ok(without_rows(shell, unit, extras)
            .into_iter()
            .map(|staged| Staged {
                model: Some(model.clone()),
                ..staged
            })
            .collect()),
        Computed::Nothing(extras) => Ok(without_rows(shell, unit, extras)),
        Computed::Rows {
            streamed,
            quarantine,
            extras,
        } => rows(shell, unit, streamed, quarantine, extras).await,
    }
}

async fn rows(
    shell: &Shell,
    unit: &[OrderedPartition],
    streamed: Streamed,
    quarantine: Option<StagingWriter>,
    extras: Extras,
) -> Result<Vec<Staged>, Failure> {
    let Streamed {
        writer,
        checking,
        merges,
    } = streamed;
    let closed = writer.finish().await.map_err(|error| error.failure())?;
    let mut quarantined: BTreeMap<Option<PartitionKey>, StagedTable> = match quarantine {
        Some(writer) => writer
            .finish()
            .await
            .map_err(|error| error.failure())?
            .into_iter()
            .collect(),
        None => BTreeMap::new(),
    };
    let mut checking: BTreeMap<Option<PartitionKey>, Checking> = checking.into_iter().collect();
    let mut all = Vec::new();
    for (key, mut table) in closed {
        let merge = merges.get(&key);
        if let Some(merge) = merge {
            merge.complete(&mut table);
        }
        let finished = checking.remove(&key).map(Checking::finish).unwrap_or_default();
        let ordered = unit.iter().filter(|partition| partition.key == key);
        let ordered: Vec<OrderedPartition> = ordered.cloned().collect();
        let mut checks = checked(shell, &ordered, &table, merge, finished).await;
        checks.extend(extras.checks.iter().cloned());
        let mut metadata = extras.metadata.clone();
        metadata
            .entry("rows".to_owned())
            .or_insert_with(|| Value::from(table.rows));
        metadata
            .entry("bytes".to_owned())
            .or_insert_with(|| Value::from(table.bytes));
        let bad = quarantined.remove(&key);
        if let Some(bad) = &bad {
            metadata
                .entry("quarantined_rows".to_owned())
                .or_insert_with(|| Value::from(bad.rows));
        }
        all.push(Staged {
            sources: sources_of(&extras.sources, key.as_ref()),
            partition: key,
            tables: std::iter::once(table).chain(bad).collect(),
            model: None,
            checks,
            metadata,
            data_version: extras.data_version.clone(),
        });
    }
    Ok(all)
}

/// The files that hold rows of a partition.
fn sources_of(all: &[SourceFile], partition: Option<&PartitionKey>) -> Vec<SourceFile> {
    let holds = |file: &&SourceFile| match (&file.partitions, partition) {
        (Some(held), Some(partition)) => held.contains(partition),
        _ => true,
    };
    all.iter().filter(holds).cloned().collect()
}

/// An asset without rows: its declared checks have nothing to look at and say so.
fn without_rows(shell: &Shell, unit: &[OrderedPartition], extras: Extras) -> Vec<Staged> {
    unit.iter()
        .map(|partition| {
            let mut checks: Vec<CheckResult> = shell
                .checks
                .iter()
                .map(|check| Verdict::none(asked(&check.rule), "the step made no rows that could be checked").of(check))
                .collect();
            checks.extend(extras.checks.iter().cloned());
            Staged {
                partition: partition.key.clone(),
                tables: Vec::new(),
                model: None,
                checks,
                metadata: extras.metadata.clone(),
                sources: sources_of(&extras.sources, partition.key.as_ref()),
                data_version: extras.data_version.clone(),
            }
        })
        .collect()
}

/// All results of one partition, in the order declared.
async fn checked(
    shell: &Shell,
    partition: &[OrderedPartition],
    staged: &StagedTable,
    merge: Option<&Merge>,
    finished: Vec<Finished>,
) -> Vec<CheckResult> {
    let mut results = Vec::with_capacity(finished.len());
    let mut lent: Option<StepSession> = None;
    for finished in finished {
        match finished {
            Finished::Result(check, verdict) => results.push(verdict.of(&check)),
            Finished::Query(check, query) => {
                let verdict = match session(shell, staged, merge, &mut lent) {
                    Err(failure) => Verdict::none(query.expected.clone(), failure.message),
                    Ok(session) => ask(shell, session, partition, &check, &query).await,
                };
                results.push(verdict.of(&check));
            }
        }
    }
    if let Some(session) = lent {
        shell.lent.give_back(session);
    }
    results
}

/// The session of this partition's checks, in which `this` is the staged rows (of a merge, all that the partition holds after it); lent at the first question.
fn session<'s>(
    shell: &Shell,
    staged: &StagedTable,
    merge: Option<&Merge>,
    lent: &'s mut Option<StepSession>,
) -> Result<&'s StepSession, Failure> {
    if lent.is_none() {
        let session = shell.lent.take(&shell.environment.lake, &shell.order);
        let this = match merge {
            Some(merge) => merge.provider(staged),
            None => staged_provider(&shell.environment.lake, std::slice::from_ref(staged)),
        };
        let this = this.map_err(|error| error.failure())?;
        session.session()?.put(assets::sql::THIS, Arc::clone(&this));
        *lent = Some(session);
    }
    Ok(lent.as_ref().expect("it was lent above"))
}

async fn ask(
    shell: &Shell,
    session: &StepSession,
    partition: &[OrderedPartition],
    check: &Check,
    query: &QueryCheck,
) -> Verdict {
    // A key may refer to any row of the other table; a query sees of it what the step sees.
    match check.rule {
        CheckRule::ForeignKey { .. } => session.show_whole(&shell.order.inputs),
        _ => session.show(&shell.order.inputs, partition),
    }
    let bound = match parameters(&shell.order.asset, partition, &shell.order.project) {
        Ok(bound) => bound,
        Err(failure) => return Verdict::none(query.expected.clone(), failure.message),
    };
    let queries = match session.session() {
        Ok(queries) => queries,
        Err(failure) => return Verdict::none(query.expected.clone(), with_help(&failure)),
    };
    match queries.execute(&query.sql, &bound).await {
        Ok(rows) => query.judge(rows, queries).await,
        Err(error) => Verdict::none(query.expected.clone(), with_help(&error.failure)),
    }
}

fn with_help(failure: &Failure) -> String {
    match &failure.help {
        Some(help) => format!("{}; {help}", failure.message),
        None => failure.message.clone(),
    }
}
