//! What holds of each part of a world: its places, its attempts, its runs.

use std::collections::{BTreeMap, BTreeSet};

use assets::AssetPartition;
use state::status::{RunStatus, StepStatus};

use super::super::decide::schedule_of;
use super::super::limits::InUse;
use super::super::world::{Broken, Run, World};
use super::InvariantId;

pub(super) fn slots(world: &World) -> Result<(), Broken> {
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
pub(super) fn limits(world: &World) -> Result<(), Broken> {
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

pub(super) fn schedules(world: &World) -> Result<(), Broken> {
    let mut working: BTreeSet<&str> = BTreeSet::new();
    for run in world.open_runs().filter(|run| run.attempts > 0) {
        if schedule_of(run).is_some_and(|schedule| !working.insert(schedule)) {
            let found = format!("{} works beside an earlier run of its schedule", run.id);
            return Err(Broken::new(InvariantId::OneRunOfASchedule, found));
        }
    }
    Ok(())
}

pub(super) fn attempts(world: &World) -> Result<(), Broken> {
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
pub(super) fn retries(world: &World) -> Result<(), Broken> {
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

pub(super) fn counts(run: &Run) -> Result<(), Broken> {
    let broken = |id, found| Err(Broken::new(id, format!("{}: {found}", run.id)));
    let open = run.steps.iter().filter(|step| !step.status.is_terminal()).count();
    if open != run.open {
        return broken(
            InvariantId::CountsAgree,
            format!("counts {} open steps, has {open}", run.open),
        );
    }
    let positions = 0..run.steps.len() as u32;
    let in_flight = positions.filter(|position| run.counts_in_flight(*position)).count();
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
pub(super) fn dependencies(run: &Run) -> Result<(), Broken> {
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
