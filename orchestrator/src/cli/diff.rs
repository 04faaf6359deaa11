//! `millpond diff`: what differs between two snapshots of a table.

use assets::outcome::{Failure, Sample};
use clap::Args;
use plugins::query::{
    ChangesOrder, ColumnDrift, ColumnFigures, ContentChanges, RowChanges, RowSamples, changed_contents, changed_rows,
    column_drift, row_samples,
};
use serde_json::json;

use super::look::{Look, Place};
use super::terminal::{Terminal, bytes, count, table, thousands};
use super::{Exit, Stop, history};
use crate::edge::folder::StateFolder;
use crate::edge::queried::{Reads, Scratch};
use crate::figures::figure;
use crate::snapshots::{Changes, ColumnChange, TableTotals, identity};

/// Show what differs between two snapshots: columns, rows by their key, and how values are spread.
///
/// A snapshot is `current`, `-1` (the one before the current one), `-2`, …, an id, a time or a tag. Rows are told apart by
/// the asset's `key`, or by what a check of it says is `unique`; without either, they are counted by their values.
#[derive(Args)]
pub struct Diff {
    /// The asset: silver.flights
    asset: String,
    /// The older snapshot.
    #[arg(value_name = "A", default_value = "-1", allow_negative_numbers = true)]
    since: String,
    /// The newer snapshot.
    #[arg(value_name = "B", default_value = "current", allow_negative_numbers = true)]
    snapshot: String,
    /// How many rows to show of those that were added, removed and changed.
    #[arg(long, default_value_t = 5)]
    rows: u64,
}

/// What became of the rows.
struct Rows {
    key: Vec<String>,
    by_key: Option<(RowChanges, RowSamples)>,
    by_content: Option<ContentChanges>,
    drift: Vec<ColumnDrift>,
}

impl Diff {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        let asset = look.asset(&self.asset)?;
        // It goes with the command, and what is read stays until then.
        let scratch = Scratch::reading(&StateFolder::of(&look.project.root), Reads::Old)
            .map_err(|error| Stop::broken(format!("failed to make a scratch folder: {error}")))?;
        let (lake, opened) = history::open(&look, &asset.key)?;
        let since = history::snapshot(&look, &opened, &self.since)?;
        let snapshot = history::snapshot(&look, &opened, &self.snapshot)?;
        let order = ChangesOrder {
            asset: asset.key.clone(),
            pointer: opened.pointer().clone(),
            since,
            snapshot,
            key: identity(&asset),
            memory_bytes: look.project.orders.memory_bytes,
            spill_folder: scratch.as_ref().map(|scratch| scratch.path().to_owned()),
        };
        let most = self.rows;
        let (changes, rows) = super::query_runtime()?.block_on(async move {
            let task = tokio::spawn(async move {
                let changes = Changes::of(&opened, Some(since), snapshot)
                    .await
                    .map_err(|error| error.failure())?;
                let (mut by_key, mut by_content) = (None, None);
                if order.key.is_empty() {
                    by_content = Some(changed_contents(&lake, &order).await?);
                } else {
                    let counts = changed_rows(&lake, &order).await?;
                    by_key = Some((counts, row_samples(&lake, &order, most).await?));
                }
                let drift = column_drift(&lake, &order).await?;
                let rows = Rows {
                    key: order.key,
                    by_key,
                    by_content,
                    drift,
                };
                Ok::<_, Failure>((changes, rows))
            });
            match task.await {
                Ok(told) => told.map_err(failed),
                Err(error) => Err(Stop::broken(format!("the comparison failed: {error}"))),
            }
        })?;
        if terminal.json() {
            terminal.answer(&json!({
                "asset": asset.key, "since": changes.since, "snapshot": changes.snapshot,
                "before": changes.before, "after": changes.after,
                "columns": changes.columns.iter().filter_map(column_json).collect::<Vec<_>>(),
                "key": rows.key,
                "rows": rows.by_key.as_ref().map(|(counts, _)| counts),
                "samples": rows.by_key.as_ref().map(|(_, samples)| samples),
                "contents": rows.by_content,
                "drift": rows.drift,
            }));
            return Ok(Exit::Done);
        }
        tell(asset.key.as_str(), &changes, &rows, terminal);
        Ok(Exit::Done)
    }
}

fn failed(failure: Failure) -> Stop {
    let stop = Stop::new(Exit::Failed, failure.message);
    match failure.help {
        Some(help) => stop.with_help(help),
        None => stop,
    }
}

fn column_json(change: &ColumnChange) -> Option<serde_json::Value> {
    let how = change.of_schema()?;
    let of = |facts: &Option<plugins::lakehouse::ColumnFacts>| facts.as_ref().map(|facts| facts.column.clone());
    Some(json!({ "how": how, "before": of(&change.before), "after": of(&change.after) }))
}

fn tell(asset: &str, changes: &Changes, rows: &Rows, terminal: &Terminal) {
    let since = changes.since.as_deref().unwrap_or("nothing");
    terminal.say(format!("{} from {since} to {}", terminal.bold(asset), changes.snapshot));
    let before = changes.before.as_ref();
    let total = |of: fn(&TableTotals) -> u64, text: fn(u64) -> String| {
        let was = before.map_or(0, of);
        format!("{} → {}", text(was), text(of(&changes.after)))
    };
    terminal.say(format!(
        "  rows {}, files {}, {}",
        total(|totals| totals.rows, thousands),
        total(|totals| totals.files, thousands),
        total(|totals| totals.bytes, bytes)
    ));
    let schema: Vec<(String, String)> = changes
        .columns
        .iter()
        .filter_map(|change| {
            let facts = change.after.as_ref().or(change.before.as_ref())?;
            let named = format!("{} {}", facts.column.name, facts.column.column_type);
            Some((named, change.of_schema()?))
        })
        .collect();
    if schema.is_empty() {
        terminal.say("  the columns are the same");
    }
    for (column, how) in schema {
        terminal.say(format!("  column {column}: {}", terminal.yellow(&how)));
    }
    if let Some((counts, samples)) = &rows.by_key {
        tell_rows(&rows.key, counts, samples, terminal);
    }
    if let Some(contents) = &rows.by_content {
        terminal.say(format!(
            "  by their values: {} added, {} removed",
            count(contents.added, "row", "rows"),
            count(contents.removed, "row", "rows")
        ));
        terminal.say(terminal.dim("  declare a `key`, or a `unique` check, to see which rows changed"));
    }
    tell_drift(&rows.drift, terminal);
}

fn tell_rows(key: &[String], counts: &RowChanges, samples: &RowSamples, terminal: &Terminal) {
    terminal.say(format!(
        "  by {}: {} added, {} removed, {} changed, {} the same",
        key.join(", "),
        thousands(counts.added),
        thousands(counts.removed),
        thousands(counts.changed),
        thousands(counts.same)
    ));
    let mut columns: Vec<(&String, &u64)> = counts.columns.iter().collect();
    columns.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    for (column, number) in columns {
        terminal.say(format!("    {column} differs in {}", count(*number, "row", "rows")));
    }
    for (word, sample) in [("added", &samples.added), ("removed", &samples.removed)] {
        if let Some(sample) = sample {
            tell_sample(word, sample, terminal);
        }
    }
    if !samples.changed.is_empty() {
        terminal.say(terminal.dim("changed"));
    }
    for row in &samples.changed {
        let key: Vec<String> = row
            .key
            .iter()
            .map(|(column, value)| format!("{column} {}", shown(value.as_ref())))
            .collect();
        let values: Vec<String> = row
            .values
            .iter()
            .map(|(column, was, is)| format!("{column}: {} → {}", shown(was.as_ref()), shown(is.as_ref())))
            .collect();
        terminal.say(format!("  {}  {}", key.join(", "), values.join(", ")));
    }
}

fn tell_sample(word: &str, sample: &Sample, terminal: &Terminal) {
    terminal.say(terminal.dim(word));
    let mut rows = vec![
        sample
            .columns
            .iter()
            .map(|column| terminal.dim(column))
            .collect::<Vec<_>>(),
    ];
    rows.extend(
        sample
            .rows
            .iter()
            .map(|row| row.iter().map(|value| shown(value.as_ref())).collect::<Vec<_>>()),
    );
    terminal.say(table(&rows).trim_end());
}

fn shown(value: Option<&String>) -> String {
    value.cloned().unwrap_or_else(|| "null".to_owned())
}

fn tell_drift(drift: &[ColumnDrift], terminal: &Terminal) {
    let differs: Vec<&ColumnDrift> = drift.iter().filter(|column| column.before != column.after).collect();
    if differs.is_empty() {
        terminal.say("  no column holds other values in sum");
        return;
    }
    let mut rows = vec![
        ["column", "nulls", "min", "max", "mean", "distinct"]
            .map(|head| terminal.dim(head))
            .to_vec(),
    ];
    for column in differs {
        let both = |of: &dyn Fn(&ColumnFigures) -> Option<String>| {
            let (was, is) = (column.before.as_ref().and_then(of), column.after.as_ref().and_then(of));
            match (was, is) {
                (None, None) => String::new(),
                (was, is) if was == is => was.unwrap_or_default(),
                (was, is) => format!("{} → {}", was.unwrap_or_default(), is.unwrap_or_default()),
            }
        };
        rows.push(vec![
            column.name.clone(),
            both(&|figures| Some(format!("{:.1} %", figures.null_share * 100.0))),
            both(&|figures| figures.min.as_deref().map(shortened)),
            both(&|figures| figures.max.as_deref().map(shortened)),
            both(&|figures| figures.mean.map(figure)),
            both(&|figures| figures.distinct.map(thousands)),
        ]);
    }
    terminal.say(table(&rows));
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(24) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}
