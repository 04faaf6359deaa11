//! Joins that sort both sides and go through them together, where one side does not fit into memory.
//!
//! The engine holds one side of an equality join whole, and fails where the memory does not suffice: it cannot spill that. The same
//! join over sorted sides can, since sorts spill, and so does what has the same key. It takes longer wherever the other one fits, so
//! it is what comes second.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::prelude::{DataFrame, SessionContext};

/// Whether a plan has a join that could sort instead.
pub(super) fn helps(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<HashJoinExec>().is_some() || plan.children().into_iter().any(helps)
}

/// The plan of the same query in which joins sort.
pub(super) async fn plan(
    context: &SessionContext,
    logical: &LogicalPlan,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let mut state = context.state();
    let options = state.config_mut().options_mut();
    options.optimizer.prefer_hash_join = false;
    // On one thread the engine would not choose it.
    options.execution.target_partitions = options.execution.target_partitions.max(2);
    options.optimizer.repartition_joins = true;
    DataFrame::new(state, logical.clone()).create_physical_plan().await
}

/// How often one looks whether tasks that were stopped have given back what they held, and how long they may take.
const LOOK: Duration = Duration::from_millis(1);
const LOOKS: usize = 2_000;

/// Waits until what a query that was dropped held is free again: its tasks end when the runtime comes to them. Where that takes too
/// long, another query holds it.
pub(super) async fn released(context: &SessionContext, held_before: usize) {
    for _ in 0..LOOKS {
        if context.runtime_env().memory_pool.reserved() <= held_before {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}
