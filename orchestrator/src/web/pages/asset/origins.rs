//! Where columns come from, across assets. Read from the declarations in force when a page asks; nothing is kept.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use assets::outcome::TablePointer;
use assets::sql::{AssetColumn, ColumnOrigin, ColumnOrigins};
use assets::{Asset, AssetKey};
use plugins::kind::KindSet;
use plugins::lakehouse::columns;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::core::Definitions;
use crate::edge::engine::RequestError;
use crate::web::WebState;
use crate::web::reply::ErrorPage;

/// Columns on the way back that are told.
const MOST_STEPS: usize = 60;
/// Assets that read the asset, of which it is looked which columns they take.
const MOST_READERS: usize = 60;
/// Expressions nest; so does what reads them.
const STACK_BYTES: usize = 16 << 20;

/// A column on the way back to where another one comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct TrailStep {
    /// How many assets away: 0 for the column itself.
    pub distance: usize,
    /// The asset.
    pub asset: AssetKey,
    /// Its column and where that comes from; the name alone if that cannot be told.
    pub origin: ColumnOrigin,
    /// What its asset reads outside the lakehouse.
    pub outside: Option<String>,
    /// Whether anything is known of where it comes from.
    pub known: bool,
}

/// Looks columns up, each asset once.
pub(super) struct Origins<'s> {
    state: &'s WebState,
    definitions: Arc<Definitions>,
    names: HashMap<AssetKey, Option<Vec<String>>>,
    found: HashMap<AssetKey, Option<Arc<ColumnOrigins>>>,
}

impl<'s> Origins<'s> {
    pub(super) async fn new(state: &'s WebState) -> Result<Self, ErrorPage> {
        Ok(Self {
            definitions: state.engine.definitions().await?,
            state,
            names: HashMap::new(),
            found: HashMap::new(),
        })
    }

    /// Where the columns of an asset come from; `None` if nothing tells.
    pub(super) async fn of(&mut self, asset: &AssetKey) -> Result<Option<Arc<ColumnOrigins>>, ErrorPage> {
        if let Some(known) = self.found.get(asset) {
            return Ok(known.clone());
        }
        let origins = match self.definitions.get(asset).cloned() {
            Some(asset) => self.trace(asset).await?.map(Arc::new),
            None => None,
        };
        self.found.insert(asset.clone(), origins.clone());
        Ok(origins)
    }

    async fn trace(&mut self, asset: Arc<Asset>) -> Result<Option<ColumnOrigins>, ErrorPage> {
        let mut reads: Vec<AssetKey> = asset.inputs.iter().map(|input| input.asset.clone()).collect();
        reads.retain(|key| !self.names.contains_key(key));
        let wanted = reads.clone();
        let pointers: Vec<Option<TablePointer>> = self
            .state
            .engine
            .driver()
            .ask(move |world, _| wanted.iter().map(|key| world.pointer(key).cloned()).collect())
            .await
            .ok_or(RequestError::Stopping)?;
        for (key, pointer) in reads.into_iter().zip(pointers) {
            let names = match pointer {
                Some(pointer) => self.stored(&key, &pointer).await,
                None => None,
            };
            self.names.insert(key, names);
        }
        let known: HashMap<AssetKey, Vec<String>> = asset
            .inputs
            .iter()
            .filter_map(|input| Some((input.asset.clone(), self.names.get(&input.asset)?.clone()?)))
            .collect();
        let (told, traced) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("origins".to_owned())
            .stack_size(STACK_BYTES);
        let started = thread.spawn(move || {
            let kind = KindSet::all().get(&asset.kind);
            // Nobody waits any more if the reader went away.
            told.send(kind.and_then(|kind| kind.column_origins(&asset, &|key| known.get(key).cloned())))
                .ok();
        });
        match started {
            Ok(_) => Ok(traced.await.ok().flatten()),
            // Without a thread the page is there all the same.
            Err(_) => Ok(None),
        }
    }

    /// The names of the columns that a table has. A table that cannot be read is told of on its own page.
    async fn stored(&self, key: &AssetKey, pointer: &TablePointer) -> Option<Vec<String>> {
        let table = self.state.engine.lake().table(key, pointer).await.ok()?;
        let columns = columns(&table, None).ok()?;
        Some(columns.into_iter().map(|column| column.name).collect())
    }

    /// The way back from a column to its sources, the nearest first.
    pub(super) async fn trail(&mut self, asset: &AssetKey, column: &str) -> Result<Vec<TrailStep>, ErrorPage> {
        let mut steps = Vec::new();
        let first = AssetColumn {
            asset: asset.clone(),
            column: Some(column.to_owned()),
        };
        let mut seen = HashSet::from([first.clone()]);
        let mut waiting = VecDeque::from([(0, first)]);
        while let Some((distance, at)) = waiting.pop_front() {
            if steps.len() == MOST_STEPS {
                break;
            }
            let Some(column) = &at.column else { continue };
            let origins = self.of(&at.asset).await?;
            let origin = origins.as_ref().and_then(|origins| origins.of(column));
            for from in origin.iter().flat_map(|origin| &origin.from) {
                if seen.insert(from.clone()) {
                    waiting.push_back((distance + 1, from.clone()));
                }
            }
            let outside = origins.as_ref().and_then(|origins| origins.outside.clone());
            steps.push(TrailStep {
                distance,
                known: origin.is_some() || outside.is_some(),
                origin: origin.unwrap_or_else(|| ColumnOrigin {
                    column: column.clone(),
                    from: Vec::new(),
                    expression: None,
                    traced: false,
                }),
                asset: at.asset,
                outside,
            });
        }
        Ok(steps)
    }

    /// The columns of other assets that are made of a column, as far as their declarations tell.
    pub(super) async fn used_by(&mut self, asset: &AssetKey, column: &str) -> Result<Vec<AssetColumn>, ErrorPage> {
        let readers: Vec<Arc<Asset>> = self
            .definitions
            .graph()
            .downstream(asset)
            .into_iter()
            .take(MOST_READERS)
            .cloned()
            .collect();
        let mut used = Vec::new();
        for reader in readers {
            let Some(origins) = self.of(&reader.key).await? else {
                continue;
            };
            let wanted = |from: &AssetColumn| from.asset == *asset && from.column.as_deref() == Some(column);
            for origin in origins.columns.iter().filter(|origin| origin.from.iter().any(wanted)) {
                used.push(AssetColumn {
                    asset: reader.key.clone(),
                    column: Some(origin.column.clone()),
                });
            }
            if origins.all_of.contains(asset) && origins.columns.iter().all(|origin| origin.column != column) {
                used.push(AssetColumn {
                    asset: reader.key.clone(),
                    column: Some(column.to_owned()),
                });
            }
        }
        Ok(used)
    }
}
