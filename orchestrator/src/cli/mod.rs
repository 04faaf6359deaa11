//! The commands. Each has a file; this one says what there is and hands over.

mod alert;
mod automation;
mod backfill;
mod backfills;
mod backup;
mod cancel;
mod check;
mod completions;
mod diff;
mod env;
mod exit;
mod follow;
mod fsck;
mod gc;
mod history;
mod impact;
mod init;
mod log_level;
mod logs;
mod look;
mod materialize;
mod models;
mod owner;
mod pause;
mod plan;
mod promote;
mod query;
mod remote;
mod repartition;
mod replay;
mod replaying;
mod restore;
mod retry;
mod rollback;
mod runs;
mod schedule;
mod schema;
mod sensor;
mod show;
mod staged;
mod tag;
mod terminal;
mod ticks;
mod up;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::{Exit, Stop};
use terminal::Terminal;

use crate::edge::environment;
use crate::edge::environments::EnvironmentName;

const AFTER_HELP: &str = "\
Exit codes:
  0   done                              3   the project has mistakes
  1   a run, a step or a query failed   4   no such asset, partition, run or model
  2   the command line is wrong         5   another process owns the project's state
  6   fsck found something wrong        70  something broke
  74  reading or writing the state      130 interrupted
      failed: nothing is acknowledged

Selections: silver.flights  +a (with all upstream)  a+ (with all downstream)
            2+a  layer:gold  kind:sql  tag:x  owner:me@example.com
            stale  missing  and or not ( )  *";

/// A lakehouse in one binary: declare assets in TOML, materialize them into Iceberg tables, trust what you read.
#[derive(Parser)]
#[command(name = "millpond", version, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    /// The project's folder; by default the nearest one upwards that holds millpond.toml.
    #[arg(long, short = 'C', global = true, value_name = "FOLDER")]
    project: Option<PathBuf>,
    /// Work in this environment of the project: what is made counts there alone. `millpond env` makes and merges them.
    #[arg(long, global = true, value_name = "NAME")]
    env: Option<EnvironmentName>,
    /// Answer in JSON: one object, or one per line where answers come as they happen.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

// What a command is for is said in its own file, and shown from there.
#[derive(Subcommand)]
enum Command {
    Init(init::Init),
    Check(check::Check),
    Plan(plan::Plan),
    Materialize(materialize::Materialize),
    Backfill(backfill::Backfill),
    Backfills(backfills::Backfills),
    Retry(retry::Retry),
    Query(query::Query),
    Show(show::Show),
    Diff(diff::Diff),
    Rollback(rollback::Rollback),
    Repartition(repartition::Repartition),
    Tag(tag::Tag),
    Env(env::Env),
    Staged(staged::StagedCommand),
    Runs(runs::Runs),
    Logs(logs::Logs),
    Why(why::Why),
    Impact(impact::Impact),
    Replay(replay::Replay),
    Models(models::Models),
    Promote(promote::Promote),
    Cancel(cancel::Cancel),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Up(up::Up),
    Schedule(schedule::ScheduleCommand),
    Automation(automation::AutomationCommand),
    Alert(alert::AlertCommand),
    Gc(gc::Gc),
    Fsck(fsck::Fsck),
    Backup(backup::Backup),
    Restore(restore::Restore),
    LogLevel(log_level::LogLevel),
    Sensor(sensor::SensorCommand),
    Schema(schema::Schema),
    Completions(completions::Completions),
    /// Take orders from a daemon (started by it, not by people).
    #[command(hide = true)]
    Worker,
    /// Run one query of the dashboard's console (started by the daemon, not by people).
    #[command(hide = true)]
    Console,
    /// Make again what a run has published (started by the daemon, not by people).
    #[command(hide = true)]
    Replaying,
}

/// Runs the command line that this process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::Worker) {
        terminal::start_log("warn");
        return crate::edge::worker::run();
    }
    if matches!(cli.command, Command::Console) {
        return crate::edge::console::run();
    }
    if matches!(cli.command, Command::Replaying) {
        return replaying::run();
    }
    // Queries run in this process, or in those that set it for themselves.
    environment::large_pages(matches!(
        cli.command,
        Command::Query(_) | Command::Replay(_) | Command::Diff(_)
    ));
    let terminal = Terminal::new(cli.json);
    let place = look::Place::new(cli.project, cli.env);
    let result = match cli.command {
        Command::Init(command) => command.run(&place, &terminal),
        Command::Check(command) => command.run(&place, &terminal),
        Command::Plan(command) => command.run(&place, &terminal),
        Command::Materialize(command) => command.run(&place, &terminal),
        Command::Backfill(command) => command.run(&place, &terminal),
        Command::Backfills(command) => command.run(&place, &terminal),
        Command::Retry(command) => command.run(&place, &terminal),
        Command::Query(command) => command.run(&place, &terminal),
        Command::Show(command) => command.run(&place, &terminal),
        Command::Diff(command) => command.run(&place, &terminal),
        Command::Rollback(command) => command.run(&place, &terminal),
        Command::Repartition(command) => command.run(&place, &terminal),
        Command::Tag(command) => command.run(&place, &terminal),
        Command::Env(command) => command.run(&place, &terminal),
        Command::Staged(command) => command.run(&place, &terminal),
        Command::Runs(command) => command.run(&place, &terminal),
        Command::Logs(command) => command.run(&place, &terminal),
        Command::Why(command) => command.run(&place, &terminal),
        Command::Impact(command) => command.run(&place, &terminal),
        Command::Replay(command) => command.run(&place, &terminal),
        Command::Models(command) => command.run(&place, &terminal),
        Command::Promote(command) => command.run(&place, &terminal),
        Command::Cancel(command) => command.run(&place, &terminal),
        Command::Pause(command) => command.run(&place, &terminal),
        Command::Resume(command) => command.run(&place, &terminal),
        Command::Up(command) => command.run(&place, &terminal),
        Command::Schedule(command) => command.run(&place, &terminal),
        Command::Automation(command) => command.run(&place, &terminal),
        Command::Alert(command) => command.run(&place, &terminal),
        Command::Gc(command) => command.run(&place, &terminal),
        Command::Fsck(command) => command.run(&place, &terminal),
        Command::Backup(command) => command.run(&place, &terminal),
        Command::Restore(command) => command.run(&place, &terminal),
        Command::LogLevel(command) => command.run(&place, &terminal),
        Command::Sensor(command) => command.run(&place, &terminal),
        Command::Schema(command) => command.run(&terminal),
        Command::Completions(command) => command.run(&terminal),
        Command::Worker | Command::Console | Command::Replaying => Ok(Exit::Done),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(stop) => {
            terminal.stop(&stop);
            stop.exit.into()
        }
    }
}

/// A runtime for the commands that need one.
fn runtime() -> Result<tokio::runtime::Runtime, Stop> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Stop::broken(format!("failed to start the runtime: {error}")))
}

/// A runtime for queries: they recurse over their own text, and its threads have room for it where the main thread may not.
fn query_runtime() -> Result<tokio::runtime::Runtime, Stop> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(crate::edge::environment::cores())
        .thread_stack_size(16 << 20)
        .enable_all()
        .build()
        .map_err(|error| Stop::broken(format!("failed to start the runtime: {error}")))
}
