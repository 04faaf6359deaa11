//! `millpond staged`: rows that a check kept back.

use assets::AssetKey;
use clap::{Args, Subcommand};
use serde_json::json;
use state::ids::RunId;

use super::look::Place;
use super::owner::daemon_or_engine;
use super::terminal::{Terminal, count, moment, start_log, table, thousands};
use super::{Exit, Stop};
use crate::edge::folder::StateFolder;
use crate::edge::kept_staged::{self, Found, KeptStagedError};
use crate::edge::warehouse;
use crate::wire::PublishBody;

/// Rows that a check kept back: list them, publish them all the same, or drop them.
///
/// A step whose blocking check does not pass publishes nothing. What it staged is kept for a week: `millpond query --staged RUN` reads it in the
/// place of the tables. Whoever finds that the rows are right and the check is not may publish them, with a note that says why.
#[derive(Args)]
pub struct StagedCommand {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// What is kept, newest first.
    List,
    /// Publish what a run staged, though a check has not passed.
    Publish(Publish),
    /// Drop what a run staged.
    Drop(Chosen),
}

#[derive(Args)]
struct Chosen {
    /// The run: run_…
    run: RunId,
    /// Of this asset alone; of all that is kept of the run by default.
    #[arg(long, value_name = "ASSET")]
    asset: Option<AssetKey>,
}

#[derive(Args)]
struct Publish {
    #[command(flatten)]
    chosen: Chosen,
    /// Why the rows are right though a check has not passed, for the record.
    #[arg(long)]
    note: String,
}

impl From<KeptStagedError> for Stop {
    fn from(error: KeptStagedError) -> Self {
        Self::broken(error.to_string())
    }
}

impl StagedCommand {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        match self.command {
            What::List => list(place, terminal),
            What::Publish(publish) => publish.run(place, terminal),
            What::Drop(chosen) => drop_it(&chosen, place, terminal),
        }
    }
}

fn list(place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
    let project = place.project(terminal)?;
    let found = kept_staged::all(&StateFolder::of(&project.root))?;
    if terminal.json() {
        for Found { kept, .. } in &found {
            let failed: Vec<_> = kept.staged.checks.iter().filter(|check| !check.passed).collect();
            terminal.answer(&json!({
                "run": kept.run, "asset": kept.made.step.asset, "partition": kept.made.step.partition, "at": kept.at,
                "rows": kept.made.rows, "failed": failed,
            }));
        }
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        terminal.note("nothing is kept: no check kept anything back in the last week, or it was published or dropped");
        return Ok(Exit::Done);
    }
    let mut rows = vec![
        ["run", "step", "at", "rows", "kept back by"]
            .map(|head| terminal.dim(head))
            .to_vec(),
    ];
    for Found { kept, .. } in &found {
        let failed = kept.staged.checks.iter().filter(|check| !check.passed);
        rows.push(vec![
            kept.run.to_string(),
            kept.made.step.to_string(),
            moment(kept.at, &project.settings.timezone),
            thousands(kept.made.rows),
            failed.map(|check| check.name.as_str()).collect::<Vec<_>>().join(", "),
        ]);
    }
    terminal.say(table(&rows));
    Ok(Exit::Done)
}

impl Publish {
    fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let note = self.note.trim().to_owned();
        if note.is_empty() {
            return Err(
                Stop::new(Exit::Usage, "the note is empty").with_help("say why the rows are right all the same")
            );
        }
        let project = place.project(terminal)?;
        let Chosen { run, asset } = self.chosen;
        let published = daemon_or_engine(
            project,
            async |daemon| {
                let body = PublishBody {
                    asset: asset.clone(),
                    note: note.clone(),
                    by: Some("cli".to_owned()),
                };
                daemon.publish_staged(&run, &body).await
            },
            async |engine| Ok(engine.publish_staged(&run, asset.as_ref(), &note, "cli").await?),
        )?;
        if terminal.json() {
            terminal.answer(&published);
        } else {
            terminal.say(format!(
                "published {} with {}, as {}",
                count(published.partitions, "partition", "partitions"),
                count(published.rows, "row", "rows"),
                published.run
            ));
        }
        Ok(Exit::Done)
    }
}

fn drop_it(chosen: &Chosen, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
    let project = place.project(terminal)?;
    let mut found = kept_staged::of_run(&StateFolder::of(&project.root), &chosen.run)?;
    found.retain(|found| chosen.asset.as_ref().is_none_or(|asset| found.is_of(asset)));
    if found.is_empty() {
        return Err(Stop::not_found(format!("nothing is kept of {}", chosen.run))
            .with_help("`millpond staged list` shows what checks kept back"));
    }
    let lake = warehouse::open(&project.settings).map_err(|error| Stop::broken(error.to_string()))?;
    super::runtime()?.block_on(async {
        for found in &found {
            found.drop(&lake).await?;
        }
        Ok::<_, Stop>(())
    })?;
    if terminal.json() {
        terminal.answer(&json!({ "run": chosen.run, "dropped": found.len() }));
    } else {
        terminal.say(format!(
            "dropped {}",
            count(found.len() as u64, "partition", "partitions")
        ));
    }
    Ok(Exit::Done)
}
