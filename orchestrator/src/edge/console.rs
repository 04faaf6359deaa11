//! The inside of a `millpond console` process: one query, read from standard input as an order, with its result on standard
//! output and why it failed on standard error.
//!
//! A query that overflows the stack, eats the memory or runs for ever is the end of this process, and of nothing else.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use assets::AssetKey;
use assets::outcome::{Failure, FailureClass, TablePointer};
use plugins::lakehouse::ScanOptions;
use plugins::query::{
    QueryError, QueryOptions, QuerySession, QueryTable, RenderError, ResultFormat, parameter, render,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::environment;
use super::warehouse::LakeSettings;
use super::worker_process::limit_memory;
use crate::as_of::AsOf;

/// Stack of the threads that plan and run queries, which recurse over their own text.
const STACK_BYTES: usize = 16 << 20;
/// Most threads for work that waits on files.
const FILE_THREADS: usize = 16;

/// A query to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryOrder {
    /// The query.
    pub sql: String,
    /// Which versions it reads.
    pub as_of: AsOf,
    /// The project's parameters.
    pub params: BTreeMap<String, Value>,
    /// Where the tables are.
    pub lake: LakeSettings,
    /// The names that it may use, with their newest versions.
    pub tables: BTreeMap<AssetKey, Option<TablePointer>>,
    /// Bytes that it may use before it spills or fails.
    pub memory_bytes: u64,
    /// Threads' worth of work.
    pub threads: usize,
    /// Folder for spill files.
    pub scratch: Option<String>,
    /// What is written.
    pub format: QueryFormat,
}

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryFormat {
    /// Lines of JSON: the columns, each row, and how many there were.
    Cells {
        /// Most rows.
        most: usize,
    },
    /// Comma separated values.
    Csv,
    /// A Parquet file.
    Parquet,
}

/// Why a query failed, on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryFailure {
    /// What and what to do.
    pub failure: Failure,
    /// Line and column in the query, both from 1.
    pub at: Option<(u64, u64)>,
}

/// Runs one query.
pub fn run() -> ExitCode {
    environment::large_pages(true);
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = serde_json::to_string(&failure).expect("texts have a JSON form");
            // A daemon that is gone needs no reason.
            writeln!(io::stderr(), "{text}").ok();
            ExitCode::FAILURE
        }
    }
}

fn answer() -> Result<(), QueryFailure> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(broken)?;
    let order: QueryOrder = serde_json::from_str(&text).map_err(broken)?;
    let stacks = (order.threads.max(1) + FILE_THREADS) * STACK_BYTES;
    // What the session counts is not all that a query takes: decoded pages, the program itself.
    limit_memory(2 * order.memory_bytes + (512 << 20) + stacks as u64);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(order.threads.max(1))
        .max_blocking_threads(FILE_THREADS)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(broken)?;
    // On a thread of the runtime: only they have the large stack.
    let done = runtime.block_on(async { tokio::spawn(query(order)).await });
    runtime.shutdown_background();
    done.map_err(broken)?
}

async fn query(order: QueryOrder) -> Result<(), QueryFailure> {
    let lake = order.lake.open().map_err(broken)?;
    let tables: BTreeMap<AssetKey, QueryTable> = order
        .tables
        .into_iter()
        .map(|(key, pointer)| {
            let scan = ScanOptions::default();
            (key, QueryTable { pointer, scan })
        })
        .collect();
    let options = QueryOptions {
        memory_bytes: order.memory_bytes as usize,
        spill_folder: order.scratch.map(Into::into),
        target_partitions: order.threads,
        as_of: order.as_of.clone().into(),
    };
    let session = QuerySession::new(&lake, Arc::new(tables), &options).map_err(broken)?;
    let parameters: Vec<_> = order
        .params
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), parameter(value)?)))
        .collect();
    let rows = session.execute(&order.sql, &parameters).await.map_err(failed)?;
    let format = match order.format {
        QueryFormat::Cells { most } => ResultFormat::Cells { most },
        QueryFormat::Csv => ResultFormat::Csv,
        QueryFormat::Parquet => ResultFormat::Parquet,
    };
    let mut output = BufWriter::new(io::stdout());
    match render(rows, format, &mut output).await {
        Ok(_) => output.flush().map_err(broken),
        Err(RenderError::Query(error)) => Err(failed(session.read_error(error))),
        Err(RenderError::Output(error)) => Err(broken(error)),
    }
}

fn failed(error: QueryError) -> QueryFailure {
    QueryFailure {
        failure: error.failure,
        at: error.at,
    }
}

fn broken(error: impl std::fmt::Display) -> QueryFailure {
    QueryFailure {
        failure: Failure::new(FailureClass::Internal, error.to_string()),
        at: None,
    }
}
