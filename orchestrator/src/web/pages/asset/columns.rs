//! `/assets/{key}/columns`: the columns of an asset, their types, nulls and ranges, and where each comes from.

use askama::Template;
use assets::sql::{AssetColumn, ColumnOrigin};
use assets::{Asset, AssetKey, DeclaredColumn, PartitionKey};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Html;
use plugins::lakehouse::{ColumnFacts, table_facts};
use serde::{Deserialize, Serialize};

use super::super::figures::{bytes, count, number};
use super::super::frame::{Frame, Section};
use super::super::markup::{Markup, encode};
use super::super::{asset_key, given, render};
use super::head::{AssetHead, Brief, Tab};
use super::origins::{Origins, TrailStep};
use crate::snapshots::{MOST_FILES, TableTotals};
use crate::web::WebState;
use crate::web::reply::ErrorPage;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    partition: Option<String>,
    column: Option<String>,
    snapshot: Option<i64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ColumnsFacts {
    /// The asset.
    pub asset: AssetKey,
    /// The snapshot that is looked at; `None` if there is none. A text: it is larger than the numbers of many programs.
    pub snapshot: Option<String>,
    /// The partition that is looked at; `None` for all.
    pub partition: Option<PartitionKey>,
    /// What the table's own files tell; `None` if it was never made.
    pub table: Option<TableTotals>,
    /// Column by column.
    pub columns: Vec<ColumnLine>,
    /// What the asset reads outside the lakehouse.
    pub outside: Option<String>,
    /// Whether anything tells where columns come from: a program's do not.
    pub traced: bool,
    /// The way back from the column that was asked for, the nearest first.
    pub trail: Vec<TrailStep>,
    /// Columns of other assets that are made of it.
    pub used_by: Vec<AssetColumn>,
}

/// One column.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ColumnLine {
    /// Its name.
    pub name: String,
    /// What its table tells; `None` for a column that no table has yet.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub stored: Option<ColumnFacts>,
    /// Where it comes from; `None` if that cannot be told.
    pub origin: Option<ColumnOrigin>,
    /// What is declared of it.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub declared: Option<DeclaredColumn>,
}

/// The columns of an asset.
pub async fn facts(state: &WebState, key: &str, asked: &Asked) -> Result<ColumnsFacts, ErrorPage> {
    let brief = Brief::of(state, &asset_key(key)?).await?;
    gather(state, &brief, asked).await
}

async fn gather(state: &WebState, brief: &Brief, asked: &Asked) -> Result<ColumnsFacts, ErrorPage> {
    let asset = &brief.asset;
    let partition = given(asked.partition.clone())
        .map(|text| PartitionKey::new(&text))
        .transpose()
        .map_err(|error| ErrorPage::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let stored = match &brief.pointer {
        Some(pointer) => {
            let broken = |error: plugins::lakehouse::LakeError| ErrorPage::not_found(error.to_string());
            let table = state.engine.lake().table(&asset.key, pointer).await.map_err(broken)?;
            let facts = table_facts(&table, asked.snapshot, partition.as_ref(), MOST_FILES).await;
            Some(facts.map_err(broken)?)
        }
        None => None,
    };
    let mut origins = Origins::new(state).await?;
    let told = origins.of(&asset.key).await?;
    let origin = |name: &str| told.as_ref().and_then(|told| told.of(name));
    let columns: Vec<ColumnLine> = match &stored {
        Some(stored) => stored
            .columns
            .iter()
            .map(|column| ColumnLine {
                name: column.column.name.clone(),
                origin: origin(&column.column.name),
                declared: asset.contract.column(&column.column.name).cloned(),
                stored: Some(column.clone()),
            })
            .collect(),
        None => told
            .iter()
            .flat_map(|told| &told.columns)
            .map(|origin| not_stored(origin, asset))
            .collect(),
    };
    let (mut trail, mut used_by) = (Vec::new(), Vec::new());
    if let Some(wanted) = given(asked.column.clone()) {
        if !columns.iter().any(|column| column.name == wanted) {
            let nearest = assets::diagnostic::closest(&wanted, columns.iter().map(|column| column.name.as_str()));
            let page = ErrorPage::not_found(format!("{} has no column `{wanted}`", asset.key));
            return Err(match nearest {
                Some(nearest) => page.with_help(format!("did you mean `{nearest}`?")),
                None => page,
            });
        }
        trail = origins.trail(&asset.key, &wanted).await?;
        used_by = origins.used_by(&asset.key, &wanted).await?;
    }
    Ok(ColumnsFacts {
        asset: asset.key.clone(),
        snapshot: asked
            .snapshot
            .or(brief.pointer.as_ref().and_then(|pointer| pointer.snapshot_id))
            .map(|id| id.to_string()),
        partition,
        table: stored.as_ref().map(TableTotals::of),
        columns,
        outside: told.as_ref().and_then(|told| told.outside.clone()),
        traced: told.is_some(),
        trail,
        used_by,
    })
}

fn not_stored(origin: &ColumnOrigin, asset: &Asset) -> ColumnLine {
    ColumnLine {
        name: origin.column.clone(),
        declared: asset.contract.column(&origin.column).cloned(),
        stored: None,
        origin: Some(origin.clone()),
    }
}

struct ColumnView {
    name: String,
    /// What it holds, as declared.
    description: Option<String>,
    required: bool,
    /// What it was called before, as declared.
    was: Option<String>,
    tags: Vec<String>,
    href: String,
    chosen: bool,
    column_type: String,
    nulls: String,
    null_share: Option<Markup>,
    lowest: String,
    highest: String,
    origin: OriginView,
}

/// Where a column comes from, as pages show it.
struct OriginView {
    /// Name and page of each column it is made of.
    from: Vec<(String, String)>,
    expression: Option<String>,
    remark: Option<&'static str>,
}

struct StepView {
    depth: usize,
    name: String,
    href: String,
    origin: OriginView,
    outside: Option<String>,
}

#[derive(Template)]
#[template(path = "asset_columns.html")]
struct ColumnsPage {
    frame: Frame,
    head: AssetHead,
    columns: Vec<ColumnView>,
    summary: Option<String>,
    remark: Option<String>,
    partition: String,
    column: Option<String>,
    trail: Vec<StepView>,
    used_by: Vec<(String, String)>,
    outside: Option<String>,
    traced: bool,
}

/// `GET /assets/{key}/columns?column=dep_delay&partition=2013-03-01`
pub async fn page(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, ErrorPage> {
    let brief = Brief::of(&state, &asset_key(&key)?).await?;
    let facts = gather(&state, &brief, &asked).await?;
    let rows = facts.table.as_ref().map_or(0, |table| table.rows);
    let chosen = given(asked.column.clone());
    let partition = facts.partition.as_ref().map(ToString::to_string);
    let columns = facts.columns.iter().map(|column| ColumnView {
        description: column
            .declared
            .as_ref()
            .and_then(|declared| declared.description.clone()),
        required: column.declared.as_ref().is_some_and(|declared| declared.required),
        was: column
            .declared
            .as_ref()
            .and_then(|declared| (!declared.was.is_empty()).then(|| declared.was.join(", "))),
        tags: column
            .declared
            .as_ref()
            .map_or_else(Vec::new, |declared| declared.tags.clone()),
        href: format!("/assets/{}/columns?column={}#column", facts.asset, encode(&column.name)),
        chosen: chosen.as_deref() == Some(column.name.as_str()),
        column_type: column
            .stored
            .as_ref()
            .map_or_else(String::new, |stored| stored.column.column_type.clone()),
        nulls: column
            .stored
            .as_ref()
            .and_then(|stored| stored.nulls)
            .map_or_else(String::new, |nulls| nulls_in_words(nulls, rows)),
        null_share: column
            .stored
            .as_ref()
            .and_then(|stored| stored.nulls)
            .filter(|nulls| *nulls > 0 && rows > 0)
            .map(|nulls| share_bar(nulls as f64 / rows as f64)),
        lowest: bound(column.stored.as_ref().and_then(|stored| stored.lowest.as_ref())),
        highest: bound(column.stored.as_ref().and_then(|stored| stored.highest.as_ref())),
        origin: origin_view(column.origin.as_ref(), facts.outside.is_some()),
        name: column.name.clone(),
    });
    let summary = facts.table.as_ref().filter(|table| table.measured).map(|table| {
        format!(
            "{} in {}, {}",
            count(table.rows, "row", "rows"),
            count(table.files, "file", "files"),
            bytes(table.bytes)
        )
    });
    let remark = facts.table.as_ref().and_then(|table| {
        if !table.measured {
            let most = number(MOST_FILES);
            return Some(format!(
                "The table has more than {most} files: nulls and ranges are not gathered."
            ));
        }
        table
            .with_deleted_rows
            .then(|| "Rows that another program deleted still count here.".to_owned())
    });
    let trail = facts.trail.iter().map(|step| StepView {
        depth: step.distance.min(6),
        name: format!("{}.{}", step.asset, step.origin.column),
        href: column_href(&step.asset, &step.origin.column),
        origin: origin_view(step.known.then_some(&step.origin), step.outside.is_some()),
        outside: step.outside.clone().filter(|_| step.origin.from.is_empty()),
    });
    render(&ColumnsPage {
        frame: Frame::new(&state, format!("{} columns", facts.asset), Section::Assets),
        head: brief.head(partition.clone(), Tab::Columns),
        columns: columns.collect(),
        summary,
        remark,
        partition: partition.unwrap_or_default(),
        column: chosen,
        trail: trail.collect(),
        used_by: facts.used_by.iter().map(named).collect(),
        outside: facts.outside.clone(),
        traced: facts.traced,
    })
}

fn column_href(asset: &AssetKey, column: &str) -> String {
    format!("/assets/{asset}/columns?column={}#column", encode(column))
}

/// Name and page of a column.
fn named(column: &AssetColumn) -> (String, String) {
    match &column.column {
        Some(name) => (format!("{}.{name}", column.asset), column_href(&column.asset, name)),
        None => (column.asset.to_string(), format!("/assets/{}", column.asset)),
    }
}

fn origin_view(origin: Option<&ColumnOrigin>, outside: bool) -> OriginView {
    let Some(origin) = origin else {
        return OriginView {
            from: Vec::new(),
            expression: None,
            remark: (!outside).then_some("not told by its declaration"),
        };
    };
    OriginView {
        from: origin.from.iter().map(named).collect(),
        expression: origin.expression.clone(),
        remark: (!origin.traced).then_some("and something that could not be traced"),
    }
}

fn nulls_in_words(nulls: u64, rows: u64) -> String {
    if nulls == 0 || rows == 0 {
        return "none".to_owned();
    }
    if nulls >= rows {
        return "all".to_owned();
    }
    let share = nulls as f64 / rows as f64 * 100.0;
    if share < 0.1 {
        number(nulls)
    } else {
        format!("{share:.1} %")
    }
}

fn bound(value: Option<&String>) -> String {
    value.map_or_else(String::new, |text| {
        let mut short: String = text.chars().take(40).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        short
    })
}

fn share_bar(share: f64) -> Markup {
    let width = (share * 100.0).clamp(1.0, 100.0);
    Markup(format!(
        "<svg class=\"share nulls\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{width:.1}\" height=\"6\"/></svg>"
    ))
}
