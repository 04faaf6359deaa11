//! Identifiers with a readable prefix. They derive from values that come in (a seed and a time), never from a clock here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind} id: expected `{prefix}_` and 12 of 0-9 and a-z")]
pub struct IdError {
    text: String,
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// An id from 60 bits. Ids made at later times sort later when the high bits hold the time.
            pub fn from_bits(bits: u64) -> Self {
                const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
                let text: String =
                    (0..12).rev().map(|i| DIGITS[(bits >> (5 * i)) as usize & 31] as char).collect();
                Self(format!(concat!($prefix, "_{}"), text))
            }

            /// The text, prefix included.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix(concat!($prefix, "_")) {
                    Some(rest) if rest.len() == 12
                        && rest.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()) => Ok(Self(text.to_owned())),
                    _ => Err(IdError { text: text.to_owned(), kind: $kind, prefix: $prefix }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// One request to materialize some partitions of some assets.
    RunId, "run", "run"
);
id!(
    /// One try of a batch of steps of one asset in one worker. Also the fence: a result that carries another attempt than
    /// the step's current one is refused.
    AttemptId, "attempt", "att"
);
id!(
    /// A message of an alert, the same at every try to deliver it.
    MessageId, "message", "msg"
);

impl RunId {
    /// Stands for the run that made rows of which nothing is known any more.
    pub fn unknown() -> Self {
        Self::from_bits(0)
    }

    /// Whether it stands for that.
    pub fn is_unknown(&self) -> bool {
        *self == Self::unknown()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_sort_by_their_bits() {
        let (a, b) = (RunId::from_bits(1), RunId::from_bits(1 << 59));
        assert!(a < b);
        assert_eq!(a.as_str().parse::<RunId>().unwrap(), a);
        assert!("att_000000000001".parse::<RunId>().is_err());
    }
}
