//! Which feature columns come out, and under which names.

use arrow::datatypes::Schema;
use assets::outcome::{Failure, FailureClass};
use hashbrown::HashMap;

use super::{FeatureColumns, JoinedBy};
use crate::checks::missing_column;
use crate::point_in_time::FeatureColumn;

/// The columns taken of one features table: those that are named, or all that it is not joined by.
pub(super) fn taken(features: &FeatureColumns, joined: &JoinedBy, schema: &Schema) -> Result<Vec<String>, Failure> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let Some(columns) = &features.columns else {
        return Ok(not_joined_by(joined, names.into_iter()));
    };
    match columns.iter().find(|column| !names.contains(&column.as_str())) {
        Some(missing) => Err(Failure::new(
            FailureClass::Declaration,
            format!(
                "`features` of the asset: {} in {}",
                missing_column(missing, &names),
                features.asset
            ),
        )),
        None => Ok(columns.clone()),
    }
}

/// All of these columns but those that the rows are joined by.
pub(super) fn not_joined_by<'c>(joined: &JoinedBy, columns: impl Iterator<Item = &'c str>) -> Vec<String> {
    let joins = |name: &str| {
        joined.timestamp == name
            || joined.created.as_deref() == Some(name)
            || joined.entity.iter().any(|column| column == name)
    };
    columns.filter(|name| !joins(name)).map(str::to_owned).collect()
}

/// Names for the taken columns of each asset, by the asset's plain name: a name that occurs more than once, among the columns of the
/// labels too, gets the asset's name before it.
pub(super) fn named(labels: &[String], taken: &[(&str, Vec<String>)]) -> Vec<Vec<FeatureColumn>> {
    let mut uses: HashMap<&str, usize, ahash::RandomState> = HashMap::default();
    let features = taken.iter().flat_map(|(_, columns)| columns);
    for name in labels.iter().chain(features) {
        *uses.entry(name).or_default() += 1;
    }
    let name = |asset: &str, column: &String| {
        if uses[column.as_str()] > 1 {
            FeatureColumn::renamed(column, format!("{asset}__{column}"))
        } else {
            FeatureColumn::same(column)
        }
    };
    taken
        .iter()
        .map(|(asset, columns)| columns.iter().map(|column| name(asset, column)).collect())
        .collect()
}
