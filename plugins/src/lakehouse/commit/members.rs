//! Whether members can be committed together, and whether what they were made on still stands.

use ahash::HashSet;
use assets::AssetKey;
use assets::outcome::{Replace, TablePointer};

use super::CommitMember;
use crate::lakehouse::merge::seen_now;
use crate::lakehouse::{Lake, LakeError};

/// More members than this are refused: their tokens would swell the metadata.
const MOST_MEMBERS: usize = 1000;

pub(super) fn check_members(table: &AssetKey, members: &[CommitMember]) -> Result<(), LakeError> {
    let wrong = |what: &str| Err(LakeError::Internal(format!("commit to {table}: {what}")));
    if members.is_empty() || members.len() > MOST_MEMBERS {
        return wrong(&format!("{} members, not 1 to {MOST_MEMBERS}", members.len()));
    }
    let mut partitions = HashSet::default();
    let mut tokens = HashSet::default();
    for member in members {
        if member.token.is_empty() || member.token.contains(',') || !tokens.insert(&member.token) {
            return wrong(&format!(
                "the token `{}` is empty, holds a comma or comes twice",
                member.token
            ));
        }
        if member.staged.table != *table {
            return wrong(&format!("one member was staged for {}", member.staged.table));
        }
        let cut = |member: &CommitMember| {
            let staged = &member.staged;
            (staged.partition_column.clone(), staged.partitioned_by.clone())
        };
        if cut(member) != cut(&members[0]) {
            return wrong("the members have different partition columns");
        }
        match &member.staged.replace {
            Replace::Whole if members.len() > 1 => return wrong("one member replaces all and is not alone"),
            Replace::Partition(key) if !partitions.insert(key) => {
                return wrong(&format!("two members replace partition {key}"));
            }
            Replace::Files { partition: None, .. } if members.len() > 1 => {
                return wrong("one member merges into all and is not alone");
            }
            Replace::Files {
                partition: Some(key), ..
            } if !partitions.insert(key) => {
                return wrong(&format!("two members merge into partition {key}"));
            }
            Replace::Whole | Replace::Partition(_) | Replace::Nothing | Replace::Files { .. } => {}
        }
    }
    Ok(())
}

/// A merge counts on the files that it has looked at, and on no others.
pub(super) async fn check_seen(
    lake: &Lake,
    table: &AssetKey,
    base: Option<&TablePointer>,
    members: &[&CommitMember],
) -> Result<(), LakeError> {
    for member in members {
        if let Replace::Files { partition, seen, .. } = &member.staged.replace
            && seen_now(lake, table, base, partition.as_ref()).await? != *seen
        {
            return Err(LakeError::MergedMeanwhile { table: table.clone() });
        }
    }
    Ok(())
}
