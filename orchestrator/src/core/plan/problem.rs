//! Why partitions that were asked for are not part of a plan, for people and for whoever plans on.

use std::fmt;

use assets::{AssetKey, PartitionKey};

/// Why partitions that were asked for are not part of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanProblem {
    /// The choice of partitions means nothing to any selected asset.
    UnknownPartition {
        /// What is wrong with it.
        message: String,
    },
    /// An input was never materialized and is not part of the plan.
    MissingInput {
        /// The asset that needs it.
        asset: AssetKey,
        /// The input.
        input: AssetKey,
        /// How many partitions of `asset` cannot run for it.
        partitions: usize,
        /// The first of them.
        example: Option<PartitionKey>,
    },
    /// A model has no version by that alias or number, and is not part of the plan.
    MissingModel {
        /// The asset that needs it.
        asset: AssetKey,
        /// The model.
        model: AssetKey,
        /// Its alias or version.
        reference: String,
    },
    /// No raw file holds rows of these partitions.
    NoSource {
        /// The ingest asset.
        asset: AssetKey,
        /// How many partitions.
        partitions: usize,
        /// The first of them.
        example: Option<PartitionKey>,
    },
    /// An input waits for raw files.
    WaitsForSource {
        /// The asset that needs it.
        asset: AssetKey,
        /// The input.
        input: AssetKey,
        /// How many partitions of `asset` cannot run for it.
        partitions: usize,
        /// The first of them.
        example: Option<PartitionKey>,
    },
    /// What is published together with it cannot be made.
    Together {
        /// The asset.
        asset: AssetKey,
        /// Another of its atomic group, which is told of by itself.
        other: AssetKey,
        /// How many partitions of `asset` are not made for it.
        partitions: usize,
        /// The first of them.
        example: Option<PartitionKey>,
    },
    /// An input was taken back to before it was there.
    RolledBack {
        /// The asset that needs it.
        asset: AssetKey,
        /// The input.
        input: AssetKey,
        /// How many partitions of `asset` cannot run for it.
        partitions: usize,
        /// The first of them.
        example: Option<PartitionKey>,
    },
}

impl PlanProblem {
    /// Whether it calls for someone to do something (data that has not arrived yet does not).
    pub fn is_mistake(&self) -> bool {
        match self {
            Self::UnknownPartition { .. } | Self::MissingInput { .. } | Self::MissingModel { .. } => true,
            Self::NoSource { .. } | Self::WaitsForSource { .. } | Self::RolledBack { .. } | Self::Together { .. } => {
                false
            }
        }
    }
}

/// `x`, `x@2013-01-01`, or `31 partitions of x, such as 2013-01-01,`.
struct SomeOf<'a>(&'a AssetKey, usize, Option<&'a PartitionKey>);

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPartition { message } => write!(f, "{message}"),
            Self::MissingInput {
                asset,
                input,
                partitions,
                example,
            } => write!(
                f,
                "{} {} {input}, which was never materialized there: select `+{asset}` to materialize it too",
                SomeOf(asset, *partitions, example.as_ref()),
                if *partitions > 1 { "need" } else { "needs" },
            ),
            Self::MissingModel {
                asset,
                model,
                reference,
            } => write!(
                f,
                "{asset} needs {model}@{reference}, which does not exist: select `+{asset}` to train it, or promote a version"
            ),
            Self::NoSource {
                asset,
                partitions,
                example,
            } => {
                write!(
                    f,
                    "no source file holds rows of {}",
                    SomeOf(asset, *partitions, example.as_ref())
                )
            }
            Self::WaitsForSource {
                asset,
                input,
                partitions,
                example,
            } => write!(
                f,
                "{} {} for source files of {input}",
                SomeOf(asset, *partitions, example.as_ref()),
                if *partitions > 1 { "wait" } else { "waits" },
            ),
            Self::Together {
                asset,
                other,
                partitions,
                example,
            } => write!(
                f,
                "{} {} published together with {other}, which cannot be made there",
                SomeOf(asset, *partitions, example.as_ref()),
                if *partitions > 1 { "are" } else { "is" },
            ),
            Self::RolledBack {
                asset,
                input,
                partitions,
                example,
            } => write!(
                f,
                "{} {} {input}, which was rolled back to before it was there",
                SomeOf(asset, *partitions, example.as_ref()),
                if *partitions > 1 { "need" } else { "needs" },
            ),
        }
    }
}

impl fmt::Display for SomeOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.1, self.2) {
            (0 | 1, Some(key)) => write!(f, "{}@{key}", self.0),
            (count, Some(key)) => write!(f, "{count} partitions of {} (such as {key})", self.0),
            (_, None) => write!(f, "{}", self.0),
        }
    }
}

/// Why a partition is not planned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Blocked {
    /// An input was never materialized there.
    Input(AssetKey),
    /// A model has no such version.
    Model(AssetKey, String),
    /// No raw file holds its rows.
    NoSource,
    /// An input waits for raw files.
    WaitsFor(AssetKey),
    /// An input was taken back to before it was there.
    RolledBack(AssetKey),
    /// This asset is published together with it and cannot be made.
    Together(AssetKey),
}

impl Blocked {
    /// The same for a whole asset: so many of its partitions are not planned for it, this one first.
    pub(super) fn problem(self, asset: AssetKey, partitions: usize, example: Option<PartitionKey>) -> PlanProblem {
        match self {
            Self::Input(input) => PlanProblem::MissingInput {
                asset,
                input,
                partitions,
                example,
            },
            Self::Model(model, reference) => PlanProblem::MissingModel {
                asset,
                model,
                reference,
            },
            Self::NoSource => PlanProblem::NoSource {
                asset,
                partitions,
                example,
            },
            Self::WaitsFor(input) => PlanProblem::WaitsForSource {
                asset,
                input,
                partitions,
                example,
            },
            Self::Together(other) => PlanProblem::Together {
                asset,
                other,
                partitions,
                example,
            },
            Self::RolledBack(input) => PlanProblem::RolledBack {
                asset,
                input,
                partitions,
                example,
            },
        }
    }
}
