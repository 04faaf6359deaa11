//! What is remembered of automation: what it requested and why, which partitions it leaves alone, and whether it is paused.

use assets::{AssetKey, Fingerprint, PartitionKey};
use serde::{Deserialize, Serialize};

use crate::ids::RunId;

/// Partitions of one asset: how many, and in which stretches of its order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Stretches {
    /// How many partitions; 1 for an asset without partitions.
    pub count: u64,
    /// First and last key of each stretch, both included; nothing for an asset without partitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stretches: Vec<(PartitionKey, PartitionKey)>,
    /// Whether there are more stretches than are told here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Most stretches that are kept of one set.
pub const MOST_STRETCHES: usize = 100;

/// One part of a condition, and for which partitions it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EvaluatedPart {
    /// The part as one would write it: `upstream_updated`, `all`, `any(missing)`.
    pub text: String,
    /// Of how many partitions it was asked.
    pub of: u64,
    /// Those for which it held.
    pub held: Stretches,
    /// What it is made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<EvaluatedPart>,
}

/// Partitions for which a condition held and which were not requested all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LeftOut {
    /// Why, for people.
    pub why: String,
    /// Which.
    pub partitions: Stretches,
}

/// What one decision requested of one asset, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutomationRequest {
    /// The asset.
    pub asset: AssetKey,
    /// Its rule as declared: `eager`, `on_cron 0 6 * * *`, a condition.
    pub rule: String,
    /// The partitions that were requested.
    pub partitions: Stretches,
    /// The condition, part by part.
    pub evaluation: EvaluatedPart,
    /// What was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// One decision of automation: one run for all that was to be made at that moment. Written in the transaction that submits
/// the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutomationDecision {
    /// The run.
    pub run: RunId,
    /// What was requested, upstream first.
    pub requests: Vec<AutomationRequest>,
}

/// Why automation leaves a partition alone until something that it is made from changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// It failed.
    Failed,
    /// Someone canceled it.
    Canceled,
    /// It was made, and is stale all the same: its sources are not as they were observed.
    StillStale,
    /// Another was not made that is published together with it.
    Together,
}

impl HoldReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Failed, Self::Canceled, Self::StillStale, Self::Together];

    /// The persisted text; never renamed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::StillStale => "still_stale",
            Self::Together => "together",
        }
    }

    /// The same for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Failed => "it failed, and nothing that it is made from changed since",
            Self::Canceled => "it was canceled, and nothing that it is made from changed since",
            Self::StillStale => "it was just made from the same, and is stale all the same",
            Self::Together => {
                "one that is published together with it was not made, and nothing that it is made from changed since"
            }
        }
    }
}

/// A partition that automation leaves alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The partition.
    pub partition: Option<PartitionKey>,
    /// What it would have been made from: once this is another, the partition is no longer left alone.
    pub version: Fingerprint,
    /// Why.
    pub because: HoldReason,
}
