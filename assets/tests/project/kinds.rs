//! Kinds of assets with the keys of the real ones, and nothing behind them.

use assets::asset::{InputRole, ModelReference};
use assets::diagnostic::{Code, Diagnostic};
use assets::kind::{CompileContext, CompiledKind, DeclaredInput, KindCompiler, KindDescription};
use assets::span::Spanned;
use assets::table::{FieldSpec, FieldType, TableReader, TableSpec};
use serde_json::json;

pub(crate) struct TestKinds;

static FILES: TableSpec = TableSpec {
    name: "file source",
    doc: "Files to read.",
    fields: &[
        FieldSpec::required("path", FieldType::Text, "Which files."),
        FieldSpec::optional("null", FieldType::String, "What stands for null."),
        FieldSpec::optional(
            "format",
            FieldType::Choice(&["csv", "json", "parquet"]),
            "The format of the files.",
        ),
    ],
};
static SOURCE: TableSpec = TableSpec {
    name: "source",
    doc: "Where rows come from.",
    fields: &[FieldSpec::optional(
        "files",
        FieldType::Table(&FILES),
        "Files of the project.",
    )],
};
static INGEST: TableSpec = TableSpec {
    name: "ingest asset",
    doc: "Raw files as rows.",
    fields: &[
        FieldSpec::required("from", FieldType::Table(&SOURCE), "Where the rows come from."),
        FieldSpec::optional(
            "derive",
            FieldType::Map(&FieldType::Text),
            "Columns computed from the raw ones.",
        ),
    ],
};
static SQL: TableSpec = TableSpec {
    name: "sql asset",
    doc: "Rows of a query.",
    fields: &[FieldSpec::required(
        "sql",
        FieldType::Text,
        "The query, or a file that holds it.",
    )],
};
static FEATURES: TableSpec = TableSpec {
    name: "features asset",
    doc: "Rows of a query with an entity and a time.",
    fields: &[
        FieldSpec::required("sql", FieldType::Text, "The query."),
        FieldSpec::required("entity", FieldType::STRINGS, "Columns of the entity."),
        FieldSpec::required("timestamp", FieldType::Text, "When a row became known."),
        FieldSpec::optional("ttl", FieldType::Duration, "How long a row counts."),
    ],
};
static LABELS: TableSpec = TableSpec {
    name: "labels",
    doc: "What is to be learned.",
    fields: &[
        FieldSpec::required("from", FieldType::AssetKey, "The asset."),
        FieldSpec::required("timestamp", FieldType::Text, "The time of a label."),
        FieldSpec::required("columns", FieldType::STRINGS, "The columns."),
    ],
};
static TRAINING_SET: TableSpec = TableSpec {
    name: "training_set asset",
    doc: "Labels with what was known.",
    fields: &[
        FieldSpec::required("labels", FieldType::Table(&LABELS), "The labels."),
        FieldSpec::required("features", FieldType::StringList, "The features."),
    ],
};
static TRAINER: TableSpec = TableSpec {
    name: "trainer",
    doc: "How a model is made.",
    fields: &[
        FieldSpec::optional(
            "algorithm",
            FieldType::Choice(&["gradient_boosting", "linear"]),
            "The algorithm.",
        ),
        FieldSpec::optional("trees", FieldType::IntegerWithin(1, 10_000), "How many trees."),
        FieldSpec::optional("learning_rate", FieldType::FloatWithin(0.0, 1.0), "How fast it learns."),
        FieldSpec::optional("seed", FieldType::Integer, "Where chance begins."),
        FieldSpec::optional("script", FieldType::Text, "A program instead."),
    ],
};
static TRAINING: TableSpec = TableSpec {
    name: "training asset",
    doc: "A model.",
    fields: &[
        FieldSpec::required("from", FieldType::AssetKey, "The training set."),
        FieldSpec::required("target", FieldType::Text, "What to predict."),
        FieldSpec::required("trainer", FieldType::Table(&TRAINER), "How."),
        FieldSpec::optional("split", FieldType::Any, "How rows are held back."),
        FieldSpec::optional("metrics", FieldType::StringList, "What to measure."),
        FieldSpec::optional("promote", FieldType::Any, "When it takes over."),
    ],
};
static INFERENCE: TableSpec = TableSpec {
    name: "inference asset",
    doc: "Predictions.",
    fields: &[
        FieldSpec::required("model", FieldType::Text, "Which model."),
        FieldSpec::required("from", FieldType::AssetKey, "The rows."),
        FieldSpec::optional("keep", FieldType::StringList, "Columns to keep."),
    ],
};

fn rows(asset: assets::AssetKey, span: assets::span::Span) -> DeclaredInput {
    DeclaredInput {
        asset,
        role: InputRole::Rows,
        span,
        default_mapping: None,
    }
}

fn key(text: Spanned<&str>, table: &TableReader<'_>) -> Option<Spanned<assets::AssetKey>> {
    match text.value.parse() {
        Ok(key) => Some(Spanned::new(key, text.span)),
        Err(error) => {
            table.report(Diagnostic::new(Code::BadName, error.to_string(), text.span));
            None
        }
    }
}

impl KindCompiler for TestKinds {
    fn kinds(&self) -> Vec<KindDescription> {
        [
            ("ingest", &INGEST),
            ("sql", &SQL),
            ("features", &FEATURES),
            ("training_set", &TRAINING_SET),
            ("training", &TRAINING),
            ("inference", &INFERENCE),
        ]
        .map(|(name, spec)| KindDescription {
            name,
            doc: spec.doc,
            spec,
        })
        .to_vec()
    }

    fn compile(&self, kind: &str, table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind> {
        let mut inputs = Vec::new();
        let (config, code) = match kind {
            "ingest" => {
                let files = table.table("from")?.table("files")?;
                let config =
                    json!({ "path": files.string("path")?.value, "null": files.string("null").map(|null| null.value) });
                let code = vec![config.to_string()];
                (config, code)
            }
            "sql" | "features" => {
                let query = context.parse_query(table.string("sql")?)?;
                inputs = query
                    .tables
                    .into_iter()
                    .map(|reference| rows(reference.asset, reference.span))
                    .collect();
                (
                    json!({ "sql": &*query.text, "parameters": query.parameters }),
                    vec![query.code],
                )
            }
            "training_set" => {
                let labels = table.table("labels")?;
                let from = labels.asset_key("from")?;
                inputs.push(rows(from.value, from.span));
                for feature in table.strings("features") {
                    let name = feature.map(|text| text.split(':').next().unwrap_or_default());
                    let name = key(name, table)?;
                    inputs.push(rows(name.value, name.span));
                }
                (table.value("features")?.to_json()?, vec![])
            }
            "training" => {
                let from = table.asset_key("from")?;
                inputs.push(rows(from.value, from.span));
                let trainer = table.table("trainer")?;
                let script = trainer.string("script");
                let code = match script {
                    Some(script) => context.read_text(script)?.text.to_string(),
                    None => table.value("trainer")?.to_json()?.to_string(),
                };
                (table.value("trainer")?.to_json()?, vec![code])
            }
            "inference" => {
                let model = table.string("model")?;
                let name = key(model.map(|text| text.split('@').next().unwrap_or_default()), table)?;
                let alias = model
                    .value
                    .split_once('@')
                    .map_or("champion", |(_, alias)| alias)
                    .to_owned();
                let role = InputRole::Model(ModelReference::Alias(alias));
                inputs.push(DeclaredInput {
                    asset: name.value,
                    role,
                    span: name.span,
                    default_mapping: None,
                });
                let from = table.asset_key("from")?;
                inputs.push(rows(from.value, from.span));
                (json!({ "model": model.value }), vec![model.value.to_owned()])
            }
            _ => unreachable!("no such kind: {kind}"),
        };
        Some(CompiledKind { config, code, inputs })
    }
}
