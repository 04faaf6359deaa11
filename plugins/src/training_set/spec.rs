//! The keys of a `training_set` asset.

use assets::table::{FieldSpec, FieldType, TableSpec};

pub(super) const SPEC: TableSpec = TableSpec {
    name: "training_set asset",
    doc: "Labels, each with the features that were known at its moment, and nothing later. What models learn from and what \
          they score.",
    fields: &[
        FieldSpec::required(
            "labels",
            FieldType::Table(&LABELS),
            "The rows to join features to: one row each comes out.",
        ),
        FieldSpec::required(
            "features",
            FieldType::StringList,
            "Assets of the kind `features`: all columns of one, or those after a colon, \"features.weather:temp,visib\".",
        ),
    ],
};

static LABELS: TableSpec = TableSpec {
    name: "labels",
    doc: "Where labels come from, and what is taken of them.",
    fields: &[
        FieldSpec::required("from", FieldType::AssetKey, "The asset of the labels."),
        FieldSpec::required(
            "timestamp",
            FieldType::Text,
            "Its column with the moment at which features must have been known.",
        ),
        FieldSpec::optional(
            "columns",
            FieldType::StringList,
            "Further columns to carry along: the outcome, the partition column.",
        ),
    ],
};
