//! What a run was asked for: in words, and as the fields of a form that asks for the same again.

use assets::PartitionKey;
use state::event::{Only, Pace, PartitionChoice, RunRequest};
use state::sqlite::queries::runs::RunRow;
use state::status::RunStatus;

use super::figures::count;

/// The fields of a form that asks for a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// Which assets.
    pub selection: String,
    /// One partition.
    pub partition: String,
    /// The first of a stretch.
    pub from: String,
    /// The last of a stretch.
    pub to: String,
    /// A list of keys in JSON, since a key may hold any character that separates.
    pub these: String,
}

impl Fields {
    /// The fields for the same again; `None` where no form can say it: what is left to do of such a run is for a retry.
    pub fn of(request: &RunRequest) -> Option<Self> {
        let mut fields = Self {
            selection: request.selection.clone(),
            ..Self::default()
        };
        match &request.partitions {
            Some(PartitionChoice::Steps(_)) => return None,
            None => {}
            Some(PartitionChoice::One(key)) => fields.partition = key.to_string(),
            Some(PartitionChoice::Range(from, to)) => (fields.from, fields.to) = (from.to_string(), to.to_string()),
            Some(PartitionChoice::These(keys)) => {
                fields.these = serde_json::to_string(keys).expect("partition keys are texts");
            }
        }
        Some(fields)
    }
}

/// `partitions 2013-01-01 to 2013-12-31, only those never materialized`
pub fn asked_for(request: &RunRequest) -> String {
    let mut words = match &request.partitions {
        None => "every partition that is not fresh".to_owned(),
        Some(PartitionChoice::One(key)) => format!("partition {key}"),
        Some(PartitionChoice::Range(from, to)) => format!("partitions {from} to {to}"),
        Some(PartitionChoice::These(keys)) => some_of(keys),
        Some(PartitionChoice::Steps(steps)) => {
            format!("{} of an earlier run", count(steps.len() as u64, "step", "steps"))
        }
    };
    if request.force {
        words.push_str(", fresh or not");
    }
    match request.only {
        None => {}
        Some(Only::Missing) => words.push_str(", only those never materialized"),
        Some(Only::Failed) => words.push_str(", only those that failed last"),
    }
    words
}

/// How a run goes through its partitions, if that was asked for.
pub fn pace(pace: &Pace) -> Option<String> {
    let mut parts = Vec::new();
    if pace.newest_first {
        parts.push("newest first".to_owned());
    }
    parts.extend(pace.max_in_flight.map(|most| format!("at most {most} in flight")));
    parts.extend(pace.batch.map(|most| format!("at most {most} to a worker")));
    parts.extend(pace.priority.map(|priority| format!("priority {priority}")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `partitions a, b and 4 more`
fn some_of(keys: &[PartitionKey]) -> String {
    const SHOWN: usize = 4;
    let first: Vec<&str> = keys.iter().take(SHOWN).map(PartitionKey::as_str).collect();
    let word = if keys.len() == 1 { "partition" } else { "partitions" };
    match keys.len().saturating_sub(SHOWN) {
        0 => format!("{word} {}", first.join(", ")),
        more => format!("{word} {} and {more} more", first.join(", ")),
    }
}

/// The buttons of a run, by where it is.
pub struct Buttons {
    /// The run.
    pub id: String,
    /// The page that its buttons come back to: `runs` or `backfills`.
    pub back: &'static str,
    /// What a run of the same is said to be asked for by; empty if by nothing in particular.
    pub trigger: &'static str,
    /// Whether it can be paused, resumed and canceled.
    pub steerable: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// How many steps a retry would run, if any.
    pub undone: Option<String>,
    /// Whether it has published something that can be made again, and compared.
    pub replayable: bool,
    /// The form for the same again, once it is over.
    pub again: Option<Fields>,
}

impl Buttons {
    /// The buttons of a run as it is.
    pub fn of(row: &RunRow, request: &RunRequest, back: &'static str) -> Self {
        let over = row.status.is_terminal();
        let undone = row.steps.failed + row.steps.skipped + row.steps.canceled;
        Self {
            id: row.run.to_string(),
            back,
            trigger: if row.trigger == "backfill" { "backfill" } else { "" },
            steerable: matches!(row.status, RunStatus::Queued | RunStatus::Running),
            paused: row.paused,
            undone: (over && undone > 0).then(|| count(undone, "step", "steps")),
            replayable: over && row.steps.succeeded > 0,
            again: over.then(|| Fields::of(request)).flatten(),
        }
    }
}
