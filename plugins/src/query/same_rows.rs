//! Whether a step that was run again made the rows that it made before, told row for row: each row counts as often as it comes, and
//! their order does not matter.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use assets::AssetKey;
use assets::outcome::{Failure, FailureClass, Sample, StagedTable};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::{AsOf, QueryOptions, QuerySession};
use crate::checks::SampleOfRows;
use crate::lakehouse::{Lake, LakeError, LakeTable, ScanOptions, staged_provider};

/// Names of the two sides in the query.
const THEN: &str = "rows_then";
const NOW: &str = "rows_now";
/// The column that tells how often more a row came then than it does now.
const MORE_THEN: &str = "more_then";

/// What the comparison may use.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// Bytes that the query may hold before it spills.
    pub memory_bytes: u64,
    /// Where it spills to.
    pub spill_folder: Option<PathBuf>,
    /// Rows of either side alone that are shown.
    pub most: usize,
}

/// How the rows of then and now differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RowsCompared {
    /// Rows then.
    pub rows_then: u64,
    /// Rows now.
    pub rows_now: u64,
    /// Rows that came then and do not now; one that comes less often counts once for each time.
    pub only_then: u64,
    /// Rows that come now and did not then.
    pub only_now: u64,
    /// Columns that one side alone has, or that have another type: `column: then Int64, now Utf8`. Rows are not compared then.
    pub columns: Vec<String>,
    /// Some of the rows that one side alone has; the first column tells which.
    pub sample: Option<Sample>,
}

impl RowsCompared {
    /// Whether nothing differs.
    pub fn same(&self) -> bool {
        self.only_then == 0 && self.only_now == 0 && self.columns.is_empty()
    }
}

/// Compares a scan of a table (`None`: there was no table) with staged rows (none: nothing was staged).
///
/// # Errors
/// One of the sides cannot be read, or the memory does not suffice.
pub async fn compare_rows(
    lake: &Lake,
    then: Option<(&LakeTable, &ScanOptions)>,
    now: &[StagedTable],
    options: &CompareOptions,
) -> Result<RowsCompared, Failure> {
    let then = match then {
        Some((table, scan)) => Some(table.provider(scan).map_err(|error| error.failure())?),
        None => None,
    };
    let now = match now {
        [] => None,
        staged => Some(staged_provider(lake, staged).map_err(|error| error.failure())?),
    };
    let query_options = QueryOptions {
        memory_bytes: usize::try_from(options.memory_bytes).unwrap_or(usize::MAX),
        spill_folder: options.spill_folder.clone(),
        target_partitions: 2,
        as_of: AsOf::Pinned,
    };
    let nothing: BTreeMap<AssetKey, super::QueryTable> = BTreeMap::new();
    let internal = |error: LakeError| Failure::new(FailureClass::Internal, error.to_string());
    let session = QuerySession::new(lake, Arc::new(nothing), &query_options).map_err(internal)?;
    let mut compared = RowsCompared::default();
    let mut sides = Vec::new();
    for (name, provider, rows) in [
        (THEN, then, &mut compared.rows_then),
        (NOW, now, &mut compared.rows_now),
    ] {
        let Some(provider) = provider else { continue };
        sides.push((name, provider.schema()));
        session.put(name, provider);
        let counted = read(&session, &format!("SELECT count(*) FROM {name}")).await?;
        *rows = number(&counted, 0);
    }
    let [(_, then), (_, now)] = sides.as_slice() else {
        (compared.only_then, compared.only_now) = (compared.rows_then, compared.rows_now);
        return Ok(compared);
    };
    let mut types: BTreeMap<&str, [Option<String>; 2]> = BTreeMap::new();
    for (side, schema) in [then, now].into_iter().enumerate() {
        for field in schema.fields() {
            types.entry(field.name()).or_default()[side] = Some(field.data_type().to_string());
        }
    }
    let said = |side: &Option<String>| side.clone().unwrap_or_else(|| "none".to_owned());
    compared.columns = types
        .iter()
        .filter(|(_, [then, now])| then != now)
        .map(|(name, [then, now])| format!("{name}: then {}, now {}", said(then), said(now)))
        .collect();
    if !compared.columns.is_empty() {
        return Ok(compared);
    }
    let names: Vec<String> = now
        .fields()
        .iter()
        .map(|field| format!("\"{}\"", field.name().replace('"', "\"\"")))
        .collect();
    let names = names.join(", ");
    let differences = format!(
        "SELECT {names}, sum(side) AS {MORE_THEN} FROM (SELECT {names}, 1 AS side FROM {THEN} UNION ALL SELECT {names}, -1 AS side FROM {NOW}) \
         GROUP BY {names} HAVING sum(side) <> 0"
    );
    let counts = format!(
        "SELECT coalesce(sum({MORE_THEN}) FILTER (WHERE {MORE_THEN} > 0), 0), coalesce(-sum({MORE_THEN}) FILTER (WHERE {MORE_THEN} < 0), 0) \
         FROM ({differences})"
    );
    let counts = read(&session, &counts).await?;
    (compared.only_then, compared.only_now) = (number(&counts, 0), number(&counts, 1));
    if !compared.same() {
        let some = format!(
            "SELECT CASE WHEN {MORE_THEN} > 0 THEN 'then' ELSE 'now' END AS only, {names} FROM ({differences}) ORDER BY {names}, 1 LIMIT {}",
            options.most
        );
        let batches = read(&session, &some).await?;
        if let Some(first) = batches.first() {
            let mut sample = SampleOfRows::of_at_most(&first.schema(), options.most);
            for batch in &batches {
                (0..batch.num_rows()).for_each(|row| sample.add(batch, row));
            }
            compared.sample = Some(sample.all());
        }
    }
    Ok(compared)
}

async fn read(session: &QuerySession, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
    let rows = session.execute(sql, &[]).await.map_err(|error| error.failure)?;
    rows.try_collect()
        .await
        .map_err(|error| session.read_error(error).failure)
}

/// The number in a column of a result of one row.
fn number(batches: &[RecordBatch], column: usize) -> u64 {
    let batch = batches.iter().find(|batch| batch.num_rows() > 0);
    batch
        .and_then(|batch| batch.column(column).as_primitive_opt::<Int64Type>())
        .filter(|numbers| numbers.is_valid(0))
        .map_or(0, |numbers| numbers.value(0).unsigned_abs())
}
