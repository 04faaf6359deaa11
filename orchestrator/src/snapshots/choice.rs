//! A snapshot of one table as people name it: the same on the command line, in the API and on pages.

use plugins::lakehouse::{LakeError, LakeTable, history, snapshot_as_of, tagged};

use crate::as_of::AsOf;

/// What to write instead of what means nothing.
pub const HELP: &str = "write `current`, `-1` for the one before it, an id or a tag that `millpond show ASSET --history` lists, or a \
                        time: 2026-03-01, 2026-03-01T06:00, 2026-03-01T06:00Z";

/// A snapshot as named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotChoice {
    /// So many before what readers see now.
    Before(usize),
    /// The one that readers saw at a time, in milliseconds since 1970.
    Time(i64),
    /// The one with this id.
    Id(i64),
    /// The one with this tag.
    Tag(String),
}

impl SnapshotChoice {
    /// Reads `current`, `-1`, an id, a tag, or a time in a zone.
    ///
    /// # Errors
    /// The text is none of them; [`HELP`] says what to write.
    pub fn parse(text: &str, zone: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "current" {
            return Ok(Self::Before(0));
        }
        if let Some(number) = text.strip_prefix('-')
            && let Ok(number) = number.parse()
        {
            return Ok(Self::Before(number));
        }
        match AsOf::parse(text, zone) {
            Ok(AsOf::Now) => Err("no snapshot is named".to_owned()),
            Ok(AsOf::Time(at)) => Ok(Self::Time(at)),
            Ok(AsOf::Snapshot(id)) => Ok(Self::Id(id)),
            Ok(AsOf::Tag(name)) => Ok(Self::Tag(name)),
            Err(_) => Err(format!("`{text}` names no snapshot")),
        }
    }

    /// The id of the snapshot that it means in a table.
    ///
    /// # Errors
    /// The table has no such snapshot.
    pub fn resolve(&self, table: &LakeTable) -> Result<i64, LakeError> {
        match self {
            Self::Time(at) => snapshot_as_of(table, *at),
            Self::Tag(name) => tagged(table, name),
            Self::Id(id) => Ok(*id),
            Self::Before(number) => {
                let all = history(table)?;
                let found = all.get(*number).ok_or_else(|| LakeError::TooFewSnapshots {
                    table: table.key().clone(),
                    wanted: *number,
                    known: all.len(),
                })?;
                Ok(found.id)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_many_names() {
        let of = |text: &str| SnapshotChoice::parse(text, "UTC");
        assert_eq!(of("current"), Ok(SnapshotChoice::Before(0)));
        assert_eq!(of("-2"), Ok(SnapshotChoice::Before(2)));
        assert_eq!(
            of(" before-the-fix "),
            Ok(SnapshotChoice::Tag("before-the-fix".to_owned()))
        );
        assert_eq!(of("1970-01-02"), Ok(SnapshotChoice::Time(86_400_000)));
        assert_eq!(
            of("8207346510923746501"),
            Ok(SnapshotChoice::Id(8_207_346_510_923_746_501))
        );
        assert_eq!(of("12"), Err("`12` names no snapshot".to_owned()));
        assert_eq!(of(""), Err("no snapshot is named".to_owned()));
    }
}
