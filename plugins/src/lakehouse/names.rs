//! Names and ids that nothing has yet: of snapshots, manifests, manifest lists and metadata files.

use assets::AssetKey;
use assets::outcome::TablePointer;
use iceberg::spec::TableMetadata;
use rand::RngCore;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::{Lake, LakeError};

pub(super) fn draw_uuid(random: &mut StdRng) -> Uuid {
    let mut bytes = [0; 16];
    random.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

pub(super) fn fresh_snapshot_id(random: &mut StdRng, base: Option<&TableMetadata>) -> i64 {
    loop {
        let id = (random.next_u64() >> 1) as i64;
        if id > 0 && base.is_none_or(|base| base.snapshot_by_id(id).is_none()) {
            return id;
        }
    }
}

/// Names that no file has yet: a commit that was prepared before a crash may have used the first ones of this seed.
pub(super) struct FreeNames {
    pub(super) metadata: String,
    pub(super) list: String,
    /// Manifests add their number and ending.
    pub(super) manifest_stem: String,
}

impl FreeNames {
    pub(super) async fn find(
        lake: &Lake,
        table: &AssetKey,
        base: Option<&TablePointer>,
        snapshot_id: i64,
        random: &mut StdRng,
    ) -> Result<Self, LakeError> {
        let folder = format!("{}/metadata", lake.table_location(table));
        let version = base.map_or(0, |base| version_of(&base.metadata_location) + 1);
        loop {
            let uuid = draw_uuid(random);
            let names = Self {
                metadata: format!("{folder}/{version:05}-{uuid}.metadata.json"),
                list: format!("{folder}/snap-{snapshot_id}-0-{uuid}.avro"),
                manifest_stem: format!("{folder}/{uuid}-m"),
            };
            let mut taken = false;
            for name in [&names.metadata, &names.list, &format!("{}0.avro", names.manifest_stem)] {
                taken |= lake
                    .io()
                    .exists(name)
                    .await
                    .map_err(|error| LakeError::iceberg("look for", name, error))?;
            }
            if !taken {
                return Ok(names);
            }
        }
    }
}

/// The number that a metadata file's name begins with (`00042-….metadata.json`, `v42.metadata.json`).
pub(super) fn version_of(location: &str) -> u64 {
    let name = location.rsplit('/').next().unwrap_or(location).trim_start_matches('v');
    let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}
