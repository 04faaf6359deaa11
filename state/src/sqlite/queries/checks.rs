//! What checks found: the newest result of each, the history of one, the results of one step.

use assets::outcome::{CheckResult, Severity};
use assets::{AssetKey, AssetPartition};
use rusqlite::{Row, params};
use serde::Serialize;

use super::page::{Page, collect, one_more, text};
use crate::event::Micros;
use crate::ids::RunId;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

macro_rules! columns {
    () => {
        "seq, at, asset, partition, run, published, name, kind, severity, passed, figure, expected, failing_rows, sample,
         error"
    };
}

// Steps over the index from one name to the next, whatever the number of results.
const LATEST: &str = concat!(
    "WITH RECURSIVE names (name) AS (
         SELECT min(name) FROM check_result WHERE asset = ?1
         UNION ALL
         SELECT (SELECT min(c.name) FROM check_result c WHERE c.asset = ?1 AND c.name > names.name)
         FROM names WHERE names.name IS NOT NULL
     )
     SELECT ",
    columns!(),
    " FROM check_result c
      WHERE (c.seq, c.ordinal) IN (
          SELECT n.seq, n.ordinal FROM names, check_result n
          WHERE names.name IS NOT NULL AND n.asset = ?1 AND n.name = names.name
            AND n.seq = (SELECT max(m.seq) FROM check_result m WHERE m.asset = ?1 AND m.name = names.name))
      ORDER BY c.name LIMIT ?2"
);

// The newest try of each partition, published or not; of each check the worst of these. A CROSS JOIN is the order in which to
// look: the other way round every result that the asset ever had is read.
const STANDING: &str = concat!(
    "WITH newest AS (
         SELECT ended FROM (
             SELECT CASE failed WHEN 1 THEN failed_seq ELSE seq END AS ended FROM asset_partition
             WHERE asset = ?1 ORDER BY partition DESC LIMIT ?3)
         UNION
         SELECT failed_seq FROM (
             SELECT failed_seq FROM asset_partition INDEXED BY asset_partition_by_failed
             WHERE asset = ?1 AND failed = 1 ORDER BY partition DESC LIMIT ?3)
     ),
     ranked AS (
         SELECT c.seq AS at_seq, c.ordinal AS at_ordinal,
             count(*) OVER (PARTITION BY name) AS partitions,
             sum(1 - passed) OVER (PARTITION BY name) AS failing,
             row_number() OVER (PARTITION BY name ORDER BY passed, severity, seq DESC) AS place
         FROM newest CROSS JOIN check_result c ON c.seq = newest.ended AND c.asset = ?1
     )
     SELECT ",
    columns!(),
    ", partitions, failing FROM ranked CROSS JOIN check_result ON seq = at_seq AND ordinal = at_ordinal
     WHERE place = 1 ORDER BY name LIMIT ?2"
);

const HISTORY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM check_result WHERE asset = ?1 AND name = ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4"
);

// Only what still stands: the newest try of its partition found it.
const FAILING: &str = "
    WITH c AS (SELECT * FROM check_result WHERE passed = 0 ORDER BY seq DESC LIMIT ?1)
     SELECT c.seq, c.at, c.asset, c.partition, c.run, c.published, c.name, c.kind, c.severity, c.passed, c.figure, c.expected,
            c.failing_rows, c.sample, c.error
     FROM c JOIN asset_partition p ON p.asset = c.asset AND p.partition = c.partition
     WHERE c.seq = CASE p.failed WHEN 1 THEN p.failed_seq ELSE p.seq END ORDER BY c.seq DESC";

const OF_STEP: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM check_result WHERE seq = ?1 ORDER BY ordinal"
);

/// One result of one check.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct CheckRow {
    /// The number of the event that ended the step; the cursor of the list.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// The rows it looked at were those of this step.
    pub step: AssetPartition,
    /// The run.
    pub run: RunId,
    /// Whether the rows were published.
    pub published: bool,
    /// What it found.
    pub result: CheckResult,
}

/// How a check stands over all partitions of an asset.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Standing {
    /// The worst of the partitions' newest results: one that blocks before one that warns before one that passed, the newest
    /// among equals.
    #[serde(flatten)]
    pub worst: CheckRow,
    /// Partitions whose newest try was checked by it; 1 for an asset without partitions.
    pub partitions: u64,
    /// Those of them that did not pass.
    pub failing: u64,
}

impl CheckRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        let columns = ["check_result.asset", "check_result.partition"];
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            step: value::asset_partition(columns, text(row, 2)?, text(row, 3)?)?,
            run: value::parsed("check_result.run", text(row, 4)?)?,
            published: row.get(5)?,
            result: CheckResult {
                name: row.get(6)?,
                check: row.get(7)?,
                severity: match text(row, 8)? {
                    "warn" => Severity::Warn,
                    "error" => Severity::Error,
                    other => {
                        return Err(StateError::Value {
                            column: "check_result.severity",
                            text: other.to_owned(),
                            expected: "a severity",
                        });
                    }
                },
                passed: row.get(9)?,
                figure: row.get(10)?,
                expected: row.get(11)?,
                failing_rows: row.get::<_, Option<i64>>(12)?.map(value::count),
                sample: value::optional_json("check_result.sample", row.get(13)?)?,
                error: row.get(14)?,
            },
        })
    }
}

/// How each check of an asset stands, by name, for at most `limit` checks. A partition whose newest try failed stands with
/// what was found then, though readers see older rows.
pub fn standing(store: &Store, asset: &AssetKey, limit: usize) -> Result<Vec<Standing>, StateError> {
    standing_of_newest(store, asset, limit, usize::MAX)
}

/// The same over the newest `partitions` by key and as many of those that failed.
pub fn standing_of_newest(
    store: &Store,
    asset: &AssetKey,
    limit: usize,
    partitions: usize,
) -> Result<Vec<Standing>, StateError> {
    let mut statement = store.connection.prepare_cached(STANDING)?;
    collect(
        statement.query(params![
            asset.as_str(),
            value::integer(limit as u64),
            value::integer(partitions as u64)
        ])?,
        |row| {
            Ok(Standing {
                worst: CheckRow::of(row)?,
                partitions: value::count(row.get(15)?),
                failing: value::count(row.get(16)?),
            })
        },
    )
}

/// The newest result of each check of an asset, by name, for at most `limit` checks.
pub fn latest(store: &Store, asset: &AssetKey, limit: usize) -> Result<Vec<CheckRow>, StateError> {
    let mut statement = store.connection.prepare_cached(LATEST)?;
    collect(
        statement.query(params![asset.as_str(), value::integer(limit as u64)])?,
        CheckRow::of,
    )
}

/// The results of one check of an asset before the one with the number `before`, newest first.
pub fn history(
    store: &Store,
    asset: &AssetKey,
    name: &str,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<CheckRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(HISTORY)?;
    let rows = statement.query(params![
        asset.as_str(),
        name,
        before.unwrap_or(i64::MAX),
        one_more(limit)
    ])?;
    Ok(Page::of(collect(rows, CheckRow::of)?, limit, |row| row.seq))
}

/// The results of the step that the event `seq` ended (a materialization's or a failure's number), in the order declared.
pub fn of_step(store: &Store, seq: i64) -> Result<Vec<CheckRow>, StateError> {
    let mut statement = store.connection.prepare_cached(OF_STEP)?;
    collect(statement.query([seq])?, CheckRow::of)
}

/// A check that does not pass now, over all partitions for which that is so.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Failing {
    /// The newest result.
    #[serde(flatten)]
    pub newest: CheckRow,
    /// How many partitions stand like that.
    pub partitions: u64,
}

/// The checks that do not pass now, the newest first, among the newest `look_at` results that did not.
pub fn failing(store: &Store, look_at: usize) -> Result<Vec<Failing>, StateError> {
    let mut statement = store.connection.prepare_cached(FAILING)?;
    let rows = collect(statement.query([value::integer(look_at as u64)])?, CheckRow::of)?;
    let mut found: Vec<Failing> = Vec::new();
    for row in rows {
        let same = |known: &&mut Failing| {
            known.newest.step.asset == row.step.asset && known.newest.result.name == row.result.name
        };
        match found.iter_mut().find(same) {
            Some(known) => known.partitions += 1,
            None => found.push(Failing {
                newest: row,
                partitions: 1,
            }),
        }
    }
    Ok(found)
}
