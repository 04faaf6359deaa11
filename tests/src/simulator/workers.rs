//! Workers and the committer, as the core hears of them: what they say about an attempt, and when.

use std::collections::{BTreeMap, BTreeSet};

use assets::outcome::{
    CheckResult, ColumnChanges, Failure, FailureClass, Observation, Replace, Severity, SourceFile, Staged, StagedModel,
    StagedTable, TablePointer,
};
use assets::{Asset, AssetKey, AssetPartition, PartitionKey, WriteMode};
use orchestrator::core::{
    Broken, Input, InvariantId, Member, PreparedMember, PreparedTable, StartAttempt, StartPartition,
};
use serde_json::Value;
use state::ids::AttemptId;

use super::dice::Dice;
use super::lake::{Change, Lake, Missing, NotBuilt};
use super::rows::{Written, append, fed, make, merge, merged_by_query, rows_of_files};

/// One thing that a worker says.
#[derive(Debug, Clone)]
pub(super) enum Word {
    /// A step is staged.
    Staged {
        partition: Option<PartitionKey>,
        checks_pass: bool,
    },
    /// A step failed.
    Failed {
        partition: Option<PartitionKey>,
        class: FailureClass,
    },
    /// The pool sees that it takes too long.
    Overdue { working_on: Option<Option<PartitionKey>> },
    /// Nothing more comes.
    Ended,
    /// The worker is gone.
    Lost { working_on: Option<Option<PartitionKey>> },
}

/// How much goes wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    /// Steps in a hundred that fail, and attempts in a hundred whose worker is lost; nothing goes wrong at 0.
    pub(super) share: u64,
    /// Whether what is written waits long until it is decided, and the clock jumps often meanwhile.
    pub(super) slow: bool,
}

impl Faults {
    /// All goes well, and at once.
    pub(super) const NONE: Self = Self { share: 0, slow: false };

    /// The longest that something takes, in seconds: a moment, or so much now and then.
    pub(super) fn wait(self, moment: i64, long: i64, dice: &mut Dice) -> i64 {
        let is_long = dice.percent(self.share);
        if self.slow || is_long { long } else { moment }
    }
}

/// A step that was staged and is kept until it ends.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) staged: Box<Staged>,
    pub(super) content: String,
    pub(super) checks_pass: bool,
    /// The raw files whose rows it adds.
    from: BTreeSet<String>,
}

/// Why a worker cannot do what it was told.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Something that it reads is not there.
    Missing(Missing),
    /// A promise was broken.
    Broken(Broken),
}

impl From<Missing> for Trouble {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

/// The orders given out and what was staged.
#[derive(Default)]
pub(super) struct Workers {
    orders: BTreeMap<AttemptId, StartAttempt>,
    /// What was staged, by attempt and step.
    pub(super) kept: BTreeMap<(AttemptId, AssetPartition), Kept>,
    /// Attempts that were told to stop.
    pub(super) canceled: BTreeSet<AttemptId>,
}

impl Workers {
    /// The version of its asset's own table that an attempt was given.
    pub(super) fn given(&self, attempt: &AttemptId) -> Option<&TablePointer> {
        self.orders.get(attempt)?.table.as_ref()
    }

    /// Takes an order, and says what its worker will say with the delay of each word in seconds.
    pub(super) fn start(&mut self, order: StartAttempt, dice: &mut Dice, faults: Faults) -> Vec<(i64, Word)> {
        let mut words = Vec::new();
        let mut after = dice.between(0, 5);
        let dies = dice.percent(faults.share / 2);
        let dies_at = if dies {
            dice.below(order.partitions.len() + 1)
        } else {
            usize::MAX
        };
        for (index, partition) in order.partitions.iter().enumerate() {
            if index == dies_at {
                let begun = dice.percent(70);
                words.push((
                    after,
                    Word::Lost {
                        working_on: begun.then(|| partition.key.clone()),
                    },
                ));
                break;
            }
            // Now and then a step takes longer than anything else.
            after += if dice.percent(faults.share) {
                dice.between(60, 4000)
            } else {
                dice.between(1, 30)
            };
            let key = partition.key.clone();
            let limit = order.asset.rules.timeout_seconds.map_or(i64::MAX, |limit| limit as i64);
            let turned = words.last().map_or(0, |(at, _)| *at);
            if after - turned > limit {
                words.push((
                    turned + limit,
                    Word::Overdue {
                        working_on: Some(key.clone()),
                    },
                ));
            }
            let word = match dice.below(100) as u64 {
                chance if chance < faults.share / 3 => Word::Failed {
                    partition: key,
                    class: *dice.pick(&[FailureClass::Data, FailureClass::Io, FailureClass::Command]),
                },
                chance if chance < faults.share / 2 => Word::Staged {
                    partition: key,
                    checks_pass: false,
                },
                // A worker that forgets a step: it ends without a word about it.
                chance if chance < faults.share / 2 + 1 && faults.share > 0 => continue,
                _ => Word::Staged {
                    partition: key,
                    checks_pass: true,
                },
            };
            words.push((after, word.clone()));
            if dice.percent(faults.share / 3) {
                words.push((after + dice.between(0, 3000), word));
            }
        }
        if !dies || dies_at >= order.partitions.len() {
            after += dice.between(0, 3);
            words.push((
                after,
                if dies {
                    Word::Lost { working_on: None }
                } else {
                    Word::Ended
                },
            ));
            if dice.percent(faults.share / 3) {
                words.push((after + dice.between(0, 600), Word::Ended));
            }
        }
        self.orders.insert(order.attempt.clone(), order);
        words
    }

    /// What the core hears when a word arrives.
    pub(super) fn hear(&mut self, attempt: &AttemptId, word: &Word, lake: &mut Lake) -> Result<Input, Trouble> {
        let order = &self.orders[attempt];
        Ok(match word {
            Word::Overdue { working_on } => Input::AttemptTimedOut {
                attempt: attempt.clone(),
                working_on: working_on.clone(),
            },
            Word::Ended => Input::AttemptEnded {
                attempt: attempt.clone(),
            },
            Word::Lost { working_on } => Input::WorkerLost {
                attempt: attempt.clone(),
                failure: Failure::new(FailureClass::Killed, "the worker was killed by signal 9"),
                working_on: working_on.clone(),
            },
            Word::Failed { partition, class } => Input::StepFailed {
                attempt: attempt.clone(),
                partition: partition.clone(),
                failure: Failure::new(*class, "a row is wrong"),
            },
            Word::Staged { partition, checks_pass } => {
                let ordered = order.observation.clone().unwrap_or_default();
                let there = lake.observe(&order.asset.key);
                if fed(&ordered, partition.as_ref()) != fed(&there, partition.as_ref()) {
                    return Ok(Input::StepFailed {
                        attempt: attempt.clone(),
                        partition: partition.clone(),
                        failure: Failure::new(FailureClass::Changed, "a source file changed while it was read"),
                    });
                }
                let kept = work(order, partition.as_ref(), &ordered, *checks_pass, lake)?;
                let staged = kept.staged.clone();
                let step = AssetPartition::new(order.asset.key.clone(), partition.clone());
                self.kept.insert((attempt.clone(), step), kept);
                Input::Staged {
                    attempt: attempt.clone(),
                    staged,
                }
            }
        })
    }

    /// What the committer comes back with for these steps, built on `base`.
    pub(super) fn commit(
        &self,
        asset: &AssetKey,
        members: &[Member],
        bases: &Bases,
        lake: &mut Lake,
    ) -> Result<Input, Missing> {
        let mut prepared = Vec::new();
        let mut changes: BTreeMap<&AssetKey, Vec<Change<'_>>> = BTreeMap::new();
        for member in members {
            let Some(kept) = self.kept.get(&(member.attempt.clone(), member.step.clone())) else {
                continue;
            };
            for staged in &kept.staged.tables {
                changes.entry(&member.step.asset).or_default().push(Change {
                    partition: member.step.partition.clone(),
                    staged,
                    from: &kept.from,
                });
            }
            prepared.push(PreparedMember {
                attempt: member.attempt.clone(),
                step: member.step.clone(),
                staged: kept.staged.clone(),
            });
        }
        let mut tables = Vec::new();
        for (table, changes) in changes {
            let base = bases.get(table).cloned();
            match lake.commit(table, base.as_ref(), &changes) {
                Ok(to) => tables.push(PreparedTable {
                    table: table.clone(),
                    from: base,
                    to,
                }),
                Err(NotBuilt::Missing(missing)) => return Err(missing),
                Err(error @ (NotBuilt::MergedMeanwhile | NotBuilt::OtherCut)) => {
                    return Ok(Input::CommitFailed {
                        asset: asset.clone(),
                        members: members.to_vec(),
                        failure: match error {
                            NotBuilt::OtherCut => {
                                Failure::new(FailureClass::Declaration, "the table is partitioned otherwise")
                            }
                            _ => merged_meanwhile(),
                        },
                    });
                }
            }
        }
        Ok(Input::CommitPrepared {
            asset: asset.clone(),
            tables,
            members: prepared,
        })
    }
}

/// By what an asset cuts its rows.
pub(super) fn cut_of(asset: &Asset) -> Option<String> {
    asset.partitions.as_ref().map(|by| by.partitioning.describe())
}

/// What a commit is built on: the tables of its members as they were when it was asked for.
pub(super) type Bases = BTreeMap<AssetKey, TablePointer>;

/// What a merge comes to whose partition has other files by now.
pub(super) fn merged_meanwhile() -> Failure {
    Failure::new(
        FailureClass::Changed,
        "the rows that it was merged with are others by now",
    )
}

/// What a step makes and stages.
fn work(
    order: &StartAttempt,
    partition: Option<&PartitionKey>,
    sources: &Observation,
    checks_pass: bool,
    lake: &mut Lake,
) -> Result<Kept, Trouble> {
    let asset = &order.asset;
    let made = content(order, partition, sources, lake)?;
    let mut staged = staged(asset, partition, &made, sources, checks_pass);
    let mut from = BTreeSet::new();
    let written = if staged.model.is_some() {
        None
    } else if !asset.write.keeps_rows() {
        Some(Written {
            rows: [(String::new(), made.clone())].into(),
            replace: partition.map_or(Replace::Whole, |partition| Replace::Partition(partition.clone())),
            content: made.clone(),
            count: 1,
        })
    } else {
        let (there, had) = lake.part(order.table.as_ref(), partition)?;
        let rows = if asset.kind == "ingest" {
            let ordered = ordered(order, partition);
            let has: BTreeSet<&str> = ordered.has.iter().map(|read| read.sha256.as_str()).collect();
            let all = fed(sources, partition);
            let new: Vec<&SourceFile> = all.iter().filter(|file| !has.contains(file.sha256.as_str())).collect();
            if let Some(twice) = new.iter().find(|file| had.contains(&file.sha256)) {
                let found = format!("the rows of {} are in {}@{partition:?} already", twice.path, asset.key);
                return Err(Trouble::Broken(Broken::new(InvariantId::RowsAreAddedOnce, found)));
            }
            from = new.iter().map(|file| file.sha256.clone()).collect();
            // Those that were added before count as read.
            let gone = ordered.has.iter().filter(|read| {
                let sha256 = read.sha256.as_str();
                all.iter().all(|file| file.sha256 != sha256)
            });
            let gone = gone.map(|read| SourceFile {
                path: read.path.clone(),
                bytes: 0,
                modified_ns: 0,
                sha256: read.sha256.clone(),
                partitions: partition.map(|key| vec![key.clone()]),
            });
            staged.sources.extend(gone);
            rows_of_files(asset.write, &new)
        } else {
            merged_by_query(&made)
        };
        Some(match asset.write {
            WriteMode::Merge => merge(partition, &there, &rows),
            WriteMode::Append | WriteMode::Replace => append(&there, rows),
        })
    };
    let content = written.as_ref().map_or(made, |written| written.content.clone());
    if let Some(written) = written {
        let file = (!written.rows.is_empty()).then(|| lake.stage(&asset.key, order.attempt.as_str(), written.rows));
        staged.tables = vec![StagedTable {
            table: asset.key.clone(),
            replace: written.replace,
            rows: written.count,
            bytes: 1,
            data_files: file.map_or(Value::Array(Vec::new()), |file| Value::from(vec![file])),
            schema: Value::Null,
            partition_column: asset.partitions.as_ref().map(|by| by.column.clone()),
            partitioned_by: cut_of(asset),
            changes: ColumnChanges::default(),
        }];
    }
    Ok(Kept {
        staged: Box::new(staged),
        content,
        checks_pass,
        from,
    })
}

fn ordered<'a>(order: &'a StartAttempt, partition: Option<&PartitionKey>) -> &'a StartPartition {
    let mut all = order.partitions.iter();
    let found = all.find(|ordered| ordered.key.as_ref() == partition);
    found.expect("a worker speaks of the steps that it was given")
}

fn content(
    order: &StartAttempt,
    partition: Option<&PartitionKey>,
    sources: &Observation,
    lake: &Lake,
) -> Result<String, Missing> {
    if order.asset.kind == "command" {
        return Ok(format!("{} {partition:?}", order.attempt));
    }
    let scopes = &ordered(order, partition).scopes;
    let mut tables = Vec::new();
    for input in &order.inputs {
        if let Some(scope) = scopes.get(&input.asset) {
            tables.push((input.asset.clone(), scope.clone(), lake.read(input.table.as_ref())?));
        }
    }
    let models: Vec<_> = order
        .models
        .iter()
        .map(|model| (model.model.clone(), model.version))
        .collect();
    Ok(make(&order.asset, partition, &tables, &models, sources))
}

fn staged(
    asset: &Asset,
    partition: Option<&PartitionKey>,
    content: &str,
    sources: &Observation,
    checks_pass: bool,
) -> Staged {
    let trains = asset.kind == "training";
    let score = content.bytes().map(u64::from).sum::<u64>() % 100;
    Staged {
        partition: partition.cloned(),
        tables: Vec::new(),
        model: trains.then(|| StagedModel {
            artifact: format!("models/{content}"),
            sha256: content.to_owned(),
            algorithm: "mean".to_owned(),
            metrics: BTreeMap::from([("score".to_owned(), score as f64)]),
            parameters: BTreeMap::new(),
            details: Value::Null,
        }),
        checks: vec![CheckResult {
            name: "row_count".to_owned(),
            check: "row_count".to_owned(),
            severity: Severity::Error,
            passed: checks_pass,
            figure: Some(1.0),
            expected: "at least 1 row".to_owned(),
            failing_rows: None,
            sample: None,
            error: None,
        }],
        metadata: BTreeMap::new(),
        sources: fed(sources, partition),
        data_version: None,
    }
}
