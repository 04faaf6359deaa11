//! The project was read again. Runs in flight keep the definitions that they started with; steps that still wait for an
//! asset that is gone end with that reason.

use assets::AssetKey;
use assets::outcome::{Failure, FailureClass};
use state::event::{Event, Micros};
use state::status::StepStatus;

use super::super::definitions::Definitions;
use super::super::effect::Decision;
use super::super::world::World;
use super::{alert, schedule, sensor};

pub(super) fn loaded(world: &World, at: Micros, definitions: &Definitions) -> Decision {
    let mut decision = Decision::default();
    for run in world.open_runs() {
        for group in run
            .groups
            .iter()
            .filter(|group| definitions.get(&group.asset).is_none())
        {
            for position in group.first..group.first + group.len {
                if run.steps[position as usize].status == StepStatus::Waiting {
                    decision.events.push(Event::StepFailed {
                        run: run.id.clone(),
                        attempt: None,
                        step: run.name(position),
                        failure: gone(&group.asset),
                        checks: Vec::new(),
                    });
                }
            }
        }
    }
    // Before `Recover` it is not known whether this process keeps schedules and sensors.
    if world.keeps_schedules() {
        decision.events.extend(schedule::declared(world, at, definitions));
        decision.events.extend(alert::declared(world, at, definitions));
        decision.events.extend(sensor::declared(world, at, definitions));
    }
    decision
}

/// The failure of a step whose asset is no longer declared.
pub(super) fn gone(asset: &AssetKey) -> Failure {
    Failure::new(
        FailureClass::DefinitionGone,
        format!("{asset} is no longer declared in the project"),
    )
    .with_help("declare it again, or select another asset")
}
