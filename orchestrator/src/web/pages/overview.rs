//! `/`: what runs, what ran, and the state of every asset.

use askama::Template;
use assets::AssetKey;
use assets::outcome::Severity;
use axum::extract::State;
use axum::response::Html;
use serde::Serialize;
use state::event::Micros;
use state::sqlite::queries::alerts::{AlertCounts, counts};
use state::sqlite::queries::checks::{Failing, failing};
use state::sqlite::queries::runs::{RunFilter, RunRow, open_counts, runs, runs_since};
use state::status::RunStatus;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::assets_state::{AssetLine, asset_lines, by_layer};
use super::day::{DAY, HalfHour, axis, draw, half_hours};
use super::figures::{Clock, NOTHING, bytes, count, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, query};
use super::runs::{RunLine, Waits, waits_of_idle};
use super::tone::{Tone, asset_state, bar, health_parts, in_words};
use super::{read, render};
use crate::core::HealthState;
use crate::rate::Rate;

const RECENT: usize = 8;
const OPEN: usize = 20;
/// How many schedules to come are told.
const SOON: usize = 6;
/// Most runs that the strip of the last day counts.
const MOST_OF_A_DAY: usize = 20_000;
/// Results of checks that are looked at, and checks that are shown.
const FAILING: usize = 2_000;
const FAILING_SHOWN: usize = 8;
/// Most late assets that are shown.
const LATE_SHOWN: usize = 8;
/// With more assets than these, each layer is one card.
const MOST_CARDS: usize = 90;

/// What the page says.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct OverviewFacts {
    /// Runs that are not over, newest first.
    pub open: Vec<RunRow>,
    /// What those of them wait for of which nothing runs.
    pub waits: Waits,
    /// The newest runs that are.
    pub recent: Vec<RunRow>,
    /// Runs that wait to begin.
    pub queued: u64,
    /// Runs that have begun and are not over.
    pub running: u64,
    /// The last 24 hours, by half hours.
    pub day: Vec<HalfHour>,
    /// Whether there were more runs than were counted.
    pub more_of_day: bool,
    /// Checks that do not pass now, the newest first.
    pub failing: Vec<Failing>,
    /// What starts next by the clock.
    pub coming: Vec<Coming>,
    /// How much is wrong that alerts are about, and what could not be told.
    pub alerts: AlertCounts,
    /// Every asset.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub assets: Vec<AssetLine>,
    /// Why nothing can be committed, if so.
    pub trouble: Option<String>,
}

/// A schedule and its next instant.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
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

/// Many assets as one tile of their layer.
struct LayerCard {
    layer: String,
    href: String,
    bar: Markup,
    words: String,
    assets: String,
}

/// A run that is not over.
struct OpenRun {
    line: RunLine,
    rate: String,
}

/// A check that does not pass.
struct FailingLine {
    state: Markup,
    asset: AssetKey,
    name: String,
    what: String,
    when: Markup,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    open: Vec<OpenRun>,
    more_open: bool,
    recent: Vec<RunLine>,
    coming: Vec<(String, String, Markup)>,
    alerts: Vec<Markup>,
    now: Vec<Tile>,
    tiles: Vec<Tile>,
    day: Markup,
    axis: Vec<String>,
    day_words: String,
    failing: Vec<FailingLine>,
    more_failing: usize,
    late: Vec<(AssetKey, Markup, String)>,
    more_late: usize,
    broken: Option<(String, String)>,
    layers: Vec<(String, Vec<Card>)>,
    many: Vec<LayerCard>,
    totals: String,
}

/// What the page says now.
pub async fn facts(state: &WebState) -> Result<OverviewFacts, ErrorPage> {
    let now = page_clock(state).now();
    let (open, recent, alerts, (queued, running), (day, more_of_day), failing) = read(&state.engine, move |store| {
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
        let day = runs_since(store, now - DAY, MOST_OF_A_DAY)?;
        let failing = failing(store, FAILING)?;
        Ok((open, recent, counts(store)?, open_counts(store)?, day, failing))
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
        waits: waits_of_idle(state, &open).await?,
        open,
        recent,
        queued,
        running,
        day: half_hours(&day, now),
        more_of_day,
        // What is not declared any more has no checks.
        failing: failing
            .into_iter()
            .filter(|failing| assets.iter().any(|line| line.asset == failing.newest.step.asset))
            .collect(),
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
    let lines = |runs: &[RunRow]| {
        runs.iter()
            .map(|run| RunLine::new(run, &clock).waiting(&facts.waits))
            .collect::<Vec<_>>()
    };
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
    let mut late: Vec<_> = bad.collect();
    let now = now_tiles(&facts, late.len());
    let day_words = day_words(&facts);
    let more_late = late.len().saturating_sub(LATE_SHOWN);
    late.truncate(LATE_SHOWN);
    let many = match facts.assets.len() > MOST_CARDS {
        true => layer_cards(&facts.assets),
        false => Vec::new(),
    };
    let shown = if many.is_empty() { facts.assets } else { Vec::new() };
    let cards = shown.into_iter().map(|line| Card {
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
        open: facts
            .open
            .iter()
            .map(|run| OpenRun {
                rate: Rate::of(run, clock.now()).map_or_else(String::new, |rate| rate.words(clock.now())),
                line: RunLine::new(run, &clock).waiting(&facts.waits),
            })
            .collect(),
        more_open: facts.queued + facts.running > facts.open.len() as u64,
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
        now,
        tiles,
        day: draw(&facts.day, &clock),
        axis: axis(&facts.day, &clock),
        day_words,
        more_failing: facts.failing.len().saturating_sub(FAILING_SHOWN),
        failing: facts
            .failing
            .iter()
            .take(FAILING_SHOWN)
            .map(|failing| failing_line(failing, &clock))
            .collect(),
        late,
        more_late,
        broken: broken(&state),
        many,
        layers: by_layer(cards.collect(), |card| &card.key),
        totals,
    })
}

/// How many runs there were in the last 24 hours, in words.
fn day_words(facts: &OverviewFacts) -> String {
    let sum = |of: fn(&HalfHour) -> u64| facts.day.iter().map(of).sum::<u64>();
    let parts = [
        (Tone::Good, sum(|hour| hour.succeeded), "succeeded"),
        (Tone::Bad, sum(|hour| hour.failed), "failed"),
        (Tone::Off, sum(|hour| hour.canceled), "canceled"),
        (Tone::Busy, sum(|hour| hour.open), "not over"),
    ];
    let words = match parts.iter().all(|part| part.1 == 0) {
        true => "no run".to_owned(),
        false => in_words(&parts),
    };
    let more = if facts.more_of_day { "; the newest 20,000" } else { "" };
    format!("{words}{more}")
}

/// The numbers that say whether someone has to do something.
fn now_tiles(facts: &OverviewFacts, late: usize) -> Vec<Tile> {
    let failed: u64 = facts.day.iter().map(|hour| hour.failed).sum();
    let checks: u64 = facts.failing.iter().map(|failing| failing.partitions).sum();
    let tile = |tone: Tone, of: u64, word, detail: String, href: &str| Tile {
        mark: if of == 0 { Tone::Missing } else { tone }.mark(),
        number: number(of),
        word,
        detail,
        href: href.to_owned(),
        zero: of == 0,
    };
    let steps = |status: fn(&RunRow) -> u64| facts.open.iter().map(status).sum::<u64>();
    let running = steps(|run| run.steps.running + run.steps.publishing);
    vec![
        tile(
            Tone::Busy,
            facts.running,
            "running",
            count(running, "step under way", "steps under way"),
            "/runs?status=running",
        ),
        tile(
            Tone::Idle,
            facts.queued,
            "queued",
            count(steps(|run| run.steps.waiting), "step waits", "steps wait"),
            "/runs?status=queued",
        ),
        tile(
            Tone::Bad,
            failed,
            "failed",
            "runs of 24 hours".to_owned(),
            "/runs?status=failed",
        ),
        tile(
            Tone::Bad,
            late as u64,
            "late",
            "assets past their freshness".to_owned(),
            "#late",
        ),
        tile(
            Tone::Warn,
            facts.failing.len() as u64,
            "checks fail",
            count(checks, "partition", "partitions"),
            "#failing",
        ),
    ]
}

fn failing_line(failing: &Failing, clock: &Clock) -> FailingLine {
    let row = &failing.newest;
    let tone = match row.result.severity {
        Severity::Error => Tone::Bad,
        Severity::Warn => Tone::Warn,
    };
    let rows = row
        .result
        .failing_rows
        .map(|rows| count(rows, "failing row", "failing rows"));
    let mut what: Vec<String> = rows.into_iter().collect();
    if let Some(partition) = &row.step.partition {
        what.push(match failing.partitions {
            1 => format!("in {partition}"),
            several => format!(
                "in {partition} and {}",
                count(several - 1, "other partition", "other partitions")
            ),
        });
    }
    if !row.published {
        what.push("not published".to_owned());
    }
    FailingLine {
        state: tone.state(if tone == Tone::Bad { "failed" } else { "warns" }),
        asset: row.step.asset.clone(),
        name: row.result.name.clone(),
        what: what.join(", "),
        when: clock.when(row.at),
    }
}

/// The mistakes of the files on disk: how many, and the first with its line and caret.
fn broken(state: &WebState) -> Option<(String, String)> {
    const LINES: usize = 24;
    let definitions = state.engine.definitions_state();
    let definitions = definitions.borrow();
    let mistakes = definitions.mistakes.as_ref()?;
    // Warnings keep nothing from being in force, and stand in the same report.
    let blocks = mistakes
        .report
        .split("\n\n")
        .filter(|block| !block.trim_start().starts_with("warning"));
    let report: Vec<&str> = blocks.flat_map(str::lines).take(LINES).collect();
    Some((count(mistakes.errors as u64, "mistake", "mistakes"), report.join("\n")))
}

/// A card for each layer, where there are too many assets for one each.
fn layer_cards(assets: &[AssetLine]) -> Vec<LayerCard> {
    let layers = by_layer(assets.iter().collect(), |line| &line.asset);
    let cards = layers.into_iter().map(|(layer, lines)| {
        let states = [
            (HealthState::Fresh, "up to date"),
            (HealthState::Stale, "stale"),
            (HealthState::Failed, "failed"),
            (HealthState::Waiting, "waiting"),
            (HealthState::Missing, "never made"),
        ];
        let parts = states.map(|(state, word)| {
            let here = lines.iter().filter(|line| line.state == state).count() as u64;
            (Tone::from(state), here, word)
        });
        LayerCard {
            href: format!("/assets{}", query(&[("q", Some(format!("{layer}.")))])),
            bar: bar(&parts),
            words: in_words(&parts),
            assets: count(lines.len() as u64, "asset", "assets"),
            layer,
        }
    });
    cards.collect()
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
