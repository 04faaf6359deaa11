//! What must hold of the world after every turn. Checked in the simulator after every event and in debug builds after every
//! turn; what [`World::apply`] refuses is reported under the same names.

use std::collections::{BTreeMap, BTreeSet};

use assets::AssetPartition;
use state::event::Micros;
use state::status::{RunStatus, StepStatus};

use super::decide::schedule_of;
use super::limits::InUse;
use super::queue::Queue;
use super::world::{Broken, Run, Step, World};

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
            Self::FreshIsCurrent => "what is called fresh holds the rows that would be made now",
        }
    }
}

/// Checks what can be seen in the world alone.
///
/// # Errors
/// The first promise that does not hold, and what shows it.
pub fn check(world: &World) -> Result<(), Broken> {
    slots(world)?;
    attempts(world)?;
    schedules(world)?;
    retries(world)?;
    limits(world)?;
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

/// Checks that a world loaded from the store is the one that applied the events.
///
/// # Errors
/// The first difference.
pub fn check_same(live: &World, recovered: &World) -> Result<(), Broken> {
    let differs = |found: String| Err(Broken::new(InvariantId::RecoveredWorldIsEqual, found));
    if live.pointers != recovered.pointers {
        return differs("the tables' pointers differ".to_owned());
    }
    if live.alerts != recovered.alerts {
        return differs(format!("the alerts are {:?}, were {:?}", recovered.alerts, live.alerts));
    }
    if live.schedules != recovered.schedules || live.agenda != recovered.agenda {
        return differs(format!(
            "the schedules are {:?} with {:?}, were {:?} with {:?}",
            recovered.schedules, recovered.agenda, live.schedules, live.agenda
        ));
    }
    if live.freshness != recovered.freshness {
        return differs(format!(
            "freshness is {:?}, was {:?}",
            recovered.freshness, live.freshness
        ));
    }
    if live.automation != recovered.automation {
        return differs(format!(
            "automation is {:?}, was {:?}",
            recovered.automation, live.automation
        ));
    }
    if live.sensors != recovered.sensors {
        return differs(format!(
            "the sensors are {:?}, were {:?}",
            recovered.sensors, live.sensors
        ));
    }
    if live.models != recovered.models {
        return differs("the models differ".to_owned());
    }
    if let Some(key) = live
        .assets
        .keys()
        .chain(recovered.assets.keys())
        .find(|key| live.asset(key) != recovered.asset(key))
    {
        return differs(format!(
            "{key} differs: {:?} was {:?}",
            recovered.asset(key),
            live.asset(key)
        ));
    }
    let runs = |world: &World| world.open_runs().map(|run| run.id.clone()).collect::<Vec<_>>();
    if runs(live) != runs(recovered) {
        return differs(format!("{:?} are open, were {:?}", runs(recovered), runs(live)));
    }
    for (was, is) in live.open_runs().zip(recovered.open_runs()) {
        let plain = |run: &Run| {
            (
                run.status,
                run.submitted_at,
                run.open,
                run.attempts,
                run.failed,
                run.last_start,
                run.request.clone(),
            )
        };
        if plain(was) != plain(is) {
            return differs(format!("{} is {:?}, was {:?}", was.id, plain(is), plain(was)));
        }
        for (position, (step, other)) in was.steps.iter().zip(&is.steps).enumerate() {
            let plain = |step: &Step| (step.status, step.tries, step.retries, step.attempt.clone());
            if plain(step) != plain(other) {
                return differs(format!(
                    "{} of {}: {other:?} was {step:?}",
                    was.name(position as u32),
                    was.id
                ));
            }
        }
        // What waits for what follows from the definitions, which may be newer in the recovered world.
        let edges = |run: &Run| {
            let groups = run
                .groups
                .iter()
                .map(|group| (group.ready.clone(), group.unfinished, group.blocked_by));
            (
                groups.collect::<Vec<_>>(),
                run.steps.iter().map(|step| step.waits_for).collect::<Vec<_>>(),
            )
        };
        if std::sync::Arc::ptr_eq(&was.definitions, &is.definitions) && edges(was) != edges(is) {
            return differs(format!("what waits in {} differs", was.id));
        }
    }
    let waits = |world: &World| world.open_runs().map(|run| run.delayed.clone()).collect::<Vec<_>>();
    if live.retries != recovered.retries || waits(live) != waits(recovered) {
        return differs(format!(
            "{:?} wait for a retry, were {:?}",
            recovered.retries, live.retries
        ));
    }
    let attempts = |world: &World| {
        let all = world.attempts();
        all.map(|a| {
            let fence = (a.id.clone(), a.run.clone(), a.steps.clone(), a.timed_out.clone());
            (fence, a.open, a.number, a.ended)
        })
        .collect::<Vec<_>>()
    };
    if attempts(live) != attempts(recovered) {
        return differs(format!(
            "attempts are {:?}, were {:?}",
            attempts(recovered),
            attempts(live)
        ));
    }
    Ok(())
}

fn slots(world: &World) -> Result<(), Broken> {
    let (used, slots) = (world.slots_used(), world.definitions().settings.slots);
    // A project that was read again may have fewer; what is in flight is not stopped for it.
    let most = world
        .open_runs()
        .map(|run| run.definitions.settings.slots)
        .fold(slots, usize::max);
    if used > most {
        return Err(Broken::new(
            InvariantId::SlotsAreBounded,
            format!("{used} attempts are in flight, {most} slots exist"),
        ));
    }
    Ok(())
}

/// More attempts than places, or more memory than there is, is given away by nobody. A project that was read again may allow
/// less; what is in flight is not stopped for it.
fn limits(world: &World) -> Result<(), Broken> {
    let all = || {
        let of_runs = world.open_runs().map(|run| &run.definitions.settings);
        of_runs.chain(std::iter::once(&world.definitions().settings))
    };
    let in_use = InUse::of(world);
    for (pool, used) in in_use.pools() {
        // Where the pool is not declared there is no limit.
        let most = all()
            .map(|settings| settings.pools.get(pool).copied().unwrap_or(u32::MAX))
            .max();
        if most.is_some_and(|most| used > most as usize) {
            let found = format!("{used} attempts have a place in the pool {pool}");
            return Err(Broken::new(InvariantId::PoolsAreBounded, found));
        }
    }
    let most = all().map(|settings| settings.memory_bytes).max();
    if most.is_some_and(|most| in_use.memory_bytes() > most) {
        let found = format!("{} bytes of memory are given away", in_use.memory_bytes());
        return Err(Broken::new(InvariantId::PoolsAreBounded, found));
    }
    Ok(())
}

fn schedules(world: &World) -> Result<(), Broken> {
    let mut working: BTreeSet<&str> = BTreeSet::new();
    for run in world.open_runs().filter(|run| run.attempts > 0) {
        if schedule_of(run).is_some_and(|schedule| !working.insert(schedule)) {
            let found = format!("{} works beside an earlier run of its schedule", run.id);
            return Err(Broken::new(InvariantId::OneRunOfASchedule, found));
        }
    }
    Ok(())
}

fn attempts(world: &World) -> Result<(), Broken> {
    let mut worked_on: BTreeSet<AssetPartition> = BTreeSet::new();
    for attempt in world.attempts() {
        let Some(run) = world.run(&attempt.run) else {
            let found = format!("{} of {} is in flight and its run is over", attempt.id, attempt.run);
            return Err(Broken::new(InvariantId::TerminalIsFinal, found));
        };
        let mut open = 0;
        for &position in &attempt.steps {
            let step = &run.steps[position as usize];
            if step.attempt.as_ref() != Some(&attempt.id) {
                continue;
            }
            open += 1;
            let name = run.name(position);
            if attempt.ended && step.status == StepStatus::Running {
                let found = format!("{name} of {} runs, and its worker has ended", run.id);
                return Err(Broken::new(InvariantId::OneCurrentAttempt, found));
            }
            if !worked_on.insert(name.clone()) {
                return Err(Broken::new(
                    InvariantId::OnePartitionOneWorker,
                    format!("{name} is worked on twice"),
                ));
            }
        }
        if open != attempt.open || (attempt.ended && open == 0) {
            let found = format!("{} counts {} open steps, has {open}", attempt.id, attempt.open);
            return Err(Broken::new(InvariantId::CountsAgree, found));
        }
    }
    Ok(())
}

/// Steps are tried again as often as their assets say, and only those that wait are waited for.
fn retries(world: &World) -> Result<(), Broken> {
    let mut listed = BTreeSet::new();
    for run in world.open_runs() {
        for (&position, &due) in &run.delayed {
            listed.insert((due, run.id.clone(), position));
            if run.steps[position as usize].status != StepStatus::Waiting {
                let found = format!(
                    "{} of {} is to be tried again, and does not wait",
                    run.name(position),
                    run.id
                );
                return Err(Broken::new(InvariantId::RetriesAreBounded, found));
            }
        }
        if let Some(position) = run.steps.iter().position(|step| step.retries > step.tries) {
            let found = format!(
                "{} of {} has more retries than attempts",
                run.name(position as u32),
                run.id
            );
            return Err(Broken::new(InvariantId::RetriesAreBounded, found));
        }
    }
    if listed != world.retries {
        let found = format!("{listed:?} wait for a retry, {:?} are listed", world.retries);
        return Err(Broken::new(InvariantId::CountsAgree, found));
    }
    Ok(())
}

fn counts(run: &Run) -> Result<(), Broken> {
    let broken = |id, found| Err(Broken::new(id, format!("{}: {found}", run.id)));
    let open = run.steps.iter().filter(|step| !step.status.is_terminal()).count();
    if open != run.open {
        return broken(
            InvariantId::CountsAgree,
            format!("counts {} open steps, has {open}", run.open),
        );
    }
    let in_flight = run.steps.iter().filter(|step| step.attempt.is_some()).count();
    if in_flight != run.in_flight {
        return broken(
            InvariantId::CountsAgree,
            format!("counts {} steps in flight, has {in_flight}", run.in_flight),
        );
    }
    if open == 0 && run.attempts == 0 {
        return broken(
            InvariantId::OpenRunHasWork,
            "has nothing left to do and is not over".to_owned(),
        );
    }
    if run.status.is_terminal() {
        return broken(InvariantId::TerminalIsFinal, "is over and still open".to_owned());
    }
    let waiting = run.steps.iter().any(|step| step.status == StepStatus::Waiting);
    if run.status == RunStatus::Canceling && waiting {
        return broken(
            InvariantId::OnlyListedTransitions,
            "is being canceled and has steps that wait".to_owned(),
        );
    }
    for (position, step) in run.steps.iter().enumerate() {
        let has_attempt = step.attempt.is_some();
        let should = matches!(step.status, StepStatus::Running | StepStatus::Publishing);
        if has_attempt != should {
            let found = format!(
                "{} is {:?} with attempt {:?}",
                run.name(position as u32),
                step.status,
                step.attempt
            );
            return broken(InvariantId::OneCurrentAttempt, found);
        }
    }
    Ok(())
}

/// Recomputes what every step waits for from the edges alone.
fn dependencies(run: &Run) -> Result<(), Broken> {
    let broken =
        |id, position: u32, found: &str| Err(Broken::new(id, format!("{} of {} {found}", run.name(position), run.id)));
    let mut waits_for: BTreeMap<u32, u32> = BTreeMap::new();
    let mut blocked_by: BTreeMap<u32, usize> = BTreeMap::new();
    for (position, step) in run.steps.iter().enumerate() {
        let dead = matches!(
            step.status,
            StepStatus::Failed | StepStatus::Skipped | StepStatus::Canceled
        );
        for &below in &step.needed_by {
            if step.status != StepStatus::Succeeded {
                *waits_for.entry(below).or_default() += 1;
            }
            let status = run.steps[below as usize].status;
            if dead && !status.is_terminal() {
                return broken(
                    InvariantId::NothingBelowAFailure,
                    below,
                    "goes on though its upstream did not succeed",
                );
            }
            if matches!(status, StepStatus::Running | StepStatus::Publishing) && step.status != StepStatus::Succeeded {
                return broken(
                    InvariantId::UpstreamFirst,
                    position as u32,
                    "has not succeeded and what needs it runs",
                );
            }
        }
    }
    for group in &run.groups {
        let steps = &run.steps[group.first as usize..(group.first + group.len) as usize];
        let unfinished = steps.iter().filter(|step| step.status != StepStatus::Succeeded).count();
        if unfinished != group.unfinished {
            return broken(
                InvariantId::CountsAgree,
                group.first,
                "belongs to an asset whose unfinished steps are miscounted",
            );
        }
        if unfinished > 0 {
            for &below in &group.needed_whole_by {
                *blocked_by.entry(below).or_default() += 1;
            }
        }
    }
    for (index, group) in run.groups.iter().enumerate() {
        if blocked_by.get(&(index as u32)).copied().unwrap_or(0) != group.blocked_by {
            return broken(
                InvariantId::CountsAgree,
                group.first,
                "belongs to an asset whose upstream assets are miscounted",
            );
        }
        for position in group.first..group.first + group.len {
            let step = &run.steps[position as usize];
            let waits = waits_for.get(&position).copied().unwrap_or(0);
            if waits != step.waits_for {
                return broken(InvariantId::CountsAgree, position, "miscounts what it waits for");
            }
            let ready = waits == 0 && step.status == StepStatus::Waiting && !run.delayed.contains_key(&position);
            if ready != group.ready.contains(&position) {
                return broken(
                    InvariantId::CountsAgree,
                    position,
                    "is listed as ready and is not, or the other way",
                );
            }
            if matches!(step.status, StepStatus::Running | StepStatus::Publishing)
                && (waits > 0 || group.blocked_by > 0)
            {
                return broken(
                    InvariantId::UpstreamFirst,
                    position,
                    "runs before its upstream has succeeded",
                );
            }
        }
    }
    Ok(())
}
