//! `millpond env`: environments, in which to change a project and look at it without anyone else seeing that.

use std::collections::BTreeMap;

use assets::AssetKey;
use clap::{Args, Subcommand};
use serde_json::json;
use state::sqlite::Store;

use super::look::Place;
use super::owner::daemon_or_engine;
use super::terminal::{Terminal, bytes, count, moment, start_log, table, thousands};
use super::{Exit, Stop};
use crate::core::{World, refused_to_adopt};
use crate::edge::environments::{
    self, ChangedPartition, Changes, EnvironmentError, EnvironmentName, EnvironmentRecord, MergedEnvironment,
};
use crate::edge::folder::{ProjectRoot, StateFolder};
use crate::edge::opened::OpenedProject;
use crate::edge::warehouse;
use crate::wire::MergeBody;

/// Partitions of an asset that are named; the rest is counted.
const MOST_NAMED: usize = 3;

/// Make an environment, see what changed in it, merge it, or drop it.
///
/// An environment is the project as it is at one moment: all tables, models and history, without a copy of any table. With
/// `--env NAME` every command works in it, and what is made there nobody else sees: it is written to a folder of its own, and nothing
/// else can be. Only what changed is made; everything else is there already. Nothing begins by itself in it.
#[derive(Args)]
pub struct Env {
    #[command(subcommand)]
    command: EnvCommand,
}

#[derive(Subcommand)]
enum EnvCommand {
    /// Make an environment of the project as it is now.
    Create(Named),
    /// The environments.
    List,
    /// What an environment made, and whether it can be merged.
    Diff(Named),
    /// Have what an environment made count in the project: all of it in one transaction, or nothing.
    Merge(Named),
    /// Remove an environment, with the files that only it needs.
    Drop(Named),
}

#[derive(Args)]
struct Named {
    /// Its name: small letters, digits and hyphens
    name: EnvironmentName,
}

impl Env {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        let root = place.production_only()?;
        match self.command {
            EnvCommand::Create(Named { name }) => create(&root, &name, place, terminal),
            EnvCommand::List => list(&root, place, terminal),
            EnvCommand::Diff(Named { name }) => diff(&root, &name, place, terminal),
            EnvCommand::Merge(Named { name }) => merge(&name, place, terminal),
            EnvCommand::Drop(Named { name }) => drop_it(&root, &name, place, terminal),
        }
    }
}

fn lake(project: &OpenedProject) -> Result<plugins::lakehouse::Lake, Stop> {
    warehouse::open(&project.settings).map_err(|error| Stop::broken(error.to_string()))
}

fn create(root: &ProjectRoot, name: &EnvironmentName, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
    let project = place.project(terminal)?;
    let lake = lake(&project)?;
    let record = super::runtime()?.block_on(environments::create(root, &lake, name))?;
    if terminal.json() {
        terminal.answer(&record);
    } else {
        terminal.say(format!(
            "made the environment {}: {}, {}",
            terminal.bold(name.as_str()),
            count(record.tables.len() as u64, "table", "tables"),
            count(record.models.len() as u64, "model", "models")
        ));
        terminal.note(format!(
            "edit the project, then `millpond --env {name} materialize '*'` makes what changed; `millpond env diff {name}` shows it"
        ));
    }
    Ok(Exit::Done)
}

fn list(root: &ProjectRoot, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
    let records = environments::list(&StateFolder::of(root))?;
    if terminal.json() {
        for record in &records {
            terminal.answer(record);
        }
        return Ok(Exit::Done);
    }
    if records.is_empty() {
        terminal.note("there is no environment; `millpond env create NAME` makes one");
        return Ok(Exit::Done);
    }
    let zone = place.project(terminal)?.settings.timezone;
    let mut rows = vec![
        ["environment", "made at", "state"]
            .map(|head| terminal.dim(head))
            .to_vec(),
    ];
    for record in &records {
        rows.push(vec![
            record.name.to_string(),
            moment(record.created_at, &zone),
            match &record.merged {
                None => "open".to_owned(),
                Some((at, Some(run))) => format!("merged at {} as {run}", moment(*at, &zone)),
                Some((at, None)) => format!("merged at {}", moment(*at, &zone)),
            },
        ]);
    }
    terminal.say(table(&rows));
    Ok(Exit::Done)
}

fn record_of(root: &ProjectRoot, name: &EnvironmentName) -> Result<EnvironmentRecord, Stop> {
    let own = ProjectRoot::new(root.to_path_buf(), Some(name.clone()));
    Ok(environments::open(&own)?)
}

fn diff(root: &ProjectRoot, name: &EnvironmentName, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
    let record = record_of(root, name)?;
    let project = place.project(terminal)?;
    let own = StateFolder::of(&ProjectRoot::new(root.to_path_buf(), Some(name.clone())));
    let (environment, production) = (
        Store::open_reader(&own.database())?,
        Store::open_reader(&StateFolder::of(root).database())?,
    );
    let mut changes = environments::changes(&record, &environment, &production, "cli")?;
    let world = World::from_loaded(
        production.load()?,
        std::sync::Arc::clone(&project.definitions),
        crate::edge::environment::seed(),
    );
    let refused = refused_to_adopt(&world, &changes.merge);
    changes.reasons.extend(refused);
    changes.reasons.sort();
    changes.reasons.dedup();
    if terminal.json() {
        terminal.answer(&answer_of(&record, &changes));
    } else {
        say(&record, &changes, terminal);
    }
    Ok(Exit::Done)
}

fn answer_of(record: &EnvironmentRecord, changes: &Changes) -> serde_json::Value {
    let partitions: Vec<_> = changes
        .partitions
        .iter()
        .map(|one| {
            json!({
                "asset": one.step.asset, "partition": one.step.partition,
                "rows_before": one.rows_before, "rows": one.rows,
                "other_code": one.other_code, "other_data": one.other_data,
            })
        })
        .collect();
    let models: Vec<_> = changes
        .merge
        .models
        .iter()
        .map(|model| json!({ "model": model.model, "version": model.version, "metrics": model.staged.metrics }))
        .collect();
    let aliases: Vec<_> = changes
        .merge
        .aliases
        .iter()
        .map(|alias| json!({ "model": alias.model, "alias": alias.alias, "from": alias.from, "to": alias.to }))
        .collect();
    json!({
        "environment": record.name, "created_at": record.created_at, "partitions": partitions,
        "tables": changes.merge.tables.iter().map(|table| &table.table).collect::<Vec<_>>(),
        "models": models, "aliases": aliases,
        "moved": changes.moved.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "refused": changes.reasons,
    })
}

fn say(record: &EnvironmentRecord, changes: &Changes, terminal: &Terminal) {
    let name = &record.name;
    if changes.is_empty() {
        terminal.say(format!("{name} shows what the project showed when it was made"));
        terminal.note(format!(
            "`millpond --env {name} materialize '*'` makes what changed since"
        ));
        return;
    }
    let mut by_asset: BTreeMap<&AssetKey, Vec<&ChangedPartition>> = BTreeMap::new();
    for one in &changes.partitions {
        by_asset.entry(&one.step.asset).or_default().push(one);
    }
    let mut rows = vec![
        ["asset", "partitions", "rows", "why"]
            .map(|head| terminal.dim(head))
            .to_vec(),
    ];
    for (asset, partitions) in &by_asset {
        rows.push(vec![
            asset.to_string(),
            named(partitions),
            rows_of(partitions),
            why(partitions),
        ]);
    }
    for table in &changes.merge.tables {
        if !by_asset.contains_key(&table.table) {
            let what = "the table itself: tags, snapshots or files";
            rows.push(vec![
                table.table.to_string(),
                String::new(),
                String::new(),
                what.to_owned(),
            ]);
        }
    }
    terminal.say(table(&rows));
    for model in &changes.merge.models {
        let metrics = model
            .staged
            .metrics
            .iter()
            .map(|(name, value)| format!("{name} {value:.4}"));
        terminal.say(format!(
            "{} has a version {}: {}",
            model.model,
            model.version,
            metrics.collect::<Vec<_>>().join(", ")
        ));
    }
    for alias in &changes.merge.aliases {
        let from = alias.from.map_or_else(|| "nothing".to_owned(), |from| from.to_string());
        terminal.say(format!(
            "{}@{} points to {}, before to {from}",
            alias.model, alias.alias, alias.to
        ));
    }
    if let Some(changed) = changes.merge.tables.iter().find(|table| table.from.is_some()) {
        let before = changed
            .from
            .as_ref()
            .and_then(|from| from.snapshot_id)
            .unwrap_or_default();
        terminal.note(format!(
            "rows that differ: millpond --env {name} diff {} {before} current",
            changed.table
        ));
    }
    if changes.reasons.is_empty() {
        terminal.note(format!("`millpond env merge {name}` has it count in the project"));
    } else {
        terminal.say("it cannot be merged as it is:");
        for reason in &changes.reasons {
            terminal.say(format!("  {reason}"));
        }
    }
}

fn named(partitions: &[&ChangedPartition]) -> String {
    let keys: Vec<&str> = partitions
        .iter()
        .filter_map(|one| one.step.partition.as_ref())
        .map(assets::PartitionKey::as_str)
        .collect();
    match keys.as_slice() {
        [] => "all of it".to_owned(),
        few if few.len() <= MOST_NAMED => few.join(", "),
        many => format!(
            "{} to {} ({})",
            many[0],
            many[many.len() - 1],
            count(many.len() as u64, "partition", "partitions")
        ),
    }
}

fn rows_of(partitions: &[&ChangedPartition]) -> String {
    let before: u64 = partitions.iter().filter_map(|one| one.rows_before).sum();
    let now: u64 = partitions.iter().map(|one| one.rows).sum();
    if before == now {
        thousands(now)
    } else {
        format!("{} → {}", thousands(before), thousands(now))
    }
}

fn why(partitions: &[&ChangedPartition]) -> String {
    let any = |of: fn(&ChangedPartition) -> bool| partitions.iter().any(|one| of(one));
    if any(|one| one.rows_before.is_none()) {
        "new"
    } else if any(|one| one.other_code) {
        "other code"
    } else if any(|one| one.other_data) {
        "other inputs"
    } else {
        "made again, from the same"
    }
    .to_owned()
}

fn merge(name: &EnvironmentName, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
    let merged: MergedEnvironment = daemon_or_engine(
        place.project(terminal)?,
        async |daemon| {
            // The declarations that it was made with may have been written just now.
            daemon.look_at_definitions().await?;
            let body = MergeBody {
                by: Some("cli".to_owned()),
            };
            daemon.merge(name, &body).await
        },
        async |engine| Ok(environments::merge(&engine, name, "cli").await?),
    )?;
    if terminal.json() {
        terminal.answer(&merged);
        return Ok(Exit::Done);
    }
    match &merged.run {
        _ if merged.already => terminal.say(format!("{name} was merged before")),
        None => terminal.say(format!("there was nothing to merge in {name}")),
        Some(run) => terminal.say(format!(
            "merged {}: {} of {}, {}, as {run}",
            terminal.bold(name.as_str()),
            count(merged.partitions, "partition", "partitions"),
            count(merged.tables, "table", "tables"),
            count(merged.models, "version of a model", "versions of models"),
        )),
    }
    terminal.note(format!(
        "`millpond env drop {name}` removes the environment; what was merged stays"
    ));
    Ok(Exit::Done)
}

fn drop_it(root: &ProjectRoot, name: &EnvironmentName, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
    let project = place.project(terminal)?;
    let lake = lake(&project)?;
    let removed = super::runtime()?.block_on(environments::remove(root, &lake, name));
    let removed = removed.map_err(|error| match error {
        error @ EnvironmentError::Lake(_) => Stop::from(error).with_help(
            "what others need of its files could not be told, so none was removed; asked again, it goes on from there",
        ),
        error => Stop::from(error),
    })?;
    if terminal.json() {
        terminal.answer(&removed);
    } else {
        let kept = match removed.kept {
            0 => String::new(),
            kept => format!(
                "; {} since the merge",
                count(kept, "file is the project's", "files are the project's")
            ),
        };
        terminal.say(format!(
            "dropped {}: {} ({}){kept}",
            terminal.bold(name.as_str()),
            count(removed.files, "file", "files"),
            bytes(removed.bytes)
        ));
        for failed in &removed.failed {
            terminal.note(format!("could not be removed: {failed}"));
        }
    }
    Ok(if removed.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}
