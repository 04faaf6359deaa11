//! The columns of one snapshot: their types, how many nulls they hold and between which values they lie.
//!
//! All of it is read off the metadata and the manifests: no data file is opened.

use std::cmp::Ordering;

use assets::PartitionKey;
use iceberg::spec::{DataFile, Datum, ManifestContentType, PrimitiveLiteral};

use super::lake::schema_of;
use super::partition_column::{APPENDED, key_of_literal};
use super::table::identity_column;
use super::{LakeError, LakeTable};

/// A column by name and type.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TableColumn {
    /// What stays when it gets another name.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// Its type, in Iceberg's words.
    #[serde(rename = "type")]
    pub column_type: String,
}

/// What the manifests tell of one column.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ColumnFacts {
    /// Name and type.
    #[serde(flatten)]
    pub column: TableColumn,
    /// Rows without a value; `None` if some file does not tell.
    pub nulls: Option<u64>,
    /// No value is smaller; of texts only the first characters are kept. `None` for columns without an order.
    pub lowest: Option<String>,
    /// No value is greater.
    pub highest: Option<String>,
}

/// What the manifests tell of a table, or of one of its partitions.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TableFacts {
    /// Rows in the files.
    pub rows: u64,
    /// The files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether files were looked at: too many are not, and then only names and types are known.
    pub measured: bool,
    /// Whether rows were taken away without their files being written again: they still count.
    pub with_deleted_rows: bool,
    /// Column by column.
    pub columns: Vec<ColumnFacts>,
}

/// The columns of a snapshot (the pointer's, if none is named), without the one that the writer appends.
pub fn columns(table: &LakeTable, snapshot: Option<i64>) -> Result<Vec<TableColumn>, LakeError> {
    let snapshot = table.snapshot(snapshot)?;
    let schema = schema_of(table.metadata(), snapshot.as_ref())?;
    let fields = schema.as_struct().fields().iter();
    Ok(fields
        .filter(|field| field.name != APPENDED)
        .map(|field| TableColumn {
            id: field.id,
            name: field.name.clone(),
            column_type: field.field_type.to_string(),
        })
        .collect())
}

/// Looks at the columns of a snapshot (the pointer's, if none is named), in all files or in those of one partition. A table of
/// more than `most_files` is not measured.
pub async fn table_facts(
    table: &LakeTable,
    snapshot: Option<i64>,
    partition: Option<&PartitionKey>,
    most_files: u64,
) -> Result<TableFacts, LakeError> {
    let mut measure = Measure {
        columns: columns(table, snapshot)?.into_iter().map(Measured::new).collect(),
        rows: 0,
        files: 0,
        bytes: 0,
    };
    let Some(snapshot) = table.snapshot(snapshot)? else {
        return Ok(measure.facts(true, false));
    };
    let metadata = table.metadata();
    let list = table.lake().manifest_list(&snapshot, metadata.format_version()).await?;
    let holds = |content| list.entries().iter().filter(move |file| file.content == content);
    let with_deleted_rows = holds(ManifestContentType::Deletes).next().is_some();
    let counts = holds(ManifestContentType::Data)
        .map(|file| u64::from(file.added_files_count.unwrap_or(0)) + u64::from(file.existing_files_count.unwrap_or(0)));
    if counts.sum::<u64>() > most_files {
        return Ok(measure.facts(false, with_deleted_rows));
    }
    for manifest in holds(ManifestContentType::Data) {
        let column_type = metadata
            .partition_spec_by_id(manifest.partition_spec_id)
            .and_then(|spec| identity_column(spec, metadata.current_schema()))
            .map(|(_, column_type)| column_type.clone());
        for entry in table.lake().manifest(manifest).await?.alive() {
            let file = entry.data_file();
            if let Some(wanted) = partition {
                let value = file.partition().fields().first().and_then(Option::as_ref);
                let key = column_type
                    .as_ref()
                    .and_then(|column_type| key_of_literal(value, column_type));
                if key.as_ref() != Some(wanted) {
                    continue;
                }
            }
            measure.add(file);
        }
    }
    Ok(measure.facts(true, with_deleted_rows))
}

struct Measure {
    columns: Vec<Measured>,
    rows: u64,
    files: u64,
    bytes: u64,
}

struct Measured {
    column: TableColumn,
    nulls: Option<u64>,
    lowest: Option<Datum>,
    highest: Option<Datum>,
    /// Some file has rows and no bounds: between which values all lie is not known.
    unbounded: bool,
}

impl Measured {
    fn new(column: TableColumn) -> Self {
        Self {
            column,
            nulls: Some(0),
            lowest: None,
            highest: None,
            unbounded: false,
        }
    }

    fn add(&mut self, file: &DataFile) {
        let id = self.column.id;
        // A file that is older than the column has nothing but nulls in it.
        let nulls = match (file.value_counts().get(&id), file.null_value_counts().get(&id)) {
            (_, Some(nulls)) => Some(*nulls),
            (None, None) if !file.column_sizes().is_empty() && !file.column_sizes().contains_key(&id) => {
                Some(file.record_count())
            }
            _ => None,
        };
        self.nulls = self.nulls.zip(nulls).map(|(all, these)| all + these);
        match (file.lower_bounds().get(&id), file.upper_bounds().get(&id)) {
            (Some(lower), Some(upper)) => {
                let kept = keep(&mut self.lowest, lower, Ordering::Less);
                self.unbounded |= !(kept && keep(&mut self.highest, upper, Ordering::Greater));
            }
            _ => self.unbounded |= nulls != Some(file.record_count()),
        }
    }
}

/// Keeps the one that comes first in this direction. `false` for two that do not compare: the column had another type.
fn keep(best: &mut Option<Datum>, other: &Datum, direction: Ordering) -> bool {
    let order = match best {
        Some(best) => other.partial_cmp(best),
        None => Some(direction),
    };
    if order == Some(direction) {
        *best = Some(other.clone());
    }
    order.is_some()
}

impl Measure {
    fn add(&mut self, file: &DataFile) {
        self.rows += file.record_count();
        self.files += 1;
        self.bytes += file.file_size_in_bytes();
        for column in &mut self.columns {
            column.add(file);
        }
    }

    fn facts(self, measured: bool, with_deleted_rows: bool) -> TableFacts {
        let columns = self.columns.into_iter().map(|column| {
            let known = |bound: Option<Datum>| bound.filter(|_| measured && !column.unbounded).as_ref().map(text_of);
            ColumnFacts {
                nulls: column.nulls.filter(|_| measured),
                lowest: known(column.lowest),
                highest: known(column.highest),
                column: column.column,
            }
        });
        TableFacts {
            columns: columns.collect(),
            rows: self.rows,
            files: self.files,
            bytes: self.bytes,
            measured,
            with_deleted_rows,
        }
    }
}

/// A value for people: texts without quotes.
fn text_of(value: &Datum) -> String {
    match value.literal() {
        PrimitiveLiteral::String(text) => text.clone(),
        // Parquet keeps a smallest zero as the negative one.
        _ => match value.to_string() {
            zero if zero == "-0" => "0".to_owned(),
            text => text,
        },
    }
}
