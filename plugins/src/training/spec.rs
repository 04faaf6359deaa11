//! The keys of a `training` asset.

use assets::table::{FieldSpec, FieldType, TableSpec};

pub(super) const SPEC: TableSpec = TableSpec {
    name: "training asset",
    doc: "A model, learned from the rows of another asset and judged on those that it has not seen.",
    fields: &[
        FieldSpec::required(
            "from",
            FieldType::AssetKey,
            "The asset whose rows teach: a training set or any table.",
        ),
        FieldSpec::required("target", FieldType::Text, "The column to predict: yes/no or a number."),
        FieldSpec::required(
            "trainer",
            FieldType::Map(&FieldType::Any),
            "How to learn: `algorithm` (gradient_boosting, logistic_regression, linear_regression) and its parameters.",
        ),
        FieldSpec::optional(
            "features",
            FieldType::StringList,
            "The columns to predict from. Without it, the features of the training set, or all other columns of a table.",
        ),
        FieldSpec::optional(
            "split",
            FieldType::Table(&SPLIT),
            "Which rows judge the model instead of teaching it.",
        ),
        FieldSpec::optional(
            "metrics",
            FieldType::StringList,
            "How it is judged: auc, log_loss, brier, accuracy, rmse, mae. Without it, all that fit the target.",
        ),
        FieldSpec::optional(
            "promote",
            FieldType::Table(&PROMOTE),
            "When a new version takes an alias. Without it, promoting is done by hand.",
        ),
    ],
};

static SPLIT: TableSpec = TableSpec {
    name: "split",
    doc: "Rows up to a point teach, rows from it on judge.",
    fields: &[
        FieldSpec::required(
            "by",
            FieldType::Text,
            "The column that orders the rows: a time, a date or a number.",
        ),
        FieldSpec::optional(
            "test_from",
            FieldType::OneOf(&[FieldType::DateTime, FieldType::Float]),
            "The first value of the test part. A day is its first moment in the project's time zone.",
        ),
        FieldSpec::optional(
            "test_share",
            FieldType::FloatWithin(0.0, 1.0),
            "The share of the rows, those with the greatest values, that judge.",
        ),
    ],
};

static PROMOTE: TableSpec = TableSpec {
    name: "promote",
    doc: "When a new version takes an alias.",
    fields: &[
        FieldSpec::required("alias", FieldType::Name, "The alias, such as `champion`."),
        FieldSpec::optional(
            "when",
            FieldType::Text,
            "A condition over the metrics of the test part: `auc > 0.65 AND auc >= champion.auc`. Without it, always.",
        ),
    ],
};
