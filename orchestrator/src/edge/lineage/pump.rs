//! From the cursor to the newest event, again and again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use assets::AssetKey;
use assets::openlineage::{LineageTarget, OpenLineage};
use plugins::lakehouse::Lake;
use serde_json::Value;
use state::event::{Event, Recorded};
use state::sqlite::StateError;
use state::sqlite::queries::events::{newest, one, since};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::super::engine::EngineHandle;
use super::cursor::Cursor;
use super::story::Story;
use super::target::{Given, append, post};

/// Most events that are read at once.
const AT_ONCE: usize = 500;
/// Longest wait without a look at the store.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The first wait after a failure; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Tells lineage of an engine.
pub struct Lineage(JoinHandle<()>);

impl Lineage {
    /// Starts it. What was committed before the first start is not told. Must be called inside a tokio runtime.
    pub fn start(engine: EngineHandle, declared: OpenLineage) -> Self {
        Self(tokio::spawn(async move {
            let pump = Pump {
                path: engine.folder().path().join("openlineage.json"),
                root: PathBuf::from(&engine.settings().root),
                columns: BTreeMap::new(),
                client: reqwest::Client::new(),
                engine,
                declared,
            };
            if let Err(error) = pump.run().await {
                tracing::error!(%error, "no lineage is told until the next start");
            }
        }))
    }

    /// Stops it; what was not told is told after the next start.
    pub async fn stop(self) {
        self.0.abort();
        // Either it was aborted, or it ended by itself because the driver did.
        self.0.await.ok();
    }
}

#[derive(Debug, thiserror::Error)]
enum PumpError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the cursor of lineage cannot be kept: {0}")]
    Cursor(#[from] std::io::Error),
}

struct Pump {
    engine: EngineHandle,
    declared: OpenLineage,
    path: PathBuf,
    root: PathBuf,
    /// The columns of tables, by the metadata file that they were read from.
    columns: BTreeMap<AssetKey, (String, Vec<(String, String)>)>,
    client: reqwest::Client,
}

impl Pump {
    async fn run(mut self) -> Result<(), PumpError> {
        let mut live = self.engine.driver().live();
        let mut cursor = match Cursor::read(&self.path)? {
            Some(cursor) => cursor,
            None => {
                let cursor = Cursor {
                    after: newest(&self.engine.reader()?)?,
                    ..Cursor::default()
                };
                cursor.save(&self.path)?;
                cursor
            }
        };
        loop {
            let (recorded, behind) = self.read(cursor.after).await?;
            if recorded.is_empty() {
                match tokio::time::timeout(LOOK_AGAIN, live.recv()).await {
                    Ok(Err(RecvError::Closed)) => return Ok(()),
                    Ok(Ok(_) | Err(RecvError::Lagged(_))) | Err(_) => continue,
                }
            }
            let Some(story) = self.story().await else { return Ok(()) };
            let mut told = Vec::new();
            for (seq, recorded) in &recorded {
                told.extend(story.tell(&mut cursor, recorded));
                cursor.after = *seq;
            }
            let count = told.len() as u64;
            let refused = self.give(told).await;
            cursor.save(&self.path)?;
            let left = behind.saturating_sub(recorded.len() as u64);
            self.engine
                .driver()
                .tally(|tally| tally.lineage_told(count - refused, refused, left));
        }
    }

    /// The events after a number, and how many there are in all.
    async fn read(&self, after: i64) -> Result<(Vec<(i64, Recorded)>, u64), PumpError> {
        let engine = self.engine.clone();
        let read = tokio::task::spawn_blocking(move || {
            let store = engine.reader()?;
            let behind = newest(&store)?.saturating_sub(after).unsigned_abs();
            let mut recorded = Vec::new();
            for row in since(&store, after, None, AT_ONCE)?.rows {
                let event: Option<Event> = match row.event {
                    Some(json) => serde_json::from_value(json).ok(),
                    None => one(&store, row.seq)?,
                };
                if let Some(event) = event {
                    recorded.push((row.seq, Recorded { at: row.at, event }));
                }
            }
            Ok::<_, StateError>((recorded, behind))
        });
        Ok(read.await.map_err(std::io::Error::other)??)
    }

    /// The project as it is now. `None`: millpond is stopping.
    async fn story(&mut self) -> Option<Story> {
        let looked = self.engine.driver().ask(|world, _| {
            let definitions = Arc::clone(world.definitions());
            let keys = definitions.ordered().iter().map(|asset| asset.key.clone());
            let pointers: Vec<_> = keys
                .filter_map(|key| Some((world.pointer(&key)?.clone(), key)))
                .collect();
            (definitions, pointers)
        });
        let (definitions, pointers) = looked.await?;
        for (pointer, key) in pointers {
            let location = pointer.metadata_location;
            if self.columns.get(&key).is_none_or(|(known, _)| *known != location) {
                let columns = columns(self.engine.lake(), &location).await.unwrap_or_default();
                self.columns.insert(key, (location, columns));
            }
        }
        let columns = self
            .columns
            .iter()
            .map(|(key, (_, columns))| (key.clone(), columns.clone()));
        Some(Story {
            namespace: self.declared.namespace.clone(),
            warehouse: self.engine.settings().warehouse.url.clone(),
            root: self.root.to_string_lossy().into_owned(),
            definitions,
            columns: columns.collect(),
        })
    }

    /// Gives events until each was taken or refused; how many were refused.
    async fn give(&self, events: Vec<Value>) -> u64 {
        let mut refused = 0;
        let mut left = &events[..];
        let mut wait = FIRST_WAIT;
        while let Some(first) = left.first() {
            let given = match &self.declared.to {
                LineageTarget::Url { .. } => post(&self.client, &self.declared.to, &self.root, first).await,
                LineageTarget::File(file) => match append(self.root.join(file), left).await {
                    Ok(()) => return refused,
                    Err(error) => Given::NotNow(format!("`{file}` cannot be written: {error}")),
                },
            };
            match given {
                Given::Taken => {
                    left = &left[1..];
                    wait = FIRST_WAIT;
                }
                Given::Refused(error) => {
                    tracing::warn!(%error, "an event of lineage is left out");
                    refused += 1;
                    left = &left[1..];
                }
                Given::NotNow(error) => {
                    tracing::warn!(%error, seconds = wait.as_secs(), "lineage waits");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
        refused
    }
}

/// Names and types of a table's columns, from its metadata file.
async fn columns(lake: &Lake, location: &str) -> Option<Vec<(String, String)>> {
    let bytes = lake.read_file(location).await.ok()?;
    let metadata: Value = serde_json::from_slice(&bytes).ok()?;
    let current = &metadata["current-schema-id"];
    let schema = metadata["schemas"]
        .as_array()?
        .iter()
        .find(|schema| schema["schema-id"] == *current)?;
    let fields = schema["fields"].as_array()?.iter().map(|field| {
        let kind = match &field["type"] {
            Value::String(kind) => kind.clone(),
            nested => nested["type"].as_str().unwrap_or("struct").to_owned(),
        };
        Some((field["name"].as_str()?.to_owned(), kind))
    });
    fields.collect()
}
