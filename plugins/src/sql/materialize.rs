//! Running the query of a step.

use assets::outcome::Failure;
use datafusion::execution::SendableRecordBatchStream;

use super::QueryConfig;
use crate::step_run::StepContext;

/// The rows of the query over the step's inputs. A mistake in it names its file.
pub(crate) async fn run_query(
    config: &QueryConfig,
    context: &StepContext<'_>,
) -> Result<SendableRecordBatchStream, Failure> {
    context.query(&config.sql).await.map_err(|failure| match &config.file {
        Some(file) => Failure {
            message: format!("{file}: {}", failure.message),
            ..failure
        },
        None => failure,
    })
}
