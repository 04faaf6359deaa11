//! Automation: which partitions are to be made by themselves, decided at the end of a turn from what is committed.
//!
//! A partition is requested when
//! 1. its asset's condition holds for it,
//! 2. it is stale, or will be by what the same decision makes: what is fresh is left as it is,
//! 3. what it reads is there,
//! 4. no run is to make it already, and none is to make what it reads, or more of what it reads of the same run: what one
//!    run changes is followed by one run,
//! 5. it was not tried in vain from the same code, inputs and sources: after a failure or a cancellation it is left alone until
//!    one of them changes, or a cron of its condition ticks.
//!
//! All that a decision requests, of however many assets, is one run. Since the rule is about what *is*, and not about what was
//! seen to happen, nothing is lost: after a start, or after a pause, everything is looked at. In between only what an event can
//! concern is, by [`super::super::world::Pending`].

mod affected;
mod explain;
mod facts;
mod look;

pub use explain::{Explanation, explain};

use std::collections::{BTreeMap, BTreeSet};

use assets::AssetKey;
use assets::partition::PartitionSet;
use state::automation::{AutomationDecision, Held, HoldReason};
use state::event::{Event, Micros, OwnerMode, Pace, PlannedStep, RunRequest};

use super::super::effect::{Answer, Decision, Effect, RequestId};
use super::super::staleness::Sight;
use super::super::world::{Alarm, Changed, Hold, World};
use affected::{affected, everything_of};
use look::Looker;

/// What the trigger of automation's runs is.
pub const AUTOMATION: &str = "automation";

/// What one look came to.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The run, and why it was requested.
    pub(super) events: Vec<Event>,
    /// What is to be remembered of each asset that was looked at.
    pub(super) looked: Vec<LookedAt>,
}

/// What is to be remembered of an asset that was looked at.
#[derive(Debug)]
pub(super) struct LookedAt {
    asset: AssetKey,
    looked_at: PartitionSet,
    waiting: PartitionSet,
    /// How many partitions exist, if they were looked at.
    count: Option<usize>,
    alarm: Option<Micros>,
}

/// What is to be left alone of what came to an end.
pub(super) fn holds(world: &World, at: Micros) -> Vec<Event> {
    let definitions = world.definitions();
    let sight = Sight::new(world, definitions, at);
    let mut held: BTreeMap<&AssetKey, Vec<Held>> = BTreeMap::new();
    for ended in &world.pending().ended {
        let (asset, partition) = (&ended.step.asset, ended.step.partition.as_ref());
        let Some(definition) = definitions.get(asset) else {
            continue;
        };
        let now = sight.made_from(definition, partition);
        let version = match (ended.how, &ended.tried) {
            (HoldReason::StillStale, tried) => {
                if tried.as_ref() != Some(&now) || sight.stale(definition, partition).is_none() {
                    continue;
                }
                now
            }
            (HoldReason::Failed | HoldReason::Together, Some(tried)) => tried.clone(),
            (HoldReason::Failed | HoldReason::Together, None) | (HoldReason::Canceled, _) => now,
        };
        // Skipped for the sake of another, it is still what failed or was canceled before.
        let known = world.automation().held.get(asset);
        let known = known.and_then(|known| known.get(&ended.step.partition));
        let stays = |known: &Hold| known.because != HoldReason::Together && known.version == version;
        if ended.how == HoldReason::Together && known.is_some_and(stays) {
            continue;
        }
        held.entry(asset).or_default().push(Held {
            partition: ended.step.partition.clone(),
            version,
            because: ended.how,
        });
    }
    let events = held.into_iter().map(|(asset, held)| Event::AutomationHeld {
        asset: asset.clone(),
        held,
    });
    events.collect()
}

/// Looks at all that is pending and requests what is to be made.
pub(super) fn next(world: &World, at: Micros) -> Look {
    if world.pending().is_quiet() && world.pending().due(at).next().is_none() {
        return Look::default();
    }
    let definitions = world.definitions();
    let upkeep = definitions.upkeep();
    let mut candidates = candidates(world, at);
    let mut look = Look::default();
    // Those that are paused, or that have nothing to look at, are not to be woken for again and again.
    for alarm in world.pending().due(at) {
        let Alarm::Automation(asset) = alarm else { continue };
        let position = definitions.position(asset);
        if position.is_none_or(|position| !candidates.contains_key(&position)) {
            look.looked.push(LookedAt {
                asset: asset.clone(),
                looked_at: PartitionSet::new(),
                waiting: PartitionSet::new(),
                count: None,
                alarm: position
                    .filter(|_| world.automation().pause_of(asset).is_none())
                    .and_then(|position| self::alarm(world, at, position)),
            });
        }
    }
    if candidates.is_empty() {
        return look;
    }
    let mut looker = Looker::new(world, at);
    let mut requests = Vec::new();
    let mut steps: Vec<PlannedStep> = Vec::new();
    let mut keys: Vec<&AssetKey> = Vec::new();
    // Upstream first, so that what is requested counts as changed for what reads it.
    while let Some((position, looked_at)) = candidates.pop_first() {
        let asset = &definitions.ordered()[position];
        let Some(rule) = upkeep.rule(&asset.key) else { continue };
        let exists = everything_of(asset, at);
        let looked_at: PartitionSet = looked_at.iter().filter(|index| exists.contains(*index)).collect();
        let count = exists.len();
        let outcome = looker.look(asset, rule, &looked_at);
        look.looked.push(LookedAt {
            asset: asset.key.clone(),
            waiting: outcome.waiting,
            count: Some(count),
            alarm: alarm(world, at, position),
            looked_at,
        });
        if outcome.requested.is_empty() {
            continue;
        }
        for listener in upkeep.listeners(&asset.key).iter().filter(|listener| listener.reads) {
            let Some(below) = definitions.position(&listener.asset) else {
                continue;
            };
            let reader = &definitions.ordered()[below];
            let concerned = affected(reader, asset, &outcome.requested, at);
            candidates.entry(below).or_default().union(&concerned);
        }
        keys.push(&asset.key);
        steps.extend(outcome.steps);
        requests.extend(outcome.request);
    }
    if steps.is_empty() {
        return look;
    }
    let along = looker.along(&steps);
    if !along.is_empty() {
        steps.extend(along);
        // A run has its steps by asset, upstream first. The sort keeps the order of partitions, which came by asset.
        steps.sort_by_cached_key(|planned| {
            let asset = definitions.get(&planned.step.asset);
            let place = asset.map(|asset| affected::index(asset, planned.step.partition.as_ref()));
            (definitions.position(&planned.step.asset), place)
        });
    }
    let run = world.next_run_id(at);
    let selection: Vec<&str> = keys.into_iter().map(AssetKey::as_str).collect();
    look.events.push(Event::RunSubmitted {
        run: run.clone(),
        request: RunRequest {
            selection: selection.join(", "),
            partitions: None,
            force: false,
            only: None,
            pace: Pace::default(),
            owner: OwnerMode::Daemon,
            trigger: AUTOMATION.to_owned(),
        },
        steps,
        definitions: world.definitions().version().cloned(),
    });
    look.events.push(Event::AutomationRequested {
        decision: AutomationDecision { run, requests },
    });
    look
}

/// Which partitions of which automated assets, by their place in the order of assets, something that happened may concern.
fn candidates(world: &World, at: Micros) -> BTreeMap<usize, PartitionSet> {
    let definitions = world.definitions();
    let upkeep = definitions.upkeep();
    let pending = world.pending();
    let mut found: BTreeMap<usize, PartitionSet> = BTreeMap::new();
    // A look at an asset that has no partition yet finds out when it has one.
    let mut add = |asset: &AssetKey, whole: bool, which: &dyn Fn(&assets::Asset) -> PartitionSet| {
        if upkeep.rule(asset).is_none() || world.automation().pause_of(asset).is_some() {
            return;
        }
        if let Some(position) = definitions.position(asset) {
            let set = which(&definitions.ordered()[position]);
            if whole || !set.is_empty() {
                found.entry(position).or_default().union(&set);
            }
        }
    };
    if pending.everything {
        for (asset, _) in upkeep.rules() {
            add(asset, true, &|asset| everything_of(asset, at));
        }
        return found;
    }
    for asset in &pending.whole {
        add(asset, true, &|asset| everything_of(asset, at));
    }
    for (key, changed) in &pending.changed {
        let Some(upstream) = definitions.get(key) else { continue };
        let indexes = match changed {
            Changed::Whole => everything_of(upstream, at),
            Changed::Partitions(partitions) => {
                let all = everything_of(upstream, at);
                let indexes = partitions
                    .iter()
                    .filter_map(|partition| affected::index(upstream, partition.as_ref()));
                indexes.filter(|index| all.contains(*index)).collect()
            }
        };
        add(key, false, &|_| indexes.clone());
        for listener in upkeep.listeners(key) {
            add(&listener.asset, false, &|asset| match (listener.reads, changed) {
                (true, Changed::Partitions(_)) => affected(asset, upstream, &indexes, at),
                _ => everything_of(asset, at),
            });
        }
    }
    for key in &pending.released {
        let listeners = upkeep.listeners(key).iter().map(|listener| &listener.asset);
        for asset in listeners.chain([key]).chain(definitions.published_with(key)) {
            add(asset, false, &|asset| {
                pending.waiting.get(&asset.key).cloned().unwrap_or_default()
            });
        }
    }
    for alarm in pending.due(at) {
        let Alarm::Automation(asset) = alarm else { continue };
        add(asset, true, &|asset| {
            let condition = upkeep.rule(&asset.key).map(|rule| &rule.condition);
            let all = everything_of(asset, at);
            match pending.counted.get(&asset.key) {
                Some(counted)
                    if condition.is_some_and(|condition| {
                        condition.timetables().is_empty() && !condition.speaks_of_latest()
                    }) =>
                {
                    PartitionSet::from_range((*counted).min(all.len())..all.len())
                }
                _ => all,
            }
        });
    }
    found
}

/// When time alone may let a condition hold next: a partition comes to exist, a cron ticks.
fn alarm(world: &World, at: Micros, position: usize) -> Option<Micros> {
    let asset = &world.definitions().ordered()[position];
    let condition = &world.definitions().upkeep().rule(&asset.key)?.condition;
    let now = super::super::scope::timestamp(at);
    let ticks = condition
        .timetables()
        .into_iter()
        .filter_map(|timetable| timetable.next(now));
    let ticks = ticks.map(|tick| tick.at.as_microsecond());
    ticks.chain(affected::grows_at(asset, at)).min()
}

/// Remembers what was looked at. What happened meanwhile (by the events of the look itself) is looked at next.
pub(super) fn remember(world: &mut World, look: Vec<LookedAt>) {
    let pending = world.pending_mut();
    for looked in look {
        let before = pending.waiting.remove(&looked.asset).unwrap_or_default();
        let mut waiting = before.difference(&looked.looked_at);
        waiting.union(&looked.waiting);
        if !waiting.is_empty() {
            pending.waiting.insert(looked.asset.clone(), waiting);
        }
        if let Some(count) = looked.count {
            pending.counted.insert(looked.asset.clone(), count);
        }
        pending.set(Alarm::Automation(looked.asset), looked.alarm);
    }
}

/// Someone asks to pause automation, or to let it go on: of one asset, or all of it.
pub(super) fn pause(world: &World, request: RequestId, asset: Option<&AssetKey>, pause: bool, by: &str) -> Decision {
    let mut decision = Decision::default();
    let upkeep = world.definitions().upkeep();
    let unknown = asset.filter(|asset| upkeep.rule(asset).is_none());
    let is_paused = world.automation().paused.contains_key(&asset.cloned());
    let answer = match unknown {
        // A pause of what is no longer automated can be taken back.
        Some(asset) if pause || !is_paused => {
            let known: BTreeSet<&str> = upkeep.rules().map(|(key, _)| key.as_str()).collect();
            let reason = match assets::diagnostic::closest(asset.as_str(), known) {
                _ if world.definitions().get(asset).is_some() => {
                    format!("`{asset}` has no automation: declare `automation = \"eager\"` on it")
                }
                Some(near) => format!("there is no asset `{asset}`: did you mean `{near}`?"),
                None => format!("there is no asset `{asset}`: `millpond automation list` lists those with automation"),
            };
            Answer::Refused { reasons: vec![reason] }
        }
        _ => {
            // Asking twice is no mistake, and changes nothing.
            if is_paused != pause {
                let (asset, by) = (asset.cloned(), by.to_owned());
                decision.events.push(if pause {
                    Event::AutomationPaused { asset, by }
                } else {
                    Event::AutomationResumed { asset, by }
                });
            }
            Answer::Automation { paused: pause }
        }
    };
    decision.effects.push(Effect::Reply { request, answer });
    decision
}
