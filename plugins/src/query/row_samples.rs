//! A few of the rows that differ between two snapshots, for a person to look at.

use assets::outcome::{Failure, Sample};
use serde::{Deserialize, Serialize};

use super::changed_rows::{BothSides, ChangesOrder, quoted};
use crate::checks::SampleOfRows;
use crate::lakehouse::Lake;

/// Some of the rows that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSamples {
    /// Rows that came, the smallest keys first.
    pub added: Option<Sample>,
    /// Rows that went.
    pub removed: Option<Sample>,
    /// Rows that are in both and differ.
    pub changed: Vec<ChangedRow>,
}

/// A row that is in both snapshots and differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedRow {
    /// Its key: columns and values.
    pub key: Vec<(String, Option<String>)>,
    /// What differs: column, what it was, what it is.
    pub values: Vec<(String, Option<String>, Option<String>)>,
}

/// Columns that a sample shows of a row at most.
const MOST_SHOWN: usize = 12;

/// Reads at most `most` rows of each sort.
pub async fn row_samples(lake: &Lake, order: &ChangesOrder, most: u64) -> Result<RowSamples, Failure> {
    let sides = BothSides::open(lake, order).await?;
    let compared = sides.compared(&order.key);
    let key: Vec<String> = order.key.iter().map(|name| quoted(name)).collect();
    let same: Vec<String> = key.iter().map(|name| format!("x.{name} = y.{name}")).collect();
    let order_by = |side: &str| {
        let names: Vec<String> = key.iter().map(|name| format!("{side}.{name}")).collect();
        names.join(", ")
    };
    let only = |of: &str, columns: &[crate::lakehouse::TableColumn], without: &str| {
        let others = columns.iter().map(|column| &column.name);
        let others = others.filter(|name| !order.key.contains(name)).map(|name| quoted(name));
        let shown: Vec<String> = key.iter().cloned().chain(others).take(MOST_SHOWN).collect();
        let shown: Vec<String> = shown.into_iter().map(|name| format!("x.{name}")).collect();
        format!(
            "SELECT {} FROM compared.\"{of}\" AS x WHERE NOT EXISTS \
             (SELECT 1 FROM compared.\"{without}\" AS y WHERE {}) ORDER BY {} LIMIT {most}",
            shown.join(", "),
            same.join(" AND "),
            order_by("x")
        )
    };
    Ok(RowSamples {
        added: sample(&sides, &only("after", &sides.after, "before"), most).await?,
        removed: sample(&sides, &only("before", &sides.before, "after"), most).await?,
        changed: changed(&sides, order, &compared, &key, most).await?,
    })
}

async fn changed(
    sides: &BothSides,
    order: &ChangesOrder,
    compared: &[&str],
    key: &[String],
    most: u64,
) -> Result<Vec<ChangedRow>, Failure> {
    if compared.is_empty() {
        return Ok(Vec::new());
    }
    let mut shown: Vec<String> = key.iter().map(|name| format!("a.{name}")).collect();
    let mut differs = Vec::new();
    for (place, name) in compared.iter().enumerate() {
        let name = quoted(name);
        differs.push(format!("(b.{name} IS DISTINCT FROM a.{name})"));
        shown.push(format!("b.{name} AS was_{place}"));
        shown.push(format!("a.{name} AS is_{place}"));
        shown.push(format!("(b.{name} IS DISTINCT FROM a.{name}) AS differs_{place}"));
    }
    let join: Vec<String> = key.iter().map(|name| format!("b.{name} = a.{name}")).collect();
    let by: Vec<String> = key.iter().map(|name| format!("a.{name}")).collect();
    let sql = format!(
        "SELECT {} FROM compared.\"before\" AS b JOIN compared.\"after\" AS a ON {} WHERE {} ORDER BY {} LIMIT {most}",
        shown.join(", "),
        join.join(" AND "),
        differs.join(" OR "),
        by.join(", ")
    );
    let Some(sample) = sample(sides, &sql, most).await? else {
        return Ok(Vec::new());
    };
    let rows = sample.rows.into_iter().map(|row| {
        let (own, values) = row.split_at(key.len());
        let values = compared.iter().zip(values.chunks(3));
        ChangedRow {
            key: order.key.iter().cloned().zip(own.iter().cloned()).collect(),
            values: values
                .filter(|(_, value)| value[2].as_deref() == Some("true"))
                .map(|(name, value)| ((*name).to_owned(), value[0].clone(), value[1].clone()))
                .collect(),
        }
    });
    Ok(rows.collect())
}

async fn sample(sides: &BothSides, sql: &str, most: u64) -> Result<Option<Sample>, Failure> {
    let rows = sides.rows(sql).await?;
    let mut sample = SampleOfRows::of_at_most(&rows.schema(), usize::try_from(most).unwrap_or(usize::MAX));
    for row in 0..rows.num_rows() {
        sample.add(&rows, row);
    }
    Ok(sample.finish())
}
