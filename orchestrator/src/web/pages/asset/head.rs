//! What stands above every page of an asset: its name and state, its pages, and the button that makes it.

use std::sync::Arc;

use assets::outcome::TablePointer;
use assets::{Asset, AssetKey};

use super::super::assets_state::kept_lines;
use super::super::markup::Markup;
use super::super::tone::asset_state;
use super::facts::no_asset;
use crate::core::HealthState;
use crate::edge::engine::RequestError;
use crate::web::WebState;
use crate::web::reply::ErrorPage;

/// The pages of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Columns,
    Rows,
    Snapshots,
    Checks,
}

/// The head of a page.
pub(super) struct AssetHead {
    pub(super) key: AssetKey,
    pub(super) kind: String,
    pub(super) state: Markup,
    pub(super) description: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) tags: Vec<String>,
    /// Whether it is cut into partitions.
    pub(super) partitioned: bool,
    /// The partition that is looked at.
    pub(super) partition: String,
    /// Word, address, whether it is the page at hand.
    pub(super) tabs: Vec<(&'static str, String, bool)>,
}

/// An asset and what its head says.
pub(super) struct Brief {
    pub(super) asset: Arc<Asset>,
    /// The newest version of its table, if there is one.
    pub(super) pointer: Option<TablePointer>,
    state: HealthState,
    running: bool,
}

impl AssetHead {
    pub(super) fn new(asset: &Asset, state: HealthState, running: bool, partition: Option<String>, tab: Tab) -> Self {
        let mut tabs = vec![(Tab::Overview, "Overview", "")];
        // A model has no table.
        if asset.kind != "training" {
            tabs.push((Tab::Columns, "Columns", "/columns"));
            tabs.push((Tab::Rows, "Rows", "/rows"));
            tabs.push((Tab::Snapshots, "Snapshots", "/snapshots"));
        }
        tabs.push((Tab::Checks, "Checks", "/checks"));
        let tabs = tabs.into_iter().map(|(other, word, path)| {
            let address = format!("/assets/{}{path}", asset.key);
            (word, address, other == tab)
        });
        Self {
            tabs: tabs.collect(),
            key: asset.key.clone(),
            kind: asset.kind.clone(),
            state: asset_state(state, running),
            description: asset.description.clone(),
            owner: asset.owner.clone(),
            tags: asset.tags.clone(),
            partitioned: asset.partitions.is_some(),
            partition: partition.unwrap_or_default(),
        }
    }
}

impl Brief {
    /// What the pages beside the first need to know of an asset.
    pub(super) async fn of(state: &WebState, key: &AssetKey) -> Result<Self, ErrorPage> {
        let wanted = key.clone();
        let found = state
            .engine
            .driver()
            .ask(move |world, _| {
                let asset = Arc::clone(world.definitions().get(&wanted)?);
                Some((asset, world.pointer(&wanted).cloned()))
            })
            .await
            .ok_or(RequestError::Stopping)?;
        let Some((asset, pointer)) = found else {
            return Err(no_asset(state, key).await);
        };
        let lines = kept_lines(state).await?;
        let line = lines.iter().find(|line| line.asset == *key);
        Ok(Self {
            asset,
            pointer,
            state: line.map_or(HealthState::Missing, |line| line.state),
            running: line.is_some_and(|line| line.running),
        })
    }

    /// The head of one of those pages.
    pub(super) fn head(&self, partition: Option<String>, tab: Tab) -> AssetHead {
        AssetHead::new(&self.asset, self.state, self.running, partition, tab)
    }
}
