//! `inputs."layer.name" = …`: which partitions of an upstream asset a step sees.

use crate::diagnostic::{Code, Diagnostic};
use crate::key::AssetKey;
use crate::partition::{PartitionKey, PartitionMapping, WindowEnd};
use crate::span::Span;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec, TableValue};

/// What one entry of `inputs` takes.
pub(super) const INPUT: FieldType = FieldType::OneOf(&[
    FieldType::Choice(&["all", "latest", "same"]),
    FieldType::Table(&MAPPING),
]);

static MAPPING: TableSpec = TableSpec {
    name: "partition mapping",
    doc: "A window of time, or a list of keys.",
    fields: &[
        FieldSpec::optional(
            "window",
            FieldType::CalendarDuration,
            "The length of a stretch of time: `7 days`.",
        ),
        FieldSpec::optional(
            "ending",
            FieldType::Choice(&["before", "with"]),
            "Whether the window ends before this partition (the default) or with it.",
        ),
        FieldSpec::optional("keys", FieldType::StringList, "A fixed list of keys."),
    ],
};

/// One entry of `inputs`.
#[derive(Debug, Clone)]
pub(crate) struct DeclaredMapping {
    pub(crate) asset: AssetKey,
    pub(crate) asset_span: Span,
    pub(crate) mapping: PartitionMapping,
    pub(crate) mapping_span: Span,
}

/// The entries of `inputs`; what is wrong in one is reported and leaves it out.
pub(super) fn read_inputs(asset: &TableReader<'_>) -> Vec<DeclaredMapping> {
    let mut mappings = Vec::new();
    for (name, value) in asset.map("inputs") {
        let key = match name.value.parse::<AssetKey>() {
            Ok(key) => key,
            Err(error) => {
                let diagnostic = Diagnostic::new(Code::BadName, error.to_string(), name.span);
                // `inputs.gold.departures` is two tables inside each other, not one key.
                let inner = value
                    .as_map()
                    .and_then(|inner| inner.first().map(|(inner, _)| inner.value));
                asset.report(match inner {
                    Some(inner) if !["window", "ending", "keys"].contains(&inner) => diagnostic.help(format!(
                        "an asset key needs quotes here: inputs.\"{}.{inner}\"",
                        name.value
                    )),
                    _ => diagnostic.help("an entry is named by an asset key in quotes: inputs.\"layer.name\""),
                });
                continue;
            }
        };
        if let Some(mapping) = read_mapping(asset, value) {
            mappings.push(DeclaredMapping {
                asset: key,
                asset_span: name.span,
                mapping,
                mapping_span: value.span(),
            });
        }
    }
    mappings
}

fn read_mapping(asset: &TableReader<'_>, value: TableValue<'_>) -> Option<PartitionMapping> {
    if let Some(word) = value.as_str() {
        return match word.value {
            "all" => Some(PartitionMapping::All),
            "latest" => Some(PartitionMapping::Latest),
            "same" => Some(PartitionMapping::Same),
            _ => None,
        };
    }
    let table = value.as_table(&MAPPING)?;
    match (table.has("window"), table.has("keys")) {
        (true, false) => {
            let ending = match table.string("ending").map(|ending| ending.value) {
                Some("with") => WindowEnd::With,
                None if table.has("ending") => return None,
                _ => WindowEnd::Before,
            };
            Some(PartitionMapping::Window {
                length: table.string("window")?.value.to_owned(),
                ending,
            })
        }
        (false, true) => {
            if table.has("ending") {
                asset.report(Diagnostic::new(
                    Code::InvalidValue,
                    "a list of keys has no `ending`",
                    table.key_span("ending"),
                ));
            }
            let mut keys = Vec::new();
            for text in table.strings("keys") {
                match PartitionKey::new(text.value) {
                    Ok(key) => keys.push(key),
                    Err(error) => asset.report(Diagnostic::new(Code::InvalidValue, error.to_string(), text.span)),
                }
            }
            Some(PartitionMapping::Fixed(keys))
        }
        (both, _) => {
            let message = if both {
                "an input has a `window` or `keys`, not both"
            } else {
                "an input has no `window` and no `keys`"
            };
            asset.report(
                Diagnostic::new(if both { Code::InvalidValue } else { Code::MissingKey }, message, table.span())
                    .help("write \"all\", \"latest\", \"same\", { window = \"7 days\", ending = \"before\" } or { keys = [...] }"),
            );
            None
        }
    }
}
