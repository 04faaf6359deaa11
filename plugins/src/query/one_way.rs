//! Keeps the engine from turning round what cannot be turned round.
//!
//! To estimate a filter, the engine asks which input values could satisfy it: from `CAST(t AS DATE) = DATE '2013-03-01'` it
//! casts the date back and concludes that `t` is midnight in every row. A column with one value needs no sorting, so a window or
//! an `ORDER BY` over `t` silently gets rows in any order. The same happens with whole-number division (`hhmm / 100 = 8` becomes
//! `hhmm = 800`). DataFusion restricted this for casts after release 54 (issue 25523 of its tracker).
//!
//! [`OneWayExpressions`] runs before every other physical rule and wraps such an expression in [`OneWay`], which evaluates the
//! same and about which interval analysis knows nothing. The price is a coarser estimate of how many rows such a filter lets
//! through. Pruning of files is decided elsewhere, from the logical filters, and loses nothing.

use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};

/// The engine's own rules, ours first: what it wraps, no later rule sees through.
pub(super) fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(OneWayExpressions)];
    rules.extend(PhysicalOptimizer::new().rules);
    rules
}

/// Wraps the many-to-one parts of every filter.
#[derive(Debug)]
struct OneWayExpressions;

impl PhysicalOptimizerRule for OneWayExpressions {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let rebuilt = plan.transform_up(|plan| {
            let Some(filter) = plan.downcast_ref::<FilterExec>() else {
                return Ok(Transformed::no(plan));
            };
            let schema = filter.input().schema();
            let predicate = Arc::clone(filter.predicate()).transform_up(|expression| {
                if is_many_to_one(&expression, &schema)? {
                    Ok(Transformed::yes(
                        Arc::new(OneWay { inner: expression }) as Arc<dyn PhysicalExpr>
                    ))
                } else {
                    Ok(Transformed::no(expression))
                }
            })?;
            if !predicate.transformed {
                return Ok(Transformed::no(plan));
            }
            let rebuilt = FilterExecBuilder::from(filter).with_predicate(predicate.data).build()?;
            Ok(Transformed::yes(Arc::new(rebuilt) as Arc<dyn ExecutionPlan>))
        })?;
        Ok(rebuilt.data)
    }

    fn name(&self) -> &'static str {
        "one_way_expressions"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether several inputs can give the same output, so that one output does not tell the input.
fn is_many_to_one(expression: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<bool> {
    if let Some(cast) = expression.downcast_ref::<CastExpr>() {
        let from = cast.expr().data_type(schema)?;
        let to = cast.cast_type();
        // A whole number that does not fit its new type is an error, not another number.
        let keeps = from == *to
            || from.is_integer() && to.is_integer()
            || matches!((&from, to), (DataType::Float32, DataType::Float64));
        return Ok(!keeps);
    }
    if let Some(binary) = expression.downcast_ref::<BinaryExpr>() {
        return Ok(match binary.op() {
            Operator::Divide | Operator::Multiply => true,
            // Rounding: 1.0 and 1.0 + 1e-17 are the same sum.
            Operator::Plus | Operator::Minus => binary.data_type(schema)?.is_floating(),
            _ => false,
        });
    }
    Ok(false)
}

/// An expression that is evaluated and never inverted.
#[derive(Debug, Eq)]
struct OneWay {
    inner: Arc<dyn PhysicalExpr>,
}

// Written out: the derived ones move out of the `Arc` of a trait object (rust-lang/rust issue 78808).
impl PartialEq for OneWay {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Hash for OneWay {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl Display for OneWay {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for OneWay {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.pop().expect("one child was handed out and one comes back");
        Ok(Arc::new(Self { inner }))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
