//! How the values of each column are spread in two snapshots.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use assets::outcome::Failure;
use datafusion::common::ScalarValue;
use serde::{Deserialize, Serialize};

use super::changed_rows::{BothSides, ChangesOrder, quoted};
use crate::lakehouse::{Lake, ScanOptions, TableColumn};

/// Columns that are looked at: those of a wider table are left out.
const MOST_COLUMNS: usize = 300;

/// One column in both snapshots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnDrift {
    /// Its name; that of the newer snapshot, if it was renamed.
    pub name: String,
    /// In the older one.
    pub before: Option<ColumnFigures>,
    /// In the newer one.
    pub after: Option<ColumnFigures>,
}

/// What a column holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnFigures {
    /// The share of rows without a value; 0 of no rows.
    pub null_share: f64,
    /// The smallest value; `None` for columns without an order, and where there is none.
    pub min: Option<String>,
    /// The greatest value.
    pub max: Option<String>,
    /// The mean of numbers.
    pub mean: Option<f64>,
    /// How many different values, about.
    pub distinct: Option<u64>,
}

/// Reads both snapshots, column by column.
pub async fn column_drift(lake: &Lake, order: &ChangesOrder) -> Result<Vec<ColumnDrift>, Failure> {
    let sides = BothSides::open(lake, order).await?;
    let before = figures(lake, order, &sides, order.since, "before", &sides.before).await?;
    let after = figures(lake, order, &sides, order.snapshot, "after", &sides.after).await?;
    // Told apart by what stays when a column gets another name.
    let of = |side: &[(i32, String, ColumnFigures)], id: i32| {
        let found = side.iter().find(|(known, ..)| *known == id);
        found.map(|(_, _, figures)| figures.clone())
    };
    let kept = after.iter().map(|(id, name, figures)| ColumnDrift {
        name: name.clone(),
        before: of(&before, *id),
        after: Some(figures.clone()),
    });
    let gone = before
        .iter()
        .filter(|(id, ..)| of(&after, *id).is_none())
        .map(|(_, name, figures)| ColumnDrift {
            name: name.clone(),
            before: Some(figures.clone()),
            after: None,
        });
    Ok(kept.chain(gone).collect())
}

async fn figures(
    lake: &Lake,
    order: &ChangesOrder,
    sides: &BothSides,
    snapshot: i64,
    side: &str,
    columns: &[TableColumn],
) -> Result<Vec<(i32, String, ColumnFigures)>, Failure> {
    let table = lake
        .table(&order.asset, &order.pointer)
        .await
        .map_err(|error| error.failure())?;
    let scan = ScanOptions {
        snapshot: Some(snapshot),
        ..ScanOptions::default()
    };
    let schema = table.provider(&scan).map_err(|error| error.failure())?.schema();
    let typed = columns.iter().take(MOST_COLUMNS).filter_map(|column| {
        let field = schema.field_with_name(&column.name).ok()?;
        Some((column, field.data_type().clone()))
    });
    let typed: Vec<(&TableColumn, DataType)> = typed.collect();
    let mut asked = vec!["count(*)".to_owned()];
    for (column, data_type) in &typed {
        let name = quoted(&column.name);
        asked.push(format!("count({name})"));
        let if_so = |so: bool, text: String| if so { text } else { "NULL".to_owned() };
        let ordered = is_ordered(data_type);
        asked.push(if_so(ordered, format!("min({name})")));
        asked.push(if_so(ordered, format!("max({name})")));
        asked.push(if_so(data_type.is_numeric(), format!("avg(CAST({name} AS DOUBLE))")));
        asked.push(if_so(ordered, format!("approx_distinct(CAST({name} AS VARCHAR))")));
    }
    let asked: Vec<String> = asked
        .into_iter()
        .enumerate()
        .map(|(place, text)| format!("{text} AS figure_{place}"))
        .collect();
    let found = sides
        .rows(&format!("SELECT {} FROM compared.\"{side}\"", asked.join(", ")))
        .await?;
    let rows = value(&found, 0)
        .and_then(|text| text.parse::<f64>().ok())
        .unwrap_or(0.0);
    let figures = typed.iter().enumerate().map(|(place, (column, _))| {
        let at = |figure: usize| value(&found, 1 + place * 5 + figure);
        let there = at(0).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        let figures = ColumnFigures {
            null_share: if rows > 0.0 { (rows - there) / rows } else { 0.0 },
            min: at(1),
            max: at(2),
            mean: at(3).and_then(|text| text.parse().ok()),
            distinct: at(4).and_then(|text| text.parse().ok()),
        };
        (column.id, column.name.clone(), figures)
    });
    Ok(figures.collect())
}

fn is_ordered(data_type: &DataType) -> bool {
    data_type.is_numeric()
        || data_type.is_temporal()
        || matches!(
            data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean
        )
}

fn value(batch: &RecordBatch, column: usize) -> Option<String> {
    let column = batch.column(column);
    if column.is_empty() || column.is_null(0) {
        return None;
    }
    let value = ScalarValue::try_from_array(column, 0).ok()?;
    (!value.is_null()).then(|| value.to_string())
}
