//! `millpond show ASSET --history`: what a table was, snapshot by snapshot, and the table itself for commands about snapshots.

use assets::{Asset, AssetKey};
use plugins::lakehouse::{Lake, LakeError, LakeTable};
use serde_json::json;

use super::look::Look;
use super::terminal::{Terminal, moment, table, thousands};
use super::{Exit, Stop};
use crate::edge::warehouse;
use crate::snapshots::{HELP, SnapshotChoice, SnapshotLine, lines, told};

/// The newest version of an asset's table.
pub fn open(look: &Look, key: &AssetKey) -> Result<(Lake, LakeTable), Stop> {
    let pointer = look
        .world
        .pointer(key)
        .filter(|pointer| pointer.snapshot_id.is_some())
        .ok_or_else(|| {
            Stop::not_found(format!("{key} has no table yet"))
                .with_help(format!("materialize it first: millpond materialize {key}"))
        })?;
    let lake = warehouse::open(&look.project.settings).map_err(broken)?;
    let table = super::runtime()?.block_on(lake.table(key, pointer)).map_err(broken)?;
    Ok((lake, table))
}

/// The snapshot that a word on the command line means.
pub fn snapshot(look: &Look, table: &LakeTable, text: &str) -> Result<i64, Stop> {
    let choice = SnapshotChoice::parse(text, &look.project.settings.timezone)
        .map_err(|error| Stop::new(Exit::Usage, error).with_help(HELP))?;
    let id = choice.resolve(table).map_err(unknown)?;
    let known = lines(table).map_err(broken)?;
    let text = id.to_string();
    if known.iter().any(|line| line.snapshot == text) || matches!(choice, SnapshotChoice::Tag(_)) {
        return Ok(id);
    }
    Err(Stop::not_found(format!("{} has no snapshot {id}", table.key()))
        .with_help(format!("`millpond show {} --history` lists its snapshots", table.key())))
}

fn unknown(error: LakeError) -> Stop {
    let stop = Stop::not_found(error.to_string());
    match error.failure().help {
        Some(help) => stop.with_help(help),
        None => stop.with_help(HELP),
    }
}

pub fn broken(error: LakeError) -> Stop {
    Stop::broken(error.to_string())
}

/// Prints the newest snapshots of an asset.
pub fn show(look: &Look, asset: &Asset, limit: usize, terminal: &Terminal) -> Result<Exit, Stop> {
    let key = &asset.key;
    let (_, opened) = open(look, key)?;
    let all = lines(&opened).map_err(broken)?;
    let total = all.len();
    let shown: Vec<SnapshotLine> = all.into_iter().take(limit).collect();
    let shown = match &look.store {
        Some(store) => told(store, key, shown)?,
        None => shown,
    };
    if terminal.json() {
        let current = opened.pointer().snapshot_id.map(|id| id.to_string());
        terminal.answer(&json!({ "asset": key, "current": current, "total": total, "snapshots": shown }));
        return Ok(Exit::Done);
    }
    let zone = &look.project.settings.timezone;
    let mut rows = vec![
        ["snapshot", "at", "how", "of", "rows", "added", "removed", "run", "why"]
            .map(|head| terminal.dim(head))
            .to_vec(),
    ];
    for (place, line) in shown.iter().enumerate() {
        let mut names = vec![line.snapshot.clone()];
        if place == 0 {
            names.push(terminal.green("current"));
        }
        names.extend(line.tags.iter().map(|tag| terminal.yellow(tag)));
        rows.push(vec![
            names.join(" "),
            moment(line.at, zone),
            line.operation.clone(),
            line.what().unwrap_or_default(),
            line.rows.map_or_else(String::new, thousands),
            thousands(line.rows_added),
            thousands(line.rows_removed),
            match line.runs.as_slice() {
                [] => String::new(),
                [one] => one.to_string(),
                [first, more @ ..] => format!("{first} and {} more", more.len()),
            },
            line.why(),
        ]);
    }
    terminal.say(table(&rows));
    if shown.len() < total {
        terminal.note(format!("the newest {} of {total}; -n {total} shows all", shown.len()));
    }
    Ok(Exit::Done)
}
