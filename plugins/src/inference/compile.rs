//! From the table of an `inference` asset to its configuration.

use assets::AssetKey;
use assets::asset::{InputRole, ModelReference};
use assets::diagnostic::{Code, Diagnostic, DiagnosticSink};
use assets::key::is_name;
use assets::kind::{CompileContext, CompiledKind, DeclaredInput, OtherAsset};
use assets::span::Spanned;
use assets::table::TableReader;
use serde::{Deserialize, Serialize};

use super::{MODEL_VERSION, PREDICTION};

/// What an `inference` asset keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InferenceConfig {
    /// The model.
    pub model: AssetKey,
    /// Which version.
    pub reference: ModelReference,
    /// The asset whose rows are scored.
    pub from: AssetKey,
    /// Columns to carry along, the partition column among them; `None` is all that are no features.
    pub keep: Option<Vec<String>>,
    /// The column that tells a row's partition, if the asset has partitions.
    pub partition_column: Option<String>,
}

pub(super) fn compile(table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind> {
    let model = table.string("model").and_then(|written| model(table, written));
    let from = table.asset_key("from");
    let partition_column = context.partition_column().map(str::to_owned);
    let keep = keep(table, partition_column.as_deref());
    let ((model, reference), from) = (model?, from?);
    let inputs = vec![
        DeclaredInput {
            asset: model.value.clone(),
            role: InputRole::Model(reference.clone()),
            span: model.span,
            default_mapping: None,
        },
        DeclaredInput {
            asset: from.value.clone(),
            role: InputRole::Rows,
            span: from.span,
            default_mapping: None,
        },
    ];
    let config = InferenceConfig {
        model: model.value,
        reference,
        from: from.value,
        keep,
        partition_column,
    };
    let config = serde_json::to_value(config).expect("texts and numbers have a JSON form");
    Some(CompiledKind {
        code: vec![config.to_string()],
        config,
        inputs,
    })
}

/// `layer.name@alias` or `layer.name@3`.
fn model(table: &TableReader<'_>, written: Spanned<&str>) -> Option<(Spanned<AssetKey>, ModelReference)> {
    let wrong = |code: Code, message: String| {
        table.report(
            Diagnostic::new(code, message, written.span)
                .help("name a version by alias or number: \"models.delay@champion\", \"models.delay@3\""),
        );
        None
    };
    let Some((name, version)) = written.value.split_once('@') else {
        return wrong(
            Code::InvalidValue,
            format!("`{}` names no version of the model", written.value),
        );
    };
    let asset: AssetKey = match name.parse() {
        Ok(asset) => asset,
        Err(error) => return wrong(Code::BadName, format!("{error}")),
    };
    let reference = if !version.is_empty() && version.bytes().all(|digit| digit.is_ascii_digit()) {
        match version.parse::<u64>() {
            Ok(number) if number > 0 => ModelReference::Version(number),
            _ => {
                return wrong(
                    Code::InvalidValue,
                    format!("versions are counted from 1, and `{version}` is none"),
                );
            }
        }
    } else if is_name(version) {
        ModelReference::Alias(version.to_owned())
    } else {
        return wrong(Code::BadName, format!("`{version}` is no version and no alias"));
    };
    Some((Spanned::new(asset, written.span), reference))
}

fn keep(table: &TableReader<'_>, partition_column: Option<&str>) -> Option<Vec<String>> {
    if !table.has("keep") {
        return None;
    }
    let mut keep: Vec<String> = Vec::new();
    for column in table.strings("keep") {
        if [PREDICTION, MODEL_VERSION].contains(&column.value) {
            table.report(Diagnostic::new(
                Code::InvalidValue,
                format!("`{}` is a column that inference adds", column.value),
                column.span,
            ));
        }
        if !keep.iter().any(|other| other == column.value) {
            keep.push(column.value.to_owned());
        }
    }
    if let Some(column) = partition_column
        && !keep.iter().any(|other| other == column)
    {
        keep.push(column.to_owned());
    }
    Some(keep)
}

/// The model is one.
pub(super) fn link<'o>(
    compiled: &mut CompiledKind,
    others: &dyn Fn(&AssetKey) -> Option<OtherAsset<'o>>,
    sink: &DiagnosticSink,
) {
    let [model, ..] = compiled.inputs.as_slice() else {
        return;
    };
    if let Some(other) = others(&model.asset)
        && other.kind != "training"
    {
        let message = format!("`{}` is of the kind `{}` and makes no model", model.asset, other.kind);
        sink.report(
            Diagnostic::new(Code::InvalidValue, message, model.span)
                .label("not of the kind `training`")
                .help("name an asset of `kind = \"training\"`"),
        );
    }
}
