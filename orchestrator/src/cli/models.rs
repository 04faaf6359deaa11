//! `millpond models`: the registry.

use assets::AssetKey;
use clap::Args;
use serde_json::json;
use state::sqlite::queries::models::{alias_moves, models, versions};

use super::look::{Look, Place};
use super::terminal::{Terminal, moment, table};
use super::{Exit, Stop};

/// List models, their versions and metrics.
#[derive(Args)]
pub struct Models {
    /// One model: models.delay
    model: Option<String>,
    /// How many versions to list.
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
}

impl Models {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        match &self.model {
            Some(model) => {
                let key: AssetKey = model
                    .parse()
                    .map_err(|error: assets::key::KeyError| Stop::new(Exit::Usage, error.to_string()))?;
                self.one(&look, &key, terminal)
            }
            None => list(&look, terminal),
        }
    }

    fn one(&self, look: &Look, key: &AssetKey, terminal: &Terminal) -> Result<Exit, Stop> {
        let store = look.store()?;
        let page = versions(store, key, None, self.limit)?;
        let moves = alias_moves(store, key, None, 10)?;
        if page.rows.is_empty() {
            return Err(Stop::not_found(format!("no version of `{key}` was ever trained"))
                .with_help(format!("`millpond materialize +{key}` trains one")));
        }
        if terminal.json() {
            terminal.answer(&json!({ "model": key, "versions": page.rows, "alias_moves": moves.rows }));
            return Ok(Exit::Done);
        }
        let zone = &look.project.settings.timezone;
        let names: std::collections::BTreeSet<&String> =
            page.rows.iter().flat_map(|version| version.metrics.keys()).collect();
        let mut head = vec![
            "version".to_owned(),
            "alias".to_owned(),
            "trained".to_owned(),
            "algorithm".to_owned(),
        ];
        head.extend(names.iter().map(|name| (*name).clone()));
        let mut rows = vec![head.iter().map(|head| terminal.dim(head)).collect()];
        for version in &page.rows {
            let mut row = vec![
                version.version.to_string(),
                terminal.green(&version.aliases.join(", ")),
                moment(version.at, zone),
                version.algorithm.clone(),
            ];
            row.extend(names.iter().map(|name| {
                version
                    .metrics
                    .get(*name)
                    .map_or_else(String::new, |value| format!("{value:.4}"))
            }));
            rows.push(row);
        }
        terminal.say(terminal.bold(key.as_str()));
        terminal.say(table(&rows));
        let newest = &page.rows[0];
        for input in &newest.inputs {
            if let Some(pointer) = &input.table {
                let snapshot = pointer
                    .snapshot_id
                    .map_or_else(String::new, |id| format!(" snapshot {id}"));
                terminal.say(terminal.dim(&format!("version {} read {}{snapshot}", newest.version, input.asset)));
            }
        }
        for moved in &moves.rows {
            let from = moved.from.map_or_else(String::new, |from| format!(" from {from}"));
            terminal.say(terminal.dim(&format!(
                "{}  {}{from} to {}: {}",
                moment(moved.at, zone),
                moved.alias,
                moved.to,
                moved.reason
            )));
        }
        Ok(Exit::Done)
    }
}

fn list(look: &Look, terminal: &Terminal) -> Result<Exit, Stop> {
    let page = models(look.store()?, None, 1000)?;
    if terminal.json() {
        page.rows.iter().for_each(|row| terminal.answer(row));
        return Ok(Exit::Done);
    }
    if page.rows.is_empty() {
        terminal.note("no model was trained yet; assets of the kind `training` make them");
        return Ok(Exit::Done);
    }
    let mut rows = vec![
        ["model", "newest", "trained", "aliases"]
            .map(|head| terminal.dim(head))
            .to_vec(),
    ];
    for row in &page.rows {
        let aliases: Vec<String> = row
            .aliases
            .iter()
            .map(|(alias, version)| format!("{alias} = {version}"))
            .collect();
        rows.push(vec![
            row.model.to_string(),
            row.newest_version.to_string(),
            moment(row.registered_at, &look.project.settings.timezone),
            aliases.join(", "),
        ]);
    }
    terminal.say(table(&rows));
    Ok(Exit::Done)
}
