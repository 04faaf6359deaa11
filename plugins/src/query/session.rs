//! One session: a DataFusion context over pinned tables, read-only, bounded in memory.

use std::path::PathBuf;
use std::sync::Arc;

use assets::outcome::{Failure, FailureClass};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, ParamValues, ScalarValue};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use futures::{StreamExt, TryStreamExt};

use super::catalog::{LakeCatalog, SESSION_SCHEMA, SessionTables, TableResolver};
use super::damage::name_damaged_file;
use super::error::{QueryError, engine_error};
use super::local_time::bind_local_bounds;
use super::memory::SharedMemory;
use super::one_way::physical_rules;
use super::sorting_joins;
use crate::lakehouse::{Lake, LakeError, needs_more_memory};

const CATALOG: &str = "millpond";

/// Which versions an ad-hoc query reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AsOf {
    /// What the resolver says.
    #[default]
    Pinned,
    /// Every table as it was at a time, in milliseconds since 1970.
    Time(i64),
    /// Every table at this snapshot; a table without it is an error.
    Snapshot(i64),
    /// Every table at the snapshot that has this tag; a table without it is an error.
    Tag(String),
}

/// Bounds of a session.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// Bytes that its queries may hold together before they spill or fail.
    pub memory_bytes: usize,
    /// Folder for spill files; without it a query that needs more memory fails.
    pub spill_folder: Option<PathBuf>,
    /// Threads' worth of work per query.
    pub target_partitions: usize,
    /// Versions to read.
    pub as_of: AsOf,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            spill_folder: None,
            target_partitions: 2,
            as_of: AsOf::Pinned,
        }
    }
}

/// Runs queries over the tables that its resolver knows.
#[derive(Clone)]
pub struct QuerySession {
    context: SessionContext,
    resolver: Arc<dyn TableResolver>,
    tables: Arc<SessionTables>,
}

impl std::fmt::Debug for QuerySession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuerySession")
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}

impl QuerySession {
    /// A session over the lake's tables.
    pub fn new(lake: &Lake, resolver: Arc<dyn TableResolver>, options: &QueryOptions) -> Result<Self, LakeError> {
        let disk = match &options.spill_folder {
            Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
            None => DiskManagerMode::Disabled,
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(SharedMemory::new(options.memory_bytes)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk))
            .build_arc()?;
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SESSION_SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            .with_target_partitions(options.target_partitions.max(1));
        config.options_mut().sql_parser.collect_spans = true;
        // Without it `TIMESTAMP WITH TIME ZONE` and `now()` would be timestamps without one, which count as local time.
        config.options_mut().execution.time_zone = Some("+00:00".to_owned());
        // A sort keeps this much back for merging what it spilled; the engine's 10 MiB would be all of a small session.
        let kept_back = options.memory_bytes / (8 * options.target_partitions.max(1));
        config.options_mut().execution.sort_spill_reservation_bytes = kept_back.min(10 << 20);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_physical_optimizer_rules(physical_rules())
            .build();
        let context = SessionContext::new_with_state(state);
        let tables = Arc::new(SessionTables::default());
        let catalog = LakeCatalog {
            lake: lake.clone(),
            resolver: Arc::clone(&resolver),
            as_of: options.as_of.clone(),
            session: Arc::clone(&tables),
        };
        context.register_catalog(CATALOG, Arc::new(catalog));
        Ok(Self {
            context,
            resolver,
            tables,
        })
    }

    /// Puts a table under a name without layer, such as `this`; or, under the key of an asset, in the place of its table.
    pub fn put(&self, name: &str, table: Arc<dyn TableProvider>) {
        self.tables.put(name, table);
    }

    /// The engine's context, for plans that are not written as SQL.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Plans a query: exactly one `SELECT` (or `WITH`, `VALUES`, `EXPLAIN` of one, `DESCRIBE`). Parameters are bound as values.
    pub async fn plan(&self, sql: &str, parameters: &[(String, ScalarValue)]) -> Result<LogicalPlan, QueryError> {
        let refuse = |error| engine_error(error, &self.resolver.keys());
        // The parser and the planner recurse over the query, and a thread that runs off its stack takes the process along.
        if let Some(deep) = assets::sql::too_deep(sql) {
            let failure = Failure::new(FailureClass::StackOverflow, deep.message).with_help(deep.help);
            return Err(QueryError::new(failure, Some((deep.line, deep.column))));
        }
        let state = self.context.state();
        let dialect = state.config().options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect).map_err(refuse)?;
        check_reads_only(&statement)?;
        let plan = state.statement_to_plan(statement).await.map_err(refuse)?;
        let only_queries = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        only_queries.verify_plan(&plan).map_err(refuse)?;
        check_parameters(&plan, parameters)?;
        let plan = bind_local_bounds(plan, parameters).map_err(refuse)?;
        plan.with_param_values(ParamValues::from(parameters.to_vec()))
            .map_err(refuse)
    }

    /// Plans a query as a data frame.
    pub async fn data_frame(&self, sql: &str, parameters: &[(String, ScalarValue)]) -> Result<DataFrame, QueryError> {
        let plan = self.plan(sql, parameters).await?;
        Ok(DataFrame::new(self.context.state(), plan))
    }

    /// Runs a query. Errors while the result streams are the engine's; [`engine_error`] reads them.
    ///
    /// A join for which the memory does not suffice is tried anew as one that sorts its sides, and spills, as long as no row of the
    /// result was given away.
    pub async fn execute(
        &self,
        sql: &str,
        parameters: &[(String, ScalarValue)],
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let frame = self.data_frame(sql, parameters).await?;
        let logical = frame.logical_plan().clone();
        let refuse = |error| self.read_error(error);
        let plan = frame.create_physical_plan().await.map_err(refuse)?;
        let stream = self.run(Arc::clone(&plan)).map_err(refuse)?;
        if !sorting_joins::helps(&plan) {
            return Ok(stream);
        }
        let (schema, session) = (stream.schema(), self.clone());
        let held_before = self.context.runtime_env().memory_pool.reserved();
        let patient = futures::stream::once(async move {
            let mut hashing = stream;
            let first = match hashing.next().await {
                Some(Err(error)) if needs_more_memory(&error) => {
                    // What it holds is what the next one needs.
                    drop((hashing, error));
                    sorting_joins::released(&session.context, held_before).await;
                    tracing::info!("a join does not fit into the memory: its sides are sorted, and spill");
                    return session.run(sorting_joins::plan(&session.context, &logical).await?);
                }
                first => futures::stream::iter(first),
            };
            let schema = hashing.schema();
            let whole = RecordBatchStreamAdapter::new(schema, first.chain(hashing));
            Ok(Box::pin(whole) as SendableRecordBatchStream)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, patient.try_flatten())))
    }

    /// Runs a plan; a file that is damaged is named.
    fn run(&self, plan: Arc<dyn ExecutionPlan>) -> Result<SendableRecordBatchStream, DataFusionError> {
        let stream = execute_stream(Arc::clone(&plan), self.context.task_ctx())?;
        let (schema, runtime) = (stream.schema(), self.context.runtime_env());
        let named = stream.then(move |batch| {
            let (plan, runtime) = (Arc::clone(&plan), Arc::clone(&runtime));
            async move {
                match batch {
                    Ok(batch) => Ok(batch),
                    Err(error) => Err(name_damaged_file(plan, &runtime, error).await),
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, named)))
    }

    /// Reads an engine error with this session's names at hand.
    pub fn read_error(&self, error: DataFusionError) -> QueryError {
        engine_error(error, &self.resolver.keys())
    }
}

/// A JSON value (a project's parameter) as a query parameter; `None` for lists and objects.
pub fn parameter(value: &serde_json::Value) -> Option<ScalarValue> {
    Some(match value {
        serde_json::Value::Null => ScalarValue::Null,
        serde_json::Value::Bool(value) => ScalarValue::Boolean(Some(*value)),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => ScalarValue::Int64(Some(integer)),
            None => ScalarValue::Float64(Some(number.as_f64()?)),
        },
        serde_json::Value::String(text) => ScalarValue::Utf8(Some(text.clone())),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => return None,
    })
}

/// Refuses everything but reading, before the engine looks at it.
fn check_reads_only(statement: &Statement) -> Result<(), QueryError> {
    let refused = match statement {
        Statement::Statement(statement) => match statement.as_ref() {
            SqlStatement::Query(_) | SqlStatement::ExplainTable { .. } | SqlStatement::ShowTables { .. } => {
                return Ok(());
            }
            SqlStatement::Explain { statement, .. } if matches!(statement.as_ref(), SqlStatement::Query(_)) => {
                return Ok(());
            }
            other => other.to_string(),
        },
        Statement::Explain(explain) => match explain.statement.as_ref() {
            Statement::Statement(inner) if matches!(inner.as_ref(), SqlStatement::Query(_)) => return Ok(()),
            other => other.to_string(),
        },
        other => other.to_string(),
    };
    let word = refused.split_whitespace().next().unwrap_or("it").to_uppercase();
    Err(QueryError::declaration(
        format!("a query may only read, and `{word}` does something else"),
        "write one SELECT; tables are written by materializing assets",
    ))
}

/// Names every parameter that the query uses and nobody gave.
fn check_parameters(plan: &LogicalPlan, parameters: &[(String, ScalarValue)]) -> Result<(), QueryError> {
    let used = plan.get_parameter_names().map_err(|error| engine_error(error, &[]))?;
    let mut missing: Vec<&str> = used
        .iter()
        .map(|name| name.trim_start_matches('$'))
        .filter(|name| !parameters.iter().any(|(known, _)| known == name))
        .collect();
    missing.sort_unstable();
    let Some(first) = missing.first() else { return Ok(()) };
    let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    let help = match assets::diagnostic::closest(first, names.iter().copied()) {
        Some(meant) => format!("did you mean `${meant}`?"),
        None if names.is_empty() => "no parameter is bound here".to_owned(),
        None => format!("bound are ${}", names.join(", $")),
    };
    Err(QueryError::declaration(
        format!("the parameter `${}` has no value", missing.join("`, `$")),
        help,
    ))
}
