//! What a table was, and how two of its states differ: for pages and commands alike. Nothing here changes a table.
//!
//! | file | what |
//! |---|---|
//! | `choice` | a snapshot as people name it: an id, a time, a tag, `current`, `-1` |
//! | `line` | one snapshot: when, by which run or rollback, of what, why, under which tags |
//! | `changes` | two snapshots: rows, files, columns, and what the metadata tells of them |

mod changes;
mod choice;
mod line;

use assets::Asset;
use assets::check::CheckRule;

pub use changes::{Changes, ColumnChange, MOST_FILES, TableTotals, compare};
pub use choice::{HELP, SnapshotChoice};
pub use line::{SnapshotLine, lines, told};

/// The columns that tell the rows of an asset apart: its key, or what a check says is unique, within a partition. Empty if nothing
/// is declared.
pub fn identity(asset: &Asset) -> Vec<String> {
    if !asset.key_columns.is_empty() {
        return asset.key_columns.clone();
    }
    let unique = asset.checks.iter().find_map(|check| match &check.rule {
        CheckRule::Unique { columns } => Some(columns.clone()),
        _ => None,
    });
    let mut columns = unique.unwrap_or_default();
    if let Some(by) = asset.partitions.as_ref().filter(|_| !columns.is_empty())
        && !columns.contains(&by.column)
    {
        columns.push(by.column.clone());
    }
    columns
}
