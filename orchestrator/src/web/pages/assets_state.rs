//! Every asset with its state: what the overview, the list and the graph have in common.

use std::sync::Arc;

use assets::AssetKey;
use serde::Serialize;
use state::sqlite::queries::assets::AssetRow;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::tone::Tone;
use crate::core::{FreshnessNow, Health, HealthState};

/// One asset in a list.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct AssetLine {
    /// Its key.
    pub asset: AssetKey,
    /// Its kind.
    pub kind: String,
    /// What it holds.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// The name of its set of partitions.
    pub partitioned: Option<String>,
    /// What it reads.
    pub reads: Vec<AssetKey>,
    /// Its partitions by state.
    pub health: Health,
    /// The worst of them.
    pub state: HealthState,
    /// Whether a worker has a part of it now.
    pub running: bool,
    /// How it stands by its freshness policy.
    pub freshness: Option<FreshnessNow>,
    /// What was ever stored of it.
    pub sums: Option<AssetRow>,
}

impl AssetLine {
    /// Shape and colour of its state.
    pub fn tone(&self) -> Tone {
        if self.running {
            Tone::Busy
        } else {
            Tone::from(self.state)
        }
    }
}

/// Every asset, upstream first.
pub async fn asset_lines(state: &WebState) -> Result<Vec<AssetLine>, ErrorPage> {
    Ok(kept_lines(state).await?.as_ref().clone())
}

/// The same, shared with other pages.
pub async fn kept_lines(state: &WebState) -> Result<Arc<Vec<AssetLine>>, ErrorPage> {
    state.standing.lines(state).await
}

/// The layers in the order of their first asset, each with its assets in theirs.
pub fn by_layer<T>(lines: Vec<T>, key: impl Fn(&T) -> &AssetKey) -> Vec<(String, Vec<T>)> {
    let mut layers: Vec<(String, Vec<T>)> = Vec::new();
    for line in lines {
        let layer = key(&line).layer().to_owned();
        match layers.iter_mut().find(|(name, _)| *name == layer) {
            Some((_, members)) => members.push(line),
            None => layers.push((layer, vec![line])),
        }
    }
    layers
}
