//! From the table of a `training_set` asset to its configuration.

use assets::AssetKey;
use assets::asset::InputRole;
use assets::diagnostic::{Code, Diagnostic};
use assets::kind::{CompileContext, CompiledKind, DeclaredInput};
use assets::span::Spanned;
use assets::table::TableReader;

use super::{FeatureColumns, Labels, TrainingSetConfig};

pub(super) fn compile(table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind> {
    let features = features(table);
    let labels = table.table("labels")?;
    let from = labels.asset_key("from")?;
    let timestamp = labels.string("timestamp")?.value.to_owned();
    let columns = labels.strings("columns");
    let columns = columns.into_iter().map(|column| column.value.to_owned()).collect();
    // Inputs are in the order of the configuration: the labels, then each feature asset (`link` counts on it).
    let mut inputs = vec![rows(&from)];
    let features = features?;
    inputs.extend(features.iter().map(|(asset, _)| rows(asset)));
    let config = TrainingSetConfig {
        labels: Labels {
            from: from.value,
            timestamp,
            columns,
        },
        features: features
            .into_iter()
            .map(|(asset, columns)| FeatureColumns {
                asset: asset.value,
                columns,
                joined_by: None,
            })
            .collect(),
        partition_column: context.partition_column().map(str::to_owned),
    };
    let config = serde_json::to_value(config).expect("texts and numbers have a JSON form");
    Some(CompiledKind {
        code: vec![config.to_string()],
        config,
        inputs,
    })
}

fn rows(asset: &Spanned<AssetKey>) -> DeclaredInput {
    DeclaredInput {
        asset: asset.value.clone(),
        role: InputRole::Rows,
        span: asset.span,
        default_mapping: None,
    }
}

/// The feature assets with their columns. Reports what is wrong; `None` after a report.
fn features(table: &TableReader<'_>) -> Option<Vec<(Spanned<AssetKey>, Option<Vec<String>>)>> {
    let written = table.strings("features");
    if written.is_empty() {
        if table.has("features") {
            table.invalid("features", "`features` names no asset");
        }
        return None;
    }
    let mut sound = true;
    let mut features: Vec<(Spanned<AssetKey>, Option<Vec<String>>)> = Vec::new();
    for entry in written {
        let mut wrong = |code: Code, message: String| {
            sound = false;
            table.report(Diagnostic::new(code, message, entry.span).help(
                "write an asset and, if not all of its columns are wanted, those: \"features.weather:temp,visib\"",
            ));
        };
        let (name, list) = match entry.value.split_once(':') {
            Some((name, list)) => (name.trim(), Some(list)),
            None => (entry.value.trim(), None),
        };
        let asset: AssetKey = match name.parse() {
            Ok(asset) => asset,
            Err(error) => {
                wrong(Code::BadName, format!("{error}"));
                continue;
            }
        };
        let columns: Option<Vec<String>> =
            list.map(|list| list.split(',').map(|column| column.trim().to_owned()).collect());
        for (place, column) in columns.iter().flatten().enumerate() {
            if column.is_empty() {
                wrong(Code::InvalidValue, format!("a column of `{asset}` has no name"));
            } else if columns.iter().flatten().take(place).any(|other| other == column) {
                wrong(
                    Code::InvalidValue,
                    format!("`{asset}` names the column `{column}` twice"),
                );
            }
        }
        if features.iter().any(|(other, _)| other.value == asset) {
            wrong(Code::InvalidValue, format!("`{asset}` is named twice"));
        }
        features.push((Spanned::new(asset, entry.span), columns));
    }
    sound.then_some(features)
}
