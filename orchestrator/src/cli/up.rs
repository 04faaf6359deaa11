//! `millpond up`: the daemon and its dashboard.

use std::path::PathBuf;

use clap::Args;
use state::event::OwnerMode;

use super::init::make_example;
use super::look::{Place, open};
use super::materialize::materialize;
use super::terminal::{Terminal, moment, start_log};
use super::{Exit, Stop};
use crate::edge::clock::Stopwatch;
use crate::edge::engine::Engine;
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
    /// Stop after the first materialization instead of serving on.
    #[arg(long, hide = true)]
    once: bool,
}

impl Up {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let started = Stopwatch::start();
        start_log("info");
        let root = match &self.example {
            Some(example) => example_root(example, place, terminal)?,
            None => place.root()?,
        };
        let project = open(&root, terminal)?;
        super::runtime()?.block_on(async {
            let mut engine = Engine::start(&project, OwnerMode::Daemon)?;
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
                terminal.note(format!("millpond serves `{}` at {login}", project.name));
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
                let zone = &project.settings.timezone;
                terminal.note(format!(
                    "  next by the clock: {schedule} at {}",
                    moment(due.instant, zone)
                ));
            }
            let selection = self
                .materialize
                .or_else(|| self.example.as_ref().map(|_| "*".to_owned()));
            let mut exit = Exit::Done;
            if let Some(selection) = selection {
                let body = RunBody {
                    selection,
                    partition: None,
                    from: None,
                    to: None,
                    force: false,
                };
                exit = materialize(&engine.handle(), body, OwnerMode::Daemon, "up", terminal).await?;
                if !terminal.json() && exit != Exit::Interrupted {
                    terminal.note(format!("the dashboard: {login}"));
                }
            }
            if !self.once && exit != Exit::Interrupted {
                exit = serve(&engine).await?;
            }
            serving.stop().await;
            engine.stop().await?;
            Ok(exit)
        })
    }
}

/// Waits until someone asks to stop, or the driver ends by itself.
async fn serve(engine: &Engine) -> Result<Exit, Stop> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut live = engine.handle().driver().live();
    loop {
        tokio::select! {
            signal = tokio::signal::ctrl_c() => {
                signal?;
                return Ok(Exit::Done);
            }
            _ = terminate.recv() => return Ok(Exit::Done),
            events = live.recv() => {
                if matches!(events, Err(tokio::sync::broadcast::error::RecvError::Closed)) || engine.is_broken() {
                    return Err(Stop::broken("the driver ended; see the message above"));
                }
            }
        }
    }
}

fn example_root(example: &str, place: &Place, terminal: &Terminal) -> Result<PathBuf, Stop> {
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
    Ok(folder.canonicalize()?)
}
