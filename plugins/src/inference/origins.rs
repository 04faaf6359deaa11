//! Where the columns of predictions come from: the rows that are scored, and the model.

use assets::Asset;
use assets::asset::ModelReference;
use assets::sql::{AssetColumn, ColumnOrigin, ColumnOrigins};

use super::{InferenceConfig, MODEL_VERSION, PREDICTION};

pub(super) fn column_origins(asset: &Asset) -> Option<ColumnOrigins> {
    let config: InferenceConfig = serde_json::from_value(asset.config.clone()).ok()?;
    let which = match &config.reference {
        ModelReference::Alias(alias) => format!("{}@{alias}", config.model),
        ModelReference::Version(version) => format!("{}@{version}", config.model),
    };
    let by_model = |column: &str, expression: String, rows: bool| {
        let whole = |asset: &assets::AssetKey| AssetColumn {
            asset: asset.clone(),
            column: None,
        };
        let mut from = vec![whole(&config.model)];
        from.extend(rows.then(|| whole(&config.from)));
        ColumnOrigin {
            column: column.to_owned(),
            from,
            expression: Some(expression),
            traced: true,
        }
    };
    let mut columns = vec![
        by_model(
            PREDICTION,
            format!("predicted by {which} from the features of the row"),
            true,
        ),
        by_model(MODEL_VERSION, format!("the version that {which} meant"), false),
    ];
    let all_of = match &config.keep {
        Some(keep) => {
            columns.extend(keep.iter().map(|column| ColumnOrigin::same(column, &config.from)));
            Vec::new()
        }
        None => vec![config.from.clone()],
    };
    Some(ColumnOrigins {
        columns,
        all_of,
        outside: None,
    })
}
