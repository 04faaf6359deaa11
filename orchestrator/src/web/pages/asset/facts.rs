//! What is known of one asset, for its page and the page's twin.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use assets::{Asset, AssetKey, AssetPartition, InputRole, ModelReference, PartitionKey};
use axum::http::StatusCode;
use serde::Serialize;
use state::event::Micros;
use state::sqlite::queries::asset_history::{PartitionSize, partition_sizes, took};
use state::sqlite::queries::asset_partitions::{PartitionRow, asset_partitions};
use state::sqlite::queries::assets::{AssetRow, asset as asset_sums};
use state::sqlite::queries::automation::{AutomationRow, requests};
use state::sqlite::queries::checks::{CheckRow, history as check_history, standing_of_newest};
use state::sqlite::queries::freshness::{FreshnessChangeRow, freshness_changes};
use state::sqlite::queries::materializations::{MaterializationRow, of_asset, of_partition};
use state::sqlite::queries::sources::{SourceRow, source};
use state::sqlite::queries::why::{WhyFacts, why};
use state::sqlite::{StateError, Store};

use super::super::assets_state::kept_lines;
use super::super::partition_states::{PartitionState, PartitionStates, RangeRow, Reason, find};
use super::super::{asset_key, given, grid, read};
use super::Asked;
use crate::core::{Explanation, FreshnessNow, Health, HealthState, explain, freshness_now};
use crate::edge::engine::RequestError;
use crate::web::WebState;
use crate::web::reply::ErrorPage;

const CHECKS: usize = 200;
/// Failed partitions that are looked at.
const FAILED: usize = 500;
const MATERIALIZATIONS: usize = 20;
/// Materializations of one partition.
const OF_PARTITION: usize = 10;
const RANGES: usize = 60;
const TRIES: usize = 8;
/// How many requests of automation, and changes of freshness, are shown.
const REQUESTS: usize = 5;
/// Materializations that are plotted.
const PLOTTED: usize = 60;
/// Results of a check that are drawn, and checks of which they are.
const RESULTS: usize = 30;
const DRAWN_CHECKS: usize = 40;

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct AssetFacts {
    /// As declared and checked.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub asset: Arc<Asset>,
    /// Its partitions by state.
    pub health: Health,
    /// The worst of them.
    pub state: HealthState,
    /// Whether a worker has a part of it now.
    pub running: bool,
    /// Why partitions are not fresh.
    pub reasons: Vec<Reason>,
    /// What keeps partitions from being made.
    pub problems: Vec<String>,
    /// What it reads.
    pub reads: Vec<Neighbour>,
    /// Who reads it.
    pub read_by: Vec<Neighbour>,
    /// The other assets of its atomic group.
    pub published_with: Vec<AssetKey>,
    /// Its partitions as ranges; the first 60, what needs attention first.
    pub partition_ranges: Vec<RangeRow>,
    /// All of them, for the drawing.
    #[serde(skip)]
    pub partition_states: Option<PartitionStates>,
    /// What was ever stored of it.
    pub sums: Option<AssetRow>,
    /// When its sources were last looked at.
    pub source: Option<SourceRow>,
    /// The newest result of each check.
    pub checks: Vec<CheckRow>,
    /// Partitions whose newest outcome is a failure; the first few.
    pub failed_partitions: Vec<PartitionRow>,
    /// The last results of each check, oldest first.
    pub check_results: BTreeMap<String, Vec<CheckTick>>,
    /// How much the partitions hold that the drawing shows.
    pub partition_sizes: Vec<PartitionSize>,
    /// Materializations, newest first.
    pub materializations: Vec<Made>,
    /// More of them, for plots.
    #[serde(skip)]
    pub plotted: Vec<Made>,
    /// Pass as `before` for the materializations before these.
    pub next: Option<i64>,
    /// What is known of the partition that was asked for.
    pub partition: Option<PartitionFacts>,
    /// How it stands by its freshness policy.
    pub freshness: Option<FreshnessNow>,
    /// How it came to stand so; the newest changes.
    pub freshness_changes: Vec<FreshnessChangeRow>,
    /// What automation makes of it, or of the partition that was asked for.
    pub automation: Option<Explanation>,
    /// What automation requested of it; the newest.
    pub requests: Vec<AutomationRow>,
}

/// A materialization, and how long it took.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Made {
    /// The materialization.
    #[serde(flatten)]
    pub row: MaterializationRow,
    /// How long its step took, in microseconds; `None` once the steps of its run are removed.
    pub took: Option<Micros>,
}

/// One result of a check, in short.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct CheckTick {
    /// When.
    pub at: Micros,
    /// Of which partition.
    pub partition: Option<PartitionKey>,
    /// Whether it passed.
    pub passed: bool,
    /// Whether it kept the rows from being published.
    pub blocked: bool,
    /// What was found.
    pub figure: Option<f64>,
}

/// An asset beside this one.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Neighbour {
    /// Its key.
    pub asset: AssetKey,
    /// Which of its partitions belong to one of this asset's; empty if that goes without saying.
    pub mapping: String,
    /// Its state.
    pub state: HealthState,
    /// Whether a worker has a part of it now.
    pub running: bool,
}

/// One partition.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct PartitionFacts {
    /// Its key; `None` for the whole of an asset without partitions.
    pub key: Option<PartitionKey>,
    /// The word for its state.
    pub state: &'static str,
    /// What became of it.
    pub why: WhyFacts,
    /// How often it was made; the newest.
    pub history: Vec<Made>,
}

/// What is asked of an asset.
pub async fn facts(state: &WebState, key: &str, asked: &Asked) -> Result<AssetFacts, ErrorPage> {
    let key = asset_key(key)?;
    let wanted = key.clone();
    let one = given(asked.partition.clone()).and_then(|text| PartitionKey::new(&text).ok());
    let found = state
        .engine
        .driver()
        .ask(move |world, at| {
            let definitions = world.definitions();
            let asset = Arc::clone(definitions.get(&wanted)?);
            let health = Health::of(world, at, &wanted)?;
            let running = |key: &AssetKey| world.attempts().any(|attempt| attempt.asset == *key);
            let neighbour = |other: &Arc<Asset>, mapping: String| Neighbour {
                asset: other.key.clone(),
                mapping,
                // Told below: to find it out here would take as long as the whole page.
                state: HealthState::Missing,
                running: running(&other.key),
            };
            let reads = asset.inputs.iter().filter_map(|input| {
                let mapping = match &input.role {
                    InputRole::Model(ModelReference::Alias(alias)) => format!("@{alias}"),
                    InputRole::Model(ModelReference::Version(version)) => format!("version {version}"),
                    InputRole::Rows if input.declared => crate::figures::mapping(&input.mapping),
                    InputRole::Rows => String::new(),
                };
                Some(neighbour(definitions.get(&input.asset)?, mapping))
            });
            let reads: Vec<Neighbour> = reads.collect();
            let read_by: Vec<Neighbour> = definitions
                .graph()
                .downstream(&wanted)
                .into_iter()
                .map(|other| neighbour(other, String::new()))
                .collect();
            let with = definitions.published_with(&wanted).iter();
            let published_with: Vec<AssetKey> = with.filter(|other| **other != wanted).cloned().collect();
            let upkeep = (
                freshness_now(world, at, &asset),
                explain(world, at, &wanted, one.as_ref()),
            );
            Some((
                health,
                running(&wanted),
                find(world, at, &asset),
                reads,
                (read_by, published_with),
                upkeep,
                asset,
            ))
        })
        .await
        .ok_or(RequestError::Stopping)?;
    let Some((health, running, found, mut reads, (mut read_by, published_with), (freshness, automation), asset)) =
        found
    else {
        return Err(no_asset(state, &key).await);
    };
    tell_states(state, reads.iter_mut().chain(&mut read_by)).await?;
    let partition = chosen_partition(&asset, asked)?;
    let before = asked.before;
    let states = found.partitions;
    let shown = states.as_ref().and_then(|states| {
        let shown = grid::shown(states, &grid_choice(asked, None));
        let key = |index: usize| states.partitioning().key_at(index);
        Some((key(shown.start)?, key(shown.end.checked_sub(1)?)?, shown.len()))
    });
    let stored = read(&state.engine, move |store| {
        let about = partition.clone().map(|partition| {
            let step = AssetPartition::new(key.clone(), partition.clone());
            let made = of_partition(store, &step, None, OF_PARTITION)?.rows;
            Ok::<_, StateError>((partition, why(store, &step, TRIES)?, timed(store, made)?))
        });
        let newest_checks: Vec<CheckRow> = standing_of_newest(store, &key, CHECKS, super::checks::PARTITIONS)?
            .into_iter()
            .map(|check| check.worst)
            .collect();
        let mut check_results = BTreeMap::new();
        for check in newest_checks.iter().take(DRAWN_CHECKS) {
            let name = &check.result.name;
            let mut results = check_history(store, &key, name, None, RESULTS)?.rows;
            results.reverse();
            check_results.insert(name.clone(), results.iter().map(CheckTick::of).collect());
        }
        let sizes = match &shown {
            Some((first, last, count)) => partition_sizes(store, &key, first, last, *count)?,
            None => Vec::new(),
        };
        let newest = of_asset(store, &key, None, PLOTTED)?.rows;
        Ok((
            asset_sums(store, &key)?,
            source(store, &key)?,
            (newest_checks, check_results, sizes, timed(store, newest)?),
            asset_partitions(store, &key, true, None, FAILED)?.rows,
            {
                let page = of_asset(store, &key, before, MATERIALIZATIONS)?;
                (timed(store, page.rows)?, page.next)
            },
            about.transpose()?,
            freshness_changes(store, &key, None, REQUESTS)?.rows,
            requests(store, &key, None, REQUESTS)?.rows,
        ))
    })
    .await?;
    let (sums, source, drawn, failed_partitions, (made, next), about, freshness_changes, requests) = stored;
    let (checks, check_results, partition_sizes, plotted) = drawn;
    let partition = about.map(|(key, why, history)| PartitionFacts {
        state: word_of(states.as_ref(), key.as_ref(), &health),
        key,
        why,
        history,
    });
    Ok(AssetFacts {
        state: health.state(),
        health,
        running,
        reasons: found.reasons,
        problems: found.problems,
        reads,
        read_by,
        published_with,
        partition_ranges: states.as_ref().map_or_else(Vec::new, |states| states.rows(RANGES)),
        partition_states: states,
        sums,
        source,
        checks,
        check_results,
        partition_sizes,
        failed_partitions,
        materializations: made,
        plotted,
        next,
        partition,
        freshness,
        freshness_changes,
        automation,
        requests,
        asset,
    })
}

/// The partition to tell about: the one asked for, and the whole of an asset that has none.
fn chosen_partition(asset: &Asset, asked: &Asked) -> Result<Option<Option<PartitionKey>>, ErrorPage> {
    match (&asset.partitions, given(asked.partition.clone())) {
        (None, _) => Ok(Some(None)),
        (Some(_), None) => Ok(None),
        (Some(by), Some(text)) => {
            let key =
                PartitionKey::new(&text).map_err(|error| ErrorPage::new(StatusCode::BAD_REQUEST, error.to_string()))?;
            if !by.partitioning.contains(&key) {
                return Err(ErrorPage::not_found(format!("{} has no partition `{key}`", asset.key))
                    .with_help(format!("its partitions are {}", by.partitioning.describe())));
            }
            Ok(Some(Some(key)))
        }
    }
}

fn word_of(states: Option<&PartitionStates>, key: Option<&PartitionKey>, health: &Health) -> &'static str {
    match (states, key) {
        (Some(states), Some(key)) => {
            let index = states.partitioning().index_of(key);
            index
                .and_then(|index| states.at(index))
                .map_or("not there yet", PartitionState::word)
        }
        _ => health.state().as_str(),
    }
}

/// Adds the states of neighbours.
async fn tell_states<'n>(
    state: &WebState,
    neighbours: impl Iterator<Item = &'n mut Neighbour>,
) -> Result<(), ErrorPage> {
    let mut waiting: HashMap<AssetKey, Vec<&mut Neighbour>> = HashMap::new();
    for neighbour in neighbours {
        waiting.entry(neighbour.asset.clone()).or_default().push(neighbour);
    }
    let lines = kept_lines(state).await?;
    for line in lines.iter() {
        for neighbour in waiting.remove(&line.asset).into_iter().flatten() {
            neighbour.state = line.state;
        }
    }
    Ok(())
}

/// There is no such asset; perhaps another is meant.
pub async fn no_asset(state: &WebState, key: &AssetKey) -> ErrorPage {
    let page = ErrorPage::not_found(format!("there is no asset `{key}`"));
    let nearest = match state.engine.definitions().await {
        Ok(definitions) => definitions.graph().nearest(key.as_str()).cloned(),
        Err(error) => return error.into(),
    };
    match nearest {
        Some(nearest) => page.with_help(format!("did you mean `{nearest}`?")),
        None => page,
    }
}

/// What is asked of the drawing of partitions.
pub(super) fn grid_choice(asked: &Asked, selected: Option<PartitionKey>) -> grid::Choice {
    let key = |text: &Option<String>| given(text.clone()).and_then(|text| PartitionKey::new(&text).ok());
    grid::Choice {
        selected: selected.or_else(|| key(&asked.partition)),
        from: key(&asked.from),
        to: key(&asked.to),
        year: asked.year,
    }
}

/// Adds how long each took.
fn timed(store: &Store, rows: Vec<MaterializationRow>) -> Result<Vec<Made>, StateError> {
    rows.into_iter()
        .map(|row| {
            let took = took(store, &row.run, &row.step)?;
            Ok(Made { row, took })
        })
        .collect()
}

impl CheckTick {
    pub(super) fn of(check: &CheckRow) -> Self {
        Self {
            at: check.at,
            partition: check.step.partition.clone(),
            passed: check.result.passed,
            blocked: check.result.blocks(),
            figure: check.result.figure,
        }
    }
}
