//! The query sessions of an order: inputs under their own names, each with the rows that a partition sees.
//!
//! Making a session costs as much as many small partitions, so an order makes none before something is asked, keeps few, and
//! changes what their names mean: names are resolved when a query is planned. One session makes rows; those of checks are lent,
//! because a partition is still being checked while the next one computes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use assets::outcome::Failure;
use assets::{AssetKey, PartitionKey};
use datafusion::common::DataFusionError;

use crate::lakehouse::{Lake, ScanOptions};
use crate::query::{QueryError, QueryOptions, QuerySession, QueryTable, TableResolver, engine_error};
use crate::step::{OrderedInput, OrderedPartition, Scope, StepOrder};

/// Threads' worth of work per query. Steps run beside each other; more would only add hand-overs.
const TARGET_PARTITIONS: usize = 2;

/// Part of the step's memory that the queries of checks may take while the next partition computes.
const CHECKS_SHARE: u64 = 2;

/// A session whose names can be given a new meaning between queries.
#[derive(Clone)]
pub(super) struct StepSession {
    lake: Lake,
    options: QueryOptions,
    made: Arc<OnceLock<QuerySession>>,
    tables: Arc<ScopedTables>,
}

impl StepSession {
    /// A session in which no name means anything yet. Its queries may use `memory_bytes` together.
    pub(super) fn new(lake: &Lake, order: &StepOrder, memory_bytes: u64) -> Self {
        let options = QueryOptions {
            memory_bytes: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
            spill_folder: (!order.scratch.is_empty()).then(|| PathBuf::from(&order.scratch)),
            target_partitions: TARGET_PARTITIONS,
            ..QueryOptions::default()
        };
        Self {
            lake: lake.clone(),
            options,
            made: Arc::default(),
            tables: Arc::default(),
        }
    }

    /// The session itself, made when it is first asked for.
    pub(super) fn session(&self) -> Result<&QuerySession, Failure> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let resolver = Arc::clone(&self.tables) as Arc<dyn TableResolver>;
        let session = QuerySession::new(&self.lake, resolver, &self.options).map_err(|error| error.failure())?;
        // If two asked at once, the first one made stays; nothing was put into the other.
        Ok(self.made.get_or_init(|| session))
    }

    /// Reads an engine error with the names of the inputs at hand.
    pub(super) fn read_error(&self, error: DataFusionError) -> QueryError {
        engine_error(error, &self.tables.keys())
    }

    /// From now on the names mean the rows that these partitions see.
    pub(super) fn show(&self, inputs: &[OrderedInput], partitions: &[OrderedPartition]) {
        self.tables.set(
            inputs
                .iter()
                .map(|input| (input.asset.clone(), scoped(input, partitions)))
                .collect(),
        );
    }

    /// From now on the names mean whole tables.
    pub(super) fn show_whole(&self, inputs: &[OrderedInput]) {
        self.show(inputs, &[]);
    }
}

/// One input as a table, with the rows that the partitions see.
pub(super) fn scoped(input: &OrderedInput, partitions: &[OrderedPartition]) -> QueryTable {
    let scan = ScanOptions {
        snapshot: None,
        scope: scope(partitions, &input.asset),
        partition_column: input.partition_column.clone(),
    };
    QueryTable {
        pointer: input.table.clone(),
        scan,
    }
}

/// What several partitions see together. A table that no scope names (one that only a check refers to) is seen whole.
fn scope(partitions: &[OrderedPartition], asset: &AssetKey) -> Scope {
    let mut keys: BTreeSet<&PartitionKey> = BTreeSet::new();
    if partitions.is_empty() {
        return Scope::All;
    }
    for partition in partitions {
        match partition.scopes.get(asset) {
            None | Some(Scope::All) => return Scope::All,
            Some(Scope::Keys(some)) => keys.extend(some),
        }
    }
    Scope::Keys(keys.into_iter().cloned().collect())
}

/// The meaning of names at the moment.
#[derive(Debug, Default)]
struct ScopedTables(Mutex<Arc<BTreeMap<AssetKey, QueryTable>>>);

impl ScopedTables {
    fn set(&self, tables: BTreeMap<AssetKey, QueryTable>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(tables);
    }

    fn get(&self) -> Arc<BTreeMap<AssetKey, QueryTable>> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl TableResolver for ScopedTables {
    fn resolve(&self, key: &AssetKey) -> Option<QueryTable> {
        self.get().get(key).cloned()
    }

    fn keys(&self) -> Vec<AssetKey> {
        self.get().keys().cloned().collect()
    }
}

/// Sessions that are lent to one partition at a time.
#[derive(Default)]
pub(super) struct SessionsToLend(Mutex<Vec<StepSession>>);

impl SessionsToLend {
    /// One that nobody uses, or a new one.
    pub(super) fn take(&self, lake: &Lake, order: &StepOrder) -> StepSession {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| StepSession::new(lake, order, order.memory_bytes / CHECKS_SHARE))
    }

    /// Takes one back.
    pub(super) fn give_back(&self, session: StepSession) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}
