//! `millpond sensor …`: what is watched. Each verb has a file.

mod list;
mod pause;
mod tick;

use assets::Sensor;
use assets::diagnostic::closest;
use clap::{Args, Subcommand};
use state::sqlite::Owner;

use super::look::Place;
use super::remote::Remote;
use super::terminal::Terminal;
use super::{Exit, Stop};
use crate::core::Definitions;
use crate::edge::folder::StateFolder;

/// List sensors and their ticks, test them, pause and resume them.
#[derive(Args)]
pub struct SensorCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List sensors: what each watches, and what became of what it saw last.
    List(list::List),
    /// Have a sensor look now and start what follows; with --test only show what it sees.
    Tick(tick::Tick),
    /// Keep a sensor from looking, until it is resumed.
    Pause(pause::Named),
    /// Let a paused sensor look again; what it missed meanwhile it sees then.
    Resume(pause::Named),
}

impl SensorCommand {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        match self.verb {
            Verb::List(command) => command.run(place, terminal),
            Verb::Tick(command) => command.run(place, terminal),
            Verb::Pause(named) => named.pause(true, place, terminal),
            Verb::Resume(named) => named.pause(false, place, terminal),
        }
    }
}

/// The sensor of this name, or a "did you mean".
fn named<'d>(definitions: &'d Definitions, name: &str) -> Result<&'d Sensor, Stop> {
    let sensors = definitions.sensors();
    sensors.get(name).ok_or_else(|| {
        let stop = Stop::not_found(format!("there is no sensor `{name}`"));
        match closest(name, sensors.keys().map(String::as_str)) {
            Some(near) => stop.with_help(format!("did you mean `{near}`?")),
            None if sensors.is_empty() => stop.with_help("declare one: `[sensor.NAME]` with `kind` and `select`"),
            None => stop.with_help("`millpond sensor list` lists them"),
        }
    })
}

/// The daemon that keeps the sensors of the project, and the sensor of this name.
fn daemon(name: &str, place: &Place, terminal: &Terminal) -> Result<(Remote, Sensor), Stop> {
    let project = place.project(terminal)?;
    let sensor = named(&project.definitions, name)?.clone();
    let folder = StateFolder::of(&project.root);
    match Owner::of(folder.path()) {
        Some(Owner { url: Some(url), .. }) => Ok((Remote::new(&url, &folder)?, sensor)),
        _ => Err(Stop::not_found("no daemon keeps this project's sensors").with_help("`millpond up` starts one")),
    }
}
