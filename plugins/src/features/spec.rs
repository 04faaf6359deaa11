//! The keys of a `features` asset.

use assets::table::{FieldSpec, FieldType, TableSpec};

use crate::sql::SQL_FIELD;

pub(super) const SPEC: TableSpec = TableSpec {
    name: "features asset",
    doc: "A query whose rows are facts about entities, each known from its timestamp on. Training sets and inference join \
          them to labels without looking into the future.",
    fields: &[
        SQL_FIELD,
        FieldSpec::required(
            "entity",
            FieldType::STRINGS,
            "The column or columns that say what a row is about.",
        ),
        FieldSpec::required(
            "timestamp",
            FieldType::Text,
            "The column that says from when on a row is known.",
        ),
        FieldSpec::optional(
            "ttl",
            FieldType::Duration,
            "For how long a row may serve after its timestamp: 2 days, 3 hours. Without it, for ever.",
        ),
        FieldSpec::optional(
            "created",
            FieldType::Text,
            "The column that says when a row was made; the newer of two rows of one moment counts.",
        ),
    ],
};
