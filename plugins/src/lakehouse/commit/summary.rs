//! What a snapshot says of itself: whose it is, what changed by it, and the table's totals after it; and who is in the past.

use std::collections::HashMap;

use ahash::HashSet;
use iceberg::spec::{Operation, SnapshotRef, SnapshotSummaryCollector, TableMetadata};
use sha2::Digest;

use super::{CommitMember, Purpose, ROWS_OF_PROPERTY, RUN_PROPERTY, TOKEN_PROPERTY};
use crate::lakehouse::cut::RULE_PROPERTY;

/// With more members than this, tokens are kept shortened (`#` and 16 digits of their SHA-256).
const WHOLE_TOKENS: usize = 32;

/// How a token stands in a snapshot of many members.
fn short_token(token: &str) -> String {
    format!("#{}", &hex::encode(sha2::Sha256::digest(token.as_bytes()))[..16])
}

/// Length and last byte.
fn end_of(token: &str) -> Option<(usize, u8)> {
    Some((token.len(), *token.as_bytes().last()?))
}

/// For each member's token that a snapshot of the ancestry carries: the snapshot's sequence number and id.
pub(super) fn committed_tokens(
    metadata: &TableMetadata,
    head: &SnapshotRef,
    members: &[CommitMember],
) -> HashMap<String, (i64, i64)> {
    let mut wanted: ahash::HashMap<String, &str> = ahash::HashMap::default();
    for member in members {
        wanted.insert(member.token.clone(), &member.token);
        wanted.insert(short_token(&member.token), &member.token);
    }
    // Nearly no token of ten thousand snapshots is a wanted one, and nearly none is as long and ends alike.
    let ends: HashSet<(usize, u8)> = wanted.keys().filter_map(|token| end_of(token)).collect();
    let mut found = HashMap::new();
    let mut next = Some(head);
    while let Some(snapshot) = next {
        if let Some(tokens) = snapshot.summary().additional_properties.get(TOKEN_PROPERTY) {
            for token in tokens.split(',') {
                if end_of(token).is_some_and(|end| ends.contains(&end))
                    && let Some(whole) = wanted.get(token)
                {
                    let place = (snapshot.sequence_number(), snapshot.snapshot_id());
                    found.entry((*whole).to_owned()).or_insert(place);
                }
            }
        }
        next = snapshot
            .parent_snapshot_id()
            .and_then(|parent| metadata.snapshot_by_id(parent));
    }
    found
}

pub(super) fn operation(added: usize, removed: usize) -> Operation {
    match (added, removed) {
        (_, 0) => Operation::Append,
        (0, _) => Operation::Delete,
        _ => Operation::Overwrite,
    }
}

/// Snapshot properties: who, what changed, and the table's totals after it.
pub(super) fn properties(
    members: &[&CommitMember],
    purpose: Purpose,
    summary: &SnapshotSummaryCollector,
    parent: Option<&SnapshotRef>,
) -> HashMap<String, String> {
    let mut properties = summary.build();
    let tokens: Vec<String> = match members.len() <= WHOLE_TOKENS {
        true => members.iter().map(|member| member.token.clone()).collect(),
        false => members.iter().map(|member| short_token(&member.token)).collect(),
    };
    let mut runs: Vec<&str> = members.iter().map(|member| member.run.as_str()).collect();
    runs.sort_unstable();
    runs.dedup();
    runs.truncate(WHOLE_TOKENS);
    let before = parent.map(|parent| &parent.summary().additional_properties);
    let number =
        |properties: &HashMap<String, String>, name: &str| properties.get(name).and_then(|n| n.parse::<i64>().ok());
    for (total, added, removed) in [
        ("total-data-files", "added-data-files", "deleted-data-files"),
        ("total-records", "added-records", "deleted-records"),
        ("total-files-size", "added-files-size", "removed-files-size"),
        ("total-delete-files", "added-delete-files", "removed-delete-files"),
        (
            "total-position-deletes",
            "added-position-deletes",
            "removed-position-deletes",
        ),
        (
            "total-equality-deletes",
            "added-equality-deletes",
            "removed-equality-deletes",
        ),
    ] {
        let base = match before {
            None => Some(0),
            Some(before) => number(before, total),
        };
        // Where another writer left no total, there is none to go on from.
        if let Some(base) = base {
            let now = base + number(&properties, added).unwrap_or(0) - number(&properties, removed).unwrap_or(0);
            properties.insert(total.to_owned(), now.to_string());
        }
    }
    if let Some(rule) = &members[0].staged.partitioned_by {
        properties.insert(RULE_PROPERTY.to_owned(), rule.clone());
    }
    if purpose != Purpose::Publish {
        if let Some(parent) = parent {
            let rows_of = before.and_then(|before| before.get(ROWS_OF_PROPERTY).cloned());
            let rows_of = rows_of.unwrap_or_else(|| parent.snapshot_id().to_string());
            properties.insert(ROWS_OF_PROPERTY.to_owned(), rows_of);
        }
        return properties;
    }
    properties.insert(TOKEN_PROPERTY.to_owned(), tokens.join(","));
    properties.insert(RUN_PROPERTY.to_owned(), runs.join(","));
    properties
}
