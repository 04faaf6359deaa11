//! `/query`: SQL over the tables, as they are or as they were; nothing can be changed.
//!
//! Each query is a process of its own that ends when nobody waits for it any more: closing the page, or its "Cancel", stops it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use assets::AssetKey;
use assets::outcome::{Failure, FailureClass};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::{Form, Json};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::WebState;
use super::super::reply::{ErrorJson, ErrorPage};
use super::chart::{Chart, draw};
use super::figures::{bytes, count, duration};
use super::frame::{Frame, Section};
use super::{asset_key, given, read, render};
use crate::as_of::{AsOf, HELP};
use crate::edge::clock::Stopwatch;
use crate::edge::console::{QueryFailure, QueryFormat, QueryOrder};
use crate::edge::environment;
use crate::edge::queried::{Reads, Scratch, tables};
use crate::edge::query_process::RunningQuery;
use crate::edge::warehouse::LakeSettings;

/// Rows on the page, and in the JSON twin.
const MOST_ROWS: usize = 1_000;
/// How long a query for the page may take.
const LONGEST: Duration = Duration::from_mins(1);
/// How long one waits for room.
const PATIENCE: Duration = Duration::from_secs(10);
/// Queries at once.
const AT_ONCE: usize = 2;
/// Longest text of a query.
const LONGEST_SQL: usize = 100_000;
/// Most tables that are offered.
const OFFERED: usize = 2_000;

/// Room for queries: no more than two at once.
#[derive(Clone)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    /// The query.
    #[serde(default)]
    sql: String,
    /// A time, or the id of a snapshot.
    as_of: Option<String>,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as the engine names it.
    pub r#type: String,
    /// Whether it holds numbers.
    pub number: bool,
    /// Whether it holds times.
    pub time: bool,
}

/// A row of a result: its cells as texts, `None` for null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Row(pub Vec<Option<String>>);

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct QueryResult {
    /// The columns.
    pub columns: Vec<Column>,
    /// The first 1,000 rows.
    pub rows: Vec<Row>,
    /// Whether there are more.
    pub cut: bool,
    /// How long it took, in microseconds.
    pub took: i64,
}

#[derive(Deserialize)]
struct Head {
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Foot {
    cut: bool,
}

fn refusal(message: impl Into<String>, help: impl Into<String>) -> QueryFailure {
    QueryFailure {
        failure: Failure::new(FailureClass::Declaration, message).with_help(help),
        at: None,
    }
}

impl From<ErrorPage> for QueryFailure {
    fn from(error: ErrorPage) -> Self {
        Self {
            failure: Failure::new(FailureClass::Internal, error.into_message()),
            at: None,
        }
    }
}

/// Starts a query once there is room for it.
async fn start(
    state: &WebState,
    asked: &Asked,
    format: QueryFormat,
) -> Result<(OwnedSemaphorePermit, RunningQuery), QueryFailure> {
    if asked.sql.trim().is_empty() {
        return Err(refusal(
            "there is no query",
            "write one SELECT, such as SELECT * FROM layer.name LIMIT 10",
        ));
    }
    if asked.sql.len() > LONGEST_SQL {
        return Err(refusal(
            format!("the query has more than {}", bytes(LONGEST_SQL as u64)),
            "ask for less at once",
        ));
    }
    let settings = state.engine.settings();
    let as_of = AsOf::parse(asked.as_of.as_deref().unwrap_or_default(), &settings.timezone);
    let as_of = as_of.map_err(|error| refusal(error, HELP))?;
    let room = tokio::time::timeout(PATIENCE, Arc::clone(&state.queries.0).acquire_owned()).await;
    let Ok(Ok(room)) = room else {
        return Err(refusal(
            format!("{AT_ONCE} queries are under way already"),
            "wait for one of them, or cancel it",
        ));
    };
    // Before it is looked up what the tables are.
    let reads = match asked.as_of.as_deref().unwrap_or_default().is_empty() {
        true => Reads::Newest,
        false => Reads::Old,
    };
    let scratch = Scratch::reading(state.engine.folder(), reads);
    let scratch = scratch.map_err(|error| refusal(error.to_string(), "make room on the disk"))?;
    let definitions = state.engine.definitions().await.map_err(ErrorPage::from)?;
    let tables = read(&state.engine, move |store| tables(Some(store), &definitions)).await?;
    let order = QueryOrder {
        sql: asked.sql.clone(),
        as_of,
        lake: LakeSettings::of(&settings),
        params: settings.params,
        tables,
        memory_bytes: state.engine.project().orders.memory_bytes,
        threads: environment::cores(),
        scratch: scratch
            .as_ref()
            .map(|scratch| scratch.path().to_string_lossy().into_owned()),
        format,
    };
    let query = RunningQuery::start(&order, scratch)
        .await
        .map_err(|error| QueryFailure {
            failure: Failure::new(FailureClass::Internal, format!("the query cannot be started: {error}")),
            at: None,
        })?;
    Ok((room, query))
}

/// The result of a query.
pub async fn result(state: &WebState, asked: &Asked) -> Result<QueryResult, QueryFailure> {
    let watch = Stopwatch::start();
    let (_room, query) = start(state, asked, QueryFormat::Cells { most: MOST_ROWS }).await?;
    let whole = tokio::time::timeout(LONGEST, query.whole()).await;
    let text = whole.map_err(|_| {
        refusal(
            format!(
                "the query was stopped: it took more than {}",
                duration(LONGEST.as_micros() as i64)
            ),
            "ask for fewer rows or partitions, or download the whole result: that has no limit of time",
        )
    })??;
    let broken = |error: serde_json::Error| QueryFailure {
        failure: Failure::new(FailureClass::Internal, format!("the result cannot be read: {error}")),
        at: None,
    };
    let mut lines: Vec<&[u8]> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let foot: Foot = serde_json::from_slice(lines.pop().unwrap_or_default()).map_err(broken)?;
    let mut lines = lines.into_iter();
    let head: Head = serde_json::from_slice(lines.next().unwrap_or_default()).map_err(broken)?;
    let rows = lines
        .map(serde_json::from_slice)
        .collect::<Result<Vec<Row>, _>>()
        .map_err(broken)?;
    Ok(QueryResult {
        columns: head.columns,
        rows,
        cut: foot.cut,
        took: watch.elapsed().as_micros() as i64,
    })
}

struct CellView {
    text: Option<String>,
    class: &'static str,
}

struct ResultView {
    summary: String,
    columns: Vec<Column>,
    rows: Vec<Vec<CellView>>,
    chart: Option<Chart>,
}

fn cells(row: Row, columns: &[Column]) -> Vec<CellView> {
    let cells = row.0.into_iter().zip(columns).map(|(text, column)| CellView {
        text,
        class: if column.number { "number" } else { "clip" },
    });
    cells.collect()
}

struct FailureView {
    message: String,
    help: Option<String>,
    /// The line of the query and a caret below the place.
    place: Option<String>,
}

fn failure_view(failure: QueryFailure, sql: &str) -> FailureView {
    let place = failure.at.and_then(|(line, column)| {
        let text = sql.lines().nth((line as usize).checked_sub(1)?)?;
        let before: String = text.chars().take((column as usize).saturating_sub(1)).collect();
        // Tabs stay tabs, so that the caret stands where they lead.
        let blank: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        Some(format!("{text}\n{blank}^"))
    });
    FailureView {
        message: failure.failure.message,
        help: failure.failure.help,
        place,
    }
}

#[derive(Template)]
#[template(path = "query.html")]
struct QueryPage {
    frame: Frame,
    sql: String,
    as_of: String,
    share: String,
    tables: Vec<AssetKey>,
    more_tables: bool,
    result: Option<ResultView>,
    failure: Option<FailureView>,
    limits: String,
}

async fn show(
    state: &WebState,
    asked: Asked,
    found: Option<Result<QueryResult, QueryFailure>>,
) -> Result<Html<String>, ErrorPage> {
    let definitions = state.engine.definitions().await?;
    let known = definitions.ordered().iter().filter(|asset| asset.kind != "training");
    let mut tables: Vec<AssetKey> = known.map(|asset| asset.key.clone()).collect();
    tables.sort();
    let more_tables = tables.len() > OFFERED;
    tables.truncate(OFFERED);
    let (mut result, mut failure) = (None, None);
    match found {
        None => {}
        Some(Ok(found)) => {
            let rows = count(found.rows.len() as u64, "row", "rows");
            let cut = if found.cut { "the first " } else { "" };
            result = Some(ResultView {
                summary: format!("{cut}{rows} in {}", duration(found.took)),
                chart: draw(&found.columns, &found.rows),
                rows: found.rows.into_iter().map(|row| cells(row, &found.columns)).collect(),
                columns: found.columns,
            });
        }
        Some(Err(found)) => failure = Some(failure_view(found, &asked.sql)),
    }
    let as_of = given(asked.as_of).unwrap_or_default();
    let pairs = [
        ("sql", Some(asked.sql.clone()).filter(|sql| !sql.is_empty())),
        ("as_of", Some(as_of.clone()).filter(|text| !text.is_empty())),
    ];
    render(&QueryPage {
        frame: Frame::new(state, "Query", Section::Query),
        share: format!("/query{}", super::markup::query(&pairs)),
        sql: asked.sql,
        as_of,
        tables,
        more_tables,
        result,
        failure,
        limits: format!(
            "One SELECT that changes nothing. {} shown, {} at most, {AT_ONCE} queries at once, {} of memory each before it spills to disk; a download has all rows and no limit of time.",
            count(MOST_ROWS as u64, "row is", "rows are"),
            duration(LONGEST.as_micros() as i64),
            bytes(state.engine.project().orders.memory_bytes),
        ),
    })
}

/// `GET /query?sql=…&as_of=…`: the query in the editor, to be run by whoever follows the link.
pub async fn page(State(state): State<WebState>, Query(asked): Query<Asked>) -> Result<Html<String>, ErrorPage> {
    show(&state, asked, None).await
}

/// `POST /query`: the same with its result.
pub async fn run(State(state): State<WebState>, Form(asked): Form<Asked>) -> Result<Html<String>, ErrorPage> {
    let found = result(&state, &asked).await;
    show(&state, asked, Some(found)).await
}

/// `POST /query/csv`: all rows.
pub async fn csv(State(state): State<WebState>, Form(asked): Form<Asked>) -> Result<Response, ErrorPage> {
    download(&state, asked, QueryFormat::Csv, "text/csv; charset=utf-8", "result.csv").await
}

/// `POST /query/parquet`: all rows.
pub async fn parquet(State(state): State<WebState>, Form(asked): Form<Asked>) -> Result<Response, ErrorPage> {
    download(
        &state,
        asked,
        QueryFormat::Parquet,
        "application/vnd.apache.parquet",
        "result.parquet",
    )
    .await
}

async fn download(
    state: &WebState,
    asked: Asked,
    format: QueryFormat,
    kind: &'static str,
    name: &str,
) -> Result<Response, ErrorPage> {
    use futures::StreamExt;
    let begun = async {
        let (room, query) = start(state, &asked, format).await?;
        Ok::<_, QueryFailure>((room, query.stream().await?))
    };
    match begun.await {
        Ok((room, rows)) => {
            // The room is taken until the last row was sent.
            let rows = rows.map(move |piece| {
                let _room = &room;
                piece
            });
            let headers = [
                (header::CONTENT_TYPE, kind.to_owned()),
                (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
            ];
            Ok((headers, Body::from_stream(rows)).into_response())
        }
        // Why not is told beside the query.
        Err(failure) => {
            let page = show(state, asked, Some(Err(failure))).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// `POST /api/v1/query`: the result for programs.
pub async fn twin(State(state): State<WebState>, Json(asked): Json<Asked>) -> Result<Json<QueryResult>, ErrorJson> {
    let found = result(&state, &asked).await;
    found.map(Json).map_err(|failure| {
        let Failure { message, help, .. } = failure.failure;
        let text = help.map_or_else(|| message.clone(), |help| format!("{message}: {help}"));
        ErrorJson::new(StatusCode::UNPROCESSABLE_ENTITY, text)
    })
}

/// Whose columns are asked for.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct NamesAsked {
    table: Option<String>,
}

/// The names that a query may use.
#[derive(Debug, Clone, Default, Serialize, schemars::JsonSchema)]
pub struct Names {
    /// The tables, if none was named.
    pub tables: Vec<AssetKey>,
    /// The columns of the table that was named, with their types; none if it was never made.
    pub columns: BTreeMap<String, String>,
}

/// `GET /api/v1/query/names?table=silver.flights`
pub async fn names(State(state): State<WebState>, Query(asked): Query<NamesAsked>) -> Result<Json<Names>, ErrorJson> {
    let definitions = state.engine.definitions().await?;
    let Some(table) = given(asked.table) else {
        let tables = definitions.ordered().iter().filter(|asset| asset.kind != "training");
        return Ok(Json(Names {
            tables: tables.map(|asset| asset.key.clone()).collect(),
            columns: BTreeMap::new(),
        }));
    };
    let key = asset_key(&table)?;
    let wanted = key.clone();
    let Some(pointer) = read(&state.engine, move |store| store.pointer(&wanted)).await? else {
        return Ok(Json(Names::default()));
    };
    let cannot =
        |error: plugins::lakehouse::LakeError| ErrorJson::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let schema = state
        .engine
        .lake()
        .table(&key, &pointer)
        .await
        .map_err(cannot)?
        .schema()
        .map_err(cannot)?;
    let columns = schema
        .fields()
        .iter()
        .map(|field| (field.name().clone(), field.data_type().to_string()));
    Ok(Json(Names {
        tables: Vec::new(),
        columns: columns.collect(),
    }))
}
