//! A world that was loaded again is the one that it was.

use super::super::world::{Broken, Run, Step, World};
use super::InvariantId;

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
