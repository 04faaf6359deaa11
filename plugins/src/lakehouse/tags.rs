//! Names of snapshots: Iceberg's tag refs, which other engines read too, and which keep a snapshot from expiring.
//!
//! A tag is part of the table's metadata. Setting one writes the next version of it, with the same snapshot; as with a commit,
//! it counts once somebody moves the pointer there.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use assets::AssetKey;
use assets::outcome::TablePointer;
use iceberg::spec::{SnapshotReference, SnapshotRetention, TableMetadata, TableMetadataBuilder};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Deserialize;

use super::commit::refuse;
use super::names::FreeNames;
use super::storage::SealTogether;
use super::{Lake, LakeError, LakeTable};

/// Letters of a name at most.
const LONGEST: usize = 100;

/// A name that a tag can have: it is read as nothing else where a snapshot or a time may stand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagName(String);

/// Why a text is not the name of a tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the name of a tag: a name begins with a letter, goes on with letters, digits, `.`, `_` and `-`, and is \
     neither `main` nor `current`"
)]
pub struct TagNameError(String);

impl FromStr for TagName {
    type Err = TagNameError;

    fn from_str(text: &str) -> Result<Self, TagNameError> {
        let begins = text.starts_with(|first: char| first.is_ascii_alphabetic());
        let goes_on = text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
        if begins && goes_on && text.len() <= LONGEST && !["main", "current"].contains(&text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TagNameError(text.chars().take(LONGEST).collect()))
        }
    }
}

impl TagName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What is to become of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagChange {
    /// It names this snapshot, wherever it pointed before.
    Set(i64),
    /// It is no more.
    Drop,
}

/// The tags of a table: name and snapshot.
pub fn tags(table: &LakeTable) -> Result<BTreeMap<String, i64>, LakeError> {
    #[derive(Deserialize)]
    struct Refs {
        #[serde(default)]
        refs: BTreeMap<String, SnapshotReference>,
    }
    // The library tells a ref by its name, and not which there are.
    let internal = |error: serde_json::Error| LakeError::Internal(format!("the refs of {}: {error}", table.key()));
    let json = serde_json::to_vec(table.metadata().as_ref()).map_err(internal)?;
    let Refs { refs } = serde_json::from_slice(&json).map_err(internal)?;
    Ok(refs
        .into_iter()
        .filter(|(_, reference)| !reference.is_branch())
        .map(|(name, reference)| (name, reference.snapshot_id))
        .collect())
}

/// The snapshot that a tag names, or the error that says which tags there are.
pub fn tagged(table: &LakeTable, name: &str) -> Result<i64, LakeError> {
    // A branch is no tag, and asking for the list is worth it only for a name that is one or the other.
    let tags = match table.metadata().snapshot_for_ref(name) {
        Some(_) => tags(table)?,
        None => BTreeMap::new(),
    };
    if let Some(snapshot) = tags.get(name) {
        return Ok(*snapshot);
    }
    Err(LakeError::NoTag {
        table: table.key().clone(),
        tag: name.to_owned(),
        known: self::tags(table)?.into_keys().collect(),
    })
}

/// Builds the version of a table in which a tag is changed, writes and syncs it: where to move the pointer. `None` if the tag is as
/// it is to be.
///
/// `now_ms` and `seed` are those of a commit.
pub async fn prepare_tag(
    lake: &Lake,
    table: &AssetKey,
    base: &TablePointer,
    name: &TagName,
    change: &TagChange,
    now_ms: i64,
    seed: u64,
) -> Result<Option<TablePointer>, LakeError> {
    let opened = lake.table(table, base).await?;
    let metadata = opened.metadata();
    let known = tags(&opened)?.get(name.as_str()).copied();
    if known.is_none() && metadata.snapshot_for_ref(name.as_str()).is_some() {
        return Err(LakeError::NotATag {
            table: table.clone(),
            name: name.to_string(),
        });
    }
    let mut builder =
        TableMetadataBuilder::new_from_metadata(metadata.as_ref().clone(), Some(base.metadata_location.clone()));
    match change {
        TagChange::Set(snapshot) if known == Some(*snapshot) => return Ok(None),
        TagChange::Drop if known.is_none() => {
            return Err(LakeError::NoTag {
                table: table.clone(),
                tag: name.to_string(),
                known: tags(&opened)?.into_keys().collect(),
            });
        }
        TagChange::Set(snapshot) => {
            opened.snapshot(Some(*snapshot))?;
            let reference = SnapshotReference::new(*snapshot, SnapshotRetention::Tag { max_ref_age_ms: None });
            builder = builder
                .set_ref(name.as_str(), reference)
                .map_err(|error| refuse(table, error))?;
        }
        TagChange::Drop => builder = builder.remove_ref(name.as_str()),
    }
    let built = builder.build().map_err(|error| refuse(table, error))?.metadata;
    let internal = |error: serde_json::Error| LakeError::Internal(format!("the metadata of {table}: {error}"));
    let mut json = serde_json::to_value(&built).map_err(internal)?;
    // The builder takes the machine's time, which may have been set back.
    json["last-updated-ms"] = now_ms.max(metadata.last_updated_ms()).into();
    let bytes = serde_json::to_vec(&json).map_err(internal)?;
    let built: TableMetadata = serde_json::from_value(json).map_err(internal)?;

    let mut random = StdRng::seed_from_u64(seed);
    let shown = base.snapshot_id.unwrap_or_default();
    let names = FreeNames::find(lake, table, Some(base), shown, &mut random).await?;
    let waiting = SealTogether::new(lake.storage().clone());
    waiting.put(&names.metadata, &bytes)?;
    waiting.seal().await?;
    lake.remember_metadata(&names.metadata, Arc::new(built), bytes.len());
    Ok(Some(TablePointer {
        metadata_location: names.metadata,
        snapshot_id: base.snapshot_id,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_nothing_else() {
        for good in ["a", "release-1.2", "Q3_2026", "before.the.fix"] {
            assert_eq!(good.parse::<TagName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(101);
        for bad in [
            "",
            "main",
            "current",
            "2026-01-01",
            "-1",
            "a b",
            "é",
            "a/b",
            long.as_str(),
        ] {
            assert!(bad.parse::<TagName>().is_err(), "{bad}");
        }
    }
}
