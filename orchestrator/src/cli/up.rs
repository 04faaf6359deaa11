//! `millpond up`: the daemon and its dashboard.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use state::event::OwnerMode;
use state::sqlite::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::init::make_example;
use super::look::Place;
use super::materialize::materialize;
use super::terminal::{Terminal, count, duration, moment};
use super::{Exit, Stop};
use crate::edge::clock::Stopwatch;
use crate::edge::definitions::{FirstReading, Mistakes};
use crate::edge::engine::Engine;
use crate::edge::folder::{ProjectRoot, StateFolder};
use crate::edge::log::{self, LogFormat};
use crate::web;
use crate::wire::RunBody;

/// Serve the dashboard and run what is asked for.
///
/// Listens on this machine only. With --example, makes the example's project first and materializes all of it.
#[derive(Args)]
pub struct Up {
    /// Make this example in a folder of its name (unless it is there), and materialize it.
    #[arg(long, value_name = "NAME")]
    example: Option<String>,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 4400)]
    port: u16,
    /// Materialize this selection at the start.
    #[arg(long, value_name = "SELECTION")]
    materialize: Option<String>,
    /// Refuse to start when the project has mistakes, also if a last good copy of it is known.
    #[arg(long)]
    strict: bool,
    /// How lines of the log look.
    #[arg(long, value_enum, default_value_t, env = "MILLPOND_LOG_FORMAT")]
    log_format: LogFormat,
    /// How long steps that run may go on after the daemon was asked to end (`30s`, `5m`); as [daemon] says if left out.
    #[arg(long, value_name = "TIME", value_parser = assets::quantity::seconds)]
    drain: Option<u64>,
    /// Stop after the first materialization instead of serving on.
    #[arg(long, hide = true)]
    once: bool,
}

impl Up {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let started = Stopwatch::start();
        log::start("info", self.log_format);
        let root = match &self.example {
            Some(example) => example_root(example, place, terminal)?,
            None => place.root()?,
        };
        let first = self.first_reading(&root, terminal)?;
        let files = Arc::clone(&first.on_disk.files);
        let mistakes = Mistakes::of(&first.on_disk);
        let project = first
            .on_disk
            .project
            .or(first.kept.and_then(|kept| kept.project))
            .expect("a project without either was refused");
        let (name, zone) = (project.name.clone(), project.settings.timezone.clone());
        super::runtime()?.block_on(async {
            let mut signals = Signals::listen()?;
            let mut engine = Engine::start(project, OwnerMode::Daemon)?;
            engine.keep_definitions_live(files, mistakes);
            let server = match web::Server::bind(self.port, engine.handle()).await {
                Ok(server) => server,
                Err(error) => {
                    engine.stop().await?;
                    return Err(Stop::new(
                        Exit::Broken,
                        format!("failed to listen on 127.0.0.1:{}: {error}", self.port),
                    )
                    .with_help("another program uses the port: choose one with --port, or --port 0 for any"));
                }
            };
            let url = server.url();
            engine.announce(&url)?;
            let login = server.login_url();
            let serving = server.start();
            if terminal.json() {
                terminal.answer(&serde_json::json!({ "url": url, "login": login }));
            } else {
                terminal.note(format!("millpond serves `{name}` at {login}"));
                terminal.note(format!(
                    "  project {}   ready in {:.2} s   Ctrl-C stops",
                    root.display(),
                    started.elapsed().as_secs_f64()
                ));
            }
            let coming = engine
                .handle()
                .driver()
                .ask(|world, _| world.coming(1).pop())
                .await
                .flatten();
            if let (Some((schedule, due)), false) = (coming, terminal.json()) {
                terminal.note(format!(
                    "  next by the clock: {schedule} at {}",
                    moment(due.instant, &zone)
                ));
            }
            let selection = self
                .materialize
                .or_else(|| self.example.as_ref().map(|_| "*".to_owned()));
            let mut exit = Exit::Done;
            let mut ended = None;
            if let Some(selection) = selection {
                let body = RunBody {
                    selection,
                    ..RunBody::default()
                };
                let handle = engine.handle();
                tokio::select! {
                    result = materialize(&handle, body, OwnerMode::Daemon, "up", terminal) => exit = result?,
                    Some(()) = signals.terminate.recv() => ended = Some(Ended::Asked),
                }
                if !terminal.json() && exit != Exit::Interrupted {
                    terminal.note(format!("the dashboard: {login}"));
                }
            }
            if ended.is_none() && !self.once && exit != Exit::Interrupted {
                exit = Exit::Done;
                ended = Some(serve(&engine, &mut signals).await);
            }
            if ended == Some(Ended::Asked) {
                let declared = engine.handle().project().daemon.drain_seconds;
                let longest = Duration::from_secs(self.drain.unwrap_or(declared));
                drain(&mut engine, longest, &mut signals, terminal).await;
            }
            let broken = engine.handle().driver().has_ended();
            serving.stop().await;
            // If the driver ended by itself, this says why.
            engine.stop().await?;
            if broken {
                return Err(Stop::broken("the driver ended; see the message above"));
            }
            Ok(exit)
        })
    }

    /// Reads the project; with mistakes in it, the copy of the last good one.
    fn first_reading(&self, root: &ProjectRoot, terminal: &Terminal) -> Result<FirstReading, Stop> {
        let strict = self.strict;
        let first = FirstReading::new(root, || {
            if strict {
                return None;
            }
            let store = Store::open_reader(&StateFolder::of(root).database());
            store.and_then(|store| store.definitions()).ok().flatten()
        });
        let Some(mistakes) = Mistakes::of(&first.on_disk) else {
            return Ok(first);
        };
        if !terminal.json() {
            terminal.note(
                first
                    .on_disk
                    .diagnostics
                    .render(&first.on_disk.sources, terminal.error_colour())
                    .trim_end(),
            );
        }
        if first.kept.is_none() {
            let stop = Stop::new(Exit::Mistakes, "the project has mistakes");
            return Err(if strict {
                stop.with_help("mend them, or leave out --strict to start with the last good definitions")
            } else {
                stop.with_help("mend them: no good definitions of this project were in force before")
            });
        }
        tracing::error!(
            "DEGRADED: the files on disk have {}, the last good definitions are in force until they are mended; first: {}",
            count(mistakes.errors as u64, "mistake", "mistakes"),
            mistakes.first
        );
        Ok(first)
    }
}

/// What the operating system asks of a daemon.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until someone asks to end.
    async fn end(&mut self) {
        tokio::select! {
            Some(()) = self.interrupt.recv() => {}
            Some(()) = self.terminate.recv() => {}
        }
    }
}

/// Why serving is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Someone asked.
    Asked,
    /// The driver ended by itself.
    Driver,
}

/// Waits until someone asks to stop, or the driver ends by itself.
async fn serve(engine: &Engine, signals: &mut Signals) -> Ended {
    let handle = engine.handle();
    loop {
        tokio::select! {
            Some(()) = signals.interrupt.recv() => return Ended::Asked,
            Some(()) = signals.terminate.recv() => return Ended::Asked,
            Some(()) = signals.hang_up.recv() => {
                tracing::info!("asked to read the definitions again");
                handle.look_at_definitions().await;
            }
            () = handle.driver().ended() => return Ended::Driver,
        }
    }
}

/// Lets what runs come to its end, within the limit; a second signal ends the wait.
async fn drain(engine: &mut Engine, longest: Duration, signals: &mut Signals, terminal: &Terminal) {
    let handle = engine.handle();
    let busy = handle.driver().ask(|world, _| world.busy_attempts()).await;
    if busy.unwrap_or(0) > 0 && !terminal.json() {
        terminal.note(format!(
            "stopping: what runs has {} to finish; ask again to stop at once",
            duration(longest.as_micros() as i64)
        ));
    }
    tokio::select! {
        left = engine.drain(longest) => {
            if left > 0 {
                tracing::warn!(
                    attempts = left,
                    "the time to finish is over: steps under way are ended, and run again at the next start"
                );
            }
        }
        () = signals.end() => tracing::warn!("asked again to stop: steps under way are ended, and run again at the next start"),
    }
}

fn example_root(example: &str, place: &Place, terminal: &Terminal) -> Result<ProjectRoot, Stop> {
    let folder = place.folder().join(example);
    if folder.join("millpond.toml").is_file() {
        terminal.note(format!("going on with the project in `{}`", folder.display()));
    } else {
        let made = make_example(example, &folder)?;
        terminal.note(format!(
            "made the example `{example}` in `{}` ({made} files)",
            folder.display()
        ));
    }
    Ok(place.root_at(folder.canonicalize()?)?)
}
