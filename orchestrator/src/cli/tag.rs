//! `millpond tag`: names of snapshots.

use clap::Args;
use plugins::lakehouse::{TagName, tags};
use serde_json::json;

use super::look::{Look, Place};
use super::owner::daemon_or_engine;
use super::terminal::{Terminal, moment, table};
use super::{Exit, Stop, history};
use crate::snapshots::lines;
use crate::wire::TagBody;

/// Give a snapshot a name, list the names, or drop one.
///
/// A tag stands wherever a snapshot or a time may: `query --as-of NAME`, `diff`, `rollback`. It is a tag of the Iceberg table, so
/// other engines know it too, and it keeps the snapshot from expiring.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").args(["name", "list"]).required(true))]
pub struct Tag {
    /// The asset: silver.flights
    asset: String,
    /// The name: a letter, then letters, digits, `.`, `_` and `-`
    name: Option<String>,
    /// The snapshot: `current`, `-1`, an id, a time or another tag.
    #[arg(default_value = "current", allow_negative_numbers = true)]
    snapshot: String,
    /// List the tags.
    #[arg(long)]
    list: bool,
    /// Drop the tag; the snapshot stays.
    #[arg(long, requires = "name")]
    drop: bool,
}

impl Tag {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        let asset = look.asset(&self.asset)?;
        let key = asset.key.clone();
        let Some(name) = self.name else {
            return list(&look, &key, terminal);
        };
        let name: TagName = name
            .parse()
            .map_err(|error: plugins::lakehouse::TagNameError| Stop::new(Exit::Usage, error.to_string()))?;
        let project = look.project;
        let to = Some(self.snapshot.as_str()).filter(|_| !self.drop);
        let answer = daemon_or_engine(
            project,
            async |daemon| {
                let body = TagBody {
                    to: Some(self.snapshot.clone()),
                    drop: self.drop,
                };
                daemon.tag(&key, &name, &body).await
            },
            async |engine| Ok(engine.tag(&key, &name, to).await?),
        )?;
        if terminal.json() {
            terminal.answer(&answer);
        } else {
            terminal.note(match &answer.snapshot {
                Some(snapshot) => format!("{name} is snapshot {snapshot} of {key}"),
                None => format!("{key} has no tag {name} any more"),
            });
        }
        Ok(Exit::Done)
    }
}

fn list(look: &Look, key: &assets::AssetKey, terminal: &Terminal) -> Result<Exit, Stop> {
    let (_, opened) = history::open(look, key)?;
    let tags = tags(&opened).map_err(history::broken)?;
    let lines = lines(&opened).map_err(history::broken)?;
    let at = |snapshot: &str| lines.iter().find(|line| line.snapshot == snapshot).map(|line| line.at);
    if terminal.json() {
        for (tag, snapshot) in &tags {
            let snapshot = snapshot.to_string();
            let at = at(&snapshot);
            terminal.answer(&json!({ "asset": key, "tag": tag, "snapshot": snapshot, "at": at }));
        }
        return Ok(Exit::Done);
    }
    if tags.is_empty() {
        terminal.note(format!(
            "{key} has no tag; `millpond tag {key} NAME` sets one on the current snapshot"
        ));
        return Ok(Exit::Done);
    }
    let mut rows = vec![["tag", "snapshot", "at"].map(|head| terminal.dim(head)).to_vec()];
    for (tag, snapshot) in &tags {
        let snapshot = snapshot.to_string();
        let at = at(&snapshot).map_or_else(String::new, |at| moment(at, &look.project.settings.timezone));
        rows.push(vec![tag.clone(), snapshot, at]);
    }
    terminal.say(table(&rows));
    Ok(Exit::Done)
}
