//! What only the feature assets tell: their entities, times and time to live.

use assets::AssetKey;
use assets::diagnostic::{Code, Diagnostic, DiagnosticSink};
use assets::kind::{CompiledKind, OtherAsset};

use super::{JoinedBy, TrainingSetConfig};
use crate::features::FeaturesConfig;

pub(super) fn link<'o>(
    compiled: &mut CompiledKind,
    others: &dyn Fn(&AssetKey) -> Option<OtherAsset<'o>>,
    sink: &DiagnosticSink,
) {
    let mut config: TrainingSetConfig =
        serde_json::from_value(compiled.config.clone()).expect("compile wrote this form");
    // The input of a feature asset has the place of the asset, after that of the labels.
    for (features, input) in config.features.iter_mut().zip(&compiled.inputs[1..]) {
        let Some(other) = others(&features.asset) else {
            // It does not exist or its own declaration is wrong; both are reported elsewhere.
            continue;
        };
        features.joined_by = joined_by(&other);
        if features.joined_by.is_none() {
            let message = format!("`{}` is of the kind `{}` and no features", features.asset, other.kind);
            sink.report(
                Diagnostic::new(Code::InvalidValue, message, input.span)
                    .label("not of the kind `features`")
                    .help("a training set joins assets that say their `entity` and `timestamp`: make it `kind = \"features\"`"),
            );
        }
    }
    if let Some(column) = &config.partition_column
        && config.features.iter().all(|features| features.joined_by.is_some())
    {
        let entities = config
            .features
            .iter()
            .filter_map(|features| features.joined_by.as_ref());
        let columns = config.label_columns(entities.flat_map(|joined| &joined.entity));
        if !columns.contains(column) {
            let message = format!("the partition column `{column}` is not among the columns taken from the labels");
            sink.report(
                Diagnostic::new(Code::InvalidValue, message, compiled.inputs[0].span)
                    .help(format!("carry it along: `columns = [\"{column}\", …]` in `labels`")),
            );
        }
    }
    compiled.config = serde_json::to_value(config).expect("texts and numbers have a JSON form");
    compiled.code = vec![compiled.config.to_string()];
}

fn joined_by(other: &OtherAsset<'_>) -> Option<JoinedBy> {
    if other.kind != "features" {
        return None;
    }
    let config: FeaturesConfig = serde_json::from_value(other.config.clone()).ok()?;
    Some(JoinedBy {
        entity: config.entity,
        timestamp: config.timestamp,
        ttl_seconds: config.ttl_seconds,
        created: config.created,
    })
}

/// The columns of a training set that are no features. `config` may be as it was before linking. `None` if the asset is no
/// training set, or if one of its feature assets is not known.
pub(crate) fn label_columns<'o>(
    asset: &OtherAsset<'_>,
    others: &dyn Fn(&AssetKey) -> Option<OtherAsset<'o>>,
) -> Option<Vec<String>> {
    if asset.kind != "training_set" {
        return None;
    }
    let config: TrainingSetConfig = serde_json::from_value(asset.config.clone()).ok()?;
    let joined: Vec<JoinedBy> = config
        .features
        .iter()
        .map(|features| joined_by(&others(&features.asset)?))
        .collect::<Option<_>>()?;
    Some(config.label_columns(joined.iter().flat_map(|joined| &joined.entity)))
}
