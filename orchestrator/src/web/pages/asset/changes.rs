//! What changed from one snapshot to another, as a page shows it.

use assets::AssetKey;
use plugins::lakehouse::ColumnFacts;
use plugins::query::{ChangesOrder, RowChanges};

use super::super::figures::{bytes, number};
use super::super::markup::query;
use super::head::Brief;
use crate::edge::messages::{TableAnswer, TableQuestion};
use crate::snapshots::{Changes, ColumnChange, TableTotals, identity};
use crate::web::WebState;

/// Bytes that a worker may hold to compare rows.
const MEMORY_BYTES: u64 = 1 << 30;

/// Has a worker count what became of the rows: the counts, or why there are none.
pub(super) async fn count_rows(
    state: &WebState,
    brief: &Brief,
    since: i64,
    snapshot: i64,
) -> (Option<RowChanges>, Option<String>) {
    let asset = &brief.asset;
    let key = identity(asset);
    let Some(pointer) = brief.pointer.clone().filter(|_| !key.is_empty()) else {
        return (
            None,
            Some("the asset declares no `key` and no `unique` check, by which rows are told apart".to_owned()),
        );
    };
    let order = ChangesOrder {
        asset: asset.key.clone(),
        pointer,
        since,
        snapshot,
        key,
        memory_bytes: MEMORY_BYTES,
        // Nobody waits for a page as long as a spilled comparison takes.
        spill_folder: None,
    };
    match state.engine.table(TableQuestion::Changes(order)).await {
        Ok(TableAnswer::Changes(changes)) => (Some(changes), None),
        Ok(TableAnswer::Rows(_)) => (None, Some("an answer to another question".to_owned())),
        Err(failure) => (None, Some(failure.message)),
    }
}

pub(super) struct ChangeView {
    pub(super) name: String,
    pub(super) column_type: String,
    pub(super) schema: Option<String>,
    pub(super) nulls: String,
    pub(super) range: String,
    pub(super) other: bool,
}

pub(super) struct ChangesView {
    pub(super) title: String,
    pub(super) totals: Vec<(&'static str, String, String, String)>,
    pub(super) columns: Vec<ChangeView>,
    pub(super) same: usize,
    pub(super) measured: bool,
    /// What became of rows, and of columns in them.
    pub(super) rows: Option<Vec<(&'static str, String)>>,
    pub(super) row_columns: Vec<(String, String)>,
    pub(super) failure: Option<String>,
    /// Where rows are counted by their key.
    pub(super) count_href: Option<String>,
}

pub(super) fn changes_view(changes: &Changes, asset: &AssetKey, has_key: bool) -> ChangesView {
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
    use crate::snapshots::compare;

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
