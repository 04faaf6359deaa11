//! What must hold of the world after every turn. Checked in the simulator after every event and in debug builds after every
//! turn; what [`World::apply`] refuses is reported under the same names.

mod parts;
mod same;

use state::event::Micros;
use state::status::RunStatus;

use super::queue::Queue;
use super::world::{Broken, World};

use parts::{attempts, counts, dependencies, limits, retries, schedules, slots};
pub use same::check_same;

/// The promises of the core, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InvariantId {
    /// An event only happens to something that is in a state that allows it.
    OnlyListedTransitions,
    /// Nothing happens to a run or a step that is over.
    TerminalIsFinal,
    /// A step that runs or is published has one attempt whose word counts, and no other.
    OneCurrentAttempt,
    /// A step runs only after every step upstream of it in its run has succeeded.
    UpstreamFirst,
    /// A table's pointer moves only from the version it points to.
    PointersFormChains,
    /// No more attempts are in flight than there are workers.
    SlotsAreBounded,
    /// Two attempts never work on one partition at once.
    OnePartitionOneWorker,
    /// A run that is not over has a step that waits, runs or is being published.
    OpenRunHasWork,
    /// What is counted (open steps, attempts, what is waited for) is what is there.
    CountsAgree,
    /// Nothing downstream of a step that failed waits or runs in the same run.
    NothingBelowAFailure,
    /// Every materialization belongs to a step that succeeded in its run.
    MaterializedBySuccess,
    /// Nothing is published whose blocking checks did not pass.
    PublishedOnPass,
    /// Of an atomic group, what a run makes of a partition is published at once.
    PublishedTogether,
    /// One run publishes a partition at most once.
    PublishedOncePerRun,
    /// The world loaded from the store is the world that applied the events.
    RecoveredWorldIsEqual,
    /// Once faults stop, every run ends in bounded time.
    EveryRunEnds,
    /// After a run succeeded, the same request finds everything fresh.
    RepeatFindsAllFresh,
    /// A run has no more steps in flight than it may, and a paused one starts none.
    PaceIsKept,
    /// No worker is free while a step is ready that no earlier run claims.
    NoIdleWorker,
    /// What is called fresh holds the rows that would be made now.
    FreshIsCurrent,
    /// Every instant of a schedule is told once: requested, skipped, missed or failed.
    InstantsAreToldOnce,
    /// Runs of one schedule are never under way side by side.
    OneRunOfASchedule,
    /// A step is tried again as often as its asset says, and no sooner than it says.
    RetriesAreBounded,
    /// No more attempts are in flight than their pools and the memory have place for.
    PoolsAreBounded,
    /// What is said that a step waits for is what keeps it from starting.
    ReasonsAreTrue,
    /// Automation requests nothing that a run is to make already.
    NothingRequestedTwice,
    /// Automation does not try again what failed or was canceled until something that it is made from changed.
    InVainIsNotRepeated,
    /// When nothing is under way, what is eager and can be made is fresh, or was tried in vain.
    EagerIsFresh,
    /// Every asset with a freshness policy is told to be in the state that it is in.
    LatenessIsTold,
    /// What alerts are about is raised with it, told in one message, and the message delivered or known to be given up.
    EverythingIsTold,
    /// Every event of a sensor is told of by exactly one tick for as long as it is remembered, and starts at most one run.
    EventsAreToldOnce,
    /// A rollback counts once, with the pointer that it moves, and the table shows what it showed then.
    RollbackCountsOnce,
    /// What a rollback brings back counts as made by what made it then, and nothing else changes by it.
    RestoredIsWhatWas,
    /// What was rolled back is not made again until what it is made from changes, or by force.
    RollbackStands,
    /// Where rows are added or merged, those of a file are so once, and the others stay.
    RowsAreAddedOnce,
    /// Nothing goes that an attempt under way, a model, a tag or a table itself refers to.
    NeededIsKept,
    /// What nothing refers to is found once it is old enough, whatever left it behind.
    LeftoversAreFound,
}

impl InvariantId {
    /// Every promise.
    pub const ALL: &'static [Self] = &[
        Self::ReasonsAreTrue,
        Self::PoolsAreBounded,
        Self::RetriesAreBounded,
        Self::OnlyListedTransitions,
        Self::TerminalIsFinal,
        Self::OneCurrentAttempt,
        Self::UpstreamFirst,
        Self::PointersFormChains,
        Self::SlotsAreBounded,
        Self::OnePartitionOneWorker,
        Self::OpenRunHasWork,
        Self::CountsAgree,
        Self::NothingBelowAFailure,
        Self::MaterializedBySuccess,
        Self::PublishedOnPass,
        Self::PublishedTogether,
        Self::PublishedOncePerRun,
        Self::RecoveredWorldIsEqual,
        Self::EveryRunEnds,
        Self::RepeatFindsAllFresh,
        Self::PaceIsKept,
        Self::NoIdleWorker,
        Self::FreshIsCurrent,
        Self::InstantsAreToldOnce,
        Self::OneRunOfASchedule,
        Self::NothingRequestedTwice,
        Self::InVainIsNotRepeated,
        Self::EagerIsFresh,
        Self::LatenessIsTold,
        Self::EverythingIsTold,
        Self::EventsAreToldOnce,
        Self::RollbackCountsOnce,
        Self::RestoredIsWhatWas,
        Self::RollbackStands,
        Self::RowsAreAddedOnce,
        Self::NeededIsKept,
        Self::LeftoversAreFound,
    ];

    /// What is promised.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::OnlyListedTransitions => "an event only happens to something that is in a state that allows it",
            Self::TerminalIsFinal => "nothing happens to a run or a step that is over",
            Self::OneCurrentAttempt => {
                "a step that runs or is published has one attempt whose word counts, and no other"
            }
            Self::UpstreamFirst => "a step runs only after every step upstream of it in its run has succeeded",
            Self::PointersFormChains => "a table's pointer moves only from the version it points to",
            Self::SlotsAreBounded => "no more attempts are in flight than there are workers",
            Self::OnePartitionOneWorker => "two attempts never work on one partition at once",
            Self::OpenRunHasWork => "a run that is not over has a step that waits, runs or is being published",
            Self::CountsAgree => "what is counted (open steps, attempts, what is waited for) is what is there",
            Self::NothingBelowAFailure => "nothing downstream of a step that failed waits or runs in the same run",
            Self::MaterializedBySuccess => "every materialization belongs to a step that succeeded in its run",
            Self::PublishedOnPass => "nothing is published whose blocking checks did not pass",
            Self::PublishedTogether => "of an atomic group, what a run makes of a partition is published at once",
            Self::PublishedOncePerRun => "one run publishes a partition at most once",
            Self::RecoveredWorldIsEqual => "the world loaded from the store is the world that applied the events",
            Self::EveryRunEnds => "once faults stop, every run ends in bounded time",
            Self::RepeatFindsAllFresh => "after a run succeeded, the same request finds everything fresh",
            Self::PaceIsKept => "a run has no more steps in flight than it may, and a paused one starts none",
            Self::NoIdleWorker => {
                "no worker is free while a step is ready that no earlier run claims and its run's pace allows"
            }
            Self::InstantsAreToldOnce => {
                "every instant of a schedule is told once: requested, skipped, missed or failed"
            }
            Self::OneRunOfASchedule => "runs of one schedule are never under way side by side",
            Self::ReasonsAreTrue => "what is said that a step waits for is what keeps it from starting",
            Self::PoolsAreBounded => "no more attempts are in flight than their pools and the memory have place for",
            Self::RetriesAreBounded => "a step is tried again as often as its asset says, and no sooner than it says",
            Self::NothingRequestedTwice => "automation requests nothing that a run is to make already",
            Self::InVainIsNotRepeated => {
                "automation does not try again what failed or was canceled until something that it is made from changed"
            }
            Self::EagerIsFresh => {
                "when nothing is under way, what is eager and can be made is fresh, or was tried in vain"
            }
            Self::LatenessIsTold => "every asset with a freshness policy is told to be in the state that it is in",
            Self::EverythingIsTold => {
                "what alerts are about is raised with it, told in one message, and the message delivered or given up"
            }
            Self::EventsAreToldOnce => {
                "every event of a sensor is told of by exactly one tick while it is remembered, and starts at most one run"
            }
            Self::RollbackCountsOnce => {
                "a rollback counts once, with the pointer that it moves, and the table shows what it showed then"
            }
            Self::RestoredIsWhatWas => {
                "what a rollback brings back counts as made by what made it then, and nothing else changes by it"
            }
            Self::RollbackStands => {
                "what was rolled back is not made again until what it is made from changes, or by force"
            }
            Self::RowsAreAddedOnce => {
                "where rows are added or merged, those of a file are so once, and the others stay"
            }
            Self::NeededIsKept => "nothing goes that an attempt under way, a model, a tag or a table itself refers to",
            Self::LeftoversAreFound => "what nothing refers to is found once it is old enough, whatever left it behind",
            Self::FreshIsCurrent => "what is called fresh holds the rows that would be made now",
        }
    }
}

/// Checks what can be seen in the world alone.
///
/// # Errors
/// The first promise that does not hold, and what shows it.
pub fn check(world: &World) -> Result<(), Broken> {
    // What was in flight when the process before died is not in flight any more, whatever the limits are now.
    if !world.is_unrecovered() {
        slots(world)?;
        limits(world)?;
    }
    attempts(world)?;
    schedules(world)?;
    retries(world)?;
    for run in world.open_runs() {
        counts(run)?;
        dependencies(run)?;
    }
    Ok(())
}

/// Checks what must hold at the end of a turn, when all that follows from an input was decided.
///
/// # Errors
/// As [`check`].
pub fn check_settled(world: &World, at: Micros) -> Result<(), Broken> {
    check(world)?;
    if world.is_draining() || world.slots_used() >= world.definitions().settings.slots {
        return Ok(());
    }
    let queue = Queue::of(world, at);
    for run in world.open_runs().filter(|run| run.status != RunStatus::Canceling) {
        for group in run.groups.iter().filter(|group| group.has_ready()) {
            if queue.held(run, group).is_some() {
                continue;
            }
            for &position in &group.ready {
                let name = run.name(position);
                if queue.claimed(run, &name).is_none() {
                    let found = format!("{name} of {} is ready and a worker is free", run.id);
                    return Err(Broken::new(InvariantId::NoIdleWorker, found));
                }
            }
        }
    }
    Ok(())
}
