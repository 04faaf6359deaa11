//! From what is wrong with files and rows to the reasons why a step fails.

use assets::outcome::{Failure, FailureClass};
use datafusion::error::DataFusionError;

use crate::formats::FormatError;
use crate::query::engine_error;
use crate::step_run::of_io;

/// What to do about rows that cannot be used.
pub(super) const HELP_ON_BAD_ROWS: &str =
    "correct the rows or the declared columns, or set such rows aside: on_bad_row = { quarantine = { limit = 1000 } }";

/// The failure that an error of a file stands for.
pub(super) fn of_format(error: FormatError) -> Failure {
    let message = error.to_string();
    match error {
        FormatError::Io { file, source } => of_io(&format!("read {file}"), &source),
        FormatError::NoMatch {
            pattern,
            nearest,
            holds,
        } => Failure::new(
            FailureClass::MissingInput,
            format!("find files: nothing matches `{pattern}`"),
        )
        .with_help(format!(
            "the nearest folder, `{nearest}`, {holds}; put the files there, or correct `path`"
        )),
        FormatError::Pattern { .. } => Failure::new(FailureClass::Declaration, message),
        FormatError::Corrupt { .. } => Failure::new(FailureClass::Data, message)
            .with_help("the file is damaged or was not copied whole: compare it with its origin and copy it again"),
        FormatError::Bomb { .. } => Failure::new(FailureClass::Data, message),
        FormatError::BadRow(_) => Failure::new(FailureClass::Data, message).with_help(HELP_ON_BAD_ROWS),
        FormatError::TooManyBadRows { .. } => Failure::new(FailureClass::Data, message)
            .with_help("correct the file or the declared columns, or raise `limit` of `quarantine`"),
        FormatError::Schema { .. } => Failure::new(FailureClass::Schema, message)
            .with_help("the files of an asset have the same columns; split the asset, or narrow its `path`"),
        FormatError::Changed { .. } => Failure::new(FailureClass::Changed, message)
            .with_help("run it again once nobody writes to the file any more"),
        FormatError::Unsupported { .. } => Failure::new(FailureClass::Declaration, message),
    }
}

/// The failure of a computed column, as the engine tells it.
pub(super) fn of_derived(name: &str, error: DataFusionError) -> Failure {
    let failure = engine_error(error, &[]).failure;
    Failure {
        message: format!("compute the column `{name}`: {}", failure.message),
        ..failure
    }
}
