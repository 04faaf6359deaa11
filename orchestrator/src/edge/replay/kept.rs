//! Replays that were asked for on a page: one at a time, each followed to its end, the last of several runs kept until the daemon stops.
//! They change nothing and are no events, so nothing of them is stored.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assets::AssetKey;
use serde::Serialize;
use state::event::Micros;
use state::ids::RunId;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::clock;
use super::published::{Verdict, With};
use super::running::{ReplayOrder, RunningReplay, Word};

/// Runs whose last replay is kept.
const KEPT: usize = 20;
/// Verdicts other than "the same" that are kept of a replay; the others are counted.
const VERDICTS: usize = 200;

/// Why there is no replay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoReplay {
    /// One at a time: each may use as much memory as a worker.
    #[error("{0} is being replayed, and one run is at a time: wait for its end, or cancel that replay")]
    Busy(RunId),
    /// What would be started now would not come to its end.
    #[error("the daemon is stopping")]
    Stopping,
}

/// The replay of a run, as far as it is.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ReplayFacts {
    /// The run.
    pub run: RunId,
    /// With what of today.
    pub with: With,
    /// When it began.
    pub started_at: Micros,
    /// When it ended; `None` while it goes on.
    pub ended_at: Option<Micros>,
    /// How many partitions there are to make again, once that is known.
    pub partitions: Option<u64>,
    /// What became of them.
    pub counts: ReplayCounts,
    /// By asset.
    pub assets: BTreeMap<AssetKey, ReplayCounts>,
    /// Those that did not come out the same; the first 200.
    pub others: Vec<Verdict>,
    /// Why it ended before its time.
    pub stopped: Option<String>,
}

/// What became of partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ReplayCounts {
    /// The same came out.
    pub same: u64,
    /// Something else came out.
    pub differ: u64,
    /// They were not made again.
    pub not_made: u64,
}

impl ReplayCounts {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.same + self.differ + self.not_made
    }

    fn add(&mut self, verdict: &Verdict) {
        match (&verdict.compared, verdict.same) {
            (_, true) => self.same += 1,
            (Some(_), false) => self.differ += 1,
            (None, false) => self.not_made += 1,
        }
    }
}

/// The replays of a daemon.
#[derive(Clone, Default)]
pub struct Replays(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// The newest last.
    replays: VecDeque<ReplayFacts>,
    /// The one under way; dropped, or told, it stops.
    under_way: Option<(RunId, watch::Sender<bool>)>,
    /// Who follows the last one.
    follower: Option<JoinHandle<()>>,
    /// No more are started.
    stopping: bool,
    /// Counts what is news to a page.
    news: u64,
}

impl Replays {
    /// Starts one. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Another one is under way, or the daemon is stopping.
    pub fn start(&self, order: ReplayOrder) -> Result<(), NoReplay> {
        let mut kept = self.kept();
        if kept.stopping {
            return Err(NoReplay::Stopping);
        }
        if let Some((run, _)) = &kept.under_way {
            return Err(NoReplay::Busy(run.clone()));
        }
        let (cancel, canceled) = watch::channel(false);
        kept.under_way = Some((order.run.clone(), cancel));
        kept.replays.retain(|replay| replay.run != order.run);
        if kept.replays.len() == KEPT {
            kept.replays.pop_front();
        }
        kept.replays.push_back(ReplayFacts {
            run: order.run.clone(),
            with: order.with,
            started_at: clock::now(),
            ended_at: None,
            partitions: None,
            counts: ReplayCounts::default(),
            assets: BTreeMap::new(),
            others: Vec::new(),
            stopped: None,
        });
        kept.news += 1;
        let replays = self.clone();
        // It asks for the lock at its end, which is free by then.
        kept.follower = Some(tokio::spawn(async move {
            let stopped = replays.follow(&order, canceled).await;
            let mut kept = replays.kept();
            kept.under_way = None;
            kept.news += 1;
            if let Some(replay) = kept.replays.iter_mut().find(|replay| replay.run == order.run) {
                replay.ended_at = Some(clock::now());
                replay.stopped = stopped;
            }
        }));
        Ok(())
    }

    /// Stops the replay of a run; whether there is one to stop.
    pub fn cancel(&self, run: &RunId) -> bool {
        let kept = self.kept();
        let under_way = kept.under_way.as_ref().filter(|(one, _)| one == run);
        // Nobody listens any more if it ends at this moment.
        under_way.is_some_and(|(_, cancel)| cancel.send(true).is_ok())
    }

    /// Ends the one under way with all that its step has started, and starts no more.
    pub async fn stop(&self) {
        let follower = {
            let mut kept = self.kept();
            kept.stopping = true;
            if let Some((_, cancel)) = &kept.under_way {
                cancel.send_replace(true);
            }
            kept.follower.take()
        };
        if let Some(follower) = follower {
            // One that panicked has told so, and let go of its process.
            follower.await.ok();
        }
    }

    /// The last replay of a run.
    pub fn of(&self, run: &RunId) -> Option<ReplayFacts> {
        self.kept().replays.iter().find(|replay| replay.run == *run).cloned()
    }

    /// A number that grows with whatever is news to a page.
    pub fn news(&self) -> u64 {
        self.kept().news
    }

    /// Why it ended before its time, if it did.
    async fn follow(&self, order: &ReplayOrder, mut canceled: watch::Receiver<bool>) -> Option<String> {
        let mut running = match RunningReplay::start(order).await {
            Ok(running) => running,
            Err(error) => return Some(format!("its process cannot be started: {error}")),
        };
        loop {
            let word = tokio::select! {
                word = running.next() => Some(word),
                _ = canceled.wait_for(|canceled| *canceled) => None,
            };
            let Some(word) = word else {
                running.stop().await;
                return Some("it was canceled".to_owned());
            };
            match word {
                Ok(Some(Word::Begun { partitions })) => self.note(&order.run, |replay| {
                    replay.partitions = Some(partitions);
                }),
                Ok(Some(Word::Made { verdict })) => self.note(&order.run, |replay| {
                    replay.counts.add(&verdict);
                    replay
                        .assets
                        .entry(verdict.step.asset.clone())
                        .or_default()
                        .add(&verdict);
                    if !verdict.same && replay.others.len() < VERDICTS {
                        replay.others.push(*verdict);
                    }
                }),
                Ok(Some(Word::Stopped { message })) => return Some(message),
                Ok(None) => break,
                Err(error) => return Some(format!("what its process says cannot be read: {error}")),
            }
        }
        match running.end().await {
            Ok((status, _)) if status.success() => None,
            Ok((status, said)) => {
                if !said.is_empty() {
                    tracing::warn!(run = %order.run, %said, "a replay ended badly");
                }
                Some(format!(
                    "its process ended with {status}: it needed more memory than a worker may have, or crashed"
                ))
            }
            Err(error) => Some(format!("nobody knows how its process ended: {error}")),
        }
    }

    fn note(&self, run: &RunId, change: impl FnOnce(&mut ReplayFacts)) {
        let mut kept = self.kept();
        kept.news += 1;
        if let Some(replay) = kept.replays.iter_mut().find(|replay| replay.run == *run) {
            change(replay);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
