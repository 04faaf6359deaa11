//! What bounds the attempts under way besides the number of workers: pools and memory.
//!
//! Nothing here is counted on the side: who has a place follows from the attempts in flight, so a place is free again in the
//! very transaction that says that its attempt has ended.

use std::collections::BTreeMap;

use assets::Asset;
use state::ids::RunId;

use super::definitions::CoreSettings;
use super::world::World;

/// What the attempts in flight use.
#[derive(Debug)]
pub struct InUse<'w> {
    settings: &'w CoreSettings,
    /// The runs whose attempts have a place, once for each, by pool.
    pools: BTreeMap<&'w str, Vec<&'w RunId>>,
    memory_bytes: u64,
    attempts: Vec<&'w RunId>,
}

/// Something that there is not enough of for another attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// Every place of a pool is taken.
    Pool {
        /// The pool.
        pool: String,
        /// Its places.
        limit: u32,
        /// How many of them are taken.
        used: usize,
        /// By attempts of which runs.
        runs: Vec<RunId>,
    },
    /// The memory that steps may use together is given to others.
    Memory {
        /// What the step needs, in bytes.
        needs: u64,
        /// What others have.
        used: u64,
        /// What there is.
        total: u64,
        /// Attempts of which runs have it.
        runs: Vec<RunId>,
    },
}

/// A thing that can lack, by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// A place of this pool.
    Pool(String),
    /// Memory.
    Memory,
}

impl Lack {
    /// Of what there is not enough.
    pub fn claim(&self) -> Claim {
        match self {
            Self::Pool { pool, .. } => Claim::Pool(pool.clone()),
            Self::Memory { .. } => Claim::Memory,
        }
    }
}

impl<'w> InUse<'w> {
    /// What is in use now, against the limits that are in force now.
    pub fn of(world: &'w World) -> Self {
        let mut in_use = Self {
            settings: &world.definitions().settings,
            pools: BTreeMap::new(),
            memory_bytes: 0,
            attempts: Vec::new(),
        };
        for attempt in world.attempts().filter(|attempt| !attempt.ended) {
            in_use.attempts.push(&attempt.run);
            let run = world.run(&attempt.run);
            let Some(asset) = run.and_then(|run| run.definitions.get(&attempt.asset)) else {
                continue;
            };
            for pool in &asset.rules.pools {
                in_use.pools.entry(pool.as_str()).or_default().push(&attempt.run);
            }
            in_use.memory_bytes += needs(in_use.settings, asset);
        }
        in_use
    }

    /// The attempts that hold a worker, by their runs.
    pub fn attempts(&self) -> &[&'w RunId] {
        &self.attempts
    }

    /// How many places of each pool are taken.
    pub fn pools(&self) -> impl Iterator<Item = (&'w str, usize)> {
        self.pools.iter().map(|(pool, runs)| (*pool, runs.len()))
    }

    /// Bytes of memory that are given away.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// What keeps another attempt at this asset from starting, if anything does.
    pub fn lack(&self, asset: &Asset) -> Option<Lack> {
        for pool in &asset.rules.pools {
            // A pool that the project no longer declares limits nothing.
            let Some(&limit) = self.settings.pools.get(pool) else {
                continue;
            };
            let runs = self.pools.get(pool.as_str()).map_or(&[][..], Vec::as_slice);
            if runs.len() >= limit as usize {
                return Some(Lack::Pool {
                    pool: pool.clone(),
                    limit,
                    used: runs.len(),
                    runs: distinct(runs),
                });
            }
        }
        let (needs, total) = (needs(self.settings, asset), self.settings.memory_bytes);
        (self.memory_bytes > 0 && self.memory_bytes.saturating_add(needs) > total).then(|| Lack::Memory {
            needs,
            used: self.memory_bytes,
            total,
            runs: distinct(&self.attempts),
        })
    }
}

/// What an attempt at an asset claims while it is under way.
pub fn claims(settings: &CoreSettings, asset: &Asset) -> impl Iterator<Item = Claim> {
    let pools = asset.rules.pools.iter().cloned().map(Claim::Pool);
    pools.chain((needs(settings, asset) > 0).then_some(Claim::Memory))
}

/// Bytes that an attempt at an asset is given; one that wants more than there is works alone.
pub fn needs(settings: &CoreSettings, asset: &Asset) -> u64 {
    let said = asset.rules.memory_bytes.unwrap_or(settings.step_memory_bytes);
    said.min(settings.memory_bytes)
}

fn distinct(runs: &[&RunId]) -> Vec<RunId> {
    let mut distinct: Vec<RunId> = runs.iter().map(|run| (*run).clone()).collect();
    distinct.sort();
    distinct.dedup();
    distinct
}
