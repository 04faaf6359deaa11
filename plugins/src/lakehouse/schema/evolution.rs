//! How one version of a table's columns follows another.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::Schema as ArrowSchema;
use assets::outcome::ColumnChanges;
use assets::{AssetKey, Contract};
use iceberg::spec::{NestedField, NestedFieldRef, Schema};

use super::shape::{Ids, Shape, widest};
use crate::lakehouse::APPENDED;
use crate::lakehouse::error::{LakeError, SchemaDifference};

/// How a new version of the columns may differ from the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evolution {
    /// The rows replace all others: any columns will do.
    Anything,
    /// Other rows stay: columns may be added or widened.
    Widen,
}

/// The columns that a table has, and what may become of them.
#[derive(Clone, Copy)]
pub(crate) struct Before<'a> {
    /// The columns.
    pub(crate) schema: &'a Schema,
    /// The highest id that any version of them has used.
    pub(crate) last_id: i32,
    /// How the next ones may differ.
    pub(crate) evolution: Evolution,
    /// Which columns were renamed and which were dropped.
    pub(crate) contract: &'a Contract,
}

impl Before<'_> {
    /// The column that one of the rows goes on: the one of its name, or of the latest of its earlier names, unless the rows have that too.
    fn column(&self, name: &str, rows: &ArrowSchema) -> Option<&NestedFieldRef> {
        let own = self.schema.as_struct();
        own.field_by_name(name).or_else(|| {
            let declared = self.contract.column(name)?;
            let earlier = declared.was.iter().filter(|was| rows.field_with_name(was).is_err());
            earlier.into_iter().find_map(|was| own.field_by_name(was))
        })
    }
}

/// Gives every column of `arrow` an Iceberg type and a field id, and says what became of columns that there were.
///
/// Ids of columns that there were by the same name, or by an earlier one, and of a fitting type are kept; others are new.
pub(crate) fn to_iceberg(
    table: &AssetKey,
    arrow: &ArrowSchema,
    before: Option<Before<'_>>,
) -> Result<(Schema, ColumnChanges), LakeError> {
    let mut ids = Ids {
        last: before.map_or(0, |before| before.last_id),
    };
    let mut changes = ColumnChanges::default();
    let mut differences = Vec::new();
    let mut fields: Vec<Option<NestedFieldRef>> = Vec::new();
    let mut names = HashSet::new();
    let mut gone_on = HashSet::new();
    // Top-level ids first, then those inside: the order in which Iceberg numbers the columns of a new table.
    let mut fresh = Vec::new();
    for field in arrow.fields() {
        if !names.insert(field.name().as_str()) {
            return Err(LakeError::ColumnType {
                column: field.name().clone(),
                reason: "two columns have this name".to_owned(),
                help: "give each column of the SELECT a name of its own with AS".to_owned(),
            });
        }
        let shape = Shape::of(field.name(), field.data_type())?;
        let known = before
            .as_ref()
            .and_then(|before| before.column(field.name(), arrow))
            .filter(|known| gone_on.insert(known.id));
        let merged = known.and_then(|known| shape.onto(&known.field_type, &mut ids));
        if let (Some(known), Some(merged)) = (known, merged) {
            if known.name != *field.name() {
                changes.renamed.push(known.id);
            }
            fields.push(Some(Arc::new(NestedField {
                name: field.name().clone(),
                field_type: Box::new(merged),
                required: false,
                ..known.as_ref().clone()
            })));
            continue;
        }
        if let Some(known) = known {
            differences.push(SchemaDifference {
                column: field.name().clone(),
                was: Some(known.field_type.to_string()),
                is: Some(shape.describe()),
            });
        }
        fresh.push((fields.len(), ids.next(), field.name().clone(), shape));
        fields.push(None);
    }
    for (position, id, name, shape) in fresh {
        fields[position] = Some(Arc::new(NestedField::optional(id, name, shape.fresh(&mut ids))));
    }
    let mut fields: Vec<NestedFieldRef> = fields.into_iter().flatten().collect();
    if let Some(before) = before.filter(|before| before.evolution == Evolution::Widen) {
        let own = before.schema.as_struct().fields();
        for known in own.iter().filter(|known| !gone_on.contains(&known.id)) {
            // Whether the rows are cut as those of the table is judged elsewhere, and the column is the writer's.
            if known.name == APPENDED {
                continue;
            }
            if before.contract.dropped().any(|dropped| dropped == known.name) {
                changes.dropped.push(known.id);
            } else {
                differences.push(SchemaDifference {
                    column: known.name.clone(),
                    was: Some(known.field_type.to_string()),
                    is: None,
                });
            }
        }
        if !differences.is_empty() {
            return Err(LakeError::Schema {
                table: table.clone(),
                differences,
            });
        }
        // The table's own order, then what is new.
        fields.sort_by_key(|field| own.iter().position(|known| known.id == field.id).unwrap_or(usize::MAX));
    }
    Ok((schema_of(table, fields)?, changes))
}

fn schema_of(table: &AssetKey, fields: Vec<NestedFieldRef>) -> Result<Schema, LakeError> {
    Schema::builder()
        .with_fields(fields)
        .build()
        .map_err(|error| LakeError::iceberg("describe the columns of", table, error))
}

/// The schema of a table after `staged` files joined it, or why they cannot: another writer has meanwhile used the ids, renamed
/// a column or dropped it. `taken` says whether an id was ever a column of the table.
pub(crate) fn join_staged(
    table: &AssetKey,
    current: &Schema,
    staged: &Schema,
    changes: &ColumnChanges,
    taken: impl Fn(i32) -> bool,
) -> Result<Schema, LakeError> {
    let mut differences = Vec::new();
    let current = current.as_struct().fields().iter();
    let mut fields: Vec<NestedFieldRef> = current
        .filter(|known| !changes.dropped.contains(&known.id))
        .cloned()
        .collect();
    for field in staged.as_struct().fields() {
        let by_name = fields.iter().position(|known| known.name == field.name);
        let by_id = fields.iter().position(|known| known.id == field.id);
        let renamed = by_name.is_none() && changes.renamed.contains(&field.id);
        match (by_name, by_id) {
            (_, Some(id)) if by_name == by_id || renamed => match widest(&fields[id].field_type, &field.field_type) {
                Some(wide) => {
                    fields[id] = Arc::new(NestedField {
                        name: field.name.clone(),
                        field_type: Box::new(wide),
                        required: false,
                        ..fields[id].as_ref().clone()
                    });
                }
                None => differences.push(difference(&fields[id], field)),
            },
            (None, None) if taken(field.id) => differences.push(SchemaDifference {
                column: field.name.clone(),
                was: Some(format!("field {} of a column that was dropped meanwhile", field.id)),
                is: Some(field.field_type.to_string()),
            }),
            (None, None) => fields.push(Arc::clone(field)),
            (Some(known), _) | (None, Some(known)) => differences.push(difference(&fields[known], field)),
        }
    }
    if !differences.is_empty() {
        return Err(LakeError::Schema {
            table: table.clone(),
            differences,
        });
    }
    schema_of(table, fields)
}

fn difference(known: &NestedFieldRef, field: &NestedFieldRef) -> SchemaDifference {
    SchemaDifference {
        column: field.name.clone(),
        was: Some(format!("{} (field {}, `{}`)", known.field_type, known.id, known.name)),
        is: Some(format!("{} (field {})", field.field_type, field.id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lakehouse::tests::contract;
    use arrow::datatypes::{DataType, Field};

    fn key() -> AssetKey {
        "silver.flights".parse().unwrap()
    }

    fn arrow(fields: &[(&str, DataType)]) -> ArrowSchema {
        ArrowSchema::new(
            fields
                .iter()
                .map(|(name, t)| Field::new(*name, t.clone(), true))
                .collect::<Vec<_>>(),
        )
    }

    /// What becomes of `rows` in a table with these columns.
    fn next(
        before: &Schema,
        rows: &[(&str, DataType)],
        evolution: Evolution,
        contract: &Contract,
    ) -> Result<(Schema, ColumnChanges), LakeError> {
        let before = Before {
            schema: before,
            last_id: before.highest_field_id(),
            evolution,
            contract,
        };
        to_iceberg(&key(), &arrow(rows), Some(before))
    }

    fn first(rows: &[(&str, DataType)]) -> Schema {
        to_iceberg(&key(), &arrow(rows), None).unwrap().0
    }

    fn shown(schema: &Schema) -> String {
        let fields = schema.as_struct().fields().iter();
        let words: Vec<String> = fields
            .map(|f| format!("{} {} {}", f.id, f.name, f.field_type))
            .collect();
        words.join(", ")
    }

    #[test]
    fn ids_stay_with_names_and_new_columns_come_last() {
        let first = first(&[("a", DataType::Int32), ("b", DataType::Utf8View)]);
        let rows = [("c", DataType::Float64), ("b", DataType::Utf8), ("a", DataType::Int64)];
        let (next, changes) = next(&first, &rows, Evolution::Widen, &Contract::default()).unwrap();
        assert_eq!(shown(&next), "1 a long, 2 b string, 3 c double");
        assert!(changes.is_empty());
    }

    #[test]
    fn a_column_that_is_missing_or_changed_is_named() {
        let first = first(&[("a", DataType::Utf8), ("b", DataType::Int64)]);
        let rows = [("a", DataType::Int64)];
        let error = next(&first, &rows, Evolution::Widen, &Contract::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "write silver.flights: its columns differ from those of the table: `a` was string, is long; `b` was long, is missing"
        );
        let (replaced, _) = next(&first, &rows, Evolution::Anything, &Contract::default()).unwrap();
        assert_eq!(shown(&replaced), "3 a long", "a changed type gets an id of its own");
    }

    #[test]
    fn a_renamed_column_keeps_its_id_and_a_dropped_one_goes() {
        let text = DataType::Utf8;
        let table = first(&[("a", DataType::Int32), ("b", text.clone()), ("c", text.clone())]);
        let after = |rows: &[(&str, DataType)], words: &[&str], evolution| {
            next(&table, rows, evolution, &contract(words)).map(|(schema, changes)| {
                format!(
                    "{}; renamed {:?}, dropped {:?}",
                    shown(&schema),
                    changes.renamed,
                    changes.dropped
                )
            })
        };
        let both = [("n", DataType::Int64), ("c", text.clone())];
        for (rows, words, evolution, expected) in [
            (
                &both[..],
                &["n:z,a", "-b"][..],
                Evolution::Widen,
                "1 n long, 3 c string; renamed [1], dropped [2]",
            ),
            (
                &both[..],
                &["n:a"][..],
                Evolution::Anything,
                "1 n long, 3 c string; renamed [1], dropped []",
            ),
            // The rows still have what it was called before: it is another column.
            (
                &[
                    ("a", DataType::Int32),
                    ("n", DataType::Int64),
                    ("b", text.clone()),
                    ("c", text.clone()),
                ][..],
                &["n:a"][..],
                Evolution::Widen,
                "1 a int, 2 b string, 3 c string, 4 n long; renamed [], dropped []",
            ),
        ] {
            assert_eq!(after(rows, words, evolution).unwrap(), expected, "{words:?}");
        }
        let error = after(&both, &["n:b", "-a"], Evolution::Widen).unwrap_err();
        assert!(error.to_string().ends_with("`n` was string, is long"), "{error}");
    }

    #[test]
    fn what_others_did_meanwhile_is_followed_or_refused() {
        let table = first(&[("a", DataType::Int32), ("b", DataType::Utf8)]);
        let (renamed, changes) = next(
            &table,
            &[("n", DataType::Int32)],
            Evolution::Widen,
            &contract(&["n:a", "-b"]),
        )
        .unwrap();
        let join = |current: &Schema, staged: &Schema, changes: &ColumnChanges| {
            join_staged(&key(), current, staged, changes, |id| id <= 2).map(|schema| shown(&schema))
        };
        assert_eq!(join(&table, &renamed, &changes).unwrap(), "1 n int");
        assert_eq!(
            join(&renamed, &renamed, &changes).unwrap(),
            "1 n int",
            "another partition did it"
        );
        // Rows that were made before by the old declaration.
        let error = join(&renamed, &table, &ColumnChanges::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("`a` was int (field 1, `n`)"), "{error}");
        assert!(
            error.contains("`b` was field 2 of a column that was dropped meanwhile"),
            "{error}"
        );
    }

    #[test]
    fn types_without_a_place_say_what_to_do() {
        let error = to_iceberg(&key(), &arrow(&[("x", DataType::Null)]), None).unwrap_err();
        assert_eq!(error.to_string(), "write column `x`: it has no type, only nulls");
        assert!(error.failure().help.unwrap().contains("CAST(NULL AS VARCHAR)"));
    }
}
