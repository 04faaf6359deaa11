//! Whose turn it is, and what everything that waits is waiting for. Admission and every explanation read the same answer here.
//!
//! Runs come in the order of their priority. One that holds no worker gains a point for every minute since it last got one, so
//! none waits for ever behind others that keep coming. Among equals the one with the fewest workers comes first, then the
//! older one.
//!
//! A run that holds no worker and was kept waiting for a place or for memory for a while has them kept free for it: otherwise
//! many small steps would take by turns what a large one needs all at once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use assets::{AssetKey, AssetPartition};
use serde::Serialize;
use state::event::Micros;
use state::ids::RunId;
use state::status::{RunStatus, StepStatus};

use super::decide::schedule_of;
use super::limits::{Claim, InUse, Lack, claims};
use super::world::{Group, Run, World};

/// For every such time without a worker a run's priority counts for one more.
const POINT: Micros = 60_000_000;
/// After such a time without a worker, what a run waits for is kept free for it.
const KEPT_FREE_AFTER: Micros = 600_000_000;
/// Ready steps of an asset that are looked through for one that no earlier run has.
const LOOKED_THROUGH: usize = 1000;

/// What a step, or a whole run, waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum WaitsFor {
    /// That someone resumes the run.
    Resume,
    /// The next start: this process is about to end.
    NextStart,
    /// The end of an earlier run of the same schedule.
    EarlierRun {
        /// The earlier run.
        run: RunId,
        /// Whether that one is paused.
        paused: bool,
    },
    /// What it reads is not made yet in this run.
    Upstream {
        /// The asset that it reads.
        asset: AssetKey,
    },
    /// What is published together with it is not made yet in this run.
    Together {
        /// The asset that is yet to come.
        asset: AssetKey,
    },
    /// The end of the wait for a retry.
    Retry {
        /// Which retry; 1 is the first.
        retry: u32,
        /// Until when, in microseconds since 1970.
        due: Micros,
    },
    /// That steps of its run end, of which no more may be in flight.
    Pace {
        /// How many may.
        max_in_flight: u32,
    },
    /// An earlier run that makes the same partition.
    Partition {
        /// That run.
        run: RunId,
        /// Whether it is paused.
        paused: bool,
    },
    /// A place in a pool.
    Pool {
        /// The pool.
        pool: String,
        /// Its places.
        limit: u32,
        /// How many are taken.
        used: usize,
        /// By which runs.
        runs: Vec<RunId>,
    },
    /// Memory, in bytes.
    Memory {
        /// What it needs.
        needs: u64,
        /// What others have.
        used: u64,
        /// What there is for all.
        total: u64,
        /// Which runs have it.
        runs: Vec<RunId>,
    },
    /// A run that waited for so long that what it needs is kept free for it.
    KeptFree {
        /// That run.
        run: RunId,
    },
    /// A free worker.
    Worker {
        /// How many there are.
        workers: usize,
        /// Which runs have them.
        runs: Vec<RunId>,
    },
}

/// What steps of one asset of a run wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Wait {
    /// The asset.
    pub asset: AssetKey,
    /// How many steps.
    pub steps: usize,
    /// For what.
    #[serde(flatten)]
    pub waits_for: WaitsFor,
}

/// The queue as it stands: who comes when, and what is taken.
pub(super) struct Queue<'w> {
    world: &'w World,
    pub(super) in_use: InUse<'w>,
    /// What is kept free, and for which run.
    kept_free: BTreeMap<Claim, &'w RunId>,
    /// Runs that wait for an earlier one of their schedule.
    behind: BTreeMap<&'w RunId, &'w RunId>,
    /// Runs that may start something as far as they go, in turn.
    pub(super) turns: Vec<&'w Run>,
}

impl<'w> Queue<'w> {
    pub(super) fn of(world: &'w World, at: Micros) -> Self {
        let mut first: BTreeMap<&str, &RunId> = BTreeMap::new();
        let mut behind = BTreeMap::new();
        for run in world.open_runs() {
            let Some(schedule) = schedule_of(run) else { continue };
            match first.get(schedule) {
                Some(earlier) => {
                    behind.insert(&run.id, *earlier);
                }
                None => {
                    first.insert(schedule, &run.id);
                }
            }
        }
        let may = |run: &&Run| run.status != RunStatus::Canceling && run.room() > 0 && !behind.contains_key(&run.id);
        let mut turns: Vec<&Run> = world.open_runs().filter(may).collect();
        turns.sort_by_cached_key(|run| (Reverse(standing(run, at)), run.attempts, run.number));
        let in_use = InUse::of(world);
        let mut kept_free = BTreeMap::new();
        for run in turns.iter().filter(|run| idle(run, at) >= KEPT_FREE_AFTER) {
            for group in run.groups.iter().filter(|group| group.has_ready()) {
                let lack = group.definition.as_ref().and_then(|asset| in_use.lack(asset));
                if let Some(lack) = lack {
                    kept_free.entry(lack.claim()).or_insert(&run.id);
                }
            }
        }
        Self {
            world,
            in_use,
            kept_free,
            behind,
            turns,
        }
    }

    /// What keeps the ready steps of a group from being given to a worker, besides the number of workers and other runs'
    /// claims to their partitions.
    pub(super) fn held(&self, run: &Run, group: &Group) -> Option<WaitsFor> {
        if let Some(stopped) = stopped(self.world, run) {
            return Some(stopped);
        }
        if let Some(earlier) = self.behind.get(&run.id) {
            return Some(WaitsFor::EarlierRun {
                run: (*earlier).clone(),
                paused: self.is_paused(earlier),
            });
        }
        if run.room() == 0 {
            let max_in_flight = run.request.pace.max_in_flight.unwrap_or(1);
            return Some(WaitsFor::Pace { max_in_flight });
        }
        // What is not declared any more ends without a worker.
        let asset = group.definition.as_ref()?;
        match self.in_use.lack(asset) {
            Some(Lack::Pool {
                pool,
                limit,
                used,
                runs,
            }) => Some(WaitsFor::Pool {
                pool,
                limit,
                used,
                runs,
            }),
            Some(Lack::Memory {
                needs,
                used,
                total,
                runs,
            }) => Some(WaitsFor::Memory {
                needs,
                used,
                total,
                runs,
            }),
            None => {
                let settings = &self.world.definitions().settings;
                let mut others = claims(settings, asset).filter_map(|claim| self.kept_free.get(&claim));
                others
                    .find(|other| **other != &run.id)
                    .map(|other| WaitsFor::KeptFree { run: (*other).clone() })
            }
        }
    }

    /// The earlier run that makes this partition too.
    pub(super) fn claimed(&self, run: &Run, step: &AssetPartition) -> Option<&'w RunId> {
        let mut earlier = self.world.open_runs().take_while(|other| other.number < run.number);
        let claims = |other: &&Run| other.step(step).is_some_and(|theirs| !theirs.status.is_terminal());
        earlier.find(claims).map(|other| &other.id)
    }

    fn is_paused(&self, run: &RunId) -> bool {
        self.world.run(run).is_some_and(|run| run.paused)
    }

    fn worker(&self) -> WaitsFor {
        let runs: BTreeSet<&RunId> = self.in_use.attempts().iter().copied().collect();
        WaitsFor::Worker {
            workers: self.world.definitions().settings.slots,
            runs: runs.into_iter().cloned().collect(),
        }
    }

    fn of_ready(&self, run: &Run, group: &Group, step: Option<&AssetPartition>) -> WaitsFor {
        if let Some(held) = self.held(run, group) {
            return held;
        }
        let claimed = match step {
            Some(step) => self.claimed(run, step),
            None => {
                let mut each = run
                    .ready_in_turn(group)
                    .take(LOOKED_THROUGH)
                    .map(|position| self.claimed(run, &run.name(position)));
                let first = each.next().flatten();
                first.filter(|_| each.all(|claimed| claimed.is_some()))
            }
        };
        match claimed {
            Some(other) => WaitsFor::Partition {
                run: other.clone(),
                paused: self.is_paused(other),
            },
            None => self.worker(),
        }
    }
}

/// Why nothing of a run is started, whatever its steps wait for beside.
fn stopped(world: &World, run: &Run) -> Option<WaitsFor> {
    match (run.paused, world.is_draining()) {
        // The next start would not start it either.
        (true, _) => Some(WaitsFor::Resume),
        (false, true) => Some(WaitsFor::NextStart),
        (false, false) => None,
    }
}

/// How much a run counts among those that wait.
fn standing(run: &Run, at: Micros) -> i64 {
    i64::from(run.request.priority()) + idle(run, at) / POINT
}

/// For how long a run has had no worker.
fn idle(run: &Run, at: Micros) -> Micros {
    match run.attempts {
        0 => (at - run.last_start).max(0),
        _ => 0,
    }
}

/// What the steps of a run that wait are waiting for, by asset, upstream first. Empty if the run is over, or none waits.
pub fn waits(world: &World, at: Micros, run: &RunId) -> Vec<Wait> {
    let Some(run) = world.run(run).filter(|run| run.status != RunStatus::Canceling) else {
        return Vec::new();
    };
    let queue = Queue::of(world, at);
    let mut waits = Vec::new();
    for (index, group) in run.groups.iter().enumerate() {
        let mut wait = |steps, waits_for| {
            waits.push(Wait {
                asset: group.asset.clone(),
                steps,
                waits_for,
            });
        };
        let stretch = group.first..group.first + group.len;
        let steps = &run.steps[group.first as usize..(group.first + group.len) as usize];
        let waiting = steps.iter().filter(|step| step.status == StepStatus::Waiting).count();
        if !group.published_with.is_empty() {
            let staged = |position: &u32| run.steps[*position as usize].status == StepStatus::Publishing;
            let to_come = stretch.clone().filter(staged);
            let to_come: Vec<u32> = to_come.filter_map(|position| run.mate_to_come(position)).collect();
            if let Some(first) = to_come.first() {
                let asset = run.name(*first).asset;
                wait(to_come.len(), WaitsFor::Together { asset });
            }
        }
        if let Some(stopped) = stopped(world, run) {
            if waiting > 0 {
                wait(waiting, stopped);
            }
            continue;
        }
        let delayed = run.delayed.range(stretch);
        let retries = delayed.clone().count();
        if let Some((&position, &due)) = delayed.min_by_key(|(_, due)| **due) {
            let retry = run.steps[position as usize].retries;
            wait(retries, WaitsFor::Retry { retry, due });
        }
        let ready = if group.has_ready() { group.ready.len() } else { 0 };
        if ready > 0 {
            wait(ready, queue.of_ready(run, group, None));
        }
        let rest = waiting - retries - ready;
        if rest > 0 {
            wait(rest, upstream(run, index, None));
        }
    }
    waits
}

/// What the steps wait for; `None` for one that does not wait.
pub fn waits_of(world: &World, at: Micros, run: &RunId, steps: &[AssetPartition]) -> Vec<Option<WaitsFor>> {
    let queue = Queue::of(world, at);
    let run = world.run(run).filter(|run| run.status != RunStatus::Canceling);
    steps.iter().map(|step| wait_of(&queue, run?, step)).collect()
}

fn wait_of(queue: &Queue<'_>, run: &Run, step: &AssetPartition) -> Option<WaitsFor> {
    let position = run.position(step)?;
    let known = &run.steps[position as usize];
    if known.status == StepStatus::Publishing {
        let asset = run.name(run.mate_to_come(position)?).asset;
        return Some(WaitsFor::Together { asset });
    }
    if known.status != StepStatus::Waiting {
        return None;
    }
    if let Some(stopped) = stopped(queue.world, run) {
        return Some(stopped);
    }
    if let Some(&due) = run.delayed.get(&position) {
        let retry = known.retries;
        return Some(WaitsFor::Retry { retry, due });
    }
    let group = &run.groups[known.group as usize];
    if known.waits_for > 0 || group.blocked_by > 0 {
        return Some(upstream(run, known.group as usize, Some(position)));
    }
    Some(queue.of_ready(run, group, Some(step)))
}

/// An asset upstream in the run that is not done and keeps steps of a group waiting.
fn upstream(run: &Run, group: usize, position: Option<u32>) -> WaitsFor {
    let here = &run.groups[group];
    let inputs = here.definition.iter().flat_map(|asset| &asset.inputs);
    let undone = |key: &AssetKey| {
        let mut above = run.groups.iter();
        above.find(|above| above.asset == *key && above.unfinished > 0 && above.asset != here.asset)
    };
    let above: Vec<&Group> = inputs.filter_map(|input| undone(&input.asset)).collect();
    let keeps = |above: &&&Group| match position {
        Some(position) => {
            let steps = &run.steps[above.first as usize..(above.first + above.len) as usize];
            above.needed_whole_by.contains(&(group as u32))
                || steps.iter().any(|step| step.needed_by.contains(&position))
        }
        None => true,
    };
    let found = above.iter().find(keeps).or(above.first());
    WaitsFor::Upstream {
        asset: found.map_or_else(|| here.asset.clone(), |found| found.asset.clone()),
    }
}
