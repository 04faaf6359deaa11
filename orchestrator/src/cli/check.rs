//! `millpond check`: all mistakes at once, and what was inferred.

use assets::{Asset, AssetInput, InputRole};
use clap::Args;
use serde_json::json;

use super::look::Place;
use super::terminal::{Terminal, count};
use super::{Exit, Stop};
use crate::core::reference_text;
use crate::edge::opened::check_project;

/// Report every mistake of the project at once, and what was inferred.
#[derive(Args)]
pub struct Check {
    /// Only the mistakes, not what was inferred.
    #[arg(long, short)]
    quiet: bool,
}

impl Check {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let root = place.root()?;
        let read = check_project(&root);
        let exit = if read.project.is_some() {
            Exit::Done
        } else {
            Exit::Mistakes
        };
        if terminal.json() {
            let assets: Option<Vec<_>> = read.project.as_ref().map(|project| {
                project
                    .definitions
                    .ordered()
                    .iter()
                    .map(|asset| asset_json(asset))
                    .collect()
            });
            terminal.answer(&json!({ "ok": read.project.is_some(), "diagnostics": read.diagnostics.to_json(&read.sources), "assets": assets }));
            return Ok(exit);
        }
        if !read.diagnostics.is_empty() {
            terminal.note(
                read.diagnostics
                    .render(&read.sources, terminal.error_colour())
                    .trim_end(),
            );
        }
        let Some(project) = read.project else { return Ok(exit) };
        if !self.quiet {
            for asset in project.definitions.ordered() {
                show(asset, terminal);
            }
            for (name, partitioning) in &project.partitions {
                terminal.say(format!(
                    "{}  {}",
                    terminal.bold(&format!("[partitions.{name}]")),
                    partitioning.describe()
                ));
            }
            for schedule in project.definitions.schedules().values() {
                terminal.say(format!(
                    "{}  `{}` in {}  {}",
                    terminal.bold(&format!("[schedule.{}]", schedule.name)),
                    schedule.crons().join("`, `"),
                    schedule.zone,
                    schedule.selection.as_str()
                ));
            }
        }
        terminal.say(terminal.green(&format!(
            "{} is in order: {}",
            project.name,
            count(project.definitions.ordered().len() as u64, "asset", "assets")
        )));
        // The process ends: taking thousands of assets apart would only take time.
        std::mem::forget((project, read.sources, read.files));
        Ok(exit)
    }
}

/// An asset as JSON, with what of it looks after itself in words.
pub fn asset_json(asset: &Asset) -> serde_json::Value {
    let mut json = serde_json::to_value(asset).expect("an asset has a JSON form");
    json["freshness"] = json!(asset.freshness.as_ref().map(assets::Freshness::describe));
    json["automation"] = json!(asset.automation.as_ref().map(assets::Automation::describe));
    json
}

fn show(asset: &Asset, terminal: &Terminal) {
    let place = format!("{}:{}", asset.declared_at.file, asset.declared_at.line);
    terminal.say(format!(
        "{}  {}  {}",
        terminal.bold(asset.key.as_str()),
        asset.kind,
        terminal.dim(&place)
    ));
    if let Some(partitions) = &asset.partitions {
        terminal.say(format!("  partitions  {} by {}", partitions.name, partitions.column));
    }
    for input in &asset.inputs {
        terminal.say(format!("  reads       {}", input_text(input)));
    }
    if !asset.checks.is_empty() {
        let names: Vec<&str> = asset.checks.iter().map(|check| check.name.as_str()).collect();
        terminal.say(format!("  checks      {}", names.join(", ")));
    }
    if let Some(freshness) = &asset.freshness {
        terminal.say(format!("  freshness   {}", freshness.describe()));
    }
    if let Some(automation) = &asset.automation {
        terminal.say(format!("  automation  {}", automation.describe()));
    }
    terminal.say(format!(
        "  code        {}",
        terminal.dim(&asset.fingerprint.as_str()[..12])
    ));
}

/// `bronze.flights (same partition)`
pub fn input_text(input: &AssetInput) -> String {
    if let InputRole::Model(reference) = &input.role {
        return format!("{}@{} (model)", input.asset, reference_text(reference));
    }
    let mapping = crate::figures::mapping(&input.mapping);
    format!(
        "{} ({mapping}{})",
        input.asset,
        if input.declared { "" } else { ", inferred" }
    )
}
