//! What went wrong in a query, for the person who wrote it: the unknown name, the one that was probably meant, the place.

use assets::AssetKey;
use assets::diagnostic::closest;
use assets::outcome::{Failure, FailureClass};
use datafusion::common::{DataFusionError, SchemaError};

use crate::lakehouse::LakeError;

/// A query that cannot run, or that failed while it ran.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct QueryError {
    /// Class, message and help. The message names the place if it is known.
    pub failure: Failure,
    /// Line and column in the SQL text, both from 1.
    pub at: Option<(u64, u64)>,
}

impl QueryError {
    pub(crate) fn new(failure: Failure, at: Option<(u64, u64)>) -> Self {
        let mut failure = failure;
        if let Some((line, column)) = at {
            failure.message = format!("{} (line {line}, column {column} of the SQL)", failure.message);
        }
        Self { failure, at }
    }

    pub(crate) fn declaration(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            failure: Failure::new(FailureClass::Declaration, message).with_help(help),
            at: None,
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        error.failure
    }
}

/// Reads an engine error met while planning or while the result streams. `tables` are the names that could have been meant.
pub fn engine_error(error: DataFusionError, tables: &[AssetKey]) -> QueryError {
    let at = place(&error);
    if let Some(name) = missing_table(&error) {
        let name = name.strip_prefix("millpond.").unwrap_or(&name);
        let name = name.strip_prefix("session.").unwrap_or(name).to_owned();
        let mut failure = Failure::new(FailureClass::Declaration, format!("there is no table `{name}`"));
        if let Some(meant) = closest(&name, tables.iter().map(AssetKey::as_str)) {
            failure = failure.with_help(format!("did you mean `{meant}`?"));
        } else if tables.is_empty() {
            failure = failure.with_help("no table can be read here");
        }
        return QueryError::new(failure, at);
    }
    if let DataFusionError::SchemaError(schema, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref()
    {
        let mut names: Vec<&str> = valid_fields.iter().map(|field| field.name.as_str()).collect();
        names.dedup();
        let mut failure = Failure::new(
            FailureClass::Declaration,
            format!("there is no column `{}`", field.name),
        );
        failure = match closest(&field.name, names.iter().copied()) {
            Some(meant) => failure.with_help(format!("did you mean `{meant}`?")),
            None if names.is_empty() => failure,
            None => {
                let more = if names.len() > 12 { ", …" } else { "" };
                names.truncate(12);
                failure.with_help(format!("the columns are {}{more}", names.join(", ")))
            }
        };
        return QueryError::new(failure, at);
    }
    let failure = LakeError::from(error).failure();
    QueryError::new(
        Failure {
            message: plain(&failure.message),
            ..failure
        },
        at,
    )
}

/// Without the engine's own prefixes, which mean nothing to a user.
fn plain(message: &str) -> String {
    let mut text = message;
    for prefix in [
        "Error during planning: ",
        "SQL error: ",
        "ParserError(\"",
        "Schema error: ",
        "Execution error: ",
        "Arrow error: ",
        "External error: ",
        "Diagnostic error: ",
    ] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    text.strip_suffix("\")").unwrap_or(text).to_owned()
}

/// Line and column of the innermost diagnostic, or those that the parser wrote into its message.
fn place(error: &DataFusionError) -> Option<(u64, u64)> {
    if let Some(span) = error.diagnostic().and_then(|diagnostic| diagnostic.span)
        && span.start.line > 0
    {
        return Some((span.start.line, span.start.column));
    }
    let DataFusionError::SQL(parser, _) = error.find_root() else {
        return None;
    };
    let text = parser.to_string();
    let (_, rest) = text.split_once("Line: ")?;
    let (line, rest) = rest.split_once(", Column: ")?;
    let column: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((line.parse().ok()?, column.parse().ok()?))
}

fn missing_table(error: &DataFusionError) -> Option<String> {
    let DataFusionError::Plan(message) = error.find_root() else {
        return None;
    };
    let (_, rest) = message.split_once("table '")?;
    let (name, _) = rest.split_once("' not found")?;
    Some(name.to_owned())
}
