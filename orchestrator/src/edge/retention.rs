//! When what is too old is removed: by a daemon, while the driver has nothing to do, a slice at a time, so that nobody waits
//! for it longer than for one small transaction. What is too old is the store's to know, log files are removed here.

use std::time::Duration;

use assets::project::Retention;
use state::event::{Micros, OwnerMode};
use state::ids::RunId;
use state::sqlite::retention::{RetentionPass, RetentionPolicy};
use state::sqlite::{CommitError, Store};

use super::folder::StateFolder;

/// How long after the start the first pass begins.
const FIRST: Micros = 3_000_000;
/// How long after the end of a pass the next one begins.
const AGAIN: Micros = 6 * 3_600_000_000;
/// How long after a slice that failed it is tried again.
const AFTER_TROUBLE: Micros = 60_000_000;
/// The longest wait without a look at the time of day, which may be set.
const LONGEST: Duration = Duration::from_secs(600);
const DAY: Micros = 24 * 3_600_000_000;

/// Where the removal stands.
pub(super) struct Keeping {
    /// Only a daemon removes anything.
    daemon: bool,
    pass: Option<RetentionPass>,
    /// When the next pass begins; not known before the first turn.
    next: Option<Micros>,
    runs: u64,
    events: u64,
}

impl Keeping {
    pub(super) fn new(mode: OwnerMode) -> Self {
        Self {
            daemon: mode == OwnerMode::Daemon,
            pass: None,
            next: None,
            runs: 0,
            events: 0,
        }
    }

    /// Removes one slice if it is time for it, and says how long nothing is to be done.
    ///
    /// # Errors
    /// The store failed for good.
    pub(super) fn turn(
        &mut self,
        at: Micros,
        retention: &Retention,
        store: &mut Store,
        folder: &StateFolder,
    ) -> Result<Duration, CommitError> {
        if !self.daemon || !retention.enabled {
            return Ok(LONGEST);
        }
        let next = *self.next.get_or_insert(at + FIRST);
        let Some(pass) = &mut self.pass else {
            if at < next {
                return Ok(Duration::from_micros((next - at).unsigned_abs()).min(LONGEST));
            }
            self.pass = Some(RetentionPass::new(RetentionPolicy {
                before: at - Micros::from(retention.days) * DAY,
                keep_runs: retention.keep_runs,
            }));
            return Ok(Duration::ZERO);
        };
        match store.retire(pass) {
            Ok(Some(removed)) => {
                self.runs += removed.runs.len() as u64;
                self.events += removed.events;
                for run in &removed.runs {
                    remove_logs(folder, run);
                }
                Ok(Duration::ZERO)
            }
            Ok(None) => {
                if self.events > 0 {
                    tracing::info!(
                        runs = self.runs,
                        events = self.events,
                        days = retention.days,
                        "what was older than [retention] says was removed"
                    );
                }
                (self.runs, self.events, self.pass, self.next) = (0, 0, None, Some(at + AGAIN));
                Ok(LONGEST)
            }
            Err(error @ CommitError::Fatal(_)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "what is too old could not be removed; it is tried again");
                (self.pass, self.next) = (None, Some(at + AFTER_TROUBLE));
                Ok(Duration::from_micros(AFTER_TROUBLE.unsigned_abs()))
            }
        }
    }
}

/// A file that stays behind is found by nobody and does no harm.
fn remove_logs(folder: &StateFolder, run: &RunId) {
    let logs = folder.path().join(state::logs::run_folder(run));
    if let Err(error) = std::fs::remove_dir_all(&logs)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, folder = %logs.display(), "failed to remove the log files of a run that was removed");
    }
}
