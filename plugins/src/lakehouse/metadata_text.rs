//! The JSON of a table's metadata, written quickly where the table has many snapshots.
//!
//! Every commit writes the metadata whole, and nearly all of it are the snapshots of the past, which never change: with ten thousand of
//! them the library takes 30 ms to say eight megabytes again. A commit adds one snapshot and one line of the log. So the text that
//! the last commit wrote is kept ([`MetadataText`]), and the next one takes over the snapshots as they stand there, says what it adds, and
//! says the rest anew. Where no such text is kept (the first commit of a process, a table that another program wrote) the library says
//! all of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use assets::AssetKey;
use iceberg::spec::{SnapshotRef, TableMetadata};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::LakeError;

/// Tables with fewer snapshots are written by the library: there is little to gain, and the text would take memory.
const MANY: usize = 200;

const SNAPSHOTS: &str = "snapshots";
const LOG: &str = "snapshot-log";

/// The text of one version of the metadata, and where in it the snapshots are.
#[derive(Debug)]
pub(super) struct MetadataText {
    bytes: Vec<u8>,
    /// The lists, without their brackets.
    snapshots: Range<usize>,
    log: Range<usize>,
    /// How many are in them.
    counts: (usize, usize),
    /// All the rest.
    rest: Map<String, Value>,
}

impl MetadataText {
    /// The whole text.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A text to write: one that is worth keeping for the next commit, or one that is not.
pub(super) enum Written {
    /// Of many snapshots.
    Kept(Arc<MetadataText>),
    /// Of few.
    Plain(Vec<u8>),
}

impl Written {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Kept(text) => text.bytes(),
            Self::Plain(bytes) => bytes,
        }
    }
}

/// The JSON of `metadata`, which came from the version with the text `before` by a commit: by one snapshot more and what it changes of
/// columns, partitions and the place of files.
pub(super) fn write(
    table: &AssetKey,
    metadata: &TableMetadata,
    before: Option<&MetadataText>,
) -> Result<Written, LakeError> {
    write_where_many(table, metadata, before, MANY)
}

fn write_where_many(
    table: &AssetKey,
    metadata: &TableMetadata,
    before: Option<&MetadataText>,
    many: usize,
) -> Result<Written, LakeError> {
    let refuse =
        |error: serde_json::Error| LakeError::Internal(format!("the metadata of {table} has no JSON form: {error}"));
    let counts = (metadata.snapshots().len(), metadata.history().len());
    if let Some(before) = before.filter(|before| counts == (before.counts.0 + 1, before.counts.1 + 1))
        && let (Some(snapshot), Some(line)) = (metadata.current_snapshot(), metadata.history().last())
    {
        let rest = rest_after(metadata, &before.rest).map_err(refuse)?;
        let text = go_on(before, rest, &SnapshotText::of(snapshot), line, counts);
        return Ok(Written::Kept(Arc::new(text.map_err(refuse)?)));
    }
    let bytes = serde_json::to_vec(metadata).map_err(refuse)?;
    if counts.0 < many {
        return Ok(Written::Plain(bytes));
    }
    Ok(match take_apart(&bytes, counts).map_err(refuse)? {
        Some((snapshots, log, rest)) => Written::Kept(Arc::new(MetadataText {
            bytes,
            snapshots,
            log,
            counts,
            rest,
        })),
        None => Written::Plain(bytes),
    })
}

/// What of a text that the library wrote are the snapshots, what their log, and what the rest.
type Parts = (Range<usize>, Range<usize>, Map<String, Value>);

fn take_apart(bytes: &[u8], counts: (usize, usize)) -> serde_json::Result<Option<Parts>> {
    let parts: BTreeMap<&str, &RawValue> = serde_json::from_slice(bytes)?;
    let within = |name: &str| {
        let list = parts.get(name)?.get();
        let start = list.as_ptr() as usize - bytes.as_ptr() as usize;
        // A list of some: what is between the brackets.
        (list.len() > 2).then(|| start + 1..start + list.len() - 1)
    };
    let (Some(snapshots), Some(log)) = (within(SNAPSHOTS), within(LOG)) else {
        return Ok(None);
    };
    if counts.0 == 0 || counts.1 == 0 {
        return Ok(None);
    }
    let mut rest = Map::new();
    for (name, value) in &parts {
        if *name != SNAPSHOTS && *name != LOG {
            rest.insert((*name).to_owned(), serde_json::from_str(value.get())?);
        }
    }
    Ok(Some((snapshots, log, rest)))
}

/// The rest of the metadata after a commit. What a commit cannot change (properties, sort orders, tags, statistics) is taken over.
fn rest_after(metadata: &TableMetadata, before: &Map<String, Value>) -> serde_json::Result<Map<String, Value>> {
    let mut rest = before.clone();
    let mut set = |name: &str, value: Value| rest.insert(name.to_owned(), value);
    set("location", metadata.location().into());
    set("last-sequence-number", metadata.last_sequence_number().into());
    set("last-updated-ms", metadata.last_updated_ms().into());
    set("last-column-id", metadata.last_column_id().into());
    set("last-partition-id", metadata.last_partition_id().into());
    set("current-schema-id", metadata.current_schema_id().into());
    set("default-spec-id", metadata.default_partition_spec_id().into());
    set("current-snapshot-id", metadata.current_snapshot_id().into());
    set("metadata-log", serde_json::to_value(metadata.metadata_log())?);
    let schemas: Vec<_> = metadata.schemas_iter().map(AsRef::as_ref).collect();
    set("schemas", serde_json::to_value::<Vec<&iceberg::spec::Schema>>(schemas)?);
    let specs: Vec<_> = metadata.partition_specs_iter().map(AsRef::as_ref).collect();
    set(
        "partition-specs",
        serde_json::to_value::<Vec<&iceberg::spec::PartitionSpec>>(specs)?,
    );
    if let Some(main) = rest.get_mut("refs").and_then(|refs| refs.get_mut("main")) {
        main["snapshot-id"] = json!(metadata.current_snapshot_id());
    }
    Ok(rest)
}

fn go_on(
    before: &MetadataText,
    rest: Map<String, Value>,
    snapshot: &SnapshotText<'_>,
    line: &impl Serialize,
    counts: (usize, usize),
) -> serde_json::Result<MetadataText> {
    let mut bytes = Vec::with_capacity(before.bytes.len() + 4096);
    serde_json::to_writer(&mut bytes, &rest)?;
    // More members come before the end of the object.
    bytes.pop();
    let mut list = |name: &str, kept: &[u8], added: &dyn Fn(&mut Vec<u8>) -> serde_json::Result<()>| {
        bytes.extend_from_slice(format!(",\"{name}\":[").as_bytes());
        let start = bytes.len();
        bytes.extend_from_slice(kept);
        bytes.push(b',');
        added(&mut bytes)?;
        let range = start..bytes.len();
        bytes.push(b']');
        Ok::<_, serde_json::Error>(range)
    };
    let snapshots = list(SNAPSHOTS, &before.bytes[before.snapshots.clone()], &|bytes| {
        serde_json::to_writer(bytes, snapshot)
    })?;
    let log = list(LOG, &before.bytes[before.log.clone()], &|bytes| {
        serde_json::to_writer(bytes, line)
    })?;
    bytes.push(b'}');
    Ok(MetadataText {
        bytes,
        snapshots,
        log,
        counts,
        rest,
    })
}

/// A snapshot as Iceberg's format 2 writes it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SnapshotText<'a> {
    snapshot_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_snapshot_id: Option<i64>,
    sequence_number: i64,
    timestamp_ms: i64,
    manifest_list: &'a str,
    summary: &'a iceberg::spec::Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_id: Option<i32>,
}

impl<'a> SnapshotText<'a> {
    fn of(snapshot: &'a SnapshotRef) -> Self {
        Self {
            snapshot_id: snapshot.snapshot_id(),
            parent_snapshot_id: snapshot.parent_snapshot_id(),
            sequence_number: snapshot.sequence_number(),
            timestamp_ms: snapshot.timestamp_ms(),
            manifest_list: snapshot.manifest_list(),
            summary: snapshot.summary(),
            schema_id: snapshot.schema_id(),
        }
    }
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{
        FormatVersion, NestedField, Operation, PrimitiveType, Schema, Snapshot, SnapshotReference, SnapshotRetention,
        SortOrder, Summary, TableMetadataBuilder, Transform, Type, UnboundPartitionSpec,
    };
    use proptest::prelude::*;

    use super::*;

    fn schema(columns: usize) -> Schema {
        let fields = (0..columns).map(|place| {
            let id = place as i32 + 1;
            NestedField::optional(id, format!("c{place}"), Type::Primitive(PrimitiveType::Long)).into()
        });
        Schema::builder().with_fields(fields).build().unwrap()
    }

    fn first() -> TableMetadata {
        let spec = UnboundPartitionSpec::builder().build();
        let order = SortOrder::unsorted_order();
        let place = "file:///lake/silver/\"odd\" ü".to_owned();
        let properties = [("write.metadata.previous-versions-max".to_owned(), "3".to_owned())].into();
        let built = TableMetadataBuilder::new(schema(1), spec, order, place, FormatVersion::V2, properties);
        built.unwrap().build().unwrap().metadata
    }

    /// What a commit makes of it, with a tag, another column or other partitions now and then.
    fn next(metadata: &TableMetadata, number: i64, also: u8) -> TableMetadata {
        let location = format!("file:///lake/{number}.metadata.json");
        let mut builder = metadata.clone().into_builder(Some(location));
        if also == 1 {
            builder = builder
                .add_current_schema(schema(metadata.current_schema().as_struct().fields().len() + 1))
                .unwrap();
        }
        if also == 2 {
            let spec = UnboundPartitionSpec::builder();
            let spec = spec
                .add_partition_field(1, format!("by{number}"), Transform::Identity)
                .unwrap()
                .build();
            builder = builder.add_default_partition_spec(spec).unwrap();
        }
        if also == 3 {
            builder = builder.set_location(format!("file:///elsewhere/{number}"));
        }
        let snapshot = Snapshot::builder()
            .with_snapshot_id(number)
            .with_parent_snapshot_id(metadata.current_snapshot_id())
            .with_sequence_number(metadata.next_sequence_number())
            .with_timestamp_ms(metadata.last_updated_ms() + number)
            .with_manifest_list(format!("file:///lake/{number} \"list\".avro"))
            .with_schema_id(0)
            .with_summary(Summary {
                operation: Operation::Append,
                additional_properties: [("millpond.token".to_owned(), format!("att\n{number}"))].into(),
            })
            .build();
        builder
            .set_branch_snapshot(snapshot, "main")
            .unwrap()
            .build()
            .unwrap()
            .metadata
    }

    fn tagged(metadata: &TableMetadata, name: &str) -> TableMetadata {
        let reference = SnapshotReference {
            snapshot_id: metadata.current_snapshot_id().unwrap(),
            retention: SnapshotRetention::Tag { max_ref_age_ms: None },
        };
        let builder = metadata
            .clone()
            .into_builder(Some("file:///lake/tag.metadata.json".to_owned()));
        builder.set_ref(name, reference).unwrap().build().unwrap().metadata
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Whatever commits did, the text is read as what the library would have written.
        #[test]
        fn the_text_is_what_the_library_says(changes in prop::collection::vec(0..6_u8, 1..20)) {
            let table: AssetKey = "silver.numbers".parse().unwrap();
            let mut metadata = first();
            let mut before: Option<Arc<MetadataText>> = None;
            let mut gone_on = 0;
            for (number, also) in changes.iter().enumerate() {
                if *also == 4 && metadata.current_snapshot_id().is_some() {
                    // Not by a commit: its text is not known.
                    metadata = tagged(&metadata, &format!("tag {number}"));
                    before = None;
                }
                let counted = before.is_some();
                metadata = next(&metadata, number as i64 + 1, *also);
                let written = write_where_many(&table, &metadata, before.as_deref(), 1).unwrap();
                let read: TableMetadata = serde_json::from_slice(written.bytes()).unwrap();
                prop_assert_eq!(&read, &metadata);
                let ours: Value = serde_json::from_slice(written.bytes()).unwrap();
                let mut theirs = serde_json::to_value(&metadata).unwrap();
                // The library lists what it has in no order.
                let mut ours = ours;
                for list in [SNAPSHOTS, "schemas", "partition-specs"] {
                    for value in [&mut ours, &mut theirs] {
                        value[list].as_array_mut().unwrap().sort_by_key(ToString::to_string);
                    }
                }
                prop_assert_eq!(ours, theirs);
                let Written::Kept(text) = written else { panic!("it is kept") };
                gone_on += usize::from(counted);
                before = Some(text);
            }
            prop_assert!(gone_on > 0 || changes.len() == 1 || changes[1..].iter().all(|also| *also == 4));
        }
    }

    #[test]
    fn few_snapshots_are_left_to_the_library() {
        let table: AssetKey = "silver.numbers".parse().unwrap();
        let metadata = next(&first(), 1, 0);
        let written = write(&table, &metadata, None).unwrap();
        assert!(matches!(written, Written::Plain(_)));
        assert_eq!(written.bytes(), serde_json::to_vec(&metadata).unwrap());
    }
}
