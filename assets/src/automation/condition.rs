//! What a condition may speak of.

use std::fmt;

use crate::cron::{Cron, Timetable};
use crate::key::AssetKey;

/// A condition over one partition of an asset.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The partition is in a state.
    Is(State),
    /// It is among the newest so many partitions that exist.
    Latest(u32),
    /// The first happened last after the second did, or the second never did.
    Since(Happening, Happening),
    /// One of these assets changed since it was made, of those that it reads, or is made anew in the same decision.
    UpdatedBy(Vec<AssetKey>),
    /// It holds for some partition that this one reads, of these assets; of all that it reads if none is named.
    Any(Box<Condition>, Vec<AssetKey>),
    /// Of each of these assets (each that this one reads if none is named) it holds for some partition that this one reads.
    All(Box<Condition>, Vec<AssetKey>),
    /// It does not hold.
    Not(Box<Condition>),
    /// All of them hold.
    And(Vec<Condition>),
    /// One of them holds.
    Or(Vec<Condition>),
}

/// A state of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It was never materialized.
    Missing,
    /// It is not what would be made now.
    Stale,
    /// What it reads changed since it was made, or is made anew in the same decision.
    UpstreamUpdated,
    /// A raw file that feeds it came, went or changed.
    SourceChanged,
    /// Its code changed since it was made.
    CodeChanged,
    /// Its last try failed.
    Failed,
    /// Its last try was stopped by a check.
    CheckFailed,
    /// The asset is late by its freshness policy.
    FreshnessLate,
    /// The asset is late soon, or late.
    FreshnessWarning,
    /// A run is to make it and has not yet.
    InProgress,
}

/// Something that happens, and when it did last.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// The partition was materialized.
    Materialized,
    /// A try of it failed.
    Failed,
    /// Something that it reads was materialized, of these assets; of all that it reads if none is named.
    UpstreamMaterialized(Vec<AssetKey>),
    /// The asset became late.
    Late,
    /// A cron ticked.
    Cron(Timetable),
}

impl State {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Missing,
        Self::Stale,
        Self::UpstreamUpdated,
        Self::SourceChanged,
        Self::CodeChanged,
        Self::Failed,
        Self::CheckFailed,
        Self::FreshnessLate,
        Self::FreshnessWarning,
        Self::InProgress,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::UpstreamUpdated => "upstream_updated",
            Self::SourceChanged => "source_changed",
            Self::CodeChanged => "code_changed",
            Self::Failed => "failed",
            Self::CheckFailed => "check_failed",
            Self::FreshnessLate => "freshness_late",
            Self::FreshnessWarning => "freshness_warning",
            Self::InProgress => "in_progress",
        }
    }
}

/// Whether an asset is among those that are named; without a name all are.
pub fn is_named(of: &[AssetKey], asset: &AssetKey) -> bool {
    of.is_empty() || of.contains(asset)
}

fn joined_names(names: &[AssetKey]) -> String {
    names.iter().map(AssetKey::as_str).collect::<Vec<_>>().join(", ")
}

fn of_names(names: &[AssetKey]) -> String {
    match names {
        [] => String::new(),
        names => format!(" of {}", joined_names(names)),
    }
}

impl Happening {
    /// The words of those that need nothing beside them.
    pub(super) const PLAIN: [&'static str; 4] = ["materialized", "failed", "upstream_materialized", "late"];

    /// What one of these words stands for.
    pub(super) fn plain(word: &str) -> Option<Self> {
        Some(match word {
            "materialized" => Self::Materialized,
            "failed" => Self::Failed,
            "upstream_materialized" => Self::UpstreamMaterialized(Vec::new()),
            "late" => Self::Late,
            _ => return None,
        })
    }
}

impl Condition {
    /// Every cron that it speaks of.
    pub fn timetables(&self) -> Vec<&Timetable> {
        let mut found = Vec::new();
        self.each(&mut |condition| {
            if let Self::Since(first, second) = condition {
                for happening in [first, second] {
                    if let Happening::Cron(timetable) = happening {
                        found.push(timetable);
                    }
                }
            }
        });
        found
    }

    /// Whether it speaks of freshness: of the asset itself, or of what it reads.
    pub fn speaks_of_freshness(&self) -> bool {
        let mut found = false;
        self.each(&mut |condition| {
            found |= match condition {
                Self::Is(State::FreshnessLate | State::FreshnessWarning) => true,
                Self::Since(first, second) => [first, second].contains(&&Happening::Late),
                _ => false,
            };
        });
        found
    }

    /// Whether it speaks of the newest partitions.
    pub fn speaks_of_latest(&self) -> bool {
        let mut found = false;
        self.each(&mut |condition| found |= matches!(condition, Self::Latest(_)));
        found
    }

    fn each<'c>(&'c self, seen: &mut impl FnMut(&'c Self)) {
        seen(self);
        match self {
            Self::Is(_) | Self::Latest(_) | Self::UpdatedBy(_) | Self::Since(..) => {}
            Self::Any(inner, _) | Self::All(inner, _) | Self::Not(inner) => inner.each(seen),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.each(seen)),
        }
    }

    /// Whether it has to be put in parentheses as a part of a condition with `and` or `not`.
    fn is_loose(&self) -> bool {
        matches!(self, Self::And(_) | Self::Or(_))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    write!(f, " {word} ")?;
                }
                if part.is_loose() {
                    write!(f, "({part})")?;
                } else {
                    write!(f, "{part}")?;
                }
            }
            Ok(())
        };
        match self {
            Self::Is(state) => f.write_str(state.as_str()),
            Self::Latest(1) => f.write_str("latest"),
            Self::Latest(count) => write!(f, "latest({count})"),
            Self::Since(first, second) => write!(f, "since({first}, {second})"),
            Self::UpdatedBy(names) => write!(f, "upstream_updated({})", joined_names(names)),
            Self::Any(inner, of) => write!(f, "any({inner}{})", of_names(of)),
            Self::All(inner, of) => write!(f, "all({inner}{})", of_names(of)),
            Self::Not(inner) if inner.is_loose() => write!(f, "not ({inner})"),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::And(parts) => joined(f, parts, "and"),
            Self::Or(parts) => joined(f, parts, "or"),
        }
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Materialized => f.write_str("materialized"),
            Self::Failed => f.write_str("failed"),
            Self::UpstreamMaterialized(of) if of.is_empty() => f.write_str("upstream_materialized"),
            Self::UpstreamMaterialized(of) => write!(f, "upstream_materialized({})", joined_names(of)),
            Self::Late => f.write_str("late"),
            Self::Cron(timetable) => {
                let crons: Vec<&str> = timetable.crons().iter().map(Cron::as_str).collect();
                write!(f, "cron('{}')", crons.join("', '"))
            }
        }
    }
}
