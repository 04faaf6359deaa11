//! The commands. Each has a file; this one says what there is and hands over.

mod backfill;
mod cancel;
mod check;
mod completions;
mod exit;
mod follow;
mod init;
mod logs;
mod look;
mod materialize;
mod models;
mod pause;
mod plan;
mod promote;
mod query;
mod remote;
mod retry;
mod runs;
mod schedule;
mod schema;
mod show;
mod terminal;
mod up;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::{Exit, Stop};
use terminal::Terminal;

const AFTER_HELP: &str = "\
Exit codes:
  0   done                              3   the project has mistakes
  1   a run or a step failed            4   no such asset, run, partition or table
  2   the command line is wrong         5   another process owns the project's state
  70  something broke                   130 interrupted

Selections: silver.flights  +a (with all upstream)  a+ (downstream)  2+a  layer:gold  kind:sql  tag:x
            owner:me@example.com  stale  missing  and or not ( )  *";

/// A lakehouse in one binary: declare assets in TOML, materialize them into Iceberg tables, trust what you read.
#[derive(Parser)]
#[command(name = "millpond", version, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    /// The project's folder; by default the nearest one upwards that holds millpond.toml.
    #[arg(long, short = 'C', global = true, value_name = "FOLDER")]
    project: Option<PathBuf>,
    /// Answer in JSON: one object, or one per line where answers come as they happen.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a project that runs.
    Init(init::Init),
    /// Report every mistake of the project at once, and what was inferred.
    Check(check::Check),
    /// Say what would run, on which partitions, and why.
    Plan(plan::Plan),
    /// Materialize what is stale among the selected assets.
    Materialize(materialize::Materialize),
    /// Materialize a stretch of partitions: what is stale, missing or failed, at a pace.
    Backfill(backfill::Backfill),
    /// Run again what failed, was skipped or was canceled in a run.
    Retry(retry::Retry),
    /// Ask a question in SQL, of tables as they are or as they were.
    Query(query::Query),
    /// Show an asset: its state, partitions, checks and snapshots.
    Show(show::Show),
    /// List runs, or show one.
    Runs(runs::Runs),
    /// Print the log of a run.
    Logs(logs::Logs),
    /// Explain why a partition is fresh or stale, and what became of it.
    Why(why::Why),
    /// List models, their versions and metrics.
    Models(models::Models),
    /// Point an alias at a model version.
    Promote(promote::Promote),
    /// Stop a run.
    Cancel(cancel::Cancel),
    /// Let a run start nothing more for now.
    Pause(pause::Pause),
    /// Let a paused run go on.
    Resume(pause::Resume),
    /// Serve the dashboard and run what is asked for.
    Up(up::Up),
    /// List schedules and their ticks, preview them, pause and resume them.
    Schedule(schedule::ScheduleCommand),
    /// Print the JSON Schema of the TOML files, for editors.
    Schema(schema::Schema),
    /// Print completions for a shell.
    Completions(completions::Completions),
    /// Take orders from a daemon (started by it, not by people).
    #[command(hide = true)]
    Worker,
}

/// Runs the command line that this process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::Worker) {
        terminal::start_log("warn");
        return crate::edge::worker::run();
    }
    let terminal = Terminal::new(cli.json);
    let place = look::Place::new(cli.project);
    let result = match cli.command {
        Command::Init(command) => command.run(&place, &terminal),
        Command::Check(command) => command.run(&place, &terminal),
        Command::Plan(command) => command.run(&place, &terminal),
        Command::Materialize(command) => command.run(&place, &terminal),
        Command::Backfill(command) => command.run(&place, &terminal),
        Command::Retry(command) => command.run(&place, &terminal),
        Command::Query(command) => command.run(&place, &terminal),
        Command::Show(command) => command.run(&place, &terminal),
        Command::Runs(command) => command.run(&place, &terminal),
        Command::Logs(command) => command.run(&place, &terminal),
        Command::Why(command) => command.run(&place, &terminal),
        Command::Models(command) => command.run(&place, &terminal),
        Command::Promote(command) => command.run(&place, &terminal),
        Command::Cancel(command) => command.run(&place, &terminal),
        Command::Pause(command) => command.run(&place, &terminal),
        Command::Resume(command) => command.run(&place, &terminal),
        Command::Up(command) => command.run(&place, &terminal),
        Command::Schedule(command) => command.run(&place, &terminal),
        Command::Schema(command) => command.run(&terminal),
        Command::Completions(command) => command.run(&terminal),
        Command::Worker => Ok(Exit::Done),
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
