//! How every asset stands, kept from one page to the next: with ten thousand assets and a million partitions it is too much to
//! find out for each.
//!
//! Committed events tell which assets may stand otherwise than before: those that they are about, and those that read them. Only
//! these are looked at again. What follows from the time of day alone (a new day of a set, say) is seen after at most a minute.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use assets::AssetKey;
use state::event::{Event, Micros, Recorded};
use state::sqlite::queries::assets::{AssetRow, asset as asset_sums, assets};
use tokio::sync::Mutex;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::WebState;
use super::pages::{AssetLine, read};
use super::reply::ErrorPage;
use crate::core::{Definitions, FreshnessNow, Health, World, freshness_now};
use crate::edge::clock;
use crate::edge::engine::{EngineHandle, RequestError};

/// More assets than a project can have.
const MOST_ASSETS: usize = 100_000;
/// So long everything is taken for as it was, if no event says otherwise; lateness is told by then.
const REST: Micros = 5_000_000;
/// After so long everything is looked at again.
const OLDEST: Micros = 60_000_000;
/// Of more assets than this the sums are read together.
const MOST_ALONE: usize = 500;

/// Every asset with its state.
pub struct Standing {
    kept: Mutex<Kept>,
}

struct Kept {
    events: Receiver<Arc<Vec<Recorded>>>,
    definitions: Option<Arc<Definitions>>,
    lines: Arc<Vec<AssetLine>>,
    /// When everything was looked at, and when anything was.
    whole_at: Micros,
    at: Micros,
}

/// Which assets may stand otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Touched {
    /// These, and those that read them.
    Assets(BTreeSet<AssetKey>),
    All,
}

/// What was found out again.
struct Found {
    definitions: Arc<Definitions>,
    /// All assets, if everything was looked at.
    whole: Option<Vec<AssetLine>>,
    healths: Vec<(AssetKey, Health)>,
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
                whole_at: 0,
                at: 0,
            }),
        }
    }

    /// Every asset, upstream first.
    pub async fn lines(&self, state: &WebState) -> Result<Arc<Vec<AssetLine>>, ErrorPage> {
        let mut kept = self.kept.lock().await;
        let (touched, any) = kept.drain();
        let now = clock::now();
        let swapped = match &kept.definitions {
            Some(definitions) => !Arc::ptr_eq(definitions, &state.engine.project().definitions),
            None => true,
        };
        if !any && !swapped && (0..REST).contains(&(now - kept.at)) {
            return Ok(Arc::clone(&kept.lines));
        }
        let old = !(0..OLDEST).contains(&(now - kept.whole_at));
        let touched = if swapped || old { Touched::All } else { touched };
        let known = kept.definitions.clone();
        let (found, touched) = state
            .engine
            .driver()
            .ask(move |world, at| find(world, at, known.as_ref(), touched))
            .await
            .ok_or(RequestError::Stopping)?;
        let alone = match &touched {
            Touched::Assets(keys) if keys.len() <= MOST_ALONE => Some(keys.clone()),
            _ => None,
        };
        let mut sums = read(&state.engine, move |store| match alone {
            Some(keys) => keys
                .iter()
                .filter_map(|key| asset_sums(store, key).transpose())
                .collect::<Result<Vec<AssetRow>, _>>(),
            None => Ok(assets(store, None, MOST_ASSETS)?.rows),
        })
        .await?
        .into_iter()
        .map(|row| (row.asset.clone(), row))
        .collect::<BTreeMap<AssetKey, AssetRow>>();
        kept.at = now;
        let Found {
            definitions,
            whole,
            healths,
            mut freshness,
            busy,
        } = found;
        kept.definitions = Some(definitions);
        let mut healths: HashMap<AssetKey, Health> = healths.into_iter().collect();
        if let Some(whole) = whole {
            kept.whole_at = now;
            kept.lines = Arc::new(whole);
        }
        for line in Arc::make_mut(&mut kept.lines) {
            if let Some(health) = healths.remove(&line.asset) {
                line.state = health.state();
                line.health = health;
            }
            line.running = busy.contains(&line.asset);
            line.freshness = freshness.remove(&line.asset);
            if let Some(row) = sums.remove(&line.asset) {
                line.sums = Some(row);
            }
        }
        Ok(Arc::clone(&kept.lines))
    }
}

impl Kept {
    /// What the events since the last time are about, and whether there were any.
    fn drain(&mut self) -> (Touched, bool) {
        let mut keys = BTreeSet::new();
        let mut any = false;
        let mut all = false;
        loop {
            match self.events.try_recv() {
                Ok(events) => {
                    any = true;
                    keys.extend(events.iter().filter_map(|recorded| subject(&recorded.event)).cloned());
                }
                Err(TryRecvError::Lagged(_)) => (any, all) = (true, true),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        (if all { Touched::All } else { Touched::Assets(keys) }, any)
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
        Event::SourceObserved { asset, .. } => Some(asset),
        Event::ModelRegistered { model, .. } | Event::AliasMoved { model, .. } => Some(model),
        _ => None,
    }
}

/// Looks at what may stand otherwise. Says how far it looked.
fn find(world: &World, at: Micros, known: Option<&Arc<Definitions>>, touched: Touched) -> (Found, Touched) {
    let definitions = Arc::clone(world.definitions());
    let same = known.is_some_and(|known| Arc::ptr_eq(known, &definitions));
    let touched = match touched {
        Touched::Assets(keys) if same => {
            let readers = keys.iter().flat_map(|key| definitions.graph().downstream(key));
            let readers: Vec<AssetKey> = readers.map(|asset| asset.key.clone()).collect();
            Touched::Assets(keys.into_iter().chain(readers).collect())
        }
        _ => Touched::All,
    };
    let ordered = definitions.ordered();
    let (whole, healths) = match &touched {
        Touched::All => {
            let lines = ordered.iter().filter_map(|asset| {
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
                    running: false,
                    freshness: None,
                    sums: None,
                })
            });
            (Some(lines.collect()), Vec::new())
        }
        Touched::Assets(keys) => {
            let healths = keys
                .iter()
                .filter_map(|key| Some((key.clone(), Health::of(world, at, key)?)));
            (None, healths.collect())
        }
    };
    let freshness = ordered
        .iter()
        .filter_map(|asset| Some((asset.key.clone(), freshness_now(world, at, asset)?)));
    let found = Found {
        whole,
        healths,
        freshness: freshness.collect(),
        busy: world.attempts().map(|attempt| attempt.asset.clone()).collect(),
        definitions,
    };
    (found, touched)
}
