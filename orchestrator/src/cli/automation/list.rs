//! `millpond automation list`: automated assets with their rules and their last requests; one asset part by part.

use assets::AssetKey;
use clap::Args;
use serde_json::{Value, json};
use state::sqlite::Owner;
use state::sqlite::queries::automation::{AutomationRow, requests};

use super::super::look::{Look, Place};
use super::super::terminal::{Terminal, moment, table};
use super::super::{Exit, Stop};
use crate::core::{Explanation, explain};
use crate::edge::folder::StateFolder;
use crate::evaluation::{lines, set};

/// List automated assets: their rules, what was requested last, what is left out and why.
#[derive(Args)]
pub struct List {
    /// One asset, with its condition part by part and its requests.
    asset: Option<String>,
    /// How many requests of it.
    #[arg(long, short = 'n', default_value_t = 10)]
    number: usize,
}

impl List {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        let zone = look.project.settings.timezone.clone();
        let keys: Vec<AssetKey> = match &self.asset {
            Some(name) => {
                let asset = look.asset(name)?;
                if asset.automation.is_none() {
                    return Err(Stop::not_found(format!("{} has no automation", asset.key))
                        .with_help("declare it on the asset: `automation = \"eager\"`"));
                }
                vec![asset.key.clone()]
            }
            None => {
                let ordered = look.project.definitions.ordered().iter();
                let automated = ordered.filter(|asset| asset.automation.is_some());
                automated.map(|asset| asset.key.clone()).collect()
            }
        };
        let number = if self.asset.is_some() { self.number } else { 1 };
        let mut listed: Vec<(AssetKey, Explanation, Vec<AutomationRow>)> = Vec::new();
        for key in keys {
            let Some(explanation) = explain(&look.world, look.at, &key, None) else {
                continue;
            };
            let told = match &look.store {
                Some(store) => requests(store, &key, None, number)?.rows,
                None => Vec::new(),
            };
            listed.push((key, explanation, told));
        }
        if terminal.json() {
            let listed: Vec<Value> = listed
                .iter()
                .map(|(asset, explanation, told)| json!({ "asset": asset, "now": explanation, "requests": told }))
                .collect();
            let all = look.world.automation().paused.get(&None);
            terminal.answer(&json!({
                "paused_at": all.map(|(at, _)| at),
                "paused_by": all.map(|(_, by)| by),
                "automation": listed,
            }));
            return Ok(Exit::Done);
        }
        if listed.is_empty() {
            terminal.note("no asset is automated: `automation = \"eager\"` on an asset");
            return Ok(Exit::Done);
        }
        let heads = ["asset", "rule", "state", "last requested"];
        let mut rows: Vec<Vec<String>> = vec![heads.iter().map(|head| terminal.dim(head)).collect()];
        for (asset, explanation, told) in &listed {
            rows.push(vec![
                terminal.bold(asset.as_str()),
                explanation.rule.clone(),
                state(explanation, terminal),
                told.first().map_or_else(
                    || terminal.dim("never"),
                    |row| format!("{} {}", moment(row.at, &zone), set(&row.partitions)),
                ),
            ]);
        }
        terminal.say(table(&rows));
        if self.asset.is_some() {
            let (_, explanation, told) = &listed[0];
            one(explanation, told, &zone, terminal);
        }
        let serves = matches!(
            Owner::of(StateFolder::of(&look.project.root).path()),
            Some(Owner { url: Some(_), .. })
        );
        if !serves {
            terminal.note("no daemon runs, so nothing is made by itself: `millpond up`");
        }
        Ok(Exit::Done)
    }
}

fn one(explanation: &Explanation, told: &[AutomationRow], zone: &str, terminal: &Terminal) {
    terminal.say("");
    tree(explanation, terminal);
    for left in &explanation.left_out {
        terminal.say(format!("  not requested: {}: {}", set(&left.partitions), left.why));
    }
    if told.is_empty() {
        return;
    }
    terminal.say("");
    let heads = ["requested", "partitions", "run", "is"];
    let mut rows: Vec<Vec<String>> = vec![heads.iter().map(|head| terminal.dim(head)).collect()];
    for row in told {
        rows.push(vec![
            moment(row.at, zone),
            set(&row.partitions),
            row.run.to_string(),
            row.run_status.clone().unwrap_or_default(),
        ]);
    }
    terminal.say(table(&rows));
}

/// The condition, part by part.
pub fn tree(explanation: &Explanation, terminal: &Terminal) {
    for line in lines(&explanation.evaluation) {
        let result = match line.held {
            true => terminal.green(&line.result),
            false => terminal.dim(&line.result),
        };
        terminal.say(format!("  {}{}  {result}", "  ".repeat(line.depth), line.text));
    }
}

fn state(explanation: &Explanation, terminal: &Terminal) -> String {
    if let Some((_, by)) = &explanation.paused {
        return terminal.yellow(&format!("paused by {by}"));
    }
    if explanation.requested.count > 0 {
        return terminal.yellow(&format!("{} to be made", set(&explanation.requested)));
    }
    let waiting = explanation.left_out.iter().filter(|left| left.why != "it is fresh");
    match waiting.map(|left| left.partitions.count).sum::<u64>() {
        0 => terminal.green("nothing to do"),
        count => terminal.dim(&format!("{count} left out")),
    }
}
