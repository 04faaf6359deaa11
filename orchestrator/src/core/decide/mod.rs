//! One file per case; [`decide`] only chooses among them.

mod admit;
mod adopt;
mod alert;
mod automation;
mod cancel;
mod definitions;
mod ended;
mod freshness;
mod hold;
mod observed;
mod pause;
mod promote;
mod publish;
mod recover;
mod retry;
mod schedule;
mod sensor;
mod staged;
mod submit;
mod table;
mod timeout;
mod turn;

pub(super) use admit::{seed_of, tables_read};
pub use adopt::refused as refused_to_adopt;
pub use automation::{AUTOMATION, Explanation, explain};
pub use freshness::{FreshnessNow, freshness_now};
pub use schedule::schedule_of;
pub use sensor::{remembered_from, sensor_of, wait_of};
pub use submit::selected;
pub use table::about_to_write;
pub use turn::{Turn, turn};

use state::event::Micros;

use super::effect::Decision;
use super::input::Input;
use super::world::World;

/// What follows at once from one input. What follows from that in turn (skips, the ends of runs, admission) is decided by
/// [`turn`] once these events are applied.
pub fn decide(world: &World, at: Micros, input: &Input) -> Decision {
    match input {
        Input::DefinitionsLoaded(definitions) => definitions::loaded(world, at, definitions),
        // What follows is what does not: see `admit`.
        Input::Drain => Decision::default(),
        Input::Hold { by } => hold::hold(world, by),
        Input::Recover { boot, mode } => recover::recover(world, at, boot, *mode),
        Input::Observed { asset, observation } => observed::observed(world, asset, observation),
        Input::Submit { request, run } => submit::submit(world, at, *request, run),
        Input::CancelRun { request, run } => cancel::cancel_run(world, *request, run),
        Input::PauseRun { request, run, pause } => pause::pause_run(world, *request, run, *pause),
        Input::Promote {
            request,
            model,
            alias,
            version,
            by,
        } => promote::by_hand(world, *request, model, alias, *version, by),
        Input::ChangeTable { request, change } => table::change(world, at, *request, change),
        Input::Adopt { request, adoption } => adopt::adopt(world, at, *request, adoption),
        Input::ScheduleDue { schedule, unseen } => schedule::due(world, at, schedule, unseen.as_deref()),
        Input::TickSchedule { request, schedule, by } => schedule::by_hand(world, at, *request, schedule, by),
        Input::PauseSchedule { request, schedule, by } => schedule::pause(world, *request, schedule, by),
        Input::ResumeSchedule { request, schedule, by } => schedule::resume(world, at, *request, schedule, by),
        Input::RetriesDue { until } => retry::due(world, *until),
        Input::AttemptTimedOut { attempt, working_on } => timeout::timed_out(world, attempt, working_on.as_ref()),
        // What time brings about is decided at the end of every turn.
        Input::TimePassed => Decision::default(),
        Input::PauseAutomation {
            request,
            asset,
            pause,
            by,
        } => automation::pause(world, *request, asset.as_ref(), *pause, by),
        Input::AlertsDue => alert::due(world, at),
        Input::AlertTried { alert, message, error } => alert::tried(world, at, alert, message, error.as_deref()),
        Input::SensorLooked {
            request,
            sensor,
            look,
            by,
        } => sensor::looked(world, at, *request, sensor, look, by.as_deref()),
        Input::PauseSensor {
            request,
            sensor,
            pause,
            by,
        } => sensor::pause(world, *request, sensor, *pause, by),
        Input::Staged { attempt, staged } => staged::staged(world, at, attempt, staged),
        Input::StepFailed {
            attempt,
            partition,
            failure,
        } => ended::step_failed(world, at, attempt, partition, failure),
        Input::AttemptEnded { attempt } => ended::attempt_ended(world, at, attempt),
        Input::WorkerLost {
            attempt,
            failure,
            working_on,
        } => ended::worker_lost(world, at, attempt, failure, working_on.as_ref()),
        Input::CommitPrepared { asset, tables, members } => publish::prepared(world, asset, tables, members),
        Input::CommitFailed {
            asset,
            members,
            failure,
        } => publish::failed(world, at, asset, members, failure),
    }
}
