//! What an asset promises of its columns, and what becomes of a step whose rows have others.

use serde::{Deserialize, Serialize};

/// The declared columns of an asset, and how strictly they are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contract {
    /// What is declared, in the order written. Not every column need be.
    pub columns: Vec<DeclaredColumn>,
    /// What else may change; `None` leaves it to how the asset is written.
    pub schema: Option<SchemaPolicy>,
}

/// One declared column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredColumn {
    /// Its name.
    pub name: String,
    /// Its type in Iceberg's words, `decimal(10,2)`; `None` where any will do.
    pub column_type: Option<String>,
    /// Whether every row has a value. A check sees to it.
    pub required: bool,
    /// What it holds, for people.
    pub description: Option<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// What it was called before, the latest name first: a table that has such a column and none of this name has it renamed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub was: Vec<String>,
    /// It is promised that there is no such column, and a table that has one loses it with the next rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
}

/// What becomes of a step whose rows have other columns than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemaPolicy {
    /// It fails: the columns are those declared, or those that the table has if none is.
    Fail,
    /// Columns may be added, and types widened as Iceberg allows; anything else fails.
    Evolve,
    /// Nothing is asked of them: what is declared is for people.
    Ignore,
}

impl SchemaPolicy {
    /// The words in TOML.
    pub const WORDS: &'static [&'static str] = &["fail", "evolve", "ignore"];

    /// The word in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Evolve => "evolve",
            Self::Ignore => "ignore",
        }
    }
}

impl Contract {
    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The declaration of a column that is promised to be there.
    pub fn column(&self, name: &str) -> Option<&DeclaredColumn> {
        self.kept().find(|column| column.name == name)
    }

    /// The columns that are promised to be there.
    pub fn kept(&self) -> impl Iterator<Item = &DeclaredColumn> {
        self.columns.iter().filter(|column| !column.dropped)
    }

    /// The names of columns that were dropped.
    pub fn dropped(&self) -> impl Iterator<Item = &str> {
        let dropped = self.columns.iter().filter(|column| column.dropped);
        dropped.map(|column| column.name.as_str())
    }
}
