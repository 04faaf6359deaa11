//! The steps of one run by partition: of a run under way from the world, of one that is over from the store, once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use ::assets::{AssetKey, PartitionKey};
use state::ids::RunId;
use state::sqlite::queries::run::RunDetail;
use state::sqlite::queries::run_steps::each_status;
use state::status::StepStatus;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::read;
use super::step_grid::StepGrid;
use crate::core::{Definitions, Run, World};

/// Runs that are over whose grids are kept.
const KEPT: usize = 32;

/// From one partition key to another, both included.
pub type Stretch = Option<(String, String)>;

/// The grids of runs that are over: they never change, and a million steps are not counted twice.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<VecDeque<KeptGrids>>>);

struct KeptGrids {
    run: RunId,
    stretch: Stretch,
    grids: Arc<Vec<StepGrid>>,
}

impl Kept {
    fn get(&self, run: &RunId, stretch: &Stretch) -> Option<Arc<Vec<StepGrid>>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|one| one.run == *run && one.stretch == *stretch);
        found.map(|one| Arc::clone(&one.grids))
    }

    fn put(&self, run: RunId, stretch: Stretch, grids: Arc<Vec<StepGrid>>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.push_front(KeptGrids { run, stretch, grids });
    }
}

/// The steps of a run by partition, a grid for each set of partitions; only those of a stretch if one is given.
pub async fn grids(state: &WebState, run: &RunDetail, stretch: Stretch) -> Result<Arc<Vec<StepGrid>>, ErrorPage> {
    let id = run.row.run.clone();
    if !run.row.status.is_terminal() {
        let (asked, within) = (id.clone(), stretch.clone());
        let found = state
            .engine
            .driver()
            .ask(move |world, _| of_world(world, &asked, &within));
        // Over since: the store has it.
        if let Some(grids) = found.await.flatten() {
            return Ok(Arc::new(grids));
        }
    }
    if let Some(grids) = state.grids.get(&id, &stretch) {
        return Ok(grids);
    }
    let definitions = state.engine.definitions().await?;
    let assets: Vec<AssetKey> = run.assets.iter().map(|asset| asset.asset.clone()).collect();
    let (asked, within, over) = (id.clone(), stretch.clone(), run.row.status.is_terminal());
    let grids = read(&state.engine, move |store| {
        let mut found = Vec::new();
        for (set, assets) in by_set(&definitions, &assets) {
            let mut lists: Vec<(AssetKey, Vec<(String, StepStatus)>)> = Vec::new();
            for asset in assets {
                let mut steps = Vec::new();
                let within = within.as_ref().map(|(from, to)| (from.as_str(), to.as_str()));
                each_status(store, &asked, &asset, within, |key, status| {
                    steps.push((key.to_owned(), status));
                })?;
                lists.push((asset, steps));
            }
            found.extend(grid(set, &lists));
        }
        Ok(found)
    })
    .await?;
    let grids = Arc::new(grids);
    if over {
        state.grids.put(id, stretch, Arc::clone(&grids));
    }
    Ok(grids)
}

fn grid(set: String, lists: &[(AssetKey, Vec<(String, StepStatus)>)]) -> Option<StepGrid> {
    let keys: Vec<Vec<&str>> = lists
        .iter()
        .map(|(_, steps)| steps.iter().map(|(key, _)| key.as_str()).collect())
        .collect();
    let mut grid = StepGrid::over(set, &keys);
    for (asset, steps) in lists {
        grid.add(asset.clone(), steps.iter().map(|(key, status)| (key.as_str(), *status)));
    }
    (!grid.cells.is_empty()).then_some(grid)
}

/// The assets by their sets of partitions, in the order of their first; an asset that is gone stands alone.
fn by_set(definitions: &Definitions, assets: &[AssetKey]) -> Vec<(String, Vec<AssetKey>)> {
    let mut sets: Vec<(String, Vec<AssetKey>)> = Vec::new();
    for asset in assets {
        let set = match definitions.get(asset) {
            Some(known) => match &known.partitions {
                Some(by) => by.name.clone(),
                None => continue,
            },
            None => asset.to_string(),
        };
        match sets.iter_mut().find(|(name, _)| *name == set) {
            Some((_, members)) => members.push(asset.clone()),
            None => sets.push((set, vec![asset.clone()])),
        }
    }
    sets
}

fn is_within(key: &str, stretch: &Stretch) -> bool {
    stretch
        .as_ref()
        .is_none_or(|(from, to)| from.as_str() <= key && key <= to.as_str())
}

fn of_world(world: &World, id: &RunId, stretch: &Stretch) -> Option<Vec<StepGrid>> {
    let run: &Run = world.run(id)?;
    let assets: Vec<AssetKey> = run.groups.iter().map(|group| group.asset.clone()).collect();
    let mut found = Vec::new();
    for (set, members) in by_set(&run.definitions, &assets) {
        let groups: Vec<_> = run
            .groups
            .iter()
            .filter(|group| members.contains(&group.asset))
            .collect();
        let keys: Vec<Vec<&str>> = groups
            .iter()
            .map(|group| {
                let keys = group.positions.keys().flatten().map(PartitionKey::as_str);
                keys.filter(|key| is_within(key, stretch)).collect()
            })
            .collect();
        let mut grid = StepGrid::over(set, &keys);
        for group in groups {
            let steps = group.positions.iter().filter_map(|(key, position)| {
                let key = key.as_ref()?.as_str();
                is_within(key, stretch).then(|| (key, run.steps[*position as usize].status))
            });
            grid.add(group.asset.clone(), steps);
        }
        if !grid.cells.is_empty() {
            found.push(grid);
        }
    }
    Some(found)
}
