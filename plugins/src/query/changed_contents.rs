//! What became of the rows of a table between two snapshots where nothing tells rows apart: as often as a row of the same values
//! is there more or less, one was added or removed.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use assets::outcome::{Failure, FailureClass};
use serde::{Deserialize, Serialize};

use super::changed_rows::{BothSides, ChangesOrder, quoted};
use crate::lakehouse::Lake;

/// How many rows of equal values there are more or less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentChanges {
    /// Rows that the newer snapshot has more of.
    pub added: u64,
    /// Rows that the older one has more of.
    pub removed: u64,
}

/// Reads both snapshots and counts, by the columns that both have. The order's key plays no part.
pub async fn changed_contents(lake: &Lake, order: &ChangesOrder) -> Result<ContentChanges, Failure> {
    let sides = BothSides::open(lake, order).await?;
    let compared: Vec<String> = sides.compared(&[]).into_iter().map(quoted).collect();
    if compared.is_empty() {
        let message = "the two snapshots have no column in common";
        return Err(Failure::new(FailureClass::Schema, message));
    }
    let columns = compared.join(", ");
    let sql = format!(
        "SELECT CAST(coalesce(sum(CASE WHEN more > 0 THEN more END), 0) AS BIGINT) AS added, \
                CAST(coalesce(sum(CASE WHEN more < 0 THEN -more END), 0) AS BIGINT) AS removed \
         FROM (SELECT sum(side) AS more FROM \
               (SELECT {columns}, 1 AS side FROM compared.\"after\" \
                UNION ALL SELECT {columns}, -1 AS side FROM compared.\"before\") AS rows GROUP BY {columns}) AS contents"
    );
    let counts = sides.rows(&sql).await?;
    let count = |place: usize| -> u64 {
        let column = counts.column(place).as_primitive_opt::<Int64Type>();
        column
            .filter(|_| counts.num_rows() > 0)
            .map_or(0, |column| column.value(0).unsigned_abs())
    };
    Ok(ContentChanges {
        added: count(0),
        removed: count(1),
    })
}
