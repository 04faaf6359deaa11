//! Is a version of a table whole? Its metadata, manifests and data files are looked for and compared with what is said of them.
//!
//! Rows are not read: that a data file has the bytes that its manifest says and ends like a Parquet file is as far as it goes.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use assets::PartitionKey;
use futures::StreamExt;
use futures::stream;
use iceberg::spec::{DataFileFormat, ManifestContentType};

use super::history::PartitionRows;
use super::partition_column::key_of_literal;
use super::table::identity_column;
use super::{Lake, LakeError, LakeTable};

/// At most so many faults of one table are told: one cause can show in a million files.
const MOST: usize = 20;
/// Files looked at at the same time.
const TOGETHER: usize = 16;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Rows and files by partition, as the manifests say. Files without a partition of ours are under `None`.
    pub partitions: BTreeMap<Option<PartitionKey>, PartitionRows>,
    /// Whether it is cut by the values of one column.
    pub is_partitioned: bool,
    /// Data files and delete files.
    pub files: u64,
    /// Their bytes, as the manifests say.
    pub bytes: u64,
    /// Files that are not there or not what the manifests say, for people.
    pub faults: Vec<String>,
}

/// Looks at every file of the version that the pointer shows.
///
/// # Errors
/// The metadata's snapshot, its manifest list or a manifest cannot be read: what is missing behind it is not known.
pub async fn verify(table: &LakeTable) -> Result<Verified, LakeError> {
    let mut found = Verified {
        is_partitioned: table.partition_column().is_some(),
        ..Verified::default()
    };
    let Some(snapshot) = table.snapshot(None)? else {
        return Ok(found);
    };
    let metadata = table.metadata();
    let list = table.lake().manifest_list(&snapshot, metadata.format_version()).await?;
    let mut files = Vec::new();
    for manifest in list.entries() {
        let column_type = metadata
            .partition_spec_by_id(manifest.partition_spec_id)
            .and_then(|spec| identity_column(spec, metadata.current_schema()))
            .map(|(_, column_type)| column_type.clone());
        for entry in table.lake().manifest(manifest).await?.alive() {
            let file = entry.data_file();
            found.files += 1;
            found.bytes += entry.file_size_in_bytes();
            if manifest.content == ManifestContentType::Data {
                let value = file.partition().fields().first().and_then(Option::as_ref);
                let key = column_type
                    .as_ref()
                    .and_then(|column_type| key_of_literal(value, column_type));
                let rows = found.partitions.entry(key).or_default();
                rows.rows += entry.record_count();
                rows.files += 1;
                rows.bytes += entry.file_size_in_bytes();
            }
            files.push(LookedAt {
                location: file.file_path().to_owned(),
                bytes: entry.file_size_in_bytes(),
                is_parquet: file.file_format() == DataFileFormat::Parquet,
            });
        }
    }
    let looks = files.into_iter().map(|file| fault_of(table.lake(), file));
    let mut looks = stream::iter(looks).buffered(TOGETHER);
    let mut faults = 0;
    while let Some(fault) = looks.next().await {
        if let Some(fault) = fault {
            faults += 1;
            if faults <= MOST {
                found.faults.push(fault);
            }
        }
    }
    if faults > MOST {
        found.faults.push(format!("and {} files more", faults - MOST));
    }
    Ok(found)
}

async fn fault_of(lake: &Lake, file: LookedAt) -> Option<String> {
    let (location, bytes) = (&file.location, file.bytes);
    match lake.storage().end_of(location, 4).await {
        Err(error) if error.source.kind() == ErrorKind::NotFound => Some(format!("`{location}` is not there")),
        Err(error) => Some(format!("`{location}` cannot be read: {}", error.source)),
        Ok((length, _)) if length != bytes => {
            Some(format!("`{location}` has {length} bytes, its manifest says {bytes}"))
        }
        Ok((_, end)) if file.is_parquet && end.as_ref() != b"PAR1" => {
            Some(format!("`{location}` does not end like a Parquet file"))
        }
        Ok(_) => None,
    }
}

/// What a manifest says of a file.
struct LookedAt {
    location: String,
    bytes: u64,
    is_parquet: bool,
}
