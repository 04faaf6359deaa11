//! From the errors of libraries to the closed list of reasons why a step fails.
//!
//! The engine's and the lakehouse's errors are read where they come from (`query::engine_error`, `LakeError::failure`); here
//! are those that pass through a stream of rows: a failure of a kind that travelled inside an error, a panic of a task.

use std::error::Error as StdError;
use std::io;

use assets::outcome::{Failure, FailureClass};
use datafusion::error::DataFusionError;

use super::panic;
use super::session::StepSession;

/// The failure that an error met while rows streamed stands for.
pub(super) fn of_rows(session: &StepSession, error: DataFusionError) -> Failure {
    match inside(&error) {
        Some(failure) => failure,
        None => deep_query(session.read_error(error).failure),
    }
}

/// The parser and the planner answer a query that nests too deep with errors of their own.
pub(super) fn deep_query(failure: Failure) -> Failure {
    if !failure.message.to_lowercase().contains("recursion limit") {
        return failure;
    }
    Failure::new(FailureClass::StackOverflow, "the query nests too deep")
        .with_help("split it with WITH or into several assets; a long list of values is better written with IN")
}

/// A failure of ours, or the panic of a task, that a library wrapped.
fn inside(error: &DataFusionError) -> Option<Failure> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(failure) = current.downcast_ref::<Failure>() {
            return Some(failure.clone());
        }
        if let Some(join) = current.downcast_ref::<tokio::task::JoinError>()
            && join.is_panic()
        {
            return Some(panic::last(&join.to_string()));
        }
        cause = match current.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::External(inner)) => Some(inner.as_ref()),
            Some(DataFusionError::ExecutionJoin(join)) => Some(join.as_ref()),
            Some(DataFusionError::Context(_, inner)) => Some(inner.as_ref()),
            Some(DataFusionError::Shared(inner)) => Some(inner.as_ref()),
            _ => current.source(),
        };
    }
    None
}

/// The failure that an error of the file system stands for.
pub fn of_io(action: &str, error: &io::Error) -> Failure {
    let message = format!("failed to {action}: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Failure::new(FailureClass::DiskFull, message).with_help("free some space there, then retry")
        }
        _ => Failure::new(FailureClass::Io, message),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_failure_that_passed_through_the_engine_comes_back_as_it_was() {
        let failure = Failure::new(FailureClass::Changed, "the file `a.csv` changed while it was read");
        let wrapped = DataFusionError::External(Box::new(failure.clone()));
        let wrapped = DataFusionError::Context("while sorting".to_owned(), Box::new(wrapped));
        assert_eq!(inside(&DataFusionError::Shared(Arc::new(wrapped))), Some(failure));
        assert_eq!(inside(&DataFusionError::Plan("no".to_owned())), None);
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(of_io("write the context", &full).class, FailureClass::DiskFull);
        assert_eq!(
            of_io("write the context", &io::Error::other("x")).class,
            FailureClass::Io
        );
    }
}
