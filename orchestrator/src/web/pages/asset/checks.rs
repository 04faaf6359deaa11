//! `/assets/{key}/checks`: how each check stands, and what one of them found over time.

use std::collections::BTreeMap;

use askama::Template;
use assets::AssetKey;
use axum::extract::{Path, Query, State};
use axum::response::Html;
use serde::{Deserialize, Serialize};
use state::sqlite::queries::checks::{CheckRow, Standing, history, standing_of_newest};

use super::super::figures::{figure, number};
use super::super::frame::{Frame, Section, page_clock};
use super::super::markup::query;
use super::super::plots::{Plot, Point, line};
use super::super::{asset_key, given, read, render};
use super::facts::CheckTick;
use super::head::{AssetHead, Brief, Tab};
use super::views::{CheckView, check_view};
use crate::web::WebState;
use crate::web::reply::ErrorPage;

const CHECKS: usize = 200;
/// Results of each check that are drawn, and checks of which they are.
const RESULTS: usize = 40;
const DRAWN: usize = 60;
const ON_A_PAGE: usize = 30;
/// Of more partitions than this, only the newest are looked at, and those that failed.
pub(super) const PARTITIONS: usize = 1000;
/// Results that are plotted.
const PLOTTED: usize = 200;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    check: Option<String>,
    before: Option<i64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ChecksFacts {
    /// The asset.
    pub asset: AssetKey,
    /// How each check stands over all partitions; of very many, over the newest and those that failed.
    pub checks: Vec<Standing>,
    /// The last results of each, oldest first.
    pub results: BTreeMap<String, Vec<CheckTick>>,
    /// The check that was asked for.
    pub check: Option<String>,
    /// What it found, newest first.
    pub found: Vec<CheckRow>,
    /// Pass as `before` for the results before these.
    pub next: Option<i64>,
    /// More of them, for a plot.
    #[serde(skip)]
    plotted: Vec<CheckRow>,
}

/// The checks of an asset.
pub async fn facts(state: &WebState, key: &str, asked: &Asked) -> Result<ChecksFacts, ErrorPage> {
    let brief = Brief::of(state, &asset_key(key)?).await?;
    gather(state, &brief, asked).await
}

async fn gather(state: &WebState, brief: &Brief, asked: &Asked) -> Result<ChecksFacts, ErrorPage> {
    let asset = brief.asset.key.clone();
    let (check, before) = (given(asked.check.clone()), asked.before);
    let facts = read(&state.engine, move |store| {
        let checks = standing_of_newest(store, &asset, CHECKS, PARTITIONS)?;
        let mut results = BTreeMap::new();
        for check in checks.iter().take(DRAWN) {
            let name = &check.worst.result.name;
            let mut last = history(store, &asset, name, None, RESULTS)?.rows;
            last.reverse();
            results.insert(name.clone(), last.iter().map(CheckTick::of).collect());
        }
        let (mut found, mut next, mut plotted) = (Vec::new(), None, Vec::new());
        if let Some(name) = &check {
            let page = history(store, &asset, name, before, ON_A_PAGE)?;
            (found, next) = (page.rows, page.next);
            plotted = history(store, &asset, name, None, PLOTTED)?.rows;
            plotted.reverse();
        }
        Ok(ChecksFacts {
            asset,
            checks,
            results,
            check,
            found,
            next,
            plotted,
        })
    });
    facts.await
}

struct StandingView {
    check: CheckView,
    partitions: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "asset_checks.html")]
struct ChecksPage {
    frame: Frame,
    head: AssetHead,
    checks: Vec<StandingView>,
    declared: usize,
    check: Option<String>,
    found: Vec<CheckView>,
    plot: Option<Plot>,
    next: Option<String>,
}

/// `GET /assets/{key}/checks?check=not_null(carrier)`
pub async fn page(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, ErrorPage> {
    let brief = Brief::of(&state, &asset_key(&key)?).await?;
    let facts = gather(&state, &brief, &asked).await?;
    let clock = page_clock(&state);
    let checks = facts.checks.iter().map(|check| {
        let ticks = facts.results.get(&check.worst.result.name);
        StandingView {
            chosen: facts.check.as_ref() == Some(&check.worst.result.name),
            check: check_view(&check.worst, ticks.map(Vec::as_slice), &clock),
            partitions: match (check.failing, check.partitions) {
                (0, all) => format!("all {}", number(all)),
                (failing, all) => format!("{} of {} did not pass", number(failing), number(all)),
            },
        }
    });
    let points: Vec<Point> = facts
        .plotted
        .iter()
        .filter_map(|row| {
            let value = row.result.figure?;
            let of = row
                .step
                .partition
                .as_ref()
                .map_or_else(String::new, |key| format!("{key}: "));
            Some(Point {
                value,
                label: format!("{of}{}, {}", figure(value), clock.plain(row.at)),
                href: None,
            })
        })
        .collect();
    render(&ChecksPage {
        frame: Frame::new(&state, format!("{} checks", facts.asset), Section::Assets),
        head: brief.head(None, Tab::Checks),
        checks: checks.collect(),
        declared: brief.asset.checks.len(),
        found: facts.found.iter().map(|row| check_view(row, None, &clock)).collect(),
        plot: line("found", &points, &figure),
        next: facts.next.map(|next| {
            let pairs = [("check", facts.check.clone()), ("before", Some(next.to_string()))];
            format!("/assets/{}/checks{}#results", facts.asset, query(&pairs))
        }),
        check: facts.check,
    })
}
