//! `millpond repartition`: the rows of a table are cut into the partitions that its asset declares now.

use clap::Args;

use super::look::{Look, Place};
use super::owner::daemon_or_engine;
use super::terminal::{Terminal, bytes, count};
use super::{Exit, Stop};
use crate::wire::{RepartitionAnswer, RepartitionBody};

/// Cut the rows of a table into the partitions that its asset declares now.
///
/// For an asset whose `partitions` were changed while its table has rows: days that become months, a table that gets partitions or loses
/// them. All rows are written anew and count in one change, with the same rows; readers never see less. What is older stays as it was
/// cut. The new partitions count as never made until a step makes them.
#[derive(Args)]
pub struct Repartition {
    /// The asset: silver.flights
    asset: String,
    /// Say what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Repartition {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        let asset = look.asset(&self.asset)?;
        if asset.kind == "training" {
            return Err(Stop::not_found(format!("{} is a model and has no table", asset.key)));
        }
        let (project, key) = (look.project, asset.key.clone());
        let answer = daemon_or_engine(
            project,
            async |daemon| {
                let body = RepartitionBody {
                    dry_run: self.dry_run,
                    by: Some("cli".to_owned()),
                };
                daemon.repartition(&key, &body).await
            },
            async |engine| Ok(engine.repartition(&key, self.dry_run, "cli").await?),
        )?;
        if terminal.json() {
            terminal.answer(&answer);
        } else {
            tell(&answer, terminal);
        }
        Ok(Exit::Done)
    }
}

fn tell(answer: &RepartitionAnswer, terminal: &Terminal) {
    let asset = terminal.bold(answer.asset.as_str());
    if answer.already {
        terminal.say(format!("{asset} is cut as it is declared: nothing was changed"));
        return;
    }
    let rows = count(answer.rows, "row", "rows");
    let files = count(answer.files, "file", "files");
    if answer.dry_run {
        terminal.say(format!(
            "{asset} is cut by {}, and would be by {}: {rows} in {files} ({}) would be written anew",
            answer.was,
            answer.is,
            bytes(answer.bytes)
        ));
        return;
    }
    terminal.say(format!(
        "{asset} is cut by {}, by {} before: {rows} of {files} are in {} now",
        answer.is,
        answer.was,
        count(answer.into, "file", "files")
    ));
    terminal.note(format!(
        "its partitions count as never made: millpond materialize {}",
        answer.asset
    ));
}
