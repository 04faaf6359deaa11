//! Sensors: what is watched, and the selection that a change in it starts, as declared.
//!
//! What comes of a sensor (its cursor, the events that it has told, its ticks) is remembered by the store and decided by the
//! core; how something is watched is the business of `orchestrator::edge`.

use serde_json::Value;

use crate::asset::Location;
use crate::fingerprint::Fingerprint;
use crate::key::AssetKey;
use crate::secret::SecretReference;
use crate::selection::Selection;
use crate::span::Span;

/// A sensor without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    /// Its name, unique in the project.
    pub name: String,
    /// What it is for, for people.
    pub description: Option<String>,
    /// What it watches.
    pub source: SensorSource,
    /// What it materializes: what is stale among these assets, in the partitions that the events name or in all.
    pub selection: Selection,
    /// At least this many seconds lie between the beginnings of two looks; what is polled is looked at so often.
    pub every_seconds: u64,
    /// A look that takes longer than this many seconds is given up and has failed.
    pub deadline_seconds: u64,
    /// Most events of one tick; what is beyond follows at once in the next.
    pub most_events: u32,
    /// What it told of is remembered for at least so many seconds, and for as long as it is shown.
    pub remember_seconds: u64,
    /// Whether it is paused until someone resumes it.
    pub paused: bool,
    /// Where it is declared.
    pub location: Location,
}

/// What a sensor watches: one variant per kind.
#[derive(Debug, Clone, PartialEq)]
pub enum SensorSource {
    /// Files in a folder.
    Files(FilesSource),
    /// An address that is polled.
    Http(HttpSource),
    /// Another program tells of its events.
    Webhook(WebhookSource),
    /// An asset of this project, or a table of another one.
    Asset(AssetSource),
    /// Runs that end.
    Run(RunSource),
    /// Rows of a query over the project's tables.
    Sql(SqlSource),
    /// A program that looks.
    Command(CommandSource),
}

/// Files in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesSource {
    /// The pattern of their paths: from the project's folder, or absolute. May hold one `{partition}`.
    pub path: String,
    /// A file is complete once nothing about it has changed for this many seconds.
    pub settle_seconds: u64,
    /// All files are looked at this often, whatever the system tells of changes, in seconds.
    pub rescan_seconds: u64,
    /// What makes a file another one.
    pub identity: FileIdentity,
}

/// An address that is polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSource {
    /// The address.
    pub url: String,
    /// What counts of a JSON answer; all of the answer if absent.
    pub pointer: Option<String>,
    /// Where a JSON answer names its partitions.
    pub partition: Option<String>,
    /// The token that is sent.
    pub token: Option<SecretReference>,
    /// Headers that are sent.
    pub headers: Vec<(String, String)>,
    /// Most bytes of an answer.
    pub max_body_bytes: u64,
    /// Whether the address may be on this machine or in a private network.
    pub allow_private: bool,
}

/// Another program tells of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSource {
    /// The secret that both sides know.
    pub secret: SecretReference,
    /// Where the JSON of an event names its partitions.
    pub partition: Option<String>,
    /// By how many seconds the time of a request may differ from ours.
    pub tolerance_seconds: u64,
    /// Most events in a minute.
    pub per_minute: u32,
    /// Most bytes of a request.
    pub max_body_bytes: u64,
}

/// An asset of this project, or a table of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetSource {
    /// The asset.
    pub asset: AssetKey,
    /// The folder of the other project, from this one's or absolute.
    pub project: Option<String>,
}

/// Runs of this project that end.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSource {
    /// How they have to end; one at least.
    pub statuses: Vec<RunStatusWatched>,
    /// Only runs that hold one of these assets.
    pub of: Option<Selection>,
}

/// How a run can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatusWatched {
    /// All of it succeeded.
    Succeeded,
    /// Some of it failed.
    Failed,
    /// It was stopped.
    Canceled,
}

impl RunStatusWatched {
    /// The word used in TOML, and of the status of a run.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Succeeded, Self::Failed, Self::Canceled]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// Rows of a query over the project's tables.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlSource {
    /// The query.
    pub sql: String,
    /// The query reduced to its tokens.
    pub code: String,
    /// What it reads, and where that is named.
    pub tables: Vec<(AssetKey, Span)>,
    /// The column that tells one event from another.
    pub key: String,
    /// The column whose value in the last row is `$cursor` of the next look.
    pub cursor: Option<String>,
    /// What `$cursor` is at the first look: a text or a number; there if `cursor` is.
    pub start: Option<Value>,
    /// The column that says what an event is.
    pub what: Option<String>,
    /// The column that names the partition of an event.
    pub partition: Option<String>,
}

/// A program that looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSource {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Environment variables.
    pub variables: Vec<(String, String)>,
}

/// What makes a file another one than those that were told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FileIdentity {
    /// Its path, inode, size and time of modification. No file is read for it.
    #[default]
    Stat,
    /// Its bytes, under whatever name they come. Every new file is read once for it, and all of them after a start.
    Content,
}

impl FileIdentity {
    /// The word used in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Content => "content",
        }
    }
}

impl Sensor {
    /// The word of its kind.
    pub fn kind(&self) -> &'static str {
        match &self.source {
            SensorSource::Files(_) => "files",
            SensorSource::Http(_) => "http",
            SensorSource::Webhook(_) => "webhook",
            SensorSource::Asset(_) => "asset",
            SensorSource::Run(_) => "run",
            SensorSource::Sql(_) => "sql",
            SensorSource::Command(_) => "command",
        }
    }

    /// What it watches, for people.
    pub fn watches(&self) -> String {
        match &self.source {
            SensorSource::Files(files) => files.path.clone(),
            // What stands behind a question mark may be a key to the address.
            SensorSource::Http(http) => http.url.split('?').next().unwrap_or_default().to_owned(),
            SensorSource::Webhook(_) => format!("/hooks/{}", self.name),
            SensorSource::Asset(AssetSource { asset, project }) => match project {
                Some(project) => format!("{asset} of {project}"),
                None => asset.to_string(),
            },
            SensorSource::Run(run) => {
                let ways: Vec<&str> = run.statuses.iter().map(|status| status.as_str()).collect();
                match &run.of {
                    Some(of) => format!("{} of {}", ways.join(", "), of.as_str()),
                    None => ways.join(", "),
                }
            }
            SensorSource::Sql(sql) => {
                let tables: Vec<&str> = sql.tables.iter().map(|(asset, _)| asset.as_str()).collect();
                tables.join(", ")
            }
            SensorSource::Command(command) => command.words.join(" "),
        }
    }

    /// Tells what a cursor belongs to: where it changes, the sensor begins anew.
    pub fn scope(&self) -> Fingerprint {
        match &self.source {
            SensorSource::Files(files) => Fingerprint::of(["files", &files.path]),
            SensorSource::Http(http) => {
                Fingerprint::of(["http", &http.url, http.pointer.as_deref().unwrap_or_default()])
            }
            SensorSource::Webhook(_) => Fingerprint::of(["webhook"]),
            SensorSource::Asset(AssetSource { asset, project }) => {
                Fingerprint::of(["asset", asset.as_str(), project.as_deref().unwrap_or_default()])
            }
            // What it waits for can be edited: it goes on from where it is.
            SensorSource::Run(_) => Fingerprint::of(["run"]),
            SensorSource::Sql(sql) => {
                Fingerprint::of(["sql", &sql.code, &sql.key, sql.cursor.as_deref().unwrap_or_default()])
            }
            SensorSource::Command(command) => {
                Fingerprint::of(std::iter::once("command").chain(command.words.iter().map(String::as_str)))
            }
        }
    }
}
