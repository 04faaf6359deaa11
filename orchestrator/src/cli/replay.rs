//! `millpond replay`: make what was published again from what it was made from, and compare row for row.

use assets::AssetPartition;
use assets::outcome::Sample;
use clap::{Args, ValueEnum};
use plugins::query::RowsCompared;
use serde_json::json;

use super::look::{Look, Place};
use super::terminal::{Terminal, count, start_log, table, thousands};
use super::{Exit, Stop, runs};
use crate::edge::replay::{self as edge, Replayed, Verdict};
use crate::edge::warehouse;

/// Digits of a SHA-256 that are shown.
const SHORT: usize = 12;

/// Make what was published again, from the versions that it was made from, and say whether the same rows come out.
///
/// Nothing is published. Where the code was changed since, say `--with code=current`: whatever differs then is the work of the
/// change. With `--with data=current` the code reads its inputs as they are now: whatever differs is the work of the data.
#[derive(Args)]
pub struct Replay {
    /// An asset, one of its partitions, or all that a run published: gold.departures@2013-03-01, run_…
    what: String,
    /// What may be of today and not of then.
    #[arg(long, value_name = "WHAT")]
    with: Vec<With>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum With {
    /// The code, as it is declared now.
    #[value(name = "code=current")]
    Code,
    /// The inputs, as they are now.
    #[value(name = "data=current")]
    Data,
}

impl Replay {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        let look = Look::new(place, terminal)?;
        let store = look.store()?;
        let lake = warehouse::open(&look.project.settings).map_err(|error| Stop::broken(error.to_string()))?;
        let published = look.published(store, &lake);
        let (steps, of_run) = match self.what.starts_with("run_") {
            true => {
                let run = runs::parse(&self.what)?;
                (published.by_run(&run)?, Some(run))
            }
            false => {
                let (asset, partition) = look.step(&self.what)?;
                let published = look.world.asset(&asset.key).map(|record| &record.partitions);
                let steps = published.into_iter().flatten().filter(|(key, record)| {
                    record.materialization.is_some() && (partition.is_none() || **key == partition)
                });
                let steps = steps.map(|(key, _)| AssetPartition::new(asset.key.clone(), key.clone()));
                (steps.collect(), None)
            }
        };
        if steps.is_empty() {
            return Err(Stop::not_found(format!("nothing of `{}` is published", self.what)));
        }
        let with = edge::With {
            current_code: self.with.contains(&With::Code),
            current_data: self.with.contains(&With::Data),
        };
        let runtime = super::runtime()?;
        let mut verdicts = Vec::new();
        for step in steps {
            let verdict = runtime.block_on(published.again(step, of_run.as_ref(), with))?;
            if !terminal.json() {
                say(&verdict, terminal);
            }
            verdicts.push(verdict);
        }
        let same = verdicts.iter().filter(|verdict| verdict.same).count();
        if terminal.json() {
            terminal.answer(&json!({ "replayed": verdicts, "same": same }));
        } else if verdicts.len() > 1 {
            terminal.say(format!(
                "{same} of {} came out the same",
                count(verdicts.len() as u64, "partition", "partitions")
            ));
        }
        Ok(if same == verdicts.len() {
            Exit::Done
        } else {
            Exit::Failed
        })
    }
}

fn say(verdict: &Verdict, terminal: &Terminal) {
    let name = terminal.bold(&verdict.step.to_string());
    let Some(compared) = &verdict.compared else {
        let why = verdict.error.as_deref().unwrap_or("nobody knows why");
        terminal.say(format!(
            "{name}  {}",
            terminal.red(&format!("was not made again: {why}"))
        ));
        return;
    };
    match compared {
        Replayed::Model { then, now } if then == now => {
            terminal.say(format!("{name}  {}", terminal.green("the same model, byte for byte")));
        }
        Replayed::Model { then, now } => {
            let short = |sha: &str| sha.get(..SHORT).unwrap_or(sha).to_owned();
            let differs = format!("another model: {} then, {} now", short(then), short(now));
            terminal.say(format!("{name}  {}", terminal.red(&differs)));
        }
        Replayed::Rows(rows) if rows.same() => {
            let same = format!("the same {}", count(rows.rows_now, "row", "rows"));
            terminal.say(format!("{name}  {}", terminal.green(&same)));
        }
        Replayed::Rows(rows) => {
            terminal.say(format!("{name}  {}", terminal.red(&differs(rows))));
            if let Some(sample) = &rows.sample {
                terminal.say(table(&lines(sample)).trim_end());
            }
        }
    }
}

fn differs(rows: &RowsCompared) -> String {
    if !rows.columns.is_empty() {
        return format!("other columns: {}", rows.columns.join("; "));
    }
    format!(
        "{} only then, {} only now, of {} and {}",
        thousands(rows.only_then),
        thousands(rows.only_now),
        count(rows.rows_then, "row", "rows"),
        thousands(rows.rows_now)
    )
}

fn lines(sample: &Sample) -> Vec<Vec<String>> {
    let heads = sample.columns.clone();
    let rows = sample.rows.iter().map(|row| {
        let cells = row.iter().map(|cell| cell.clone().unwrap_or_else(|| "null".to_owned()));
        cells.collect()
    });
    std::iter::once(heads)
        .chain(rows)
        .map(|mut row: Vec<String>| {
            row[0] = format!("  {}", row[0]);
            row
        })
        .collect()
}
