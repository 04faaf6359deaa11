//! How every asset stands, kept from one page to the next: with ten thousand assets and a million partitions it is too much to
//! find out for each.
//!
//! Committed events tell which assets may stand otherwise than before: those that they are about, and those that read them; so
//! does an edit of the project. Only these are looked at again, and never so long at a time that the driver would have to wait. What
//! follows from the time of day alone (a new day of a set) is seen after at most a minute.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use assets::{Asset, AssetKey};
use jiff::Timestamp;
use state::event::{Event, Micros, Recorded};
use state::sqlite::queries::assets::{AssetRow, asset as asset_sums, assets};
use tokio::sync::Mutex;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::WebState;
use super::pages::{AssetLine, read};
use super::reply::ErrorPage;
use crate::core::{Definitions, FreshnessNow, Health, freshness_now};
use crate::edge::clock::{self, Stopwatch};
use crate::edge::engine::{EngineHandle, RequestError};

/// More assets than a project can have.
const MOST_ASSETS: usize = 100_000;
/// So long everything is taken for as it was, if no event says otherwise; lateness is told by then.
const REST: Micros = 5_000_000;
/// After so long it is looked whether sets of partitions grew.
const GROWN: Micros = 60_000_000;
/// Of more assets than this the sums are read together.
const MOST_ALONE: usize = 500;
/// How long the driver looks at assets before it turns to what else waits.
const SLICE: Duration = Duration::from_millis(8);

/// Every asset with its state.
pub struct Standing {
    kept: Mutex<Kept>,
}

struct Kept {
    events: Receiver<Arc<Vec<Recorded>>>,
    definitions: Option<Arc<Definitions>>,
    lines: Arc<Vec<AssetLine>>,
    /// Assets that are still to be looked at.
    touched: BTreeSet<AssetKey>,
    /// When anything was looked at, and when the sets of partitions were.
    at: Micros,
    grown_at: Micros,
}

/// What is found out each time.
struct Now {
    definitions: Arc<Definitions>,
    freshness: HashMap<AssetKey, FreshnessNow>,
    busy: HashSet<AssetKey>,
}

impl Standing {
    /// Begins to listen.
    pub fn new(engine: &EngineHandle) -> Self {
        Self {
            kept: Mutex::new(Kept {
                events: engine.driver().live(),
                definitions: None,
                lines: Arc::default(),
                touched: BTreeSet::new(),
                at: 0,
                grown_at: 0,
            }),
        }
    }

    /// Every asset, upstream first.
    pub async fn lines(&self, state: &WebState) -> Result<Arc<Vec<AssetLine>>, ErrorPage> {
        let mut kept = self.kept.lock().await;
        let any = kept.drain();
        let at = clock::now();
        let swapped = match &kept.definitions {
            Some(definitions) => !Arc::ptr_eq(definitions, &state.engine.project().definitions),
            None => true,
        };
        if !any && !swapped && kept.touched.is_empty() && (0..REST).contains(&(at - kept.at)) {
            return Ok(Arc::clone(&kept.lines));
        }
        let (now, looked) = loop {
            let now = now(state).await?;
            kept.adopt(&now.definitions);
            if !(0..GROWN).contains(&(at - kept.grown_at)) {
                kept.grown_at = at;
                kept.add_grown(&now.definitions, at);
            }
            if let Some(looked) = kept.look(state, &now.definitions).await? {
                break (now, looked);
            }
        };
        let mut sums = sums(state, looked).await?;
        let Now {
            mut freshness, busy, ..
        } = now;
        for line in Arc::make_mut(&mut kept.lines) {
            line.running = busy.contains(&line.asset);
            line.freshness = freshness.remove(&line.asset);
            if let Some(row) = sums.remove(&line.asset) {
                line.sums = Some(row);
            }
        }
        kept.at = at;
        Ok(Arc::clone(&kept.lines))
    }
}

/// What is cheap to find out of every asset.
async fn now(state: &WebState) -> Result<Now, ErrorPage> {
    let now = state.engine.driver().ask(|world, at| Now {
        freshness: world
            .definitions()
            .ordered()
            .iter()
            .filter_map(|asset| Some((asset.key.clone(), freshness_now(world, at, asset)?)))
            .collect(),
        busy: world.attempts().map(|attempt| attempt.asset.clone()).collect(),
        definitions: Arc::clone(world.definitions()),
    });
    Ok(now.await.ok_or(RequestError::Stopping)?)
}

/// The sums of these assets.
async fn sums(state: &WebState, keys: BTreeSet<AssetKey>) -> Result<BTreeMap<AssetKey, AssetRow>, ErrorPage> {
    let rows = read(&state.engine, move |store| {
        if keys.len() > MOST_ALONE {
            return Ok(assets(store, None, MOST_ASSETS)?.rows);
        }
        keys.iter()
            .filter_map(|key| asset_sums(store, key).transpose())
            .collect()
    });
    Ok(rows.await?.into_iter().map(|row| (row.asset.clone(), row)).collect())
}

impl Kept {
    /// Takes in the events since the last time: which assets they are about. Says whether there were any.
    fn drain(&mut self) -> bool {
        let mut any = false;
        loop {
            match self.events.try_recv() {
                Ok(events) => {
                    any = true;
                    let subjects = events.iter().filter_map(|recorded| subject(&recorded.event));
                    self.touched.extend(subjects.cloned());
                }
                // Too much happened to tell what: all of it.
                Err(TryRecvError::Lagged(_)) => {
                    any = true;
                    self.touched.extend(self.lines.iter().map(|line| line.asset.clone()));
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return any,
            }
        }
    }

    /// Takes up the definitions in force: what they do not change stands as it stood.
    fn adopt(&mut self, definitions: &Arc<Definitions>) {
        if self
            .definitions
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, definitions))
        {
            return;
        }
        let before = self.definitions.replace(Arc::clone(definitions));
        let mut known: HashMap<AssetKey, AssetLine> = self
            .lines
            .iter()
            .map(|line| (line.asset.clone(), line.clone()))
            .collect();
        let mut lines = Vec::with_capacity(definitions.ordered().len());
        for asset in definitions.ordered() {
            let old = before.as_ref().and_then(|before| before.get(&asset.key));
            let line = known.remove(&asset.key).filter(|_| old.is_some());
            if line.is_none() || old.is_none_or(|old| old.fingerprint != asset.fingerprint || **old != **asset) {
                self.touched.insert(asset.key.clone());
            }
            lines.push(line_of(asset, line));
        }
        self.lines = Arc::new(lines);
    }

    /// Adds the assets whose sets of partitions have grown.
    fn add_grown(&mut self, definitions: &Definitions, at: Micros) {
        let now = Timestamp::from_microsecond(at).unwrap_or(Timestamp::MAX);
        for line in self.lines.iter() {
            let partitions = definitions.get(&line.asset).and_then(|asset| asset.partitions.as_ref());
            if partitions.is_some_and(|by| by.partitioning.count(now) != line.health.partitions) {
                self.touched.insert(line.asset.clone());
            }
        }
    }

    /// Looks at what was touched and at what reads it, a slice at a time. Says what it looked at; `None` if the definitions
    /// changed meanwhile.
    async fn look(
        &mut self,
        state: &WebState,
        definitions: &Arc<Definitions>,
    ) -> Result<Option<BTreeSet<AssetKey>>, ErrorPage> {
        let readers = self.touched.iter().flat_map(|key| definitions.graph().downstream(key));
        let mut keys: BTreeSet<AssetKey> = readers.map(|asset| asset.key.clone()).collect();
        keys.extend(self.touched.iter().cloned());
        let all: Arc<Vec<AssetKey>> = Arc::new(keys.iter().cloned().collect());
        let mut healths: HashMap<AssetKey, Health> = HashMap::with_capacity(all.len());
        let mut done = 0;
        while done < all.len() {
            let (wanted, same) = (Arc::clone(&all), Arc::clone(definitions));
            let slice = state.engine.driver().ask(move |world, at| {
                if !Arc::ptr_eq(world.definitions(), &same) {
                    return None;
                }
                let begun = Stopwatch::start();
                let mut found = Vec::new();
                let mut next = done;
                while next < wanted.len() && (next == done || begun.elapsed() < SLICE) {
                    let key = &wanted[next];
                    found.extend(Health::of(world, at, key).map(|health| (key.clone(), health)));
                    next += 1;
                }
                Some((found, next))
            });
            let Some((found, next)) = slice.await.ok_or(RequestError::Stopping)? else {
                return Ok(None);
            };
            healths.extend(found);
            done = next;
        }
        if !healths.is_empty() {
            for line in Arc::make_mut(&mut self.lines) {
                if let Some(health) = healths.remove(&line.asset) {
                    line.state = health.state();
                    line.health = health;
                }
            }
        }
        self.touched.clear();
        Ok(Some(keys))
    }
}

/// A line with what is declared now, and what was known before.
fn line_of(asset: &Asset, known: Option<AssetLine>) -> AssetLine {
    let (health, sums) = match known {
        Some(known) => (known.health, known.sums),
        None => (
            Health {
                partitions: 0,
                fresh: 0,
                stale: 0,
                missing: 0,
                failed: 0,
                waiting: 0,
                reason: None,
            },
            None,
        ),
    };
    AssetLine {
        asset: asset.key.clone(),
        kind: asset.kind.clone(),
        description: asset.description.clone(),
        owner: asset.owner.clone(),
        tags: asset.tags.clone(),
        partitioned: asset.partitions.as_ref().map(|by| by.name.clone()),
        reads: asset.inputs.iter().map(|input| input.asset.clone()).collect(),
        state: health.state(),
        health,
        running: false,
        freshness: None,
        sums,
    }
}

/// The asset whose partitions, sources or versions an event changes.
fn subject(event: &Event) -> Option<&AssetKey> {
    match event {
        Event::StepSucceeded { materialization, .. } => Some(&materialization.step.asset),
        Event::StepFailed { step, .. } | Event::StepFresh { step, .. } | Event::StepUpForRetry { step, .. } => {
            Some(&step.asset)
        }
        Event::PointerMoved { table, .. } => Some(table),
        Event::PartitionRolledBack { step, .. } | Event::PartitionCutAway { step } => Some(&step.asset),
        Event::SourceObserved { asset, .. } => Some(asset),
        Event::ModelRegistered { model, .. } | Event::AliasMoved { model, .. } => Some(model),
        _ => None,
    }
}
