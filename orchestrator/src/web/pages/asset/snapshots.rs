//! `/assets/{key}/snapshots`: what the table was, and what changed from one snapshot to another.

use askama::Template;
use assets::{AssetKey, WriteMode};
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use plugins::lakehouse::{LakeError, OtherCut, TagName, TagNameError, cut_otherwise};
use serde::{Deserialize, Serialize};

use super::super::figures::{NOTHING, count, number};
use super::super::frame::{Frame, Section, page_clock};
use super::super::markup::{Markup, query};
use super::super::{asset_key, given, read, render};
use super::changes::{ChangesView, changes_view, count_rows};
use super::head::{AssetHead, Brief, Tab};
use crate::edge::engine::never_cut_anew;
use crate::snapshots::{Changes, SnapshotChoice, SnapshotLine, identity, lines, told};
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
    /// How its rows are cut, where that is not as the asset is declared: its steps are refused until they are.
    pub cut_otherwise: Option<CutOtherwise>,
}

/// A table whose partitions are not those of its asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct CutOtherwise {
    /// By what its rows are cut, in words.
    pub was: String,
    /// By what the asset says.
    pub is: String,
    /// Why it cannot be repartitioned as it is.
    pub refused: Option<String>,
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
            cut_otherwise: None,
        });
    };
    let broken = |error: LakeError| ErrorPage::not_found(error.to_string());
    let table = state.engine.lake().table(&asset, pointer).await.map_err(broken)?;
    let all = lines(&table).map_err(broken)?;
    // A step that replaces the table whole is refused by no other cut. Where no column tells the partition any more, the next step says so.
    let by = brief.asset.partitions.as_ref();
    let other_cut = match by.is_none() && brief.asset.write == WriteMode::Replace {
        true => None,
        false => cut_otherwise(&table, by).await.ok().flatten(),
    };
    let cut_otherwise = other_cut.map(|OtherCut { was, is }| CutOtherwise {
        was,
        is,
        refused: never_cut_anew(&brief.asset),
    });
    let total = all.len();
    let begin = match asked.before {
        Some(before) => {
            let before = before.to_string();
            let at = all.iter().position(|line| line.snapshot == before);
            at.map_or(total, |at| at + 1)
        }
        None => 0,
    };
    let parent_of = |id: i64| {
        let id = id.to_string();
        let line = all.iter().find(|line| line.snapshot == id)?;
        let parent = line.parent.clone()?;
        all.iter()
            .any(|line| line.snapshot == parent)
            .then(|| parent.parse().ok())?
    };
    let shown: Vec<SnapshotLine> = all[begin..].iter().take(ON_A_PAGE).cloned().collect();
    let key = asset.clone();
    let shown = read(&state.engine, move |store| told(store, &key, shown)).await?;
    let next = (total > begin + ON_A_PAGE)
        .then(|| shown.last().map(|last| last.snapshot.clone()))
        .flatten();
    let zone = &state.engine.settings().timezone;
    let id = |text: &Option<String>| {
        given(text.clone())
            .map(|text| {
                let chosen = SnapshotChoice::parse(&text, zone).ok();
                let known = chosen.and_then(|chosen| chosen.resolve(&table).ok()).filter(|id| {
                    let id = id.to_string();
                    all.iter().any(|line| line.snapshot == id)
                });
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
            let since = since.or_else(|| parent_of(wanted));
            let mut changes = Changes::of(&table, since, wanted).await.map_err(broken)?;
            if let (Some(since), Some(_)) = (since, given(asked.rows.clone())) {
                (changes.rows, changes.failure) = count_rows(state, brief, since, wanted).await;
            }
            Some(changes)
        }
        None => None,
    };
    Ok(SnapshotsFacts {
        current: pointer.snapshot_id.map(|id| id.to_string()),
        snapshots: shown,
        total,
        next,
        changes,
        cut_otherwise,
        asset,
    })
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
    tags: Vec<String>,
    why: String,
    what: String,
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
    chosen: Option<ChosenView>,
    cut_otherwise: Option<CutOtherwise>,
    /// How many rows and files a repartition would read.
    held: String,
}

/// The snapshot that is looked at, and what can be done with it.
struct ChosenView {
    id: String,
    current: bool,
    tags: Vec<String>,
    /// The assets that read the table.
    readers: Vec<AssetKey>,
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
            tags: line.tags.clone(),
            why: line.why(),
            what: line.what().unwrap_or_default(),
            runs: line.runs.iter().take(3).map(ToString::to_string).collect(),
            added: signed('+', line.rows_added),
            removed: signed('−', line.rows_removed),
            rows: line.rows.map_or_else(|| NOTHING.to_owned(), number),
            files: line.files.map_or_else(|| NOTHING.to_owned(), number),
        }
    });
    let chosen = facts.changes.as_ref().map(|changes| {
        let line = facts.snapshots.iter().find(|line| line.snapshot == changes.snapshot);
        let project = state.engine.project();
        let readers = project.definitions.graph().downstream(&facts.asset);
        ChosenView {
            id: changes.snapshot.clone(),
            current: facts.current.as_ref() == Some(&changes.snapshot),
            tags: line.map_or_else(Vec::new, |line| line.tags.clone()),
            readers: readers.into_iter().map(|reader| reader.key.clone()).collect(),
        }
    });
    let newest = facts
        .snapshots
        .first()
        .filter(|line| facts.current.as_ref() == Some(&line.snapshot));
    let held = newest
        .and_then(|line| Some((line.rows?, line.files?)))
        .map(|(rows, files)| format!("{} in {}", count(rows, "row", "rows"), count(files, "file", "files")));
    render(&SnapshotsPage {
        chosen,
        cut_otherwise: facts.cut_otherwise.clone(),
        held: held.unwrap_or_else(|| "All rows".to_owned()),
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
            .map(|changes| changes_view(changes, &facts.asset, !identity(&brief.asset).is_empty())),
    })
}

/// Which snapshot to go back to, and why.
#[derive(Debug, Clone, Deserialize)]
pub struct RollbackForm {
    snapshot: String,
    note: Option<String>,
}

/// `POST /assets/{key}/rollback`
pub async fn roll_back(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Form(form): Form<RollbackForm>,
) -> Result<Response, ErrorPage> {
    let asset = asset_key(&key)?;
    state
        .engine
        .roll_back(&asset, &form.snapshot, form.note.as_deref(), "page")
        .await?;
    Ok(Redirect::to(&format!("/assets/{asset}/snapshots")).into_response())
}

/// `POST /assets/{key}/repartition`
pub async fn repartition(State(state): State<WebState>, Path(key): Path<String>) -> Result<Response, ErrorPage> {
    let asset = asset_key(&key)?;
    state.engine.repartition(&asset, false, "page").await?;
    Ok(Redirect::to(&format!("/assets/{asset}/snapshots")).into_response())
}

/// Which snapshot gets which name, or which name is dropped.
#[derive(Debug, Clone, Deserialize)]
pub struct TagForm {
    snapshot: String,
    tag: String,
    drop: Option<String>,
}

/// `POST /assets/{key}/tag`
pub async fn tag(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Form(form): Form<TagForm>,
) -> Result<Response, ErrorPage> {
    let asset = asset_key(&key)?;
    let tag: TagName = form
        .tag
        .trim()
        .parse()
        .map_err(|error: TagNameError| ErrorPage::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let to = Some(form.snapshot.as_str()).filter(|_| form.drop.is_none());
    state.engine.tag(&asset, &tag, to).await?;
    let back = query(&[("snapshot", Some(form.snapshot))]);
    Ok(Redirect::to(&format!("/assets/{asset}/snapshots{back}")).into_response())
}

fn signed(sign: char, rows: u64) -> String {
    if rows == 0 {
        NOTHING.to_owned()
    } else {
        format!("{sign}{}", number(rows))
    }
}
