//! Workers and the committer, as the core hears of them: what they say about an attempt, and when.

use std::collections::{BTreeMap, BTreeSet};

use assets::outcome::{
    CheckResult, Failure, FailureClass, Observation, Replace, Severity, Staged, StagedModel, StagedTable, TablePointer,
};
use assets::{Asset, AssetKey, AssetPartition, PartitionKey};
use orchestrator::core::{Input, Member, PreparedMember, PreparedTable, StartAttempt};
use serde_json::Value;
use state::ids::AttemptId;

use super::dice::Dice;
use super::lake::{Lake, fed, make};

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
}

/// A step that was staged and is kept until it ends.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) staged: Box<Staged>,
    pub(super) content: String,
    pub(super) checks_pass: bool,
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
    pub(super) fn hear(&mut self, attempt: &AttemptId, word: &Word, lake: &Lake) -> Input {
        let order = &self.orders[attempt];
        match word {
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
                    return Input::StepFailed {
                        attempt: attempt.clone(),
                        partition: partition.clone(),
                        failure: Failure::new(FailureClass::Changed, "a source file changed while it was read"),
                    };
                }
                let content = content(order, partition.as_ref(), &ordered, lake);
                let staged = Box::new(staged(
                    &order.asset,
                    partition.as_ref(),
                    &content,
                    &ordered,
                    *checks_pass,
                ));
                let kept = Kept {
                    staged: staged.clone(),
                    content,
                    checks_pass: *checks_pass,
                };
                let step = AssetPartition::new(order.asset.key.clone(), partition.clone());
                self.kept.insert((attempt.clone(), step), kept);
                Input::Staged {
                    attempt: attempt.clone(),
                    staged,
                }
            }
        }
    }

    /// What the committer comes back with for these steps, built on `base`.
    pub(super) fn commit(
        &self,
        asset: &AssetKey,
        members: &[Member],
        base: Option<TablePointer>,
        lake: &mut Lake,
    ) -> Input {
        let mut contents = lake.read(base.as_ref());
        let mut prepared = Vec::new();
        for member in members {
            let Some(kept) = self.kept.get(&(member.attempt.clone(), member.step.clone())) else {
                continue;
            };
            contents.insert(member.step.partition.clone(), kept.content.clone());
            prepared.push(PreparedMember {
                attempt: member.attempt.clone(),
                step: member.step.clone(),
                staged: kept.staged.clone(),
            });
        }
        let tables = if prepared.is_empty() {
            Vec::new()
        } else {
            vec![PreparedTable {
                table: asset.clone(),
                from: base,
                to: lake.write(asset, contents),
            }]
        };
        Input::CommitPrepared {
            asset: asset.clone(),
            tables,
            members: prepared,
        }
    }
}

fn content(order: &StartAttempt, partition: Option<&PartitionKey>, sources: &Observation, lake: &Lake) -> String {
    if order.asset.kind == "command" {
        return format!("{} {partition:?}", order.attempt);
    }
    let ordered = order
        .partitions
        .iter()
        .find(|ordered| ordered.key.as_ref() == partition);
    let scopes = &ordered.expect("a worker speaks of the steps that it was given").scopes;
    let tables: Vec<_> = order
        .inputs
        .iter()
        .filter_map(|input| {
            Some((
                input.asset.clone(),
                scopes.get(&input.asset)?.clone(),
                lake.read(input.table.as_ref()),
            ))
        })
        .collect();
    let models: Vec<_> = order
        .models
        .iter()
        .map(|model| (model.model.clone(), model.version))
        .collect();
    make(&order.asset, partition, &tables, &models, sources)
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
        tables: if trains {
            Vec::new()
        } else {
            vec![staged_table(asset, partition)]
        },
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

fn staged_table(asset: &Asset, partition: Option<&PartitionKey>) -> StagedTable {
    StagedTable {
        table: asset.key.clone(),
        replace: partition.map_or(Replace::Whole, |partition| Replace::Partition(partition.clone())),
        rows: 1,
        bytes: 1,
        data_files: Value::Null,
        schema: Value::Null,
        partition_column: asset.partitions.as_ref().map(|by| by.column.clone()),
    }
}
