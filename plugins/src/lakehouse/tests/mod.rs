//! The lakehouse on a real disk: every test writes a warehouse into a temporary folder and reads it back through queries.
//!
//! The same tests run on an S3-compatible store when `MILLPOND_S3` names one that keeps its objects as plain files
//! (`ENDPOINT REGION BUCKET ACCESS_KEY SECRET_KEY FOLDER-OF-THE-BUCKET`); what is damaged there is damaged behind its back.

#![allow(clippy::disallowed_methods)]

mod commits;
mod compactions;
mod damage;
mod environments;
mod evolution;
mod expiry;
mod looks;
mod merges;
mod partitions;
mod queries;
mod repartitions;
mod rollbacks;
mod scans;
mod stores;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use arrow::util::pretty::pretty_format_batches;
use assets::outcome::{StagedTable, TablePointer};
use assets::partition::{Grain, Partitioning, TimePartitions};
use assets::warehouse::S3Store;
use assets::{AssetKey, Contract, DeclaredColumn, PartitionKey, PartitionedBy, WriteMode};
use datafusion::common::ScalarValue;
use futures::TryStreamExt;
use tempfile::TempDir;

use super::*;
use crate::query::{QueryOptions, QuerySession, QueryTable};

pub(super) const DAY0: i32 = 15_765; // 2013-03-01

/// A warehouse and the pointer that somebody else would keep.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) lake: Lake,
    pub(super) pointer: Option<TablePointer>,
    pub(super) attempt: u64,
    /// What is declared of the columns.
    pub(super) contract: Contract,
}

pub(super) fn table() -> AssetKey {
    "silver.flights".parse().unwrap()
}

pub(super) fn key(text: &str) -> PartitionKey {
    PartitionKey::new(text).unwrap()
}

/// Every day from 2013-01-01 on, told by a date column `day`.
pub(super) fn daily() -> PartitionedBy {
    PartitionedBy {
        name: "daily".to_owned(),
        column: "day".to_owned(),
        partitioning: Partitioning::Time(TimePartitions {
            grain: Grain::Day,
            start: jiff::civil::date(2013, 1, 1).at(0, 0, 0, 0),
            end: None,
            zone: "America/New_York".to_owned(),
        }),
    }
}

/// `rows` rows of one day: `day`, `id` from `first` on, `carrier`, `delay`.
pub(super) fn day(offset: i32, first: i64, rows: i64) -> RecordBatch {
    let carriers = ["AA", "B6", "UA"];
    batch(vec![
        (
            "day",
            Arc::new(Date32Array::from_iter_values((0..rows).map(|_| DAY0 + offset))) as ArrayRef,
        ),
        ("id", Arc::new(Int64Array::from_iter_values(first..first + rows))),
        (
            "carrier",
            Arc::new(StringArray::from_iter(
                (0..rows).map(|i| (i % 5 != 4).then(|| carriers[(i % 3) as usize])),
            )),
        ),
        (
            "delay",
            Arc::new(Float64Array::from_iter_values((0..rows).map(|i| i as f64 / 4.0))),
        ),
    ])
}

/// An S3-compatible store that the tests run on.
struct TestStore {
    bucket: String,
    store: S3Store,
    keys: FixedKeys,
    /// Where the store keeps the objects of the bucket.
    folder: PathBuf,
}

/// Keys of a store of tests.
#[derive(Debug, Clone)]
pub(super) struct FixedKeys(pub(super) String, pub(super) String);

#[async_trait::async_trait]
impl S3Credentials for FixedKeys {
    async fn look_up(&self) -> Result<(String, String, Option<String>), String> {
        Ok((self.0.clone(), self.1.clone(), None))
    }
}

fn test_store() -> Option<TestStore> {
    let told = std::env::var("MILLPOND_S3").ok()?;
    let words: Vec<&str> = told.split_whitespace().collect();
    let [endpoint, region, bucket, key, secret, folder] = words[..] else {
        panic!("MILLPOND_S3 is ENDPOINT REGION BUCKET ACCESS_KEY SECRET_KEY FOLDER")
    };
    Some(TestStore {
        bucket: bucket.to_owned(),
        store: S3Store {
            endpoint: Some(endpoint.to_owned()),
            region: Some(region.to_owned()),
            ..S3Store::default()
        },
        keys: FixedKeys(key.to_owned(), secret.to_owned()),
        folder: folder.into(),
    })
}

/// Opens a warehouse of the tests once more, with nothing read yet.
pub(super) fn open_lake(warehouse: &str) -> Lake {
    match test_store() {
        None => Lake::open(warehouse).unwrap(),
        Some(test) => {
            let spool = std::env::temp_dir();
            Lake::connect(warehouse, &test.store, Some(Arc::new(test.keys)), &spool).unwrap()
        }
    }
}

/// Where a file of a warehouse is on this machine's disk.
pub(super) fn on_disk(location: &str) -> PathBuf {
    match test_store() {
        None => storage::local_path(location).unwrap(),
        Some(test) => {
            let key = location.strip_prefix(&format!("s3://{}/", test.bucket));
            test.folder.join(key.expect("a place in the bucket of the tests"))
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        // A folder that needs care: a space, a percent sign, a letter beyond ASCII.
        let (folder, warehouse) = match test_store() {
            None => {
                let folder = TempDir::new().unwrap();
                let warehouse = format!("file://{}/my lake 100%ü", folder.path().display());
                (folder, warehouse)
            }
            Some(test) => {
                let folder = TempDir::with_prefix_in("test", &test.folder).unwrap();
                let name = folder.path().file_name().unwrap().to_string_lossy().into_owned();
                (folder, format!("s3://{}/{name}/my lake 100%ü", test.bucket))
            }
        };
        let lake = open_lake(&warehouse);
        Self {
            folder,
            lake,
            pointer: None,
            attempt: 0,
            contract: Contract::default(),
        }
    }

    pub(super) async fn open(&self) -> Option<LakeTable> {
        match &self.pointer {
            Some(pointer) => Some(self.lake.table(&table(), pointer).await.unwrap()),
            None => None,
        }
    }

    pub(super) async fn stage(
        &mut self,
        by: Option<(&PartitionedBy, &[&str])>,
        write: WriteMode,
        batches: &[RecordBatch],
    ) -> Result<Vec<(Option<PartitionKey>, StagedTable)>, LakeError> {
        self.attempt += 1;
        let existing = self.open().await;
        let schema = batches[0].schema();
        let partitions = match by {
            Some((by, allowed)) => Some(StagingPartitions {
                column: partition_column(by, &schema)?,
                allowed: allowed.iter().map(|text| key(text)).collect(),
            }),
            None => None,
        };
        let options = StagingOptions {
            write,
            contract: self.contract.clone(),
            ..StagingOptions::new(format!("attempt-{}", self.attempt))
        };
        let mut writer = StagingWriter::new(&self.lake, &table(), existing.as_ref(), &schema, partitions, options)?;
        for batch in batches {
            writer.write(batch).await?;
        }
        writer.finish().await
    }

    pub(super) fn members(&self, staged: &[(Option<PartitionKey>, StagedTable)]) -> Vec<CommitMember> {
        let members = staged.iter().enumerate().map(|(index, (_, staged))| CommitMember {
            token: format!("token-{}-{index}", self.attempt),
            run: format!("run-{}", self.attempt),
            staged: staged.clone(),
        });
        members.collect()
    }

    pub(super) async fn prepare(&self, members: &[CommitMember]) -> Result<CommitOutcome, LakeError> {
        let now = 1_700_000_000_000 + self.attempt as i64 * 1000;
        prepare_commit(&self.lake, &table(), self.pointer.as_ref(), members, now, self.attempt).await
    }

    /// Prepares and moves the pointer.
    pub(super) async fn commit(&mut self, members: &[CommitMember]) -> PreparedCommit {
        match self.prepare(members).await.unwrap() {
            CommitOutcome::Prepared(prepared) => {
                self.pointer = Some(prepared.pointer.clone());
                prepared
            }
            CommitOutcome::AlreadyCommitted { .. } => panic!("the commit was new"),
        }
    }

    /// Stages and publishes days; `allowed` are the partitions of the step.
    pub(super) async fn publish_days(&mut self, allowed: &[&str], batches: &[RecordBatch]) -> PreparedCommit {
        let staged = self
            .stage(Some((&daily(), allowed)), WriteMode::Replace, batches)
            .await
            .unwrap();
        let members = self.members(&staged);
        self.commit(&members).await
    }

    pub(super) fn session(&self, scan: ScanOptions) -> QuerySession {
        let found = QueryTable {
            pointer: self.pointer.clone(),
            scan,
        };
        let resolver = std::collections::BTreeMap::from([(table(), found)]);
        let options = QueryOptions {
            target_partitions: 2,
            ..QueryOptions::default()
        };
        QuerySession::new(&self.lake, Arc::new(resolver), &options).unwrap()
    }

    /// The result of a query as text.
    pub(super) async fn query_scan(&self, scan: ScanOptions, sql: &str) -> String {
        let stream = self.session(scan).execute(sql, &[]).await.unwrap();
        let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    pub(super) async fn query(&self, sql: &str) -> String {
        self.query_scan(ScanOptions::default(), sql).await
    }

    /// Single values of a one-row result.
    pub(super) async fn row(&self, sql: &str) -> Vec<String> {
        self.row_scan(ScanOptions::default(), sql).await
    }

    pub(super) async fn row_scan(&self, scan: ScanOptions, sql: &str) -> Vec<String> {
        let stream = self.session(scan).execute(sql, &[]).await.unwrap();
        let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
        let batch = batches.iter().find(|batch| batch.num_rows() > 0).expect("one row");
        batch
            .columns()
            .iter()
            .map(|column| ScalarValue::try_from_array(column, 0).unwrap().to_string())
            .collect()
    }
}

/// A batch with the columns given as (name, array).
pub(super) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns.into_iter().map(|(_, array)| array).collect(),
    )
    .unwrap()
}

/// Columns as declared: `new:old,older` was called so before, `-gone` was dropped.
pub(super) fn contract(words: &[&str]) -> Contract {
    let columns = words.iter().map(|word| {
        let (name, was) = word.split_once(':').unwrap_or((word, ""));
        DeclaredColumn {
            name: name.trim_start_matches('-').to_owned(),
            column_type: None,
            required: false,
            description: None,
            tags: Vec::new(),
            was: was
                .split(',')
                .filter(|was| !was.is_empty())
                .map(str::to_owned)
                .collect(),
            dropped: name.starts_with('-'),
        }
    });
    Contract {
        columns: columns.collect(),
        schema: None,
    }
}

pub(super) fn fixed(column: &str, keys: &[&str]) -> PartitionedBy {
    PartitionedBy {
        name: "set".to_owned(),
        column: column.to_owned(),
        partitioning: Partitioning::Fixed(keys.iter().map(|text| key(text)).collect()),
    }
}

#[test]
fn folders_and_buckets_open() {
    assert!(Lake::open("s3://bucket/lake").is_err(), "a bucket is connected to");
    assert!(Lake::open("relative/lake").is_err());
    assert_eq!(Lake::open("/a/lake/").unwrap().warehouse(), "file:///a/lake");
    let connect = |place| Lake::connect(place, &S3Store::default(), None, &std::env::temp_dir());
    assert_eq!(connect("s3://bucket/lake/").unwrap().warehouse(), "s3://bucket/lake");
    assert!(connect("s3://").is_err());
}
