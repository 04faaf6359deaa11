//! By what the rows of a table are cut into partitions, and whether an asset would cut them so.
//!
//! Iceberg's partition spec names a column, and where that is one of the rows' own it says all. Where the writer appends
//! [`APPENDED`], its texts may be months of one column or years of another: which it is, every snapshot tells by a property of its own, so
//! that a table that is taken back is cut again as it was then. Columns stand in it by field id, since a rename changes nothing.

use assets::AssetKey;
use assets::partition::Partitioning;
use iceberg::spec::{PrimitiveType, Schema, SnapshotRef, TableMetadata, Type};

use super::LakeError;
use super::partition_column::{APPENDED, PartitionColumn};
use super::table::identity_column;

/// Snapshot property with the rule by which [`APPENDED`] is filled: `month(3)`, `hour(5) Europe/Zurich`, `value(2)`.
pub(super) const RULE_PROPERTY: &str = "millpond.partitioned-by";

/// By what rows are cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// The column of the partition spec; none for a table without partitions.
    pub(super) column: Option<String>,
    /// How [`APPENDED`] is filled; not known of tables that were written by others, or by older releases.
    pub(super) rule: Option<String>,
}

impl Cut {
    /// As an asset cuts rows of these columns.
    pub(super) fn of(column: Option<&PartitionColumn>, schema: &Schema) -> Self {
        Self {
            column: column.map(|column| column.column.clone()),
            rule: column.and_then(|column| rule(column, schema)),
        }
    }

    /// As a version of a table is cut; its columns are called as in `schema`. `None` where no single column tells.
    pub(super) fn of_table(metadata: &TableMetadata, snapshot: Option<&SnapshotRef>, schema: &Schema) -> Option<Self> {
        let spec = metadata.default_partition_spec();
        let column = match identity_column(spec, schema) {
            Some((column, _)) => Some(column.to_owned()),
            None if spec.is_unpartitioned() => None,
            None => return None,
        };
        let appended = column.as_deref() == Some(APPENDED);
        Some(Self {
            column,
            rule: snapshot
                .filter(|_| appended)
                .and_then(|snapshot| rule_at(metadata, snapshot)),
        })
    }

    /// Whether rows that are cut so can lie beside rows that are cut as the other.
    pub(super) fn fits(&self, other: &Self) -> bool {
        let known = self.rule.as_ref().zip(other.rule.as_ref());
        self.column == other.column && known.is_none_or(|(own, other)| own == other)
    }

    /// `` `day` ``, `` the month of `day` ``, `nothing`.
    pub(super) fn in_words(&self, schema: &Schema) -> String {
        let Some(column) = &self.column else {
            return "nothing".to_owned();
        };
        let told = self.rule.as_deref().and_then(|rule| {
            let (unit, rest) = rule.split_once('(')?;
            let (id, zone) = rest.split_once(')')?;
            let name = schema.name_by_field_id(id.parse().ok()?)?;
            let zone = Some(zone.trim()).filter(|zone| !zone.is_empty());
            let within = zone.map_or_else(String::new, |zone| format!(" in {zone}"));
            Some(format!("the {unit} of `{name}`{within}"))
        });
        told.unwrap_or_else(|| format!("`{column}`"))
    }
}

/// Refuses rows that would lie beside others which are cut in another way. Both are called as in `schema`.
pub(super) fn check_cut(
    table: &AssetKey,
    metadata: &TableMetadata,
    snapshot: Option<&SnapshotRef>,
    schema: &Schema,
    wanted: &Cut,
) -> Result<(), LakeError> {
    let same = |schema| Cut::of_table(metadata, snapshot, schema);
    if same(schema).is_some_and(|was| was.fits(wanted)) {
        return Ok(());
    }
    let current = metadata.current_schema();
    Err(LakeError::PartitionColumn {
        table: table.clone(),
        was: same(current).map_or_else(|| "another rule".to_owned(), |was| was.in_words(current)),
        is: wanted.in_words(schema),
    })
}

/// How the writer fills the column that it appends; `None` where it appends none.
fn rule(column: &PartitionColumn, schema: &Schema) -> Option<String> {
    if !column.is_appended() {
        return None;
    }
    let source = schema.field_by_name(&column.source)?;
    let unit = match &column.partitioning {
        Partitioning::Time(time) => time.grain.as_str(),
        Partitioning::Fixed(_) => "value",
    };
    let zoned = matches!(
        source.field_type.as_ref(),
        Type::Primitive(PrimitiveType::Timestamp | PrimitiveType::Timestamptz)
    );
    Some(match &column.partitioning {
        Partitioning::Time(time) if zoned => format!("{unit}({}) {}", source.id, time.zone),
        _ => format!("{unit}({})", source.id),
    })
}

/// The rule at a snapshot: its own word, or that of the last one before that has one.
pub(super) fn rule_at(metadata: &TableMetadata, snapshot: &SnapshotRef) -> Option<String> {
    let mut next = Some(snapshot);
    while let Some(snapshot) = next {
        if let Some(rule) = snapshot.summary().additional_properties.get(RULE_PROPERTY) {
            return Some(rule.clone());
        }
        next = snapshot
            .parent_snapshot_id()
            .and_then(|parent| metadata.snapshot_by_id(parent));
    }
    None
}
