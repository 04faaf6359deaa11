//! `millpond impact`: what was built on a partition, down to models and predictions, and what would repair it.

use assets::PartitionKey;
use clap::Args;
use serde_json::json;

use super::look::{Look, Place};
use super::terminal::{Terminal, count, table};
use super::{Exit, Stop};
use crate::core::{ImpactedAsset, impact};

/// Inputs that are named in one line; the rest is counted.
const MOST_NAMED: usize = 2;

/// Show everything that was built on a partition: tables, models, predictions, and how to repair them.
#[derive(Args)]
pub struct Impact {
    /// The asset, or one of its partitions: bronze.flights@2013-03-01
    step: String,
}

impl Impact {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        look.store()?;
        let (asset, partition) = look.step(&self.step)?;
        let found = impact(&look.world, look.at, &asset.key, partition.as_ref());
        let again = match &partition {
            Some(key) => format!("millpond materialize {} --partition {key} --force", asset.key),
            None => format!("millpond materialize {} --force", asset.key),
        };
        let rest = format!("millpond materialize '{}+'", asset.key);
        if terminal.json() {
            terminal.answer(&json!({
                "asset": asset.key, "partition": partition, "assets": found.assets,
                "repair": if found.assets.is_empty() { vec![&again] } else { vec![&again, &rest] },
            }));
            return Ok(Exit::Done);
        }
        if found.assets.is_empty() {
            terminal.say(format!("Nothing that is published was built on {}.", self.step));
            return Ok(Exit::Done);
        }
        let partitions: usize = found.assets.iter().map(|asset| asset.partitions.len()).sum();
        terminal.say(format!(
            "{} of {} {} built on {}:",
            count(partitions as u64, "partition", "partitions"),
            count(found.assets.len() as u64, "asset", "assets"),
            if partitions == 1 { "was" } else { "were" },
            terminal.bold(&self.step)
        ));
        let rows: Vec<Vec<String>> = found.assets.iter().map(|asset| row(asset, terminal)).collect();
        terminal.say(table(&rows).trim_end());
        terminal.say("");
        terminal.say(
            "Once what was wrong is right at its source, this makes all of it again; what comes out the same stays:",
        );
        terminal.say(format!("  {again}"));
        terminal.say(format!("  {rest}"));
        Ok(Exit::Done)
    }
}

fn row(asset: &ImpactedAsset, terminal: &Terminal) -> Vec<String> {
    let mut through: Vec<String> = asset.through.iter().map(ToString::to_string).collect();
    if through.len() > MOST_NAMED {
        let more = through.len() - MOST_NAMED;
        through.truncate(MOST_NAMED);
        through.push(format!("{more} more"));
    }
    vec![
        format!("  {}", terminal.bold(asset.asset.as_str())),
        asset.kind.clone(),
        partitions(asset),
        terminal.dim(&format!("through {}", through.join(", "))),
    ]
}

fn partitions(asset: &ImpactedAsset) -> String {
    if let Some((newest, _)) = asset.versions.last_key_value() {
        let aliases: Vec<String> = asset
            .versions
            .iter()
            .flat_map(|(version, aliases)| aliases.iter().map(move |alias| format!("{alias} is {version}")))
            .collect();
        return match aliases.is_empty() {
            true => format!("version {newest} is the newest"),
            false => format!("version {newest} is the newest, {}", aliases.join(", ")),
        };
    }
    let keys: Vec<&PartitionKey> = asset.partitions.iter().flatten().collect();
    match keys.as_slice() {
        [] => "the whole".to_owned(),
        [one] => format!("{one}"),
        [first, .., last] => format!("{} of {}, {first} to {last}", keys.len(), asset.published),
    }
}
