//! A task for each sensor that is declared; paused ones have theirs too, to answer who asks them to look.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use assets::Sensor;
use assets::sensor::{AssetSource, SensorSource};
use state::event::{Event, Recorded};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{AbortHandle, Id, JoinHandle, JoinSet};

use super::super::engine::EngineHandle;
use super::task::keep_one;
use super::watch::Watch;
use crate::core::{Input, SensorLook};

/// Longest time without a look at what is declared.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Keeps the sensors of an engine.
pub struct SensorKeeper(JoinHandle<()>);

impl SensorKeeper {
    /// Starts it. Must be called inside a tokio runtime.
    pub fn start(engine: EngineHandle) -> Self {
        Self(tokio::spawn(keep(engine)))
    }

    /// Stops it. A look under way is given up: it is made again at the next start.
    pub async fn stop(self) {
        self.0.abort();
        // Either it was aborted, or it ended by itself because the driver did.
        self.0.await.ok();
    }
}

struct Kept {
    task: AbortHandle,
    /// Wakes it when its declaration or its pause changed.
    changed: Arc<Notify>,
    /// Wakes it when there may be something to see.
    woken: Arc<Notify>,
    /// Whether that is what is committed here.
    facts: bool,
}

async fn keep(engine: EngineHandle) {
    let mut live = engine.driver().live();
    let watch = Watch::new();
    let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
    // Dropped with this task, it ends all of theirs.
    let mut tasks: JoinSet<()> = JoinSet::new();
    let mut names: HashMap<Id, String> = HashMap::new();
    loop {
        let question = engine.driver().ask(|world, _| {
            let declared = world.definitions().sensors().values();
            let known = |sensor: &&Sensor| world.sensor(&sensor.name).is_some_and(|record| record.declared);
            let declared = declared.filter(known).filter(|_| world.keeps_schedules());
            let declared = declared.map(|sensor| (sensor.name.clone(), watches_facts(sensor)));
            declared.collect::<BTreeMap<String, bool>>()
        });
        let Some(declared) = question.await else { return };
        kept.retain(|name, one| {
            let stays = declared.contains_key(name);
            if !stays {
                one.task.abort();
                engine.sensors().leave_seat(name);
                watch.forget(name);
            }
            stays
        });
        for (name, facts) in declared {
            let one = kept.entry(name).or_insert_with_key(|name| {
                let (changed, woken) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
                let (orders, now) = engine.sensors().take_seat(name);
                let task = keep_one(
                    engine.clone(),
                    name.clone(),
                    orders,
                    now,
                    changed.clone(),
                    woken.clone(),
                    watch.clone(),
                );
                let task = tasks.spawn(task);
                names.insert(task.id(), name.clone());
                Kept {
                    task,
                    changed,
                    woken,
                    facts,
                }
            });
            one.facts = facts;
        }
        tokio::select! {
            ended = tasks.join_next_with_id(), if !tasks.is_empty() => {
                let (id, broke) = match &ended {
                    Some(Ok((id, ()))) => (*id, None),
                    Some(Err(error)) => (error.id(), error.is_panic().then(|| error.to_string())),
                    None => continue,
                };
                let Some(name) = names.remove(&id) else { continue };
                if kept.get(&name).is_some_and(|one| one.task.id() == id) {
                    kept.remove(&name);
                }
                if let Some(error) = broke {
                    tracing::error!(sensor = %name, %error, "a look broke off");
                    told(&engine, name);
                }
            }
            changed = changes(&mut live) => {
                match changed {
                    Changed::These(changed) => {
                        for name in changed {
                            if let Some(one) = kept.get(&name) {
                                one.changed.notify_one();
                            }
                        }
                    }
                    Changed::Facts => {
                        kept.values().filter(|one| one.facts).for_each(|one| one.woken.notify_one());
                    }
                    Changed::Any => kept.values().for_each(|one| one.changed.notify_one()),
                }
            }
            () = tokio::time::sleep(ASK_AGAIN) => {}
        }
    }
}

/// A look that broke off has failed: its sensor pauses as after any other failure.
fn told(engine: &EngineHandle, sensor: String) {
    engine.driver().send(Input::SensorLooked {
        request: None,
        sensor,
        look: Box::new(SensorLook {
            after: None,
            sight: Err("the look broke off, which is a bug; the daemon's log has more".to_owned()),
            unseen: None,
        }),
        by: None,
    });
}

fn watches_facts(sensor: &Sensor) -> bool {
    matches!(
        sensor.source,
        SensorSource::Run(_) | SensorSource::Asset(AssetSource { project: None, .. })
    )
}

enum Changed {
    These(Vec<String>),
    /// An asset was materialized, or a run has ended.
    Facts,
    Any,
}

/// Waits until a sensor is declared, paused, resumed or removed.
async fn changes(live: &mut tokio::sync::broadcast::Receiver<Arc<Vec<Recorded>>>) -> Changed {
    loop {
        match live.recv().await {
            Ok(events) => {
                let of = |recorded: &Recorded| match &recorded.event {
                    Event::SensorDeclared { sensor, .. }
                    | Event::SensorRemoved { sensor }
                    | Event::SensorPaused { sensor, .. }
                    | Event::SensorResumed { sensor, .. } => Some(sensor.clone()),
                    _ => None,
                };
                let changed: Vec<String> = events.iter().filter_map(of).collect();
                if !changed.is_empty() {
                    return Changed::These(changed);
                }
                let fact = |recorded: &Recorded| {
                    matches!(recorded.event, Event::RunEnded { .. } | Event::StepSucceeded { .. })
                };
                if events.iter().any(fact) {
                    return Changed::Facts;
                }
            }
            Err(RecvError::Lagged(_)) => return Changed::Any,
            // The driver has ended; the next question finds out.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
