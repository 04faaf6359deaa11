//! What is remembered of sensors: how each was last declared, up to where it has read, and its ticks with their events.

use assets::PartitionKey;
use serde::{Deserialize, Serialize};

use crate::ids::RunId;
use crate::schedule::TickStatus;

/// What a sensor watches, as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredSensor {
    /// The word of its kind.
    pub kind: String,
    /// What it watches, for people.
    pub watches: String,
    /// What its cursor belongs to: where it changes, the sensor reads from the beginning.
    pub scope: String,
}

/// One thing that a sensor has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SensorEvent {
    /// Tells it from all others of its sensor: what has the same key is the same event.
    pub key: String,
    /// What it is, for people: a path, a title.
    pub what: String,
    /// The partitions that it is about; all that are stale if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<PartitionKey>,
    /// A digest of all that came with it, where another program chose the key: so that a key which is used again for something
    /// else can be told from one that is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// One look of a sensor at what it watches, and what became of it. Looks that found nothing, and changed nothing, are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SensorTick {
    /// The sensor.
    pub sensor: String,
    /// 1, 2, 3, …
    pub number: u64,
    /// What became of it; a sensor misses nothing.
    pub status: TickStatus,
    /// Why, for people; there for all but what was simply requested.
    pub reason: Option<String>,
    /// The run, if one was requested.
    pub run: Option<RunId>,
    /// Who asked for it, if someone did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// The events that it tells of: each is told of once. A look that could not be made tells of none, and the next one does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<SensorEvent>,
    /// Up to where the sensor has read after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many events were seen and are not told of yet.
    #[serde(default)]
    pub lag: u64,
    /// How many looks in a row failed with this one, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u64>,
}

/// Ticks with numbers from one to another, both included.
pub type TickRange = (u64, u64);

impl SensorTick {
    /// Whether the look itself failed, or what follows from it could not be decided: nothing was taken in, and it is tried
    /// again.
    pub fn is_to_be_repeated(&self) -> bool {
        self.status == TickStatus::Failed && self.events.is_empty()
    }
}
