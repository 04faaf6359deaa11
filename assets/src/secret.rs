//! References to secrets, as declared. The value is looked up by whoever uses it, each time, and is kept nowhere.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the value of a secret is found. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretReference {
    /// In this environment variable of the process that uses it.
    Env(String),
    /// In this file, from the project's folder; a line break at its end does not count.
    File(String),
    /// On standard output of this program, run in the project's folder; a line break at its end does not count.
    Command(Vec<String>),
}

impl fmt::Display for SecretReference {
    /// Where it is looked for, for messages: never the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable `{name}`"),
            Self::File(path) => write!(f, "file `{path}`"),
            Self::Command(words) => write!(f, "program `{}`", words.first().map_or("", String::as_str)),
        }
    }
}
