//! The keys of a `sql` asset.

use assets::table::{FieldSpec, FieldType, TableSpec};

/// The key `sql`, which other kinds that run a query have too.
pub(crate) const SQL_FIELD: FieldSpec = FieldSpec::required(
    "sql",
    FieldType::Text,
    "One SELECT: the path of a file that ends in .sql, from the project's folder, or the text itself. Assets are named as \
     tables (silver.flights); $partition_key, $partition_start, $partition_end and the project's [params] are bound.",
);

pub(super) const SPEC: TableSpec = TableSpec {
    name: "sql asset",
    doc: "One SELECT over other assets. What it reads follows from its FROM and JOIN.",
    fields: &[SQL_FIELD],
};
