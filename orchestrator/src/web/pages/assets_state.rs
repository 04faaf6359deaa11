//! Every asset with its state: what the overview, the list and the graph have in common.

use std::collections::{BTreeMap, BTreeSet};

use assets::AssetKey;
use serde::Serialize;
use state::sqlite::queries::assets::{AssetRow, assets};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::read;
use super::tone::Tone;
use crate::core::{FreshnessNow, Health, HealthState, freshness_now};
use crate::edge::engine::RequestError;

/// More assets than a project can have.
const MOST_ASSETS: usize = 100_000;

/// One asset in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    let mut lines = state
        .engine
        .driver()
        .ask(|world, at| {
            let busy: BTreeSet<&AssetKey> = world.attempts().map(|attempt| &attempt.asset).collect();
            let lines = world.definitions().ordered().iter().filter_map(|asset| {
                let health = Health::of(world, at, &asset.key)?;
                Some(AssetLine {
                    asset: asset.key.clone(),
                    kind: asset.kind.clone(),
                    description: asset.description.clone(),
                    owner: asset.owner.clone(),
                    tags: asset.tags.clone(),
                    partitioned: asset.partitions.as_ref().map(|by| by.name.clone()),
                    reads: asset.inputs.iter().map(|input| input.asset.clone()).collect(),
                    state: health.state(),
                    health,
                    running: busy.contains(&asset.key),
                    freshness: freshness_now(world, at, asset),
                    sums: None,
                })
            });
            lines.collect::<Vec<_>>()
        })
        .await
        .ok_or(RequestError::Stopping)?;
    let rows = read(&state.engine, |store| assets(store, None, MOST_ASSETS))
        .await?
        .rows;
    let mut sums: BTreeMap<AssetKey, AssetRow> = rows.into_iter().map(|row| (row.asset.clone(), row)).collect();
    for line in &mut lines {
        line.sums = sums.remove(&line.asset);
    }
    Ok(lines)
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
