//! The names that a query can use: layers as schemas, tables resolved when a query first names them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use assets::AssetKey;
use assets::outcome::TablePointer;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::Result;

use super::session::AsOf;
use crate::lakehouse::{Lake, LakeError, ScanOptions, snapshot_as_of, tagged};

/// Schema of names without a layer: `this` and the like.
pub(crate) const SESSION_SCHEMA: &str = "session";

/// What a name stands for in one session.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryTable {
    /// The version to read; `None` when the asset was never materialized.
    pub pointer: Option<TablePointer>,
    /// Which of its rows.
    pub scan: ScanOptions,
}

impl QueryTable {
    /// All rows of a version.
    pub fn whole(pointer: TablePointer) -> Self {
        Self {
            pointer: Some(pointer),
            scan: ScanOptions::default(),
        }
    }
}

/// Finds the version of a table that a session reads.
pub trait TableResolver: Debug + Send + Sync {
    /// The table, or `None` if no such asset is known.
    fn resolve(&self, key: &AssetKey) -> Option<QueryTable>;
    /// All names, for suggestions and listings.
    fn keys(&self) -> Vec<AssetKey>;
}

impl TableResolver for BTreeMap<AssetKey, QueryTable> {
    fn resolve(&self, key: &AssetKey) -> Option<QueryTable> {
        self.get(key).cloned()
    }

    fn keys(&self) -> Vec<AssetKey> {
        self.keys().cloned().collect()
    }
}

/// All layers.
#[derive(Debug)]
pub(crate) struct LakeCatalog {
    pub(crate) lake: Lake,
    pub(crate) resolver: Arc<dyn TableResolver>,
    pub(crate) as_of: AsOf,
    pub(crate) session: Arc<SessionTables>,
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.resolver.keys().iter().map(|key| key.layer().to_owned()).collect();
        names.push(SESSION_SCHEMA.to_owned());
        names.sort_unstable();
        names.dedup();
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == SESSION_SCHEMA {
            return Some(Arc::clone(&self.session) as Arc<dyn SchemaProvider>);
        }
        self.resolver.keys().iter().any(|key| key.layer() == name).then(|| {
            Arc::new(Layer {
                name: name.to_owned(),
                lake: self.lake.clone(),
                resolver: Arc::clone(&self.resolver),
                as_of: self.as_of.clone(),
                session: Arc::clone(&self.session),
            }) as Arc<dyn SchemaProvider>
        })
    }
}

/// One layer.
#[derive(Debug)]
struct Layer {
    name: String,
    lake: Lake,
    resolver: Arc<dyn TableResolver>,
    as_of: AsOf,
    session: Arc<SessionTables>,
}

#[async_trait]
impl SchemaProvider for Layer {
    fn table_names(&self) -> Vec<String> {
        let keys = self.resolver.keys();
        keys.iter()
            .filter(|key| key.layer() == self.name)
            // `information_schema` opens all that is listed.
            .filter(|key| self.resolver.resolve(key).is_some_and(|table| table.pointer.is_some()))
            .map(|key| key.name().to_owned())
            .collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Ok(key) = AssetKey::new(&self.name, name) else {
            return Ok(None);
        };
        // Other rows in its place. A name without layer has no dot.
        if let Some(instead) = self.session.lock().get(key.as_str()).cloned() {
            return Ok(Some(instead));
        }
        let Some(found) = self.resolver.resolve(&key) else {
            return Ok(None);
        };
        let Some(pointer) = found.pointer else {
            return Err(LakeError::NeverMaterialized { table: key }.into());
        };
        let table = self.lake.table(&key, &pointer).await?;
        let mut scan = found.scan;
        match &self.as_of {
            AsOf::Pinned => {}
            AsOf::Snapshot(snapshot) => scan.snapshot = Some(*snapshot),
            AsOf::Time(ms) => scan.snapshot = Some(snapshot_as_of(&table, *ms)?),
            AsOf::Tag(name) => scan.snapshot = Some(tagged(&table, name)?),
        }
        Ok(Some(table.provider(&scan)?))
    }

    fn table_exist(&self, name: &str) -> bool {
        AssetKey::new(&self.name, name).is_ok_and(|key| self.resolver.resolve(&key).is_some())
    }
}

/// Tables that the session's owner put in: without a layer, or in the place of one of the lake's.
#[derive(Debug, Default)]
pub(crate) struct SessionTables {
    tables: Mutex<BTreeMap<String, Arc<dyn TableProvider>>>,
}

impl SessionTables {
    pub(crate) fn put(&self, name: &str, table: Arc<dyn TableProvider>) {
        self.lock().insert(name.to_owned(), table);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<dyn TableProvider>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SchemaProvider for SessionTables {
    fn table_names(&self) -> Vec<String> {
        self.lock().keys().filter(|name| !name.contains('.')).cloned().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.lock().get(name).cloned())
    }

    fn table_exist(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }
}
