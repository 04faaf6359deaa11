//! `/assets/{key}/rows`: rows of a table as a person looks at them: some of a snapshot, of all of it or of one partition.
//!
//! A worker reads them: the daemon runs no query.

use askama::Template;
use assets::outcome::Sample;
use assets::{AssetKey, PartitionKey};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Html;
use plugins::lakehouse::{columns, history};
use plugins::query::RowsOrder;
use serde::{Deserialize, Serialize};

use super::super::figures::number;
use super::super::frame::{Frame, Section, page_clock};
use super::super::markup::query;
use super::super::{asset_key, given, render};
use super::head::{AssetHead, Brief, Tab};
use crate::edge::messages::{TableAnswer, TableQuestion};
use crate::web::WebState;
use crate::web::reply::ErrorPage;

const ON_A_PAGE: u64 = 50;
/// Rows that may be passed over: each is read again.
const MOST_SKIPPED: u64 = 1_000_000;
/// Snapshots to choose from.
const SNAPSHOTS: usize = 40;
/// Bytes that the query may hold: it only passes rows on.
const MEMORY_BYTES: u64 = 256 << 20;

/// What is asked. Empty fields of a form are no values.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    partition: Option<String>,
    snapshot: Option<String>,
    skip: Option<u64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct RowsFacts {
    /// The asset.
    pub asset: AssetKey,
    /// The snapshot that is shown; `None` if the asset was never made. A text: it is larger than the numbers of many programs.
    pub snapshot: Option<String>,
    /// The partition that is shown; `None` for all.
    pub partition: Option<PartitionKey>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Their types.
    pub types: Vec<String>,
    /// Rows in the order of the table's files, each value as text and `null` as null.
    pub rows: Vec<Vec<Option<String>>>,
    /// How many rows stand before these.
    pub skip: u64,
    /// Pass as `skip` for those after these.
    pub next: Option<u64>,
    /// Why the rows could not be read.
    pub failure: Option<String>,
}

/// Some rows of an asset.
pub async fn facts(state: &WebState, key: &str, asked: &Asked) -> Result<RowsFacts, ErrorPage> {
    let brief = Brief::of(state, &asset_key(key)?).await?;
    Ok(gather(state, &brief, asked).await?.0)
}

/// The rows, and the snapshots to choose from: id and when it was made.
async fn gather(state: &WebState, brief: &Brief, asked: &Asked) -> Result<(RowsFacts, Vec<(String, i64)>), ErrorPage> {
    let asset = &brief.asset;
    let partition = given(asked.partition.clone())
        .map(|text| PartitionKey::new(&text))
        .transpose()
        .map_err(|error| ErrorPage::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    if let (Some(partition), Some(by)) = (&partition, &asset.partitions)
        && !by.partitioning.contains(partition)
    {
        return Err(
            ErrorPage::not_found(format!("{} has no partition `{partition}`", asset.key))
                .with_help(format!("its partitions are {}", by.partitioning.describe())),
        );
    }
    let skip = asked.skip.unwrap_or(0);
    if skip > MOST_SKIPPED {
        let most = number(MOST_SKIPPED);
        return Err(ErrorPage::new(
            StatusCode::BAD_REQUEST,
            format!("no more than {most} rows are passed over"),
        )
        .with_help("choose a partition, or ask with `millpond query`"));
    }
    let mut facts = RowsFacts {
        asset: asset.key.clone(),
        snapshot: None,
        partition: partition.clone(),
        columns: Vec::new(),
        types: Vec::new(),
        rows: Vec::new(),
        skip,
        next: None,
        failure: None,
    };
    let Some(pointer) = &brief.pointer else {
        return Ok((facts, Vec::new()));
    };
    let broken = |error: plugins::lakehouse::LakeError| ErrorPage::not_found(error.to_string());
    let table = state.engine.lake().table(&asset.key, pointer).await.map_err(broken)?;
    let snapshot = match given(asked.snapshot.clone()) {
        Some(text) => Some(text.parse::<i64>().map_err(|_| {
            ErrorPage::new(
                StatusCode::BAD_REQUEST,
                format!("`{text}` is no snapshot: it is a number"),
            )
        })?),
        None => None,
    };
    let types = columns(&table, snapshot).map_err(broken)?;
    let known = history(&table).map_err(broken)?;
    facts.snapshot = snapshot.or(pointer.snapshot_id).map(|id| id.to_string());
    facts.types = types.into_iter().map(|column| column.column_type).collect();
    let order = RowsOrder {
        asset: asset.key.clone(),
        pointer: pointer.clone(),
        snapshot,
        partition: partition.filter(|_| asset.partitions.is_some()),
        skip,
        most: ON_A_PAGE + 1,
        memory_bytes: MEMORY_BYTES,
    };
    match state.engine.table(TableQuestion::Rows(order)).await {
        Ok(TableAnswer::Changes(_)) => facts.failure = Some("an answer to another question".to_owned()),
        Ok(TableAnswer::Rows(Sample { columns, mut rows })) => {
            if rows.len() as u64 > ON_A_PAGE {
                rows.truncate(ON_A_PAGE as usize);
                facts.next = Some(skip + ON_A_PAGE);
            }
            facts.columns = columns;
            facts.rows = rows;
        }
        Err(failure) => {
            let help = failure.help.map_or_else(String::new, |help| format!(": {help}"));
            facts.failure = Some(format!("{}{help}", failure.message));
        }
    }
    let choices = known
        .iter()
        .take(SNAPSHOTS)
        .map(|info| (info.id.to_string(), info.timestamp_ms * 1000));
    Ok((facts, choices.collect()))
}

struct SnapshotChoice {
    id: String,
    text: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "asset_rows.html")]
struct RowsPage {
    frame: Frame,
    head: AssetHead,
    made: bool,
    snapshots: Vec<SnapshotChoice>,
    partition: String,
    /// Name, type, whether it is shown to the right.
    columns: Vec<(String, String, bool)>,
    rows: Vec<(u64, Vec<Option<String>>)>,
    first: u64,
    last: u64,
    newer: Option<String>,
    next: Option<String>,
    failure: Option<String>,
    narrowed: bool,
}

/// `GET /assets/{key}/rows?partition=2013-03-01&snapshot=1234&skip=50`
pub async fn page(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, ErrorPage> {
    let brief = Brief::of(&state, &asset_key(&key)?).await?;
    let (facts, choices) = gather(&state, &brief, &asked).await?;
    let clock = page_clock(&state);
    let partition = facts.partition.as_ref().map(ToString::to_string);
    let chosen = given(asked.snapshot.clone());
    let at = |skip: u64| {
        let pairs = [
            ("partition", partition.clone()),
            ("snapshot", chosen.clone()),
            ("skip", (skip > 0).then(|| skip.to_string())),
        ];
        format!("/assets/{}/rows{}", facts.asset, query(&pairs))
    };
    let numeric = |column_type: &str| {
        ["int", "long", "float", "double"].contains(&column_type) || column_type.starts_with("decimal")
    };
    let types = facts.types.iter().map(String::as_str).chain(std::iter::repeat(""));
    let columns = facts
        .columns
        .iter()
        .zip(types)
        .map(|(name, column_type)| (name.clone(), column_type.to_owned(), numeric(column_type)));
    render(&RowsPage {
        frame: Frame::new(&state, format!("{} rows", facts.asset), Section::Assets),
        head: brief.head(partition.clone(), Tab::Rows),
        made: facts.snapshot.is_some(),
        snapshots: choices
            .into_iter()
            .enumerate()
            .map(|(place, (id, made))| SnapshotChoice {
                text: format!("{}{}", clock.plain(made), if place == 0 { ", the newest" } else { "" }),
                chosen: chosen.as_ref() == Some(&id),
                id,
            })
            .collect(),
        columns: columns.collect(),
        first: facts.skip + 1,
        last: facts.skip + facts.rows.len() as u64,
        newer: (facts.skip > 0).then(|| at(facts.skip.saturating_sub(ON_A_PAGE))),
        next: facts.next.map(at),
        rows: (facts.skip + 1..).zip(facts.rows.iter().cloned()).collect(),
        narrowed: partition.is_some() || chosen.is_some(),
        failure: facts.failure.clone(),
        partition: partition.unwrap_or_default(),
    })
}
