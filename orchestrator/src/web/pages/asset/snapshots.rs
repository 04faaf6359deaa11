//! `/assets/{key}/snapshots`: what the table was, and what changed from one snapshot to another.

use askama::Template;
use assets::AssetKey;
use axum::extract::{Path, Query, State};
use axum::response::Html;
use plugins::lakehouse::{ColumnFacts, LakeError, SnapshotInfo, history, table_facts};
use plugins::query::{ChangesOrder, RowChanges};
use serde::{Deserialize, Serialize};
use state::event::Micros;
use state::ids::{AttemptId, RunId};
use state::sqlite::queries::attempts::attempt;
use state::sqlite::{StateError, Store};

use super::super::figures::{NOTHING, bytes, number};
use super::super::frame::{Frame, Section, page_clock};
use super::super::markup::{Markup, query};
use super::super::{asset_key, given, read, render};
use super::columns::{MOST_FILES, TableTotals};
use super::head::{AssetHead, Brief, Tab};
use crate::edge::messages::{TableAnswer, TableQuestion};
use crate::web::WebState;
use crate::web::reply::ErrorPage;

const ON_A_PAGE: usize = 40;
/// Bytes that a worker may hold to compare rows.
const MEMORY_BYTES: u64 = 1 << 30;

/// What is asked. Empty fields of a form are no values.
#[derive(Debug, Clone, Default, Deserialize)]
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
#[derive(Debug, Clone, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// What changed from one snapshot to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changes {
    /// The older one; `None` is before the first.
    pub since: Option<String>,
    /// The newer one.
    pub snapshot: String,
    /// What the older one held.
    pub before: Option<TableTotals>,
    /// What the newer one holds.
    pub after: TableTotals,
    /// Column by column: those of the newer one, then those that went.
    pub columns: Vec<ColumnChange>,
    /// What became of the rows, by their key, if that was asked too.
    pub rows: Option<RowChanges>,
    /// Why it could not be told.
    pub failure: Option<String>,
}

/// What became of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnChange {
    /// In the older snapshot.
    pub before: Option<ColumnFacts>,
    /// In the newer one.
    pub after: Option<ColumnFacts>,
}

impl ColumnChange {
    /// In words; `None` if name and type are the same.
    fn of_schema(&self) -> Option<String> {
        match (&self.before, &self.after) {
            (None, Some(_)) => Some("added".to_owned()),
            (Some(_), None) => Some("removed".to_owned()),
            (Some(before), Some(after)) => {
                let (before, after) = (&before.column, &after.column);
                let renamed = (before.name != after.name).then(|| format!("was called {}", before.name));
                let retyped = (before.column_type != after.column_type).then(|| format!("was {}", before.column_type));
                let words: Vec<String> = renamed.into_iter().chain(retyped).collect();
                (!words.is_empty()).then(|| words.join(", "))
            }
            (None, None) => None,
        }
    }
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

/// Has a worker count what became of the rows: the counts, or why there are none.
async fn count_rows(
    state: &WebState,
    brief: &Brief,
    since: i64,
    snapshot: i64,
) -> (Option<RowChanges>, Option<String>) {
    let asset = &brief.asset;
    let Some(pointer) = brief.pointer.clone().filter(|_| !asset.key_columns.is_empty()) else {
        return (
            None,
            Some("the asset declares no `key`, by which rows are told apart".to_owned()),
        );
    };
    let order = ChangesOrder {
        asset: asset.key.clone(),
        pointer,
        since,
        snapshot,
        key: asset.key_columns.clone(),
        memory_bytes: MEMORY_BYTES,
    };
    match state.engine.table(TableQuestion::Changes(order)).await {
        Ok(TableAnswer::Changes(changes)) => (Some(changes), None),
        Ok(TableAnswer::Rows(_)) => (None, Some("an answer to another question".to_owned())),
        Err(failure) => (None, Some(failure.message)),
    }
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

/// Pairs columns by what stays when their names change.
fn compare(before: &[ColumnFacts], after: &[ColumnFacts]) -> Vec<ColumnChange> {
    let of = |columns: &[ColumnFacts], id: i32| columns.iter().find(|column| column.column.id == id).cloned();
    let kept = after.iter().map(|column| ColumnChange {
        before: of(before, column.column.id),
        after: Some(column.clone()),
    });
    let gone = before
        .iter()
        .filter(|column| of(after, column.column.id).is_none())
        .map(|column| ColumnChange {
            before: Some(column.clone()),
            after: None,
        });
    kept.chain(gone).collect()
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

struct ChangeView {
    name: String,
    column_type: String,
    schema: Option<String>,
    nulls: String,
    range: String,
    other: bool,
}

struct ChangesView {
    title: String,
    totals: Vec<(&'static str, String, String, String)>,
    columns: Vec<ChangeView>,
    same: usize,
    measured: bool,
    /// What became of rows, and of columns in them.
    rows: Option<Vec<(&'static str, String)>>,
    row_columns: Vec<(String, String)>,
    failure: Option<String>,
    /// Where rows are counted by their key.
    count_href: Option<String>,
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

fn changes_view(changes: &Changes, asset: &AssetKey, has_key: bool) -> ChangesView {
    let none = TableTotals {
        rows: 0,
        files: 0,
        bytes: 0,
        measured: true,
        with_deleted_rows: false,
    };
    let (before, after) = (changes.before.as_ref().unwrap_or(&none), &changes.after);
    let difference = |was: u64, is: u64, text: &dyn Fn(u64) -> String| match was.cmp(&is) {
        std::cmp::Ordering::Less => format!("+{}", text(is - was)),
        std::cmp::Ordering::Greater => format!("−{}", text(was - is)),
        std::cmp::Ordering::Equal => "the same".to_owned(),
    };
    let measured = before.measured && after.measured;
    let total =
        |word, was: u64, is: u64, text: &dyn Fn(u64) -> String| (word, text(was), text(is), difference(was, is, text));
    let columns: Vec<ChangeView> = changes
        .columns
        .iter()
        .map(|change| column_view(change, before.rows, after.rows))
        .collect();
    let same = columns.iter().filter(|column| !column.other).count();
    ChangesView {
        title: match &changes.since {
            Some(since) => format!("What changed from {since} to {}", changes.snapshot),
            None => format!("What came with {}, the first that is left", changes.snapshot),
        },
        totals: if measured {
            vec![
                total("Rows", before.rows, after.rows, &number),
                total("Files", before.files, after.files, &number),
                total("Size", before.bytes, after.bytes, &bytes),
            ]
        } else {
            Vec::new()
        },
        columns: columns.into_iter().filter(|column| column.other).collect(),
        same,
        measured,
        rows: changes.rows.as_ref().map(|rows| {
            vec![
                ("added", number(rows.added)),
                ("removed", number(rows.removed)),
                ("changed", number(rows.changed)),
                ("the same", number(rows.same)),
            ]
        }),
        row_columns: changes.rows.as_ref().map_or_else(Vec::new, |rows| {
            let mut columns: Vec<(&String, u64)> = rows.columns.iter().map(|(name, count)| (name, *count)).collect();
            columns.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            columns
                .into_iter()
                .map(|(name, count)| (name.clone(), number(count)))
                .collect()
        }),
        failure: changes.failure.clone(),
        count_href: changes
            .since
            .as_ref()
            .filter(|_| has_key && changes.rows.is_none() && changes.failure.is_none())
            .map(|since| {
                let pairs = [
                    ("snapshot", Some(changes.snapshot.clone())),
                    ("since", Some(since.clone())),
                    ("rows", Some("count".to_owned())),
                ];
                format!("/assets/{asset}/snapshots{}#changes", query(&pairs))
            }),
    }
}

fn column_view(change: &ColumnChange, rows_before: u64, rows_after: u64) -> ChangeView {
    let shown = change.after.as_ref().or(change.before.as_ref());
    let share = |facts: &Option<ColumnFacts>, rows: u64| {
        let nulls = facts.as_ref()?.nulls?;
        Some(if rows == 0 {
            0.0
        } else {
            nulls as f64 / rows as f64 * 100.0
        })
    };
    let percent = |share: f64| {
        if share == 0.0 {
            "0 %".to_owned()
        } else {
            format!("{share:.2} %")
        }
    };
    let range = |facts: &Option<ColumnFacts>| {
        let facts = facts.as_ref()?;
        Some(format!(
            "{} … {}",
            shortened(facts.lowest.as_ref()?),
            shortened(facts.highest.as_ref()?)
        ))
    };
    let from_to = |was: Option<String>, is: Option<String>| match (was, is) {
        (Some(was), Some(is)) if was != is => format!("{was} → {is}"),
        (None, Some(is)) if change.before.is_none() => is,
        _ => String::new(),
    };
    let schema = change.of_schema();
    let nulls = from_to(
        share(&change.before, rows_before).map(percent),
        share(&change.after, rows_after).map(percent),
    );
    let range = from_to(range(&change.before), range(&change.after));
    ChangeView {
        name: shown.map_or_else(String::new, |facts| facts.column.name.clone()),
        column_type: shown.map_or_else(String::new, |facts| facts.column.column_type.clone()),
        other: schema.is_some() || !nulls.is_empty() || !range.is_empty(),
        schema,
        nulls,
        range,
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(24).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use plugins::lakehouse::TableColumn;

    use super::*;

    fn column(id: i32, name: &str, column_type: &str, nulls: u64) -> ColumnFacts {
        ColumnFacts {
            column: TableColumn {
                id,
                name: name.to_owned(),
                column_type: column_type.to_owned(),
            },
            nulls: Some(nulls),
            lowest: None,
            highest: None,
        }
    }

    #[test]
    fn columns_are_paired_by_what_stays() {
        let before = [
            column(1, "a", "int", 0),
            column(2, "b", "int", 0),
            column(3, "c", "int", 5),
            column(4, "d", "int", 0),
        ];
        let after = [
            column(1, "a", "int", 0),
            column(2, "b2", "long", 0),
            column(3, "c", "int", 10),
            column(5, "e", "int", 0),
        ];
        let told: Vec<(String, Option<String>, String, bool)> = compare(&before, &after)
            .iter()
            .map(|change| {
                let view = column_view(change, 10, 10);
                (view.name, view.schema, view.nulls, view.other)
            })
            .collect();
        let line = |name: &str, schema: Option<&str>, nulls: &str, other| {
            (name.to_owned(), schema.map(str::to_owned), nulls.to_owned(), other)
        };
        assert_eq!(
            told,
            [
                line("a", None, "", false),
                line("b2", Some("was called b, was int"), "", true),
                line("c", None, "50.00 % → 100.00 %", true),
                line("e", Some("added"), "0 %", true),
                line("d", Some("removed"), "", true),
            ]
        );
    }
}
