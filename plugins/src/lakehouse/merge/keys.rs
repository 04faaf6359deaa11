//! The keys of the rows to merge, and the values beside them, in a form that compares.

use std::sync::Arc;

use ahash::HashMap;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef as ArrowSchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use assets::AssetKey;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, lit};

use super::internal;
use crate::lakehouse::LakeError;

/// Keys that an error names.
const NAMED: usize = 5;

/// The keys of the rows to merge, by their value.
#[derive(Debug)]
pub(super) struct Keys {
    names: Vec<String>,
    places: Vec<usize>,
    converter: RowConverter,
    /// Where in the source each key is.
    pub(super) index: HashMap<Box<[u8]>, u32>,
}

impl Keys {
    pub(super) fn new(table: &AssetKey, view: &ArrowSchemaRef, key: &[String]) -> Result<Self, LakeError> {
        let mut places = Vec::with_capacity(key.len());
        for name in key {
            let place = view.index_of(name).map_err(|_| LakeError::Merge {
                table: table.clone(),
                reason: format!("the rows have no column `{name}`, which is part of the key"),
                help: "add it to the SELECT, or name another key".to_owned(),
            })?;
            places.push(place);
        }
        let fields: Vec<SortField> = places
            .iter()
            .map(|place| SortField::new(view.field(*place).data_type().clone()))
            .collect();
        Ok(Self {
            names: key.to_vec(),
            places,
            converter: RowConverter::new(fields).map_err(internal)?,
            index: HashMap::default(),
        })
    }

    pub(super) fn of(&self, batch: &RecordBatch) -> Result<Rows, LakeError> {
        let columns: Vec<_> = self
            .places
            .iter()
            .map(|place| Arc::clone(batch.column(*place)))
            .collect();
        self.converter.convert_columns(&columns).map_err(internal)
    }

    /// Remembers the keys of the rows to merge.
    pub(super) fn take(&mut self, table: &AssetKey, source: &RecordBatch) -> Result<(), LakeError> {
        for (name, place) in self.names.iter().zip(&self.places) {
            let nulls = source.column(*place).null_count();
            if nulls > 0 {
                return Err(LakeError::Merge {
                    table: table.clone(),
                    reason: format!(
                        "{nulls} {} no value in `{name}`, which is part of the key",
                        if nulls == 1 { "row has" } else { "rows have" }
                    ),
                    help: format!("leave such rows out (WHERE {name} IS NOT NULL), or name another key"),
                });
            }
        }
        let keys = self.of(source)?;
        let mut again: Vec<usize> = Vec::new();
        for row in 0..source.num_rows() {
            if self.index.insert(keys.row(row).data().into(), row as u32).is_some() {
                again.push(row);
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        let mut distinct: Vec<(Box<[u8]>, usize)> = again
            .into_iter()
            .map(|row| (keys.row(row).data().into(), row))
            .collect();
        distinct.sort();
        distinct.dedup_by(|a, b| a.0 == b.0);
        let mut named: Vec<String> = distinct
            .iter()
            .take(NAMED)
            .map(|(_, row)| self.words(source, *row))
            .collect();
        if distinct.len() > NAMED {
            named.push(format!("{} more", distinct.len() - NAMED));
        }
        Err(LakeError::Merge {
            table: table.clone(),
            reason: format!(
                "{} more than once in the rows to merge: {}",
                if distinct.len() == 1 {
                    "one key comes".to_owned()
                } else {
                    format!("{} keys come", distinct.len())
                },
                named.join("; ")
            ),
            help: "keep one row of each key, such as the newest: a query can with row_number()".to_owned(),
        })
    }

    fn words(&self, batch: &RecordBatch, row: usize) -> String {
        let options = FormatOptions::default().with_display_error(true);
        let values = self.names.iter().zip(&self.places).map(|(name, place)| {
            let column = batch.column(*place);
            let value = ArrayFormatter::try_new(column.as_ref(), &options).map(|values| values.value(row).to_string());
            format!("{name} {}", value.unwrap_or_else(|_| "?".to_owned()))
        });
        values.collect::<Vec<_>>().join(", ")
    }

    /// The first key column lies between the smallest and the greatest of the source; `None` if there is no row.
    pub(super) fn range(&self, source: &RecordBatch) -> Result<Option<Expr>, LakeError> {
        let column = source.column(self.places[0]);
        let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())]).map_err(internal)?;
        let rows = converter.convert_columns(&[Arc::clone(column)]).map_err(internal)?;
        let by_value = |a: &usize, b: &usize| rows.row(*a).cmp(&rows.row(*b));
        let least = (0..source.num_rows()).min_by(by_value);
        let most = (0..source.num_rows()).max_by(by_value);
        let (Some(least), Some(most)) = (least, most) else {
            return Ok(None);
        };
        let value = |row| ScalarValue::try_from_array(column, row).map_err(LakeError::engine);
        let name = || Expr::Column(Column::from_name(self.names[0].clone()));
        Ok(Some(
            name().gt_eq(lit(value(least)?)).and(name().lt_eq(lit(value(most)?))),
        ))
    }
}

/// The values beside the key, to compare.
pub(super) struct Values {
    places: Vec<usize>,
    /// `None` where some type cannot be compared: then every row counts as another one.
    converter: Option<(RowConverter, Rows)>,
}

impl Values {
    pub(super) fn new(view: &ArrowSchemaRef, keys: &Keys, source: &RecordBatch) -> Result<Self, LakeError> {
        let places: Vec<usize> = (0..view.fields().len())
            .filter(|place| !keys.places.contains(place))
            .collect();
        let fields: Vec<SortField> = places
            .iter()
            .map(|place| SortField::new(view.field(*place).data_type().clone()))
            .collect();
        if places.is_empty() || !RowConverter::supports_fields(&fields) {
            return Ok(Self {
                places,
                converter: None,
            });
        }
        let converter = RowConverter::new(fields).map_err(internal)?;
        let rows = converter.convert_columns(&columns(source, &places)).map_err(internal)?;
        Ok(Self {
            places,
            converter: Some((converter, rows)),
        })
    }

    pub(super) fn of(&self, batch: &RecordBatch) -> Result<Option<Rows>, LakeError> {
        match &self.converter {
            Some((converter, _)) => {
                let rows = converter.convert_columns(&columns(batch, &self.places));
                Ok(Some(rows.map_err(internal)?))
            }
            None => Ok(None),
        }
    }

    pub(super) fn same(&self, own: usize, others: Option<&Rows>, row: usize) -> bool {
        match (&self.converter, others) {
            (Some((_, source)), Some(others)) => source.row(own) == others.row(row),
            _ => self.places.is_empty(),
        }
    }
}

fn columns(batch: &RecordBatch, places: &[usize]) -> Vec<arrow::array::ArrayRef> {
    places.iter().map(|place| Arc::clone(batch.column(*place))).collect()
}
