//! From a work order to its reports.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use assets::PartitionKey;
use assets::check::Check;
use assets::outcome::{Failure, FailureClass, Staged};
use tokio::task::JoinHandle;

use super::compute::{Computed, compute};
use super::finish::finish;
use super::session::{SessionsToLend, StepSession};
use super::{Cancellation, StepEnvironment, StepLog, of_io, panic, scratch};
use crate::kind::{Batching, Kind};
use crate::step::{OrderedPartition, StepOrder, StepReport};

/// Partitions that may be finished (synced, checked) while the next one computes. Each holds its files open and no rows.
const FINISHING: usize = 2;

/// Works through an order. Whatever happens is told by reports; the last of them is [`StepReport::Ended`], with what the last
/// step has staged.
pub async fn execute(order: StepOrder, environment: StepEnvironment) {
    let reports = Reports {
        environment: environment.clone(),
    };
    let order = Arc::new(order);
    let staged = match Shell::open(Arc::clone(&order), environment.clone()) {
        Ok(shell) => shell.run().await,
        Err(failure) => {
            reports.all_failed(&order.partitions, &failure);
            Vec::new()
        }
    };
    reports.send(StepReport::Ended { staged });
}

/// What all partitions of one order share.
#[derive(Clone)]
pub(super) struct Shell {
    pub(super) order: Arc<StepOrder>,
    pub(super) environment: StepEnvironment,
    pub(super) kind: &'static dyn Kind,
    /// Declared checks, then those of the kind itself.
    pub(super) checks: Arc<[Check]>,
    pub(super) log: StepLog,
    /// Makes rows, one unit after the other.
    pub(super) session: StepSession,
    /// For the checks of partitions that are being finished.
    pub(super) lent: Arc<SessionsToLend>,
    pub(super) reports: Reports,
}

impl Shell {
    fn open(order: Arc<StepOrder>, environment: StepEnvironment) -> Result<Self, Failure> {
        let kind = environment.kinds.get(&order.asset.kind).ok_or_else(|| {
            let message = format!(
                "{} is of the kind `{}`, which this program does not know",
                order.asset.key, order.asset.kind
            );
            Failure::new(FailureClass::Declaration, message)
        })?;
        let log = StepLog::open(
            Path::new(&order.log_file),
            order.asset.key.clone(),
            Arc::clone(&environment.clock),
        )
        .map_err(|error| of_io(&format!("open the log `{}`", order.log_file), &error))?;
        let session = StepSession::new(&environment.lake, &order, order.memory_bytes);
        let reports = Reports {
            environment: environment.clone(),
        };
        let checks = order
            .asset
            .checks
            .iter()
            .cloned()
            .chain(kind.own_checks(&order.asset))
            .collect();
        Ok(Self {
            order,
            environment,
            kind,
            checks,
            log,
            session,
            lent: Arc::default(),
            reports,
        })
    }

    /// Returns what the last unit has staged; everything else is reported.
    async fn run(self) -> Vec<Staged> {
        let order = Arc::clone(&self.order);
        let units: Vec<&[OrderedPartition]> = match self.kind.batching() {
            Batching::Each if !order.asset.rules.together => order.partitions.chunks(1).collect(),
            Batching::Each | Batching::Together => vec![&order.partitions],
        };
        let mut finishing: VecDeque<JoinHandle<Vec<Staged>>> = VecDeque::new();
        let last = units.len().saturating_sub(1);
        for (at, unit) in units.into_iter().enumerate() {
            if self.environment.cancel.is_canceled() {
                self.reports.all_failed(unit, &Cancellation::failure());
                continue;
            }
            for partition in unit {
                self.reports.send(StepReport::Started {
                    partition: partition.key.clone(),
                });
            }
            match panic::catching(compute(&self, unit)).await {
                Err(failure) => self.failed(unit, &failure),
                Ok(computed) => {
                    if finishing.len() == FINISHING {
                        ended(finishing.pop_front()).await;
                    }
                    let (shell, unit) = (self.clone(), unit.to_vec());
                    finishing.push_back(tokio::spawn(async move {
                        let staged = shell.finish(&unit, computed).await;
                        if at == last {
                            return staged;
                        }
                        shell.report(staged);
                        Vec::new()
                    }));
                }
            }
        }
        let mut of_the_last = Vec::new();
        while !finishing.is_empty() {
            of_the_last = ended(finishing.pop_front()).await;
        }
        if let Err(error) = scratch::clear(Path::new(&self.order.scratch)) {
            self.log.warn(format!("failed to empty the scratch folder: {error}"));
        }
        self.log.close();
        of_the_last
    }

    async fn finish(&self, unit: &[OrderedPartition], computed: Computed) -> Vec<Staged> {
        match panic::catching(self.environment.cancel.or(finish(self, unit, computed))).await {
            Err(failure) => {
                self.failed(unit, &failure);
                Vec::new()
            }
            Ok(staged) => {
                for staged in &staged {
                    self.log.of_partition(staged.partition.as_ref()).info(summary(staged));
                }
                staged
            }
        }
    }

    fn report(&self, staged: Vec<Staged>) {
        for staged in staged {
            self.reports.send(StepReport::Staged {
                staged: Box::new(staged),
            });
        }
    }

    /// Tells that every partition of a unit failed, in the log too.
    fn failed(&self, unit: &[OrderedPartition], failure: &Failure) {
        for partition in unit {
            let log = self.log.of_partition(partition.key.as_ref());
            match &failure.help {
                Some(help) => log.error(format!("{}\nhelp: {help}", failure.message)),
                None => log.error(&failure.message),
            }
        }
        self.reports.all_failed(unit, failure);
    }

    /// The log of a unit: its lines name the partition if there is one alone.
    pub(super) fn log_of(&self, unit: &[OrderedPartition]) -> StepLog {
        match unit {
            [one] => self.log.of_partition(one.key.as_ref()),
            _ => self.log.clone(),
        }
    }
}

/// Waits for a finishing unit: what it has staged and did not report. Its failures and panics were reported by itself.
async fn ended(task: Option<JoinHandle<Vec<Staged>>>) -> Vec<Staged> {
    let Some(task) = task else { return Vec::new() };
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a finishing step did not report");
        Vec::new()
    })
}

/// Where reports go.
#[derive(Clone)]
pub(super) struct Reports {
    environment: StepEnvironment,
}

impl Reports {
    /// Sends a report. If nobody takes them any more the order is as good as canceled.
    pub(super) fn send(&self, report: StepReport) {
        if self.environment.reports.send(report).is_err() {
            self.environment.cancel.cancel();
        }
    }

    pub(super) fn progress(&self, partition: Option<&PartitionKey>, rows: u64) {
        self.send(StepReport::Progress {
            partition: partition.cloned(),
            rows,
        });
    }

    fn all_failed(&self, unit: &[OrderedPartition], failure: &Failure) {
        for partition in unit {
            self.send(StepReport::Failed {
                partition: partition.key.clone(),
                failure: failure.clone(),
            });
        }
    }
}

fn summary(staged: &Staged) -> String {
    let failed: Vec<&str> = staged
        .checks
        .iter()
        .filter(|check| !check.passed)
        .map(|check| check.name.as_str())
        .collect();
    let made = match (staged.tables.is_empty(), &staged.model) {
        (_, Some(model)) => format!("staged a model ({})", model.algorithm),
        (true, None) => "done, without rows".to_owned(),
        (false, None) => format!("staged {} rows ({} bytes)", staged.rows(), staged.bytes()),
    };
    match (staged.checks.len(), failed.len()) {
        (0, _) => made,
        (all, 0) => format!("{made}; {all} checks passed"),
        (all, some) => format!("{made}; {some} of {all} checks failed: {}", failed.join(", ")),
    }
}
