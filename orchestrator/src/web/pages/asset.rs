//! `/assets/{key}`: one asset: its state and why, its partitions, checks, history and code.

use std::sync::Arc;

use askama::Template;
use assets::outcome::Sample;
use assets::{Asset, AssetKey, AssetPartition, InputRole, ModelReference, PartitionKey, WriteMode};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Html;
use serde::{Deserialize, Serialize};
use state::sqlite::queries::asset_partitions::{PartitionRow, asset_partitions};
use state::sqlite::queries::assets::{AssetRow, asset as asset_sums};
use state::sqlite::queries::automation::{AutomationRow, requests};
use state::sqlite::queries::checks::{CheckRow, standing};
use state::sqlite::queries::freshness::{FreshnessChangeRow, freshness_changes};
use state::sqlite::queries::materializations::{MaterializationRow, of_asset};
use state::sqlite::queries::sources::{SourceRow, source};
use state::sqlite::queries::why::{WhyFacts, why};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::automation::{FreshnessView, UpkeepView, freshness_view, upkeep_view};
use super::failures::{self, Failed, FailureView};
use super::figures::{Clock, NOTHING, bytes, count, figure, number};
use super::frame::{Frame, Section, page_clock};
use super::grid::{self, Grid};
use super::markup::{Markup, query};
use super::partition_states::{PartitionStates, RangeRow, Reason, find};
use super::tone::{Tone, asset_state, bar, health_parts};
use super::{asset_key, given, read, render};
use crate::core::{Explanation, FreshnessNow, Health, HealthState, explain, freshness_now};
use crate::edge::engine::RequestError;

const CHECKS: usize = 200;
/// Failed partitions that are looked at, and entries that they become.
const FAILED: usize = 500;
const FAILED_SHOWN: usize = 5;
const MATERIALIZATIONS: usize = 20;
const RANGES: usize = 60;
const TRIES: usize = 8;
/// How many requests of automation, and changes of freshness, are shown.
const REQUESTS: usize = 5;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Asked {
    partition: Option<String>,
    year: Option<i16>,
    before: Option<i64>,
    notice: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct AssetFacts {
    /// As declared and checked.
    pub asset: Arc<Asset>,
    /// Its partitions by state.
    pub health: Health,
    /// The worst of them.
    pub state: HealthState,
    /// Whether a worker has a part of it now.
    pub running: bool,
    /// Why partitions are not fresh.
    pub reasons: Vec<Reason>,
    /// What keeps partitions from being made.
    pub problems: Vec<String>,
    /// What it reads.
    pub reads: Vec<Neighbour>,
    /// Who reads it.
    pub read_by: Vec<Neighbour>,
    /// Its partitions as ranges; the first 60, what needs attention first.
    pub partition_ranges: Vec<RangeRow>,
    /// All of them, for the drawing.
    #[serde(skip)]
    pub partition_states: Option<PartitionStates>,
    /// What was ever stored of it.
    pub sums: Option<AssetRow>,
    /// When its sources were last looked at.
    pub source: Option<SourceRow>,
    /// The newest result of each check.
    pub checks: Vec<CheckRow>,
    /// Partitions whose newest outcome is a failure; the first few.
    pub failed_partitions: Vec<PartitionRow>,
    /// Materializations, newest first.
    pub materializations: Vec<MaterializationRow>,
    /// Pass as `before` for the materializations before these.
    pub next: Option<i64>,
    /// What is known of the partition that was asked for.
    pub partition: Option<PartitionFacts>,
    /// How it stands by its freshness policy.
    pub freshness: Option<FreshnessNow>,
    /// How it came to stand so; the newest changes.
    pub freshness_changes: Vec<FreshnessChangeRow>,
    /// What automation makes of it, or of the partition that was asked for.
    pub automation: Option<Explanation>,
    /// What automation requested of it; the newest.
    pub requests: Vec<AutomationRow>,
}

/// An asset beside this one.
#[derive(Debug, Clone, Serialize)]
pub struct Neighbour {
    /// Its key.
    pub asset: AssetKey,
    /// Which of its partitions belong to one of this asset's; empty if that goes without saying.
    pub mapping: String,
    /// Its state.
    pub state: HealthState,
    /// Whether a worker has a part of it now.
    pub running: bool,
}

/// One partition.
#[derive(Debug, Clone, Serialize)]
pub struct PartitionFacts {
    /// Its key; `None` for the whole of an asset without partitions.
    pub key: Option<PartitionKey>,
    /// The word for its state.
    pub state: &'static str,
    /// What became of it.
    pub why: WhyFacts,
}

/// What is asked of an asset.
pub async fn facts(state: &WebState, key: &str, asked: &Asked) -> Result<AssetFacts, ErrorPage> {
    let key = asset_key(key)?;
    let wanted = key.clone();
    let one = given(asked.partition.clone()).and_then(|text| PartitionKey::new(&text).ok());
    let found = state
        .engine
        .driver()
        .ask(move |world, at| {
            let definitions = world.definitions();
            let asset = Arc::clone(definitions.get(&wanted)?);
            let health = Health::of(world, at, &wanted)?;
            let running = |key: &AssetKey| world.attempts().any(|attempt| attempt.asset == *key);
            let neighbour = |other: &Arc<Asset>, mapping: String| {
                let state = Health::of(world, at, &other.key).map_or(HealthState::Missing, |health| health.state());
                Neighbour {
                    asset: other.key.clone(),
                    mapping,
                    state,
                    running: running(&other.key),
                }
            };
            let reads = asset.inputs.iter().filter_map(|input| {
                let mapping = match &input.role {
                    InputRole::Model(ModelReference::Alias(alias)) => format!("@{alias}"),
                    InputRole::Model(ModelReference::Version(version)) => format!("version {version}"),
                    InputRole::Rows if input.declared => crate::figures::mapping(&input.mapping),
                    InputRole::Rows => String::new(),
                };
                Some(neighbour(definitions.get(&input.asset)?, mapping))
            });
            let reads: Vec<Neighbour> = reads.collect();
            let read_by: Vec<Neighbour> = definitions
                .graph()
                .downstream(&wanted)
                .into_iter()
                .map(|other| neighbour(other, String::new()))
                .collect();
            let upkeep = (
                freshness_now(world, at, &asset),
                explain(world, at, &wanted, one.as_ref()),
            );
            Some((
                health,
                running(&wanted),
                find(world, at, &asset),
                reads,
                read_by,
                upkeep,
                asset,
            ))
        })
        .await
        .ok_or(RequestError::Stopping)?;
    let Some((health, running, found, reads, read_by, (freshness, automation), asset)) = found else {
        let nearest = state.engine.definitions().await?.graph().nearest(key.as_str()).cloned();
        let page = ErrorPage::not_found(format!("there is no asset `{key}`"));
        return Err(match nearest {
            Some(nearest) => page.with_help(format!("did you mean `{nearest}`?")),
            None => page,
        });
    };
    let partition = chosen_partition(&asset, asked)?;
    let before = asked.before;
    let stored = read(&state.engine, move |store| {
        let why = partition.clone().map(|partition| {
            why(store, &AssetPartition::new(key.clone(), partition.clone()), TRIES).map(|facts| (partition, facts))
        });
        Ok((
            asset_sums(store, &key)?,
            source(store, &key)?,
            standing(store, &key, CHECKS)?
                .into_iter()
                .map(|check| check.worst)
                .collect::<Vec<_>>(),
            asset_partitions(store, &key, true, None, FAILED)?.rows,
            of_asset(store, &key, before, MATERIALIZATIONS)?,
            why.transpose()?,
            freshness_changes(store, &key, None, REQUESTS)?.rows,
            requests(store, &key, None, REQUESTS)?.rows,
        ))
    })
    .await?;
    let (sums, source, checks, failed_partitions, made, why, freshness_changes, requests) = stored;
    let states = found.partitions;
    let partition = why.map(|(key, why)| PartitionFacts {
        state: word_of(states.as_ref(), key.as_ref(), &health),
        key,
        why,
    });
    Ok(AssetFacts {
        state: health.state(),
        health,
        running,
        reasons: found.reasons,
        problems: found.problems,
        reads,
        read_by,
        partition_ranges: states.as_ref().map_or_else(Vec::new, |states| states.rows(RANGES)),
        partition_states: states,
        sums,
        source,
        checks,
        failed_partitions,
        materializations: made.rows,
        next: made.next,
        partition,
        freshness,
        freshness_changes,
        automation,
        requests,
        asset,
    })
}

/// The partition to tell about: the one asked for, and the whole of an asset that has none.
fn chosen_partition(asset: &Asset, asked: &Asked) -> Result<Option<Option<PartitionKey>>, ErrorPage> {
    match (&asset.partitions, given(asked.partition.clone())) {
        (None, _) => Ok(Some(None)),
        (Some(_), None) => Ok(None),
        (Some(by), Some(text)) => {
            let key =
                PartitionKey::new(&text).map_err(|error| ErrorPage::new(StatusCode::BAD_REQUEST, error.to_string()))?;
            if !by.partitioning.contains(&key) {
                return Err(ErrorPage::not_found(format!("{} has no partition `{key}`", asset.key))
                    .with_help(format!("its partitions are {}", by.partitioning.describe())));
            }
            Ok(Some(Some(key)))
        }
    }
}

fn word_of(states: Option<&PartitionStates>, key: Option<&PartitionKey>, health: &Health) -> &'static str {
    match (states, key) {
        (Some(states), Some(key)) => {
            let index = states.partitioning().index_of(key);
            index
                .and_then(|index| states.at(index))
                .map_or("not there yet", super::partition_states::PartitionState::word)
        }
        _ => health.state().as_str(),
    }
}

struct NeighbourView {
    key: AssetKey,
    mark: Markup,
    mapping: String,
}

struct CheckView {
    name: String,
    state: Markup,
    figure: String,
    expected: String,
    failing: String,
    partition: String,
    when: Markup,
    error: Option<String>,
    sample: Option<SampleView>,
    blocking: bool,
}

struct SampleView {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    more: String,
}

struct MadeView {
    when: Markup,
    partition: String,
    rows: String,
    size: String,
    snapshot: String,
    run: String,
    numbers: String,
}

struct RangeView {
    range: String,
    count: String,
    state: Markup,
}

struct PartitionView {
    key: Option<PartitionKey>,
    state: &'static str,
    made: Option<String>,
    made_when: Markup,
    made_run: Option<String>,
    asked_by: Option<String>,
    inputs: Vec<(String, String)>,
    sources: Vec<String>,
    checks: Vec<CheckView>,
    failures: Vec<FailureView>,
    tries: Vec<TryView>,
}

struct TryView {
    run: String,
    attempt: String,
    number: u32,
    when: Markup,
    state: Markup,
    note: String,
}

#[derive(Template)]
#[template(path = "asset.html")]
struct AssetPage {
    frame: Frame,
    key: AssetKey,
    kind: String,
    state: Markup,
    description: Option<String>,
    details: Vec<(&'static str, String)>,
    tags: Vec<String>,
    reads: Vec<NeighbourView>,
    read_by: Vec<NeighbourView>,
    reasons: Vec<(String, Option<String>)>,
    problems: Vec<String>,
    bar: Option<Markup>,
    grid: Option<Grid>,
    ranges: Vec<RangeView>,
    more_ranges: usize,
    keys_like: String,
    partition: Option<PartitionView>,
    checks: Vec<CheckView>,
    declared_checks: usize,
    failures: Vec<FailureView>,
    made: Vec<MadeView>,
    next: Option<String>,
    code: Option<String>,
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
    let grid = facts
        .partition_states
        .as_ref()
        .map(|states| grid::draw(&asset.key, states, chosen.as_ref(), asked.year));
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
    let (code, code_name) = code_of(asset);
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
        kind: asset.kind.clone(),
        state: asset_state(facts.state, facts.running),
        description: asset.description.clone(),
        details: details(&facts),
        tags: asset.tags.clone(),
        reads: facts.reads.iter().map(view).collect(),
        read_by: facts.read_by.iter().map(view).collect(),
        reasons: reasons.collect(),
        problems: facts.problems.clone(),
        bar: asset.partitions.is_some().then(|| bar(&health_parts(&facts.health))),
        grid,
        more_ranges: all_ranges - facts.partition_ranges.len(),
        ranges: ranges.collect(),
        keys_like: chosen.as_ref().map_or_else(String::new, ToString::to_string),
        partition: facts
            .partition
            .as_ref()
            .map(|partition| partition_view(&asset.key, partition, &clock)),
        checks: facts.checks.iter().map(|check| check_view(check, &clock)).collect(),
        declared_checks: asset.checks.len(),
        failures: failures::group(
            facts.failed_partitions.iter().filter_map(|row| failed(&asset.key, row)),
            FAILED_SHOWN,
            &clock,
        )
        .0,
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
    if let Some(sums) = facts
        .sums
        .as_ref()
        .filter(|sums| sums.materialized > 0 && asset.kind != "training")
    {
        details.push(("Rows", number(sums.rows)));
        details.push(("Size", bytes(sums.bytes)));
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
    if asset.write == WriteMode::Append {
        details.push(("Writes", "append".to_owned()));
    }
    if let Some(freshness) = &asset.freshness {
        details.push(("Freshness", freshness.describe()));
    }
    if let Some(automation) = &asset.automation {
        details.push(("Automation", automation.describe()));
    }
    if let Some(owner) = &asset.owner {
        details.push(("Owner", owner.clone()));
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

/// The text that makes the rows: a query, a command, or the kind's settings.
fn code_of(asset: &Asset) -> (Option<String>, String) {
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
        return (text, name.to_owned());
    }
    let text = match config {
        serde_json::Value::Null => None,
        config => serde_json::to_string_pretty(config).ok(),
    };
    (text, "Settings".to_owned())
}

fn check_view(check: &CheckRow, clock: &Clock) -> CheckView {
    let result = &check.result;
    let (tone, word) = match (result.passed, &result.error, result.blocks()) {
        (true, _, _) => (Tone::Good, "passed"),
        (false, Some(_), true) => (Tone::Bad, "no result"),
        (false, None, true) => (Tone::Bad, "failed"),
        (false, _, false) => (Tone::Warn, "warned"),
    };
    CheckView {
        name: result.name.clone(),
        state: tone.state(word),
        figure: result.figure.map_or_else(|| NOTHING.to_owned(), figure),
        expected: result.expected.clone(),
        failing: result
            .failing_rows
            .filter(|rows| *rows > 0)
            .map_or_else(String::new, |rows| count(rows, "row", "rows")),
        partition: check
            .step
            .partition
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        when: clock.when(check.at),
        error: result.error.clone(),
        sample: result
            .sample
            .as_ref()
            .filter(|sample| !sample.rows.is_empty())
            .map(|sample| sample_view(sample, result.failing_rows)),
        blocking: result.severity == assets::outcome::Severity::Error,
    }
}

fn sample_view(sample: &Sample, failing: Option<u64>) -> SampleView {
    let shown = sample.rows.len() as u64;
    let more = failing.filter(|failing| *failing > shown).map_or_else(
        || count(shown, "failing row", "failing rows"),
        |failing| format!("{shown} of {} failing rows", number(failing)),
    );
    SampleView {
        columns: sample.columns.clone(),
        rows: sample.rows.clone(),
        more,
    }
}

/// The newest failure of a partition.
fn failed<'a>(asset: &AssetKey, row: &'a PartitionRow) -> Option<Failed<'a>> {
    let failure = row.last_failure.as_ref()?;
    Some(Failed {
        step: AssetPartition::new(asset.clone(), row.partition.clone()),
        failure: &failure.failure,
        at: Some(failure.at),
        run: Some(&failure.run),
        attempt: None,
    })
}

fn made_view(made: &MaterializationRow, clock: &Clock) -> MadeView {
    let numbers = made
        .metadata
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "rows" | "bytes"))
        .take(4);
    let numbers = numbers.map(|(name, value)| {
        let value = value.as_f64().map_or_else(|| value.to_string(), figure);
        format!("{name} {value}")
    });
    MadeView {
        when: clock.when(made.at),
        partition: made
            .step
            .partition
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        rows: number(made.rows),
        size: bytes(made.bytes),
        snapshot: made.snapshot_id.map_or_else(|| NOTHING.to_owned(), |id| id.to_string()),
        run: made.run.to_string(),
        numbers: numbers.collect::<Vec<_>>().join(", "),
    }
}

fn partition_view(asset: &AssetKey, facts: &PartitionFacts, clock: &Clock) -> PartitionView {
    let row = facts.why.partition.as_ref();
    let current = row.and_then(|row| row.current.as_ref());
    let made_by = facts.why.made_by.as_ref();
    let last_failed = row.filter(|row| row.failed);
    let inputs = made_by
        .and_then(|made| made.attempt.as_ref())
        .map_or_else(Vec::new, |attempt| {
            let version = |input: &state::event::PinnedVersion| match (&input.table, input.model_version) {
                (_, Some(version)) => format!("version {version}"),
                (Some(table), None) => table
                    .snapshot_id
                    .map_or_else(|| "empty".to_owned(), |id| format!("snapshot {id}")),
                (None, None) => "never materialized".to_owned(),
            };
            attempt
                .inputs
                .iter()
                .map(|input| (input.asset.to_string(), version(input)))
                .collect()
        });
    let tries = facts.why.attempts.iter().map(|tried| {
        let attempt = &tried.attempt;
        let failure = tried.failure.as_ref().or(attempt.failure.as_ref());
        let (tone, word) = match (failure, attempt.ended_at) {
            (Some(_), _) => (Tone::Bad, "failed"),
            (None, None) => (Tone::Busy, "running"),
            (None, Some(_)) => (Tone::Good, "ended well"),
        };
        TryView {
            run: attempt.run.to_string(),
            attempt: attempt.attempt.to_string(),
            number: attempt.number,
            when: clock.when(attempt.started_at),
            state: tone.state(word),
            note: failure.map_or_else(String::new, |failure| failure.message.clone()),
        }
    });
    let checks = if last_failed.is_some() {
        &facts.why.failed_checks[..]
    } else {
        made_by.map_or(&[][..], |made| &made.checks)
    };
    PartitionView {
        key: facts.key.clone(),
        state: facts.state,
        made: current.map(|current| {
            let snapshot = current
                .snapshot_id
                .map_or_else(String::new, |id| format!(", snapshot {id}"));
            format!(
                "{}, {}{snapshot}",
                count(current.rows, "row", "rows"),
                bytes(current.bytes)
            )
        }),
        made_when: clock.when_known(current.map(|current| current.at)),
        made_run: current.map(|current| current.run.to_string()),
        asked_by: made_by
            .and_then(|made| made.request.as_ref())
            .map(|request| format!("{} asked for `{}`", request.trigger, request.selection)),
        inputs,
        sources: made_by.map_or_else(Vec::new, |made| {
            made.sources.iter().take(20).map(|file| file.path.clone()).collect()
        }),
        checks: checks.iter().map(|check| check_view(check, clock)).collect(),
        failures: failures::group(last_failed.and_then(|row| failed(asset, row)).into_iter(), 1, clock).0,
        tries: tries.collect(),
    }
}
