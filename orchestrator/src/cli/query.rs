//! `millpond query`: SQL over the tables, as they are or as they were.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use assets::AssetKey;
use assets::outcome::StagedTable;
use clap::{Args, ValueEnum};
use plugins::lakehouse::{Lake, staged_provider};
use plugins::query::{QueryOptions, QuerySession, QueryTable, RenderError, ResultFormat, parameter, render};

use state::ids::RunId;

use super::look::Place;
use super::terminal::{Terminal, count};
use super::{Exit, Stop};
use crate::as_of::{self, AsOf};
use crate::edge::environment;
use crate::edge::folder::StateFolder;
use crate::edge::kept_staged::of_run;
use crate::edge::queried::{Reads, Scratch, tables};
use crate::edge::warehouse;

/// Ask a question in SQL, of tables as they are or as they were.
///
/// Tables are named `layer.name`. One SELECT; nothing can be changed. `-` reads the query from standard input.
#[derive(Args)]
pub struct Query {
    /// The query.
    sql: String,
    /// A time (2026-03-01, 2026-03-01T06:00, in the project's zone unless it says another), a snapshot id or a tag.
    #[arg(long, value_name = "TIME, SNAPSHOT or TAG")]
    as_of: Option<String>,
    /// Tables of which a check of this run kept rows back are those rows. `millpond staged list` shows the runs.
    #[arg(long, value_name = "RUN", conflicts_with = "as_of")]
    staged: Option<RunId>,
    /// How to print the result.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The value of `$NAME` in the query: a number, `true`, `false`, `null`, or a text (in quotes if it looks like one of those).
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = named_value)]
    params: Vec<(String, serde_json::Value)>,
    /// Rows shown of a table.
    #[arg(long, default_value_t = 100)]
    rows: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Aligned columns.
    Table,
    /// Comma separated values.
    Csv,
    /// One JSON object per line.
    Json,
    /// A Parquet file, to standard output.
    Parquet,
}

impl Query {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let project = place.project(terminal)?;
        let folder = StateFolder::of(&project.root);
        let sql = if self.sql == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        } else {
            self.sql.clone()
        };
        let as_of = AsOf::parse(self.as_of.as_deref().unwrap_or_default(), &project.settings.timezone)
            .map_err(|error| Stop::new(Exit::Usage, error).with_help(as_of::HELP))?;
        let reads = match self.as_of {
            Some(_) => Reads::Old,
            None => Reads::Newest,
        };
        // Before it is looked up what the tables are.
        let scratch = match Scratch::reading(&folder, reads) {
            // Where nothing was ever made, nothing is read.
            _ if !folder.path().is_dir() => None,
            scratch => scratch?,
        };
        let store = match state::sqlite::Store::open_reader(&folder.database()) {
            Ok(store) => Some(store),
            Err(state::sqlite::StateError::Missing(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let tables: BTreeMap<AssetKey, QueryTable> = tables(store.as_ref(), &project.definitions)?
            .into_iter()
            .map(|(key, pointer)| {
                let scan = plugins::lakehouse::ScanOptions::default();
                (key, QueryTable { pointer, scan })
            })
            .collect();
        let lake = warehouse::open(&project.settings).map_err(|error| Stop::broken(error.to_string()))?;
        let options = QueryOptions {
            memory_bytes: project.orders.memory_bytes as usize,
            spill_folder: scratch.as_ref().map(|scratch| scratch.path().to_owned()),
            target_partitions: environment::cores(),
            as_of: as_of.into(),
        };
        let session =
            QuerySession::new(&lake, Arc::new(tables), &options).map_err(|error| Stop::broken(error.to_string()))?;
        if let Some(run) = &self.staged {
            put_staged(&session, &lake, &folder, run)?;
        }
        let parameters: Vec<_> = project
            .settings
            .params
            .iter()
            .filter(|(name, _)| self.params.iter().all(|(own, _)| own != *name))
            .chain(self.params.iter().map(|(name, value)| (name, value)))
            .filter_map(|(name, value)| Some((name.clone(), parameter(value)?)))
            .collect();
        let format = match self.format {
            None if terminal.json() => ResultFormat::JsonLines,
            None | Some(Format::Table) => ResultFormat::Table { most: self.rows },
            Some(Format::Csv) => ResultFormat::Csv,
            Some(Format::Json) => ResultFormat::JsonLines,
            Some(Format::Parquet) => ResultFormat::Parquet,
        };
        let runtime = super::query_runtime()?;
        let rendered = runtime.block_on(async {
            let task = runtime.spawn(async move {
                let rows = session.execute(&sql, &parameters).await.map_err(failed)?;
                let mut output = std::io::BufWriter::new(std::io::stdout());
                match render(rows, format, &mut output).await {
                    Err(RenderError::Query(error)) => Err(failed(session.read_error(error))),
                    // Whoever reads has read enough.
                    Err(RenderError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(None),
                    Err(RenderError::Output(error)) => Err(error.into()),
                    Ok(rendered) => Ok(Some(rendered)),
                }
            });
            tokio::select! {
                result = task => result.map_err(|error| Stop::broken(format!("the query failed: {error}")))?,
                _ = tokio::signal::ctrl_c() => Err(Stop::new(Exit::Interrupted, "interrupted")),
            }
        })?;
        if let (ResultFormat::Table { .. }, Some(rendered)) = (format, rendered) {
            let shown = count(rendered.rows as u64, "row", "rows");
            terminal.note(if rendered.cut {
                format!("the first {shown}; --rows N shows more, --format csv all")
            } else {
                shown
            });
        }
        Ok(Exit::Done)
    }
}

/// Puts what checks kept back of a run in the place of its tables.
fn put_staged(session: &QuerySession, lake: &Lake, folder: &StateFolder, run: &RunId) -> Result<(), Stop> {
    let mut tables: BTreeMap<AssetKey, Vec<StagedTable>> = BTreeMap::new();
    for found in of_run(folder, run)? {
        for table in found.kept.staged.tables {
            tables.entry(table.table.clone()).or_default().push(table);
        }
    }
    if tables.is_empty() {
        return Err(Stop::not_found(format!("nothing is kept of {run}"))
            .with_help("`millpond staged list` shows what checks kept back"));
    }
    for (key, staged) in tables {
        let provider = staged_provider(lake, &staged).map_err(|error| Stop::broken(error.to_string()))?;
        session.put(key.as_str(), provider);
    }
    Ok(())
}

/// `NAME=VALUE`
fn named_value(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("it is written NAME=VALUE")?;
    let value = match serde_json::from_str(value) {
        Ok(value @ (serde_json::Value::Array(_) | serde_json::Value::Object(_))) => {
            return Err(format!("{value} is neither a number nor a text"));
        }
        Ok(value) => value,
        Err(_) => serde_json::Value::String(value.to_owned()),
    };
    Ok((name.trim_start_matches('$').to_owned(), value))
}

fn failed(error: plugins::query::QueryError) -> Stop {
    let stop = Stop::new(Exit::Failed, error.failure.message.clone());
    match error.failure.help {
        Some(help) => stop.with_help(help),
        None => stop,
    }
}
