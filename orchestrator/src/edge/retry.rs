//! Running again what a run left undone: from the steps that the state has of it to a new request.

use assets::AssetPartition;
use state::ids::RunId;
use state::sqlite::queries::run::run;
use state::sqlite::queries::run_steps::{StepFilter, run_steps};
use state::sqlite::{StateError, Store};
use state::status::StepStatus;

use crate::wire::RunBody;

/// Steps that are read at a time.
const AT_A_TIME: usize = 10_000;

/// What a retry of a run comes to.
#[derive(Debug)]
pub enum Retry {
    /// There is no such run.
    NoRun,
    /// The run is not over.
    NotOver,
    /// It succeeded: nothing was left undone.
    NothingLeft,
    /// This request: the steps that failed, were skipped or were canceled. What is fresh by now is left out, unless the run
    /// was one of what is fresh too.
    Of(Box<RunBody>),
}

/// The request that runs again what a run left undone, at the same pace.
///
/// # Errors
/// The state cannot be read.
pub fn retry(store: &Store, id: &RunId) -> Result<Retry, StateError> {
    let Some(detail) = run(store, id)? else {
        return Ok(Retry::NoRun);
    };
    if !detail.row.status.is_terminal() {
        return Ok(Retry::NotOver);
    }
    let mut steps: Vec<AssetPartition> = Vec::new();
    for status in [StepStatus::Failed, StepStatus::Skipped, StepStatus::Canceled] {
        let filter = StepFilter {
            asset: None,
            status: Some(status),
        };
        let mut after = None;
        loop {
            let page = run_steps(store, id, &filter, after.as_ref(), AT_A_TIME)?;
            steps.extend(page.rows.into_iter().map(|row| row.step));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    if steps.is_empty() {
        return Ok(Retry::NothingLeft);
    }
    let request = detail.request;
    Ok(Retry::Of(Box::new(RunBody {
        force: request.runs_fresh(),
        pace: request.pace,
        selection: request.selection,
        steps,
        trigger: Some(format!("retry of {id}")),
        ..RunBody::default()
    })))
}
