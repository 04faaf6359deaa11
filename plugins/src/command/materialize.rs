//! One step of a `command` asset.

use assets::outcome::{Failure, FailureClass};

use super::process::ProcessEnd;
use super::session::Session;
use super::{CommandConfig, output, prepare, supervise};
use crate::kind::{Extras, Output, Product};
use crate::step_run::StepContext;

pub(super) async fn materialize(context: &StepContext<'_>) -> Result<Output, Failure> {
    let config: CommandConfig = context.config()?;
    let prepared = prepare::prepare(&config, context, context.partitions()).await?;
    let log = context.log();
    let mut session = Session::new(prepared.asset.clone(), log.clone());
    let ended = supervise::run(
        context.processes(),
        &prepared.order,
        &prepared.messages,
        &mut session,
        log,
        context.cancel(),
    )
    .await?;
    judge(ended, &session, &prepared.order.program)?;
    let product = match output::rows(&prepared.output).await? {
        Some(rows) => Product::Rows(rows),
        None => Product::Nothing,
    };
    let extras = Extras {
        metadata: session.metadata,
        checks: session.checks,
        data_version: session.data_version,
        ..Extras::default()
    };
    Ok(Output::new(product, extras))
}

/// A program has done its work if it ended with 0 and closed its session without an exception.
fn judge(ended: ProcessEnd, session: &Session, program: &str) -> Result<(), Failure> {
    let failed = |message: String| {
        Failure::new(FailureClass::Command, message).with_help("the log of the step has what it printed")
    };
    if let Some(exception) = &session.exception {
        return Err(failed(format!("`{program}` failed: {}", exception.headline())));
    }
    if ended != ProcessEnd::Code(0) {
        return Err(failed(format!("`{program}` ended with {ended}")));
    }
    if session.opened && !session.closed {
        return Err(failed(format!(
            "`{program}` opened a session and ended without closing it"
        )));
    }
    Ok(())
}
