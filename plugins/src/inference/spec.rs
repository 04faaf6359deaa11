//! The keys of an `inference` asset.

use assets::table::{FieldSpec, FieldType, TableSpec};

pub(super) const SPEC: TableSpec = TableSpec {
    name: "inference asset",
    doc: "Rows, each with the prediction of one model version.",
    fields: &[
        FieldSpec::required(
            "model",
            FieldType::Text,
            "The model and its version: \"models.delay@champion\" by an alias, \"models.delay@3\" by number.",
        ),
        FieldSpec::required("from", FieldType::AssetKey, "The asset whose rows are scored."),
        FieldSpec::optional(
            "keep",
            FieldType::StringList,
            "Columns to carry along. Without it, all that are no features of the model.",
        ),
    ],
};
