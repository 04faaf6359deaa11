//! What a kind sees of its step.
//!
//! The inputs are tables of a query session under their own names (`silver.flights`), and each shows the rows that belong to
//! the step's partitions and no others. Nothing is read before a query asks for it.

use std::path::Path;

use assets::outcome::{Failure, FailureClass, TablePointer};
use assets::{Asset, AssetKey};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use serde::de::DeserializeOwned;

use super::execute::Shell;
use super::parameters::parameters;
use super::session::scoped;
use super::{Cancellation, Clock, StepLog, failure};
use crate::command::ProcessDoor;
use crate::formats::Objects;
use crate::lakehouse::{Lake, LakeTable, ScanOptions};
use crate::query::{QueryError, QuerySession};
use crate::step::{OrderedInput, OrderedModel, OrderedPartition, StepOrder};

/// One call of `materialize`: an order, and those of its partitions that are to be made now.
pub struct StepContext<'a> {
    shell: &'a Shell,
    partitions: &'a [OrderedPartition],
    log: StepLog,
}

impl<'a> StepContext<'a> {
    pub(super) fn new(shell: &'a Shell, partitions: &'a [OrderedPartition]) -> Self {
        Self {
            shell,
            partitions,
            log: shell.log_of(partitions),
        }
    }

    /// The whole order.
    pub fn order(&self) -> &StepOrder {
        &self.shell.order
    }

    /// The asset.
    pub fn asset(&self) -> &Asset {
        &self.shell.order.asset
    }

    /// The kind's own part of the asset, as its `compile` left it.
    pub fn config<C: DeserializeOwned>(&self) -> Result<C, Failure> {
        serde_json::from_value(self.shell.order.asset.config.clone()).map_err(|error| {
            let key = &self.shell.order.asset.key;
            Failure::new(
                FailureClass::Internal,
                format!("the compiled form of {key} cannot be read: {error}"),
            )
        })
    }

    /// The partitions to make: one, or all of the batch for a kind that makes them together.
    pub fn partitions(&self) -> &[OrderedPartition] {
        self.partitions
    }

    /// The only partition, for kinds that make one at a time.
    pub fn partition(&self) -> Result<&OrderedPartition, Failure> {
        match self.partitions {
            [one] => Ok(one),
            many => Err(Failure::new(
                FailureClass::Internal,
                format!("one partition is made at a time, not {}", many.len()),
            )),
        }
    }

    /// The rows of a query over the inputs, with the step's parameters bound.
    pub async fn query(&self, sql: &str) -> Result<SendableRecordBatchStream, Failure> {
        let order = self.order();
        let bound = parameters(&order.asset, self.partitions, &order.project)?;
        self.session()?
            .execute(sql, &bound)
            .await
            .map_err(|error| failure::deep_query(error.failure))
    }

    /// The session itself, for kinds that build plans without SQL. Names mean the rows of this call's partitions.
    pub fn session(&self) -> Result<&QuerySession, Failure> {
        self.shell.session.session()
    }

    /// A pinned input that was materialized at least once.
    pub fn input(&self, asset: &AssetKey) -> Result<(&OrderedInput, &TablePointer), Failure> {
        let order = self.order();
        let input = order.inputs.iter().find(|input| input.asset == *asset).ok_or_else(|| {
            Failure::new(
                FailureClass::Internal,
                format!("the order of {} does not pin {asset}", order.asset.key),
            )
        })?;
        match &input.table {
            Some(table) => Ok((input, table)),
            None => Err(Failure::new(
                FailureClass::MissingInput,
                format!("read {asset}: it was never materialized"),
            )
            .with_help(format!("materialize it first: millpond materialize {asset}"))),
        }
    }

    /// A pinned input as a table, and the rows of it that the partitions of this call see.
    pub async fn input_table(&self, asset: &AssetKey) -> Result<(LakeTable, ScanOptions), Failure> {
        let (input, pointer) = self.input(asset)?;
        let table = self
            .lake()
            .table(asset, pointer)
            .await
            .map_err(|error| error.failure())?;
        Ok((table, scoped(input, self.partitions).scan))
    }

    /// A pinned input as a frame to build plans on, with the rows that the partitions of this call see.
    pub async fn input_frame(&self, asset: &AssetKey) -> Result<DataFrame, Failure> {
        self.input(asset)?;
        let name = TableReference::partial(asset.layer().to_owned(), asset.name().to_owned());
        let session = self.session()?;
        let frame = session.context().table(name).await;
        frame.map_err(|error| session.read_error(error).failure)
    }

    /// Reads an engine error with the names of the inputs at hand.
    pub fn read_error(&self, error: DataFusionError) -> QueryError {
        self.shell.session.read_error(error)
    }

    /// A pinned model version.
    pub fn model(&self, model: &AssetKey) -> Result<&OrderedModel, Failure> {
        self.shell
            .order
            .models
            .iter()
            .find(|ordered| ordered.model == *model)
            .ok_or_else(|| {
                Failure::new(
                    FailureClass::MissingInput,
                    format!("no version of the model {model} is there"),
                )
                .with_help(format!("materialize {model} first"))
            })
    }

    /// Where tables are.
    pub fn lake(&self) -> &Lake {
        &self.shell.environment.lake
    }

    /// How raw files that are objects are reached.
    pub fn objects(&self) -> &Objects {
        &self.shell.environment.objects
    }

    /// The log of the step; its lines name the partition.
    pub fn log(&self) -> &StepLog {
        &self.log
    }

    /// The request to stop. The shell stops a step between batches; kinds look at it in work of their own that takes long.
    pub fn cancel(&self) -> &Cancellation {
        &self.shell.environment.cancel
    }

    /// The door to other programs.
    pub fn processes(&self) -> &dyn ProcessDoor {
        self.shell.environment.processes.as_ref()
    }

    /// The time, for what is logged and shown; rows must not depend on it.
    pub fn clock(&self) -> &Clock {
        &self.shell.environment.clock
    }

    /// The seed for everything random in the step.
    pub fn seed(&self) -> u64 {
        self.shell.order.seed
    }

    /// A folder of the worker's own, emptied when the order is over.
    pub fn scratch(&self) -> &Path {
        Path::new(&self.shell.order.scratch)
    }
}
