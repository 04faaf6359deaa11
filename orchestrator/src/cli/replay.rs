//! `millpond replay`: make what was published again from what it was made from, and compare row for row.

use assets::outcome::Sample;
use assets::{AssetKey, AssetPartition};
use clap::{Args, ValueEnum};
use plugins::lakehouse::Lake;
use plugins::query::RowsCompared;
use serde_json::{Value, json};
use state::ids::RunId;
use state::sqlite::Store;
use state::sqlite::queries::attempts::attempt;
use state::sqlite::queries::materializations::{MaterializationRow, of_partition};
use state::sqlite::queries::models::versions;
use state::sqlite::queries::run_steps::{StepFilter, run_steps};
use state::status::StepStatus;

use super::look::{Look, Place};
use super::terminal::{Terminal, count, start_log, table, thousands};
use super::{Exit, Stop, runs};
use crate::core::replay as attempt_again;
use crate::edge::replay::{Replayed, Then, readable, replay};
use crate::edge::warehouse;

/// Rows of a page of the history.
const PAGE: usize = 200;
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

/// One partition, and what became of it.
struct Verdict {
    step: AssetPartition,
    run: Option<RunId>,
    result: Result<Replayed, String>,
}

impl Replay {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        let look = Look::new(place, terminal)?;
        let store = look.store()?;
        let (steps, of_run) = match self.what.starts_with("run_") {
            true => {
                let run = runs::parse(&self.what)?;
                (published_by(store, &run)?, Some(run))
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
        let lake = warehouse::open(&look.project.settings).map_err(|error| Stop::broken(error.to_string()))?;
        let runtime = super::runtime()?;
        let mut verdicts = Vec::new();
        for step in steps {
            let verdict = runtime.block_on(self.one(&look, store, &lake, step, of_run.as_ref()))?;
            if !terminal.json() {
                say(&verdict, terminal);
            }
            verdicts.push(verdict);
        }
        let same = verdicts.iter().filter(|verdict| verdict.same()).count();
        if terminal.json() {
            let all: Vec<Value> = verdicts.iter().map(Verdict::json).collect();
            terminal.answer(&json!({ "replayed": all, "same": same }));
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

    async fn one(
        &self,
        look: &Look,
        store: &Store,
        lake: &Lake,
        step: AssetPartition,
        of_run: Option<&RunId>,
    ) -> Result<Verdict, Stop> {
        let Some(made) = made(store, &step, of_run)? else {
            let result = Err("what was made then is not known any more".to_owned());
            return Ok(Verdict {
                step,
                run: of_run.cloned(),
                result,
            });
        };
        let run = Some(made.run.clone());
        let result = self.again(look, store, lake, &step, &made).await?;
        Ok(Verdict { step, run, result })
    }

    /// The inner error is about this partition alone.
    async fn again(
        &self,
        look: &Look,
        store: &Store,
        lake: &Lake,
        step: &AssetPartition,
        made: &MaterializationRow,
    ) -> Result<Result<Replayed, String>, Stop> {
        let Some(asset) = look.project.definitions.get(&step.asset) else {
            return Ok(Err("it is not declared any more".to_owned()));
        };
        if asset.fingerprint != made.fingerprint && !self.with.contains(&With::Code) {
            return Ok(Err(
                "its code was changed since; --with code=current runs that of today on the data of then".to_owned(),
            ));
        }
        let pinned = match (self.with.contains(&With::Data), attempt(store, &made.attempt)?) {
            (true, _) => None,
            (false, Some(attempt)) => Some(attempt.inputs),
            (false, None) => {
                return Ok(Err(
                    "what it read is not known any more: [retention] says how long that is kept".to_owned(),
                ));
            }
        };
        let start = attempt_again(
            &look.world,
            look.at,
            &made.run,
            asset,
            step.partition.as_ref(),
            pinned.as_deref(),
        );
        let start = match start {
            Ok(start) => start,
            Err(why) => return Ok(Err(why)),
        };
        let current = |table: &AssetKey| look.world.pointer(table).cloned();
        let then = match (asset.kind.as_str(), made.snapshot_id, current(&step.asset)) {
            ("training", ..) => match sha_of(store, &step.asset, &made.run)? {
                Some(sha) => Then::Model(sha),
                None => return Ok(Err("its model is not in the registry".to_owned())),
            },
            (_, Some(snapshot), Some(pointer)) => {
                let pinned = assets::outcome::TablePointer {
                    snapshot_id: Some(snapshot),
                    ..pointer.clone()
                };
                match readable(lake, &step.asset, &pinned, Some(pointer)).await {
                    Ok(pointer) => Then::Table(pointer),
                    Err(failure) => return Ok(Err(failure.message)),
                }
            }
            _ => Then::Nothing,
        };
        let replayed = replay(&look.project, lake, start, current, then).await;
        Ok(replayed.map_err(|failure| failure.to_string()))
    }
}

/// What a partition was made by: its newest materialization, or that of a run.
fn made(store: &Store, step: &AssetPartition, of_run: Option<&RunId>) -> Result<Option<MaterializationRow>, Stop> {
    let mut before = None;
    loop {
        let page = of_partition(store, step, before, PAGE)?;
        let found = page
            .rows
            .into_iter()
            .find(|made| of_run.is_none_or(|run| made.run == *run));
        before = page.next;
        if found.is_some() || before.is_none() {
            return Ok(found);
        }
    }
}

/// What a run has published.
fn published_by(store: &Store, run: &RunId) -> Result<Vec<AssetPartition>, Stop> {
    let mut steps = Vec::new();
    let mut after = None;
    loop {
        let page = run_steps(store, run, &StepFilter::default(), after.as_ref(), PAGE)?;
        for row in page.rows {
            // A step that was fresh was made by another run.
            if row.status == StepStatus::Succeeded && made(store, &row.step, Some(run))?.is_some() {
                steps.push(row.step);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(steps);
        }
    }
}

/// The artifact that a run registered.
fn sha_of(store: &Store, model: &AssetKey, run: &RunId) -> Result<Option<String>, Stop> {
    let mut before = None;
    loop {
        let page = versions(store, model, before, PAGE)?;
        let found = page.rows.into_iter().find(|version| version.run == *run);
        before = page.next;
        if found.is_some() || before.is_none() {
            return Ok(found.map(|version| version.sha256));
        }
    }
}

impl Verdict {
    fn same(&self) -> bool {
        self.result.as_ref().is_ok_and(Replayed::same)
    }

    fn json(&self) -> Value {
        let (made, error) = match &self.result {
            Ok(made) => (Some(made), None),
            Err(why) => (None, Some(why)),
        };
        json!({ "step": self.step, "run": self.run, "same": self.same(), "compared": made, "error": error })
    }
}

fn say(verdict: &Verdict, terminal: &Terminal) {
    let name = terminal.bold(&verdict.step.to_string());
    match &verdict.result {
        Err(why) => terminal.say(format!(
            "{name}  {}",
            terminal.red(&format!("was not made again: {why}"))
        )),
        Ok(Replayed::Model { then, now }) if then == now => {
            terminal.say(format!("{name}  {}", terminal.green("the same model, byte for byte")));
        }
        Ok(Replayed::Model { then, now }) => {
            let short = |sha: &str| sha.get(..SHORT).unwrap_or(sha).to_owned();
            let differs = format!("another model: {} then, {} now", short(then), short(now));
            terminal.say(format!("{name}  {}", terminal.red(&differs)));
        }
        Ok(Replayed::Rows(rows)) if rows.same() => {
            let same = format!("the same {}", count(rows.rows_now, "row", "rows"));
            terminal.say(format!("{name}  {}", terminal.green(&same)));
        }
        Ok(Replayed::Rows(rows)) => {
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
