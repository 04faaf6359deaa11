//! `/assets/{key}/snapshots`: what the table was, and what changed from one snapshot to another.

use askama::Template;
use assets::AssetKey;
use axum::extract::{Path, Query, State};
use axum::response::Html;
use plugins::lakehouse::{LakeError, SnapshotInfo, history, table_facts};
use serde::{Deserialize, Serialize};
use state::event::Micros;
use state::ids::{AttemptId, RunId};
use state::sqlite::queries::attempts::attempt;
use state::sqlite::{StateError, Store};

use super::super::figures::{NOTHING, number};
use super::super::frame::{Frame, Section, page_clock};
use super::super::markup::{Markup, query};
use super::super::{asset_key, given, read, render};
use super::changes::{Changes, ChangesView, changes_view, compare, count_rows};
use super::columns::{MOST_FILES, TableTotals};
use super::head::{AssetHead, Brief, Tab};
use crate::web::WebState;
use crate::web::reply::ErrorPage;

const ON_A_PAGE: usize = 40;

/// What is asked. Empty fields of a form are no values.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    /// What changed with this snapshot.
    snapshot: Option<String>,
    /// Since this one; without it since the one that it was built on.
    since: Option<String>,
    /// Snapshots before this one.
    before: Option<i64>,
    /// Count rows by their key too; a worker reads both snapshots for it.
    rows: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct SnapshotsFacts {
    /// The asset.
    pub asset: AssetKey,
    /// What readers see now.
    pub current: Option<String>,
    /// How it came to that, newest first.
    pub snapshots: Vec<SnapshotLine>,
    /// How many there are in all.
    pub total: usize,
    /// Pass as `before` for those before these.
    pub next: Option<String>,
    /// What changed, if it was asked.
    pub changes: Option<Changes>,
}

/// One snapshot. Ids are texts: they are larger than the numbers of many programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct SnapshotLine {
    /// Its id.
    pub snapshot: String,
    /// The one that it was built on.
    pub parent: Option<String>,
    /// When it was made.
    pub at: Micros,
    /// `append`, `overwrite`, `delete` or `replace`.
    pub operation: String,
    /// The runs that made it; none if another program did, or if it is no longer known.
    pub runs: Vec<RunId>,
    #[serde(skip)]
    attempts: Vec<AttemptId>,
    /// Rows in added files.
    pub rows_added: u64,
    /// Rows in removed files.
    pub rows_removed: u64,
    /// Rows in the table after it.
    pub rows: Option<u64>,
    /// Files in the table after it.
    pub files: Option<u64>,
}

impl SnapshotLine {
    fn of(info: &SnapshotInfo) -> Self {
        Self {
            snapshot: info.id.to_string(),
            parent: info.parent.map(|parent| parent.to_string()),
            at: info.timestamp_ms * 1000,
            operation: info.operation.clone(),
            runs: Vec::new(),
            // What a snapshot bears is who wrote it: attempts, with commas between if they shared it.
            attempts: info
                .run
                .iter()
                .flat_map(|names| names.split(','))
                .filter_map(|name| name.trim().parse().ok())
                .collect(),
            rows_added: info.rows_added,
            rows_removed: info.rows_deleted,
            rows: info.rows_total,
            files: info.files,
        }
    }
}

/// The snapshots of an asset.
pub async fn facts(state: &WebState, key: &str, asked: &Asked) -> Result<SnapshotsFacts, ErrorPage> {
    let brief = Brief::of(state, &asset_key(key)?).await?;
    gather(state, &brief, asked).await
}

async fn gather(state: &WebState, brief: &Brief, asked: &Asked) -> Result<SnapshotsFacts, ErrorPage> {
    let asset = brief.asset.key.clone();
    let Some(pointer) = &brief.pointer else {
        return Ok(SnapshotsFacts {
            asset,
            current: None,
            snapshots: Vec::new(),
            total: 0,
            next: None,
            changes: None,
        });
    };
    let broken = |error: LakeError| ErrorPage::not_found(error.to_string());
    let table = state.engine.lake().table(&asset, pointer).await.map_err(broken)?;
    let all = history(&table).map_err(broken)?;
    let begin = match asked.before {
        Some(before) => all
            .iter()
            .position(|info| info.id == before)
            .map_or(all.len(), |at| at + 1),
        None => 0,
    };
    let shown: Vec<SnapshotLine> = all[begin..].iter().take(ON_A_PAGE).map(SnapshotLine::of).collect();
    let shown = read(&state.engine, move |store| with_runs(store, shown)).await?;
    let next = (all.len() > begin + ON_A_PAGE)
        .then(|| shown.last().map(|last| last.snapshot.clone()))
        .flatten();
    let id = |text: &Option<String>| {
        given(text.clone())
            .map(|text| {
                let known = text
                    .parse()
                    .ok()
                    .filter(|id: &i64| all.iter().any(|info| info.id == *id));
                known.ok_or_else(|| {
                    ErrorPage::not_found(format!("{asset} has no snapshot {text}"))
                        .with_help("old snapshots go when they expire; those that are left are listed")
                })
            })
            .transpose()
    };
    let (wanted, since) = (id(&asked.snapshot)?, id(&asked.since)?);
    let changes = match wanted.or(since.and(pointer.snapshot_id)) {
        Some(wanted) => {
            let parent = all.iter().find(|info| info.id == wanted).and_then(|info| info.parent);
            let kept = |parent: &i64| all.iter().any(|info| info.id == *parent);
            let since = since.or(parent.filter(kept));
            let after = table_facts(&table, Some(wanted), None, MOST_FILES)
                .await
                .map_err(broken)?;
            let before = match since {
                Some(since) => Some(
                    table_facts(&table, Some(since), None, MOST_FILES)
                        .await
                        .map_err(broken)?,
                ),
                None => None,
            };
            let mut counted = (None, None);
            if let (Some(since), Some(_)) = (since, given(asked.rows.clone())) {
                counted = count_rows(state, brief, since, wanted).await;
            }
            Some(Changes {
                rows: counted.0,
                failure: counted.1,
                since: since.map(|since| since.to_string()),
                snapshot: wanted.to_string(),
                columns: compare(before.as_ref().map_or(&[][..], |facts| &facts.columns), &after.columns),
                before: before.as_ref().map(TableTotals::of),
                after: TableTotals::of(&after),
            })
        }
        None => None,
    };
    Ok(SnapshotsFacts {
        current: pointer.snapshot_id.map(|id| id.to_string()),
        snapshots: shown,
        total: all.len(),
        next,
        changes,
        asset,
    })
}

/// Adds the runs of the attempts.
fn with_runs(store: &Store, mut lines: Vec<SnapshotLine>) -> Result<Vec<SnapshotLine>, StateError> {
    for line in &mut lines {
        for id in &line.attempts {
            if let Some(attempt) = attempt(store, id)?
                && !line.runs.contains(&attempt.run)
            {
                line.runs.push(attempt.run);
            }
        }
    }
    Ok(lines)
}

struct SnapshotView {
    id: String,
    href: String,
    rows_href: String,
    current: bool,
    chosen: bool,
    when: Markup,
    operation: String,
    runs: Vec<String>,
    by_others: bool,
    added: String,
    removed: String,
    rows: String,
    files: String,
}

#[derive(Template)]
#[template(path = "asset_snapshots.html")]
struct SnapshotsPage {
    frame: Frame,
    head: AssetHead,
    snapshots: Vec<SnapshotView>,
    total: usize,
    next: Option<String>,
    changes: Option<ChangesView>,
}

/// `GET /assets/{key}/snapshots?snapshot=1234&since=1233`
pub async fn page(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, ErrorPage> {
    let brief = Brief::of(&state, &asset_key(&key)?).await?;
    let facts = gather(&state, &brief, &asked).await?;
    let clock = page_clock(&state);
    let chosen = facts.changes.as_ref().map(|changes| changes.snapshot.clone());
    let snapshots = facts.snapshots.iter().map(|line| {
        let address = |page: &str| {
            let query = query(&[("snapshot", Some(line.snapshot.clone()))]);
            format!("/assets/{}/{page}{query}", facts.asset)
        };
        SnapshotView {
            href: format!("{}#changes", address("snapshots")),
            rows_href: address("rows"),
            current: facts.current.as_ref() == Some(&line.snapshot),
            chosen: chosen.as_ref() == Some(&line.snapshot),
            id: line.snapshot.clone(),
            when: clock.when(line.at),
            operation: line.operation.clone(),
            by_others: line.attempts.is_empty(),
            runs: line.runs.iter().take(3).map(ToString::to_string).collect(),
            added: signed('+', line.rows_added),
            removed: signed('−', line.rows_removed),
            rows: line.rows.map_or_else(|| NOTHING.to_owned(), number),
            files: line.files.map_or_else(|| NOTHING.to_owned(), number),
        }
    });
    render(&SnapshotsPage {
        frame: Frame::new(&state, format!("{} snapshots", facts.asset), Section::Assets),
        head: brief.head(None, Tab::Snapshots),
        snapshots: snapshots.collect(),
        total: facts.total,
        next: facts.next.as_ref().map(|next| {
            format!(
                "/assets/{}/snapshots{}",
                facts.asset,
                query(&[("before", Some(next.clone()))])
            )
        }),
        changes: facts
            .changes
            .as_ref()
            .map(|changes| changes_view(changes, &facts.asset, !brief.asset.key_columns.is_empty())),
    })
}

fn signed(sign: char, rows: u64) -> String {
    if rows == 0 {
        NOTHING.to_owned()
    } else {
        format!("{sign}{}", number(rows))
    }
}
