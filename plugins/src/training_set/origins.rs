//! Where the columns of a training set come from: its labels, and the features joined to them.

use assets::Asset;
use assets::sql::{AssetColumn, ColumnOrigin, ColumnOrigins, ColumnsOf};

use super::{TrainingSetConfig, output};

pub(super) fn column_origins(asset: &Asset, columns_of: ColumnsOf<'_>) -> Option<ColumnOrigins> {
    let config: TrainingSetConfig = serde_json::from_value(asset.config.clone()).ok()?;
    let joins: Vec<_> = config
        .features
        .iter()
        .map(|features| features.joined_by.as_ref())
        .collect();
    let entities = joins.iter().flatten().flat_map(|join| &join.entity);
    let labels = config.label_columns(entities);
    let mut columns: Vec<ColumnOrigin> = labels
        .iter()
        .map(|column| ColumnOrigin::same(column, &config.labels.from))
        .collect();
    let mut taken = Vec::new();
    for (features, join) in config.features.iter().zip(joins) {
        let names = match &features.columns {
            Some(columns) => columns.clone(),
            // Without its columns nothing can be said of what is taken of it.
            None => output::not_joined_by(join?, columns_of(&features.asset)?.iter().map(String::as_str)),
        };
        taken.push((features.asset.name(), names));
    }
    for (features, named) in config.features.iter().zip(output::named(&labels, &taken)) {
        columns.extend(named.into_iter().map(|column| ColumnOrigin {
            column: column.output,
            from: vec![AssetColumn {
                asset: features.asset.clone(),
                column: Some(column.source),
            }],
            expression: Some(format!(
                "newest {} known at {}",
                features.asset, config.labels.timestamp
            )),
            traced: true,
        }));
    }
    Some(ColumnOrigins {
        columns,
        ..ColumnOrigins::default()
    })
}
