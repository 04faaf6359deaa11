//! `/assets/{key}` and the pages beside it: one asset, its state and why, its partitions, checks, history and code.
//!
//! | file | page |
//! |---|---|
//! | `facts`, `views` | `/assets/{key}` itself: what is known, and how it is shown |
//! | `columns` | `/assets/{key}/columns`: types, nulls, ranges, and where each comes from |
//! | `rows` | `/assets/{key}/rows`: the first rows of a snapshot or a partition |
//! | `changes` | what changed from one snapshot to another |
//! | `snapshots` | `/assets/{key}/snapshots`: what was, and what changed between two |
//! | `checks` | `/assets/{key}/checks`: what each check found over time |
//! | `origins` | where columns come from, from asset to asset |
//! | `head` | what stands above all of them |

mod changes;
pub mod checks;
pub mod columns;
mod facts;
mod head;
mod origins;
pub mod rows;
pub mod snapshots;
mod views;

use askama::Template;
use assets::quantity::length;
use assets::{Asset, AssetKey, PartitionKey, WriteMode};
use axum::extract::{Path, Query, State};
use axum::response::Html;
use serde::Deserialize;

pub use self::facts::{AssetFacts, facts};
use self::facts::{Neighbour, grid_choice};
use self::head::{AssetHead, Tab};
use self::views::{
    CheckView, MadeView, NeighbourView, PartitionView, RangeView, check_view, failed, has_figures, made_view,
    partition_view, plots,
};
use super::super::WebState;
use super::super::reply::ErrorPage;
use super::automation::{FreshnessView, UpkeepView, freshness_view, upkeep_view};
use super::failures::{self, FailureView};
use super::figures::{bytes, count, number};
use super::frame::{Frame, Section, page_clock};
use super::grid::{self, Grid};
use super::markup::{Markup, query};
use super::partition_states::PartitionStates;
use super::plots::{Plot, Point, bars};
use super::tone::{Tone, bar, health_parts};
use super::{given, highlight, render};

/// Entries that failed partitions become.
const FAILED_SHOWN: usize = 5;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    partition: Option<String>,
    year: Option<i16>,
    before: Option<i64>,
    notice: Option<String>,
    /// The first partition of a stretch that is being chosen, and its last.
    from: Option<String>,
    to: Option<String>,
}

#[derive(Template)]
#[template(path = "asset.html")]
struct AssetPage {
    frame: Frame,
    head: AssetHead,
    key: AssetKey,
    details: Vec<(&'static str, String)>,
    reads: Vec<NeighbourView>,
    read_by: Vec<NeighbourView>,
    reasons: Vec<(String, Option<String>)>,
    problems: Vec<String>,
    bar: Option<Markup>,
    grid: Option<Grid>,
    ranges: Vec<RangeView>,
    more_ranges: usize,
    sizes: Option<Markup>,
    plots: Vec<Plot>,
    from: String,
    to: String,
    choosing: bool,
    partition: Option<PartitionView>,
    checks: Vec<CheckView>,
    declared_checks: usize,
    failures: Vec<FailureView>,
    made: Vec<MadeView>,
    figures: bool,
    next: Option<String>,
    code: Option<Markup>,
    code_lines: usize,
    code_name: String,
    is_model: bool,
    notice: Option<String>,
    freshness: Option<FreshnessView>,
    late_before: Vec<(Markup, Markup, String)>,
    automation: Option<UpkeepView>,
}

/// `GET /assets/{key}?partition=2013-03-01&year=2013&before=17`
pub async fn page(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&state, &key, &asked).await?;
    let clock = page_clock(&state);
    let asset = &facts.asset;
    let chosen = facts.partition.as_ref().and_then(|partition| partition.key.clone());
    let choice = grid_choice(&asked, chosen.clone());
    let grid = facts
        .partition_states
        .as_ref()
        .map(|states| grid::draw(&asset.key, states, &choice));
    let text = |key: Option<&PartitionKey>| key.map_or_else(String::new, ToString::to_string);
    let sizes = facts
        .partition_states
        .as_ref()
        .and_then(|states| sizes(&facts, states, &choice));
    let ranges = facts.partition_ranges.iter().map(|range| RangeView {
        range: if range.from == range.to {
            range.from.to_string()
        } else {
            format!("{} … {}", range.from, range.to)
        },
        count: number(range.partitions as u64),
        state: Tone::from(range.state).state(range.state.word()),
    });
    let all_ranges = facts.partition_states.as_ref().map_or(0, PartitionStates::range_count);
    let (code, code_name, is_sql) = code_of(asset);
    let code_lines = code.as_ref().map_or(0, |code| code.lines().count());
    let code = code.map(|code| {
        let reads = |key: &AssetKey| asset.inputs.iter().any(|input| input.asset == *key);
        if is_sql {
            highlight::sql(&code, &reads)
        } else {
            Markup(super::markup::escape(code))
        }
    });
    let reasons = facts.reasons.iter().take(5).map(|reason| {
        let first = reason.first.as_ref().map(|first| {
            let others = count(reason.partitions as u64, "partition", "partitions");
            if reason.partitions == 1 {
                first.to_string()
            } else {
                format!("{others}, first {first}")
            }
        });
        (reason.reason.clone(), first)
    });
    let view = |neighbour: &Neighbour| NeighbourView {
        key: neighbour.asset.clone(),
        mark: if neighbour.running {
            Tone::Busy.mark()
        } else {
            Tone::from(neighbour.state).mark()
        },
        mapping: neighbour.mapping.clone(),
    };
    render(&AssetPage {
        frame: Frame::new(&state, asset.key.as_str(), Section::Assets),
        head: AssetHead::new(
            asset,
            facts.state,
            facts.running,
            chosen.as_ref().map(ToString::to_string),
            Tab::Overview,
        ),
        details: details(&facts),
        reads: facts.reads.iter().map(view).collect(),
        read_by: facts.read_by.iter().map(view).collect(),
        reasons: reasons.collect(),
        problems: facts.problems.clone(),
        bar: asset.partitions.is_some().then(|| bar(&health_parts(&facts.health))),
        grid,
        more_ranges: all_ranges - facts.partition_ranges.len(),
        ranges: ranges.collect(),
        sizes,
        plots: plots(&facts.plotted, &clock),
        from: text(choice.from.as_ref()),
        to: text(choice.to.as_ref()),
        choosing: choice.from.is_some() && choice.to.is_none(),
        partition: facts
            .partition
            .as_ref()
            .map(|partition| partition_view(&asset.key, partition, &clock)),
        checks: facts
            .checks
            .iter()
            .map(|check| {
                let ticks = facts.check_results.get(&check.result.name);
                check_view(check, ticks.map(Vec::as_slice), &clock)
            })
            .collect(),
        declared_checks: asset.checks.len(),
        failures: failures::group(
            facts.failed_partitions.iter().filter_map(|row| failed(&asset.key, row)),
            FAILED_SHOWN,
            &clock,
        )
        .0,
        figures: facts.materializations.iter().any(has_figures),
        made: facts
            .materializations
            .iter()
            .map(|made| made_view(made, &clock))
            .collect(),
        next: facts.next.map(|next| {
            format!(
                "/assets/{}{}#history",
                asset.key,
                query(&[("before", Some(next.to_string()))])
            )
        }),
        code,
        code_lines,
        code_name,
        is_model: asset.kind == "training",
        notice: given(asked.notice),
        freshness: facts.freshness.as_ref().map(|now| freshness_view(now, &clock)),
        late_before: facts
            .freshness_changes
            .iter()
            .map(|change| {
                let state = Tone::from(change.state).state(change.state.words());
                (clock.when(change.at), state, change.reason.clone())
            })
            .collect(),
        automation: facts.automation.as_ref().map(|now| {
            let one = chosen.is_some() || asset.partitions.is_none();
            upkeep_view(now, &facts.requests, one, &clock)
        }),
        key: asset.key.clone(),
    })
}

/// What is declared and what is stored, as pairs.
fn details(facts: &AssetFacts) -> Vec<(&'static str, String)> {
    let asset = &facts.asset;
    let mut details = Vec::new();
    if let Some(sums) = facts.sums.as_ref().filter(|_| asset.kind != "training") {
        if sums.materialized > 0 {
            details.push(("Rows", number(sums.rows)));
            details.push(("Size", bytes(sums.bytes)));
        }
        if sums.counts_less(facts.health.partitions) {
            details.push((
                "Not counted",
                "rows of partitions that were not made since the table was cut into these; they are in it".to_owned(),
            ));
        }
    }
    if let Some(by) = &asset.partitions {
        details.push((
            "Partitions",
            format!("{}, by {}: {}", by.name, by.column, by.partitioning.describe()),
        ));
    }
    if !asset.key_columns.is_empty() {
        details.push(("Key", asset.key_columns.join(", ")));
    }
    if !asset.sort_columns.is_empty() {
        details.push(("Sorted by", asset.sort_columns.join(", ")));
    }
    if asset.write != WriteMode::Replace {
        details.push(("Writes", asset.write.as_str().to_owned()));
    }
    if !facts.published_with.is_empty() {
        let others: Vec<&str> = facts.published_with.iter().map(AssetKey::as_str).collect();
        details.push(("Published with", others.join(", ")));
    }
    if let Some(freshness) = &asset.freshness {
        details.push(("Freshness", freshness.describe()));
    }
    if let Some(automation) = &asset.automation {
        details.push(("Automation", automation.describe()));
    }
    let rules = &asset.rules;
    if let Some(retry) = &rules.retry {
        let wait = length(retry.delay_seconds);
        details.push(("Retries", format!("{}, the first after {wait}", retry.max)));
    }
    if let Some(seconds) = rules.timeout_seconds {
        details.push(("Timeout", length(seconds)));
    }
    if !rules.pools.is_empty() {
        details.push(("Pools", rules.pools.join(", ")));
    }
    if let Some(memory) = rules.memory_bytes {
        details.push(("Memory", bytes(memory)));
    }
    if let Some(source) = &facts.source {
        details.push((
            "Sources",
            format!("{}, {}", count(source.files, "file", "files"), bytes(source.bytes)),
        ));
    }
    details.push((
        "Declared in",
        format!("{}:{}", asset.declared_at.file, asset.declared_at.line),
    ));
    details
}

/// The rows of each partition that the drawing shows, side by side.
fn sizes(facts: &AssetFacts, states: &PartitionStates, choice: &grid::Choice) -> Option<Markup> {
    let shown = grid::shown(states, choice);
    let mut points: Vec<Option<Point>> = vec![None; shown.len()];
    for size in &facts.partition_sizes {
        let place = states
            .partitioning()
            .index_of(&size.partition)?
            .checked_sub(shown.start)?;
        if let Some(point) = points.get_mut(place) {
            *point = Some(Point {
                value: size.rows as f64,
                label: format!(
                    "{}: {}, {}",
                    size.partition,
                    count(size.rows, "row", "rows"),
                    bytes(size.bytes)
                ),
                href: None,
            });
        }
    }
    bars("rows of each partition", &points)
}

/// The text that makes the rows: a query, a command, or the kind's settings. Its name, and whether it is a query.
fn code_of(asset: &Asset) -> (Option<String>, String, bool) {
    let config = &asset.config;
    let query = config
        .get("sql")
        .is_some()
        .then_some(config)
        .or_else(|| config.get("query").filter(|query| query.get("sql").is_some()));
    if let Some(query) = query {
        let text = query
            .get("sql")
            .and_then(serde_json::Value::as_str)
            .map(|sql| sql.trim_matches('\n').to_owned());
        let name = query.get("file").and_then(serde_json::Value::as_str).unwrap_or("SQL");
        return (text, name.to_owned(), true);
    }
    let text = match config {
        serde_json::Value::Null => None,
        config => serde_json::to_string_pretty(config).ok(),
    };
    (text, "Settings".to_owned(), false)
}
