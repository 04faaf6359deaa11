//! All checks of one partition, in one pass over its rows.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use assets::check::{Check, CheckRule};

use super::accepted::Accepted;
use super::not_null::NotNull;
use super::null_share::NullShare;
use super::query::QueryCheck;
use super::range::Range;
use super::row_count::RowCount;
use super::unique::Unique;
use super::{Verdict, foreign_key, sql};

/// Column of [`StreamingCheck::over_staged_rows`] that tells how many rows of the partition a row of the answer stands for.
const REPEATS: &str = "repeats";

/// A check that sees every batch of a partition once.
pub trait StreamingCheck: Send {
    /// Takes in the next rows. An error ends the check without a finding.
    fn observe(&mut self, batch: &RecordBatch) -> Result<(), String>;

    /// A query over the staged rows (`this`) that must give the finding instead, because one pass could not.
    /// Its rows are failing rows; a column `repeats` tells how many each stands for.
    fn over_staged_rows(&self) -> Option<String> {
        None
    }

    /// The finding.
    fn finish(self: Box<Self>) -> Verdict;
}

/// The checks of one partition while its rows stream by.
pub struct Checking {
    checks: Vec<(Check, Progress)>,
}

enum Progress {
    Streaming(Box<dyn StreamingCheck>),
    Without(Verdict),
    Query(QueryCheck),
}

/// A check after the last row: a finding, or a query that gives it once the files are written.
#[derive(Debug)]
pub enum Finished {
    /// The check is done.
    Result(Check, Verdict),
    /// Still to be asked of the staged rows.
    Query(Check, QueryCheck),
}

impl Checking {
    /// Prepares `checks` for rows of this schema. `memory` bytes are shared by the checks that remember rows.
    pub fn new(checks: &[Check], schema: &SchemaRef, memory: u64) -> Self {
        let remembering = checks
            .iter()
            .filter(|check| matches!(check.rule, CheckRule::Unique { .. }))
            .count();
        let share = memory / remembering.max(1) as u64;
        let checks = checks
            .iter()
            .map(|check| (check.clone(), prepare(check, schema, share)))
            .collect();
        Self { checks }
    }

    /// Takes in the next rows of the partition.
    pub fn observe(&mut self, batch: &RecordBatch) {
        if batch.num_rows() == 0 {
            return;
        }
        for (check, progress) in &mut self.checks {
            if let Progress::Streaming(streaming) = progress
                && let Err(error) = streaming.observe(batch)
            {
                *progress = Progress::Without(Verdict::none(asked(&check.rule), error));
            }
        }
    }

    /// The findings, in the order declared.
    pub fn finish(self) -> Vec<Finished> {
        self.checks
            .into_iter()
            .map(|(check, progress)| match progress {
                Progress::Without(verdict) => Finished::Result(check, verdict),
                Progress::Query(query) => Finished::Query(check, query),
                Progress::Streaming(streaming) => match streaming.over_staged_rows() {
                    None => Finished::Result(check, streaming.finish()),
                    Some(sql) => {
                        let expected = streaming.finish().expected;
                        Finished::Query(
                            check,
                            QueryCheck {
                                sql,
                                expected,
                                counted_by: Some(REPEATS),
                            },
                        )
                    }
                },
            })
            .collect()
    }
}

/// One arm per rule; each rule lives in its own file.
fn prepare(check: &Check, schema: &SchemaRef, memory: u64) -> Progress {
    fn streaming<C: StreamingCheck + 'static>(check: Result<C, String>) -> Result<Progress, String> {
        check.map(|check| Progress::Streaming(Box::new(check)))
    }
    let prepared = match &check.rule {
        CheckRule::NotNull { column } => streaming(NotNull::new(schema, column)),
        CheckRule::NullShare { column, max } => streaming(NullShare::new(schema, column, *max)),
        CheckRule::Accepted { column, values } => streaming(Accepted::new(schema, column, values)),
        CheckRule::Range { column, min, max } => streaming(Range::new(schema, column, *min, *max)),
        CheckRule::RowCount { min, max } => streaming(Ok(RowCount::new(*min, *max))),
        CheckRule::Unique { columns } => streaming(Unique::new(schema, columns, memory)),
        CheckRule::ForeignKey {
            columns,
            references,
            referenced_columns,
        } => foreign_key::query(schema, columns, references, referenced_columns).map(Progress::Query),
        CheckRule::Sql { query } => Ok(Progress::Query(sql::query(query))),
    };
    prepared.unwrap_or_else(|error| Progress::Without(Verdict::none(asked(&check.rule), error)))
}

/// What a rule asks for, in words, when there is no evaluator to tell.
pub(crate) fn asked(rule: &CheckRule) -> String {
    let listed = |columns: &[String]| columns.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ");
    match rule {
        CheckRule::NotNull { column } => format!("no null in `{column}`"),
        CheckRule::NullShare { column, max } => format!("a share of nulls in `{column}` of at most {max}"),
        CheckRule::Accepted { column, .. } => format!("`{column}` one of the accepted values"),
        CheckRule::Range { column, .. } => format!("`{column}` within its range"),
        CheckRule::RowCount { .. } => "a number of rows".to_owned(),
        CheckRule::Unique { columns } => format!("no two rows with equal {}", listed(columns)),
        CheckRule::ForeignKey {
            columns, references, ..
        } => {
            format!("every {} exists in `{references}`", listed(columns))
        }
        CheckRule::Sql { .. } => "no rows from the query".to_owned(),
    }
}
