//! Everything that would start by itself is held: schedules, sensors and open runs are paused, one by one, so that each is let go on when
//! whoever looked at it says so; and automation as a whole, of whatever assets.

use state::event::Event;
use state::status::RunStatus;

use super::super::effect::Decision;
use super::super::world::World;

pub(super) fn hold(world: &World, by: &str) -> Decision {
    let schedules = world
        .schedules()
        .filter(|(_, record)| record.declared && record.paused.is_none())
        .map(|(schedule, _)| Event::SchedulePaused {
            schedule: schedule.clone(),
            by: by.to_owned(),
        });
    let sensors = world
        .sensors()
        .filter(|(_, record)| record.declared && record.paused.is_none())
        .map(|(sensor, _)| Event::SensorPaused {
            sensor: sensor.clone(),
            by: by.to_owned(),
        });
    let runs = world
        .open_runs()
        .filter(|run| !run.paused && run.status != RunStatus::Canceling)
        .map(|run| Event::RunPaused { run: run.id.clone() });
    let automation = (!world.automation().paused.contains_key(&None)).then(|| Event::AutomationPaused {
        asset: None,
        by: by.to_owned(),
    });
    Decision {
        events: schedules.chain(sensors).chain(automation).chain(runs).collect(),
        effects: Vec::new(),
    }
}
