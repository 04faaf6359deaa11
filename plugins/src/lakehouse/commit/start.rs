//! Where the next version of a table's metadata begins.

use std::collections::HashMap;
use std::sync::Arc;

use assets::AssetKey;
use assets::outcome::TablePointer;
use iceberg::spec::{
    FormatVersion, PartitionSpecRef, SchemaRef, SortOrder, TableMetadata, TableMetadataBuilder, UnboundPartitionSpec,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::refuse;
use super::shape::Shape;
use crate::lakehouse::names::draw_uuid;
use crate::lakehouse::{Lake, LakeError};

/// Where a metadata builder begins.
pub(super) struct Start<'a> {
    pub(super) lake: &'a Lake,
    pub(super) table: &'a AssetKey,
    pub(super) base: Option<&'a TablePointer>,
    pub(super) metadata: Option<&'a TableMetadata>,
    pub(super) shape: &'a Shape,
}

impl Start<'_> {
    /// Schema and partition spec of the base, if the next version has the same.
    pub(super) fn unchanged(&self) -> Result<Option<(SchemaRef, PartitionSpecRef)>, LakeError> {
        let Some(base) = self.metadata else { return Ok(None) };
        let spec = self.shape.spec()?;
        let same = base.current_schema().as_struct() == self.shape.schema.as_struct() && same_spec(base, &spec);
        Ok(same.then(|| {
            (
                Arc::clone(base.current_schema()),
                Arc::clone(base.default_partition_spec()),
            )
        }))
    }

    pub(super) fn builder(&self, seed: u64) -> Result<TableMetadataBuilder, LakeError> {
        let spec = self.shape.spec()?;
        let built = match self.metadata {
            None => {
                let properties = HashMap::from([
                    ("write.parquet.compression-codec".to_owned(), "zstd".to_owned()),
                    ("write.metadata.previous-versions-max".to_owned(), "100".to_owned()),
                ]);
                let location = self.lake.table_location(self.table);
                let order = SortOrder::unsorted_order();
                // The table's own id comes from the seed, but not with the same draw as the file names.
                let uuid = draw_uuid(&mut StdRng::seed_from_u64(seed ^ 0x7461_626c_6500_0000));
                TableMetadataBuilder::new(
                    self.shape.schema.clone(),
                    spec,
                    order,
                    location,
                    FormatVersion::V2,
                    properties,
                )
                .map(|builder| builder.assign_uuid(uuid))
            }
            Some(metadata) => {
                if metadata.format_version() != FormatVersion::V2 {
                    return Err(LakeError::Location {
                        location: metadata.location().to_owned(),
                        reason: format!(
                            "it has Iceberg format {}; only format v2 is written",
                            metadata.format_version()
                        ),
                    });
                }
                let location = self.base.map(|base| base.metadata_location.clone());
                let mut builder = Ok(metadata.clone().into_builder(location));
                // It came from an environment, or goes into one: what is written from here on is beside the rest.
                let own = self.lake.table_location(self.table);
                if metadata.location().trim_end_matches('/') != own {
                    builder = builder.map(|builder| builder.set_location(own));
                }
                if metadata.current_schema().as_struct() != self.shape.schema.as_struct() {
                    builder = builder.and_then(|builder| builder.add_current_schema(self.shape.schema.clone()));
                }
                if !same_spec(metadata, &spec) {
                    builder = builder.and_then(|builder| builder.add_default_partition_spec(spec));
                }
                builder
            }
        };
        built.map_err(|error| refuse(self.table, error))
    }
}

fn same_spec(metadata: &TableMetadata, spec: &UnboundPartitionSpec) -> bool {
    let now: &PartitionSpecRef = metadata.default_partition_spec();
    let own = now.fields().iter().map(|field| (field.source_id, field.transform));
    own.eq(spec.fields().iter().map(|field| (field.source_id, field.transform)))
}
