//! The text that names one partition.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The canonical text of one partition: `2013-03-01`, `2013-03-01T05`, `EWR`. Cheap to clone.
///
/// Any text of 1 to 250 bytes without control characters; commas, slashes, spaces and letters of any script are allowed
/// because fixed sets hold what users' data hold. Never used as a path without encoding.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct PartitionKey(Arc<str>);

/// Why a text cannot be a partition key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartitionKeyError {
    /// Empty text.
    #[error("a partition key cannot be empty")]
    Empty,
    /// More than 250 bytes.
    #[error("a partition key has at most 250 bytes; this one has {0}")]
    TooLong(usize),
    /// A control character.
    #[error("a partition key cannot hold the control character {0:?}")]
    Control(char),
}

impl PartitionKey {
    /// Checks and wraps `text`.
    pub fn new(text: &str) -> Result<Self, PartitionKeyError> {
        if text.is_empty() {
            return Err(PartitionKeyError::Empty);
        }
        if text.len() > 250 {
            return Err(PartitionKeyError::TooLong(text.len()));
        }
        match text.chars().find(|c| c.is_control()) {
            Some(control) => Err(PartitionKeyError::Control(control)),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PartitionKey {
    type Error = PartitionKeyError;

    fn try_from(text: String) -> Result<Self, PartitionKeyError> {
        Self::new(&text)
    }
}

impl From<PartitionKey> for String {
    fn from(key: PartitionKey) -> Self {
        key.0.to_string()
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}
