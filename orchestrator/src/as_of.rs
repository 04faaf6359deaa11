//! The moment or the snapshot as of which a query reads, as people write it: the same on the command line and in the console.

use plugins::lakehouse::TagName;
use serde::{Deserialize, Serialize};

/// Which versions of tables a query reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsOf {
    /// The newest.
    #[default]
    Now,
    /// Every table as it was at a time, in milliseconds since 1970.
    Time(i64),
    /// Every table at this snapshot.
    Snapshot(i64),
    /// Every table at the snapshot that has this tag.
    Tag(String),
}

/// What to write instead of what means nothing.
pub const HELP: &str =
    "write 2026-03-01, 2026-03-01T06:00, 2026-03-01T06:00Z, a tag, or an id that `millpond show` lists";

impl AsOf {
    /// A time in a zone, an instant, the id of a snapshot, or a tag; nothing is now.
    ///
    /// # Errors
    /// The text is none of them; [`HELP`] says what to write.
    pub fn parse(text: &str, zone: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::Now);
        }
        if let Ok(id) = text.parse::<i64>()
            && text.len() > 8
        {
            return Ok(Self::Snapshot(id));
        }
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::Time(instant.as_millisecond()));
        }
        let local = text
            .parse::<jiff::civil::DateTime>()
            .or_else(|_| text.parse::<jiff::civil::Date>().map(|date| date.at(0, 0, 0, 0)));
        match local.and_then(|local| local.in_tz(zone)) {
            Ok(zoned) => Ok(Self::Time(zoned.timestamp().as_millisecond())),
            Err(_) => match text.parse::<TagName>() {
                Ok(tag) => Ok(Self::Tag(tag.to_string())),
                Err(_) => Err(format!("`{text}` is neither a time, nor a snapshot id, nor a tag")),
            },
        }
    }
}

impl From<AsOf> for plugins::query::AsOf {
    fn from(as_of: AsOf) -> Self {
        match as_of {
            AsOf::Now => Self::Pinned,
            AsOf::Time(at) => Self::Time(at),
            AsOf::Snapshot(id) => Self::Snapshot(id),
            AsOf::Tag(name) => Self::Tag(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_zone_unless_they_say_another() {
        let of = |text: &str| AsOf::parse(text, "America/New_York");
        assert_eq!(of(" "), Ok(AsOf::Now));
        assert_eq!(of("2013-03-01"), Ok(AsOf::Time(1_362_114_000_000)));
        assert_eq!(of("2013-03-01T06:00Z"), Ok(AsOf::Time(1_362_117_600_000)));
        assert_eq!(of("8207346510923746501"), Ok(AsOf::Snapshot(8_207_346_510_923_746_501)));
        assert_eq!(of("release-1"), Ok(AsOf::Tag("release-1".to_owned())));
        assert_eq!(
            of("last week"),
            Err("`last week` is neither a time, nor a snapshot id, nor a tag".to_owned())
        );
    }
}
