//! `/`: what runs, what ran, and the state of every asset.

use askama::Template;
use assets::AssetKey;
use axum::extract::State;
use axum::response::Html;
use serde::Serialize;
use state::event::Micros;
use state::sqlite::queries::alerts::{AlertCounts, counts};
use state::sqlite::queries::runs::{RunFilter, RunRow, runs};
use state::status::RunStatus;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::assets_state::{AssetLine, asset_lines, by_layer};
use super::figures::{NOTHING, bytes, count, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, query};
use super::runs::RunLine;
use super::tone::{Tone, asset_state, bar, health_parts, in_words};
use super::{read, render};
use crate::core::HealthState;

const RECENT: usize = 8;
const OPEN: usize = 20;
/// How many schedules to come are told.
const SOON: usize = 3;

/// What the page says.
#[derive(Debug, Clone, Serialize)]
pub struct OverviewFacts {
    /// Runs that are not over, newest first.
    pub open: Vec<RunRow>,
    /// The newest runs that are.
    pub recent: Vec<RunRow>,
    /// What starts next by the clock.
    pub coming: Vec<Coming>,
    /// How much is wrong that alerts are about, and what could not be told.
    pub alerts: AlertCounts,
    /// Every asset.
    pub assets: Vec<AssetLine>,
    /// Why nothing can be committed, if so.
    pub trouble: Option<String>,
}

/// A schedule and its next instant.
#[derive(Debug, Clone, Serialize)]
pub struct Coming {
    /// The schedule.
    pub schedule: String,
    /// When it is due.
    pub instant: Micros,
}

/// A number with its state.
struct Tile {
    mark: Markup,
    number: String,
    word: &'static str,
    detail: String,
    href: String,
    zero: bool,
}

/// An asset as a tile of its layer.
struct Card {
    key: AssetKey,
    kind: String,
    state: Markup,
    bar: Markup,
    class: &'static str,
    rows: String,
    when: Markup,
    words: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    open: Vec<RunLine>,
    recent: Vec<RunLine>,
    coming: Vec<(String, String, Markup)>,
    alerts: Vec<Markup>,
    tiles: Vec<Tile>,
    late: Vec<(AssetKey, Markup, String)>,
    layers: Vec<(String, Vec<Card>)>,
    totals: String,
}

/// What the page says now.
pub async fn facts(state: &WebState) -> Result<OverviewFacts, ErrorPage> {
    let (open, recent, alerts) = read(&state.engine, |store| {
        let mut open = Vec::new();
        for status in [RunStatus::Running, RunStatus::Canceling, RunStatus::Queued] {
            open.extend(
                runs(
                    store,
                    &RunFilter {
                        status: Some(status),
                        asset: None,
                    },
                    None,
                    OPEN,
                )?
                .rows,
            );
        }
        open.sort_by_key(|run| std::cmp::Reverse(run.seq));
        let mut recent = runs(store, &RunFilter::default(), None, RECENT + open.len())?.rows;
        recent.retain(|run| run.status.is_terminal());
        recent.truncate(RECENT);
        Ok((open, recent, counts(store)?))
    })
    .await?;
    let coming = state.engine.driver().ask(|world, _| world.coming(SOON)).await;
    let coming = coming.unwrap_or_default().into_iter().map(|(schedule, due)| Coming {
        schedule,
        instant: due.instant,
    });
    let assets = asset_lines(state).await?;
    let trouble = state.engine.driver().trouble().borrow().clone();
    Ok(OverviewFacts {
        open,
        recent,
        coming: coming.collect(),
        alerts,
        assets,
        trouble,
    })
}

/// `GET /`
pub async fn page(State(state): State<WebState>) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&state).await?;
    let clock = page_clock(&state);
    let lines = |runs: &[RunRow]| runs.iter().map(|run| RunLine::new(run, &clock)).collect::<Vec<_>>();
    let sums = facts.assets.iter().filter_map(|line| line.sums.as_ref());
    let (rows, size) = sums.fold((0, 0), |(rows, size), sums| (rows + sums.rows, size + sums.bytes));
    let totals = format!(
        "{}, {}, {}",
        count(facts.assets.len() as u64, "asset", "assets"),
        count(rows, "row", "rows"),
        bytes(size)
    );
    let tiles = tiles(&facts.assets);
    let bad = facts.assets.iter().filter_map(|line| {
        let now = line.freshness.as_ref().filter(|now| now.state.is_bad())?;
        let state = Tone::from(now.state).state(now.state.words());
        Some((line.asset.clone(), state, now.reason.clone()))
    });
    let late: Vec<_> = bad.collect();
    let cards = facts.assets.into_iter().map(|line| Card {
        state: asset_state(line.state, line.running),
        bar: bar(&health_parts(&line.health)),
        class: line.tone().class(),
        rows: line
            .sums
            .as_ref()
            .filter(|sums| sums.rows > 0)
            .map_or_else(String::new, |sums| count(sums.rows, "row", "rows")),
        when: line
            .sums
            .as_ref()
            .and_then(|sums| sums.last_at)
            .map_or_else(|| Markup(NOTHING.to_owned()), |at| clock.when(at)),
        words: if line.partitioned.is_some() {
            in_words(&health_parts(&line.health))
        } else {
            String::new()
        },
        key: line.asset,
        kind: line.kind,
    });
    render(&OverviewPage {
        frame: Frame::new(&state, "Overview", Section::Overview),
        open: lines(&facts.open),
        recent: lines(&facts.recent),
        coming: facts
            .coming
            .into_iter()
            .map(|coming| {
                let href = format!("/schedules{}", query(&[("schedule", Some(coming.schedule.clone()))]));
                (coming.schedule, href, clock.when(coming.instant))
            })
            .collect(),
        alerts: badges(facts.alerts),
        tiles,
        late,
        layers: by_layer(cards.collect(), |card| &card.key),
        totals,
    })
}

/// What of alerts has to be looked at.
fn badges(alerts: AlertCounts) -> Vec<Markup> {
    let badge =
        |count: u64, tone: Tone, one: &str, more: &str| (count > 0).then(|| tone.state(&self::count(count, one, more)));
    let badges = [
        badge(alerts.open, Tone::Bad, "open alert", "open alerts"),
        badge(alerts.failed, Tone::Bad, "message given up", "messages given up"),
        badge(
            alerts.retried,
            Tone::Warn,
            "message tried again",
            "messages tried again",
        ),
    ];
    badges.into_iter().flatten().collect()
}

fn tiles(assets: &[AssetLine]) -> Vec<Tile> {
    let states = [
        (HealthState::Fresh, "up to date"),
        (HealthState::Stale, "stale"),
        (HealthState::Failed, "failed"),
        (HealthState::Missing, "never made"),
        (HealthState::Waiting, "waiting"),
    ];
    let tiles = states.into_iter().map(|(state, word)| {
        let here = assets.iter().filter(|line| line.state == state).count() as u64;
        let partitions: usize = assets
            .iter()
            .map(|line| match state {
                HealthState::Fresh => line.health.fresh,
                HealthState::Stale => line.health.stale,
                HealthState::Failed => line.health.failed,
                HealthState::Missing => line.health.missing,
                HealthState::Waiting => line.health.waiting,
            })
            .sum();
        Tile {
            mark: Tone::from(state).mark(),
            number: number(here),
            word,
            detail: count(partitions as u64, "partition", "partitions"),
            href: format!("/assets?state={}", state.as_str()),
            zero: here == 0,
        }
    });
    // Waiting for files is told only where it happens.
    tiles.filter(|tile| tile.word != "waiting" || !tile.zero).collect()
}
