//! `millpond show`: one asset, or the list of them.

use assets::{Asset, AssetKey};
use clap::Args;
use plugins::lakehouse::{SnapshotInfo, history as snapshots_of};
use serde_json::json;
use state::sqlite::queries::asset_partitions::asset_partitions;
use state::sqlite::queries::assets::{AssetRow, asset};
use state::sqlite::queries::checks::{Standing, standing};
use state::sqlite::queries::materializations::of_asset;

use super::check::{asset_json, input_text};
use super::look::{Look, Place};
use super::terminal::{Terminal, bytes, count, moment, table, thousands};
use super::why::{freshness_line, freshness_word};
use super::{Exit, Stop, history};
use crate::core::{Explanation, FreshnessNow, Health, explain, freshness_now};
use crate::edge::warehouse;

/// Show an asset (its state, partitions, checks and snapshots), or list all.
#[derive(Args)]
pub struct Show {
    /// The asset: silver.flights
    asset: Option<String>,
    /// How many partitions, materializations and snapshots to list.
    #[arg(long, short = 'n', default_value_t = 8)]
    limit: usize,
    /// Its snapshots alone: when, by which run, of what, and why.
    #[arg(long, requires = "asset")]
    history: bool,
}

impl Show {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        match &self.asset {
            Some(name) => {
                let asset = look.asset(name)?;
                if self.history {
                    return history::show(&look, &asset, self.limit, terminal);
                }
                self.one(&look, &asset, terminal)
            }
            None => list(&look, terminal),
        }
    }

    fn one(&self, look: &Look, asset: &Asset, terminal: &Terminal) -> Result<Exit, Stop> {
        let key = &asset.key;
        let health = Health::of(&look.world, look.at, key);
        let freshness = freshness_now(&look.world, look.at, asset);
        let automation = explain(&look.world, look.at, key, None);
        let upkeep = (freshness.as_ref(), automation.as_ref());
        let Some(store) = &look.store else {
            if terminal.json() {
                terminal.answer(&json!({
                    "asset": asset_json(asset), "health": health, "freshness": freshness, "automation": automation,
                }));
            } else {
                head(asset, health.as_ref(), None, upkeep, terminal);
            }
            return Ok(Exit::Done);
        };
        let row = state::sqlite::queries::assets::asset(store, key)?;
        let failed = asset_partitions(store, key, true, None, self.limit)?;
        let checks = standing(store, key, 100)?;
        let made = of_asset(store, key, None, self.limit)?;
        let snapshots = snapshots(look, key)?;
        if terminal.json() {
            terminal.answer(&json!({
                "asset": asset_json(asset), "health": health, "freshness": freshness, "automation": automation, "sums": row, "failed_partitions": failed.rows, "checks": checks,
                "materializations": made.rows, "snapshots": snapshots.iter().take(self.limit).map(snapshot_json).collect::<Vec<_>>(),
            }));
            return Ok(Exit::Done);
        }
        head(asset, health.as_ref(), row.as_ref(), upkeep, terminal);
        let zone = &look.project.settings.timezone;
        if !checks.is_empty() {
            let mut heads = vec!["check", "result", "found", "expected"];
            if asset.partitions.is_some() {
                heads.push("partitions");
            }
            let mut rows = vec![heads.into_iter().map(|head| terminal.dim(head)).collect::<Vec<_>>()];
            for check in &checks {
                let found = &check.worst.result;
                let result = if found.passed {
                    terminal.green("passed")
                } else if found.blocks() {
                    terminal.red("failed")
                } else {
                    terminal.yellow("warned")
                };
                let mut row = vec![
                    found.name.clone(),
                    result,
                    found.figure.map_or_else(String::new, |figure| format!("{figure}")),
                    found.expected.clone(),
                ];
                if asset.partitions.is_some() {
                    row.push(standing_text(check));
                }
                rows.push(row);
            }
            terminal.say(table(&rows));
        }
        for partition in &failed.rows {
            if let Some(failure) = &partition.last_failure {
                let name = partition
                    .partition
                    .as_ref()
                    .map_or_else(|| key.to_string(), |partition| format!("{key}@{partition}"));
                terminal.say(format!("{} {name}: {}", terminal.red("failed"), failure.failure));
            }
        }
        if !made.rows.is_empty() {
            let mut rows = vec![
                ["made", "partition", "rows", "size", "run"]
                    .map(|head| terminal.dim(head))
                    .to_vec(),
            ];
            for made in &made.rows {
                rows.push(vec![
                    moment(made.at, zone),
                    made.step
                        .partition
                        .as_ref()
                        .map_or_else(String::new, ToString::to_string),
                    thousands(made.rows),
                    bytes(made.bytes),
                    match made.run.is_unknown() {
                        true => "not known".to_owned(),
                        false => made.run.to_string(),
                    },
                ]);
            }
            terminal.say(table(&rows));
        }
        if !snapshots.is_empty() {
            let mut rows = vec![
                ["snapshot", "at", "operation", "rows", "added", "removed"]
                    .map(|head| terminal.dim(head))
                    .to_vec(),
            ];
            for snapshot in snapshots.iter().take(self.limit) {
                rows.push(vec![
                    snapshot.id.to_string(),
                    moment(snapshot.timestamp_ms * 1000, zone),
                    snapshot.operation.clone(),
                    snapshot.rows_total.map_or_else(String::new, thousands),
                    thousands(snapshot.rows_added),
                    thousands(snapshot.rows_deleted),
                ]);
            }
            terminal.say(table(&rows));
        }
        Ok(Exit::Done)
    }
}

/// `2 of 365 did not pass, such as 2013-03-01`, or how many did.
fn standing_text(check: &Standing) -> String {
    if check.failing == 0 {
        return format!("all {} passed", thousands(check.partitions));
    }
    let such_as = check
        .worst
        .step
        .partition
        .as_ref()
        .map_or_else(String::new, |partition| format!(", such as {partition}"));
    format!(
        "{} of {} did not pass{such_as}",
        thousands(check.failing),
        thousands(check.partitions)
    )
}

fn head(
    asset: &Asset,
    health: Option<&Health>,
    row: Option<&AssetRow>,
    (freshness, automation): (Option<&FreshnessNow>, Option<&Explanation>),
    terminal: &Terminal,
) {
    let state = health.map_or_else(String::new, |health| health.to_string());
    terminal.say(format!(
        "{}  {}  {state}",
        terminal.bold(asset.key.as_str()),
        asset.kind
    ));
    if let Some(description) = &asset.description {
        terminal.say(format!("  {description}"));
    }
    if let Some(by) = &asset.partitions {
        terminal.say(format!(
            "  partitions  {} by {}: {}",
            by.name,
            by.column,
            by.partitioning.describe()
        ));
    }
    for input in &asset.inputs {
        terminal.say(format!("  reads       {}", input_text(input)));
    }
    if let Some(policy) = asset.contract.schema {
        terminal.say(format!("  schema      {}", policy.as_str()));
    }
    for (place, column) in asset.contract.columns.iter().enumerate() {
        let word = if place == 0 { "columns" } else { "" };
        let mut told = vec![column.name.clone()];
        told.extend(column.column_type.clone());
        told.extend(column.required.then(|| "required".to_owned()));
        told.extend(column.dropped.then(|| "dropped".to_owned()));
        told.extend((!column.was.is_empty()).then(|| format!("was {}", column.was.join(", "))));
        told.extend(column.tags.iter().map(|tag| format!("#{tag}")));
        let description = column
            .description
            .as_ref()
            .map_or_else(String::new, |text| format!("  {text}"));
        terminal.say(format!("  {word:<10}  {}{description}", told.join(" ")));
    }
    if let Some(row) = row {
        terminal.say(format!(
            "  holds       {}, {}",
            count(row.rows, "row", "rows"),
            bytes(row.bytes)
        ));
        if health.is_some_and(|health| row.counts_less(health.partitions)) {
            terminal.say("              and rows of partitions that were not made since the table was cut into these");
        }
    }
    if let Some(freshness) = freshness {
        terminal.say(format!("  freshness   {}", freshness_line(freshness, terminal)));
    }
    if let Some(automation) = automation {
        let paused = automation.paused.as_ref().map_or_else(String::new, |(_, by)| {
            format!("  {}", terminal.yellow(&format!("paused by {by}")))
        });
        terminal.say(format!("  automation  {}{paused}", automation.rule));
    }
}

fn snapshots(look: &Look, key: &AssetKey) -> Result<Vec<SnapshotInfo>, Stop> {
    let Some(pointer) = look.world.pointer(key) else {
        return Ok(Vec::new());
    };
    let lake = warehouse::open(&look.project.settings).map_err(|error| Stop::broken(error.to_string()))?;
    let table = super::runtime()?
        .block_on(lake.table(key, pointer))
        .map_err(|error| Stop::broken(error.to_string()))?;
    let mut found = snapshots_of(&table).map_err(|error| Stop::broken(error.to_string()))?;
    found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.timestamp_ms));
    Ok(found)
}

fn snapshot_json(snapshot: &SnapshotInfo) -> serde_json::Value {
    json!({
        "id": snapshot.id.to_string(), "timestamp_ms": snapshot.timestamp_ms, "operation": snapshot.operation,
        "rows_total": snapshot.rows_total, "rows_added": snapshot.rows_added, "rows_deleted": snapshot.rows_deleted,
    })
}

fn list(look: &Look, terminal: &Terminal) -> Result<Exit, Stop> {
    let mut rows = vec![
        ["asset", "kind", "state", "rows", "size", "last made", "freshness"]
            .map(|head| terminal.dim(head))
            .to_vec(),
    ];
    for asset_definition in look.project.definitions.ordered() {
        let key = &asset_definition.key;
        let health = Health::of(&look.world, look.at, key);
        let freshness = freshness_now(&look.world, look.at, asset_definition);
        let row = look
            .store
            .as_ref()
            .map(|store| asset(store, key))
            .transpose()?
            .flatten();
        if terminal.json() {
            terminal.answer(&json!({
                "asset": key, "kind": asset_definition.kind, "health": health, "freshness": freshness, "sums": row,
            }));
            continue;
        }
        rows.push(vec![
            key.to_string(),
            asset_definition.kind.clone(),
            health.map_or_else(String::new, |health| health.to_string()),
            row.as_ref().map_or_else(String::new, |row| thousands(row.rows)),
            row.as_ref().map_or_else(String::new, |row| bytes(row.bytes)),
            row.and_then(|row| row.last_at)
                .map_or_else(String::new, |at| moment(at, &look.project.settings.timezone)),
            freshness.map_or_else(String::new, |now| freshness_word(&now, terminal)),
        ]);
    }
    if !terminal.json() {
        terminal.say(table(&rows));
    }
    Ok(Exit::Done)
}
