//! What is remembered of freshness: in which state each asset with a policy is, and how it came into it.

use assets::AssetKey;
use serde::{Deserialize, Serialize};

use crate::event::Micros;

/// How an asset stands by its freshness policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FreshnessState {
    /// It was never materialized, and is not late yet: its time counts from when the policy was first seen.
    Unknown,
    /// Its newest materialization is as new as the policy asks.
    OnTime,
    /// It is late soon unless it is materialized: the policy's `warn`.
    Warning,
    /// Its newest materialization is older than the policy allows.
    Late,
}

impl FreshnessState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::OnTime, Self::Warning, Self::Late];

    /// The persisted text; never renamed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::OnTime => "on_time",
            Self::Warning => "warning",
            Self::Late => "late",
        }
    }

    /// The same for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unknown => "not made yet",
            Self::OnTime => "on time",
            Self::Warning => "late soon",
            Self::Late => "late",
        }
    }

    /// Whether someone should look.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Warning | Self::Late)
    }
}

/// An asset went from one state to another: it became late, or recovered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshnessChange {
    /// The asset.
    pub asset: AssetKey,
    /// Where it was; `None` when its policy is seen for the first time.
    pub from: Option<FreshnessState>,
    /// Where it is.
    pub to: FreshnessState,
    /// When its newest materialization was published, if there is one.
    pub made_at: Option<Micros>,
    /// The instant from which on it is, or was, late.
    pub late_at: Option<Micros>,
    /// What the policy asks and what is there, for people.
    pub reason: String,
}
