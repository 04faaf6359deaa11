//! Asset keys: `layer.name`, the one name that code, TOML, SQL, CLI and pages use for an asset.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::partition::PartitionKey;

/// `layer.name`: the layer is an Iceberg namespace, the name its table.
///
/// Each part is 1 to 120 characters of `a-z`, `0-9` and `_` and does not begin with a digit, so that it needs no quotes in
/// SQL, is a safe folder name, and cannot differ from another key by case alone. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct AssetKey {
    text: Arc<str>,
    dot: u16,
}

/// Why a text is not an asset key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not exactly two parts.
    #[error("`{0}` is not `layer.name`")]
    Parts(String),
    /// One part has a character or a length that is not allowed.
    #[error("`{0}` in `{1}` is not a name: use 1 to 120 of a-z, 0-9 and _, not starting with a digit")]
    Part(String, String),
}

impl AssetKey {
    /// Builds a key from its two parts.
    pub fn new(layer: &str, name: &str) -> Result<Self, KeyError> {
        let text = format!("{layer}.{name}");
        for part in [layer, name] {
            if !is_name(part) {
                return Err(KeyError::Part(part.to_owned(), text));
            }
        }
        Ok(Self {
            dot: layer.len() as u16,
            text: text.into(),
        })
    }

    /// The Iceberg namespace.
    pub fn layer(&self) -> &str {
        &self.text[..usize::from(self.dot)]
    }

    /// The table's name inside its layer.
    pub fn name(&self) -> &str {
        &self.text[usize::from(self.dot) + 1..]
    }

    /// `layer.name`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether `text` may be a layer, a table's name, or any other name a user declares.
pub fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=120).contains(&bytes.len())
        && !bytes[0].is_ascii_digit()
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_')
}

impl FromStr for AssetKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text.split_once('.') {
            Some((layer, name)) if !name.contains('.') => Self::new(layer, name),
            _ => Err(KeyError::Parts(text.to_owned())),
        }
    }
}

impl TryFrom<String> for AssetKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<AssetKey> for String {
    fn from(key: AssetKey) -> Self {
        key.text.to_string()
    }
}

impl fmt::Display for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One thing that can be materialized: a partition of an asset, or the whole of an unpartitioned one.
/// Written `silver.flights@2013-03-01` or `gold.airports`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AssetPartition {
    /// The asset.
    pub asset: AssetKey,
    /// `None` for an asset without partitions.
    pub partition: Option<PartitionKey>,
}

impl AssetPartition {
    /// Pairs an asset with one of its partitions.
    pub fn new(asset: AssetKey, partition: Option<PartitionKey>) -> Self {
        Self { asset, partition }
    }
}

impl fmt::Display for AssetPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.partition {
            Some(partition) => write!(f, "{}@{partition}", self.asset),
            None => write!(f, "{}", self.asset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_two_plain_parts() {
        let key: AssetKey = "silver.flights".parse().unwrap();
        assert_eq!((key.layer(), key.name()), ("silver", "flights"));
        for bad in [
            "flights",
            "a.b.c",
            "Silver.flights",
            "silver.",
            ".x",
            "silver.1x",
            "a.b-c",
            "a.b/../c",
            "a.b c",
        ] {
            assert!(bad.parse::<AssetKey>().is_err(), "{bad}");
        }
    }
}
