//! Dates and times without a zone are the partition's local time when a query compares them with its bounds.
//!
//! `$partition_start` and `$partition_end` are instants with the zone of the partitions. The engine compares `flight_date >=
//! $partition_start` by taking the date for midnight in UTC: west of Greenwich that loses the first day of every partition.
//! A user who writes the comparison means the local date, so the bound is turned into local time before it is bound as a value:
//! - beside a date it is the date, if it is the first instant of its day (a day may begin at 01:00), else a local time;
//! - beside a timestamp without zone it is a local time.
//!
//! It reaches into sums and differences (`$partition_start - INTERVAL '7 days'`). An explicit `CAST` around the bound is left as it is,
//! and so is every comparison with a timestamp that has a zone.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const BOUNDS: [&str; 2] = ["partition_start", "partition_end"];

/// Binds the bounds that stand beside local times in `plan`.
pub(super) fn bind_local_bounds(plan: LogicalPlan, parameters: &[(String, ScalarValue)]) -> Result<LogicalPlan> {
    let bounds: Vec<Bound> = parameters.iter().filter_map(Bound::read).collect();
    if bounds.is_empty() {
        return Ok(plan);
    }
    let bound = plan.transform_up_with_subqueries(|plan| {
        let inputs = plan.inputs();
        let schema = if inputs.is_empty() {
            plan.schema().as_ref().clone()
        } else {
            merge_schema(&inputs)
        };
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expression| {
            let name = names.save(&expression);
            let rewritten = expression.transform_up(|expression| Ok(compare_locally(expression, &schema, &bounds)))?;
            Ok(rewritten.update_data(|expression| name.restore(expression)))
        })
    })?;
    Ok(bound.data)
}

/// One bound in local time.
struct Bound {
    /// With its dollar sign.
    placeholder: String,
    /// `None`: the step has no bounds, and the value is null.
    local: Option<DateTime>,
    starts_a_day: bool,
}

impl Bound {
    fn read((name, value): &(String, ScalarValue)) -> Option<Self> {
        if !BOUNDS.contains(&name.as_str()) {
            return None;
        }
        let ScalarValue::TimestampMicrosecond(instant, Some(zone)) = value else {
            return None;
        };
        // Offsets such as "+00:00" belong to steps without partitions by time, whose bounds are null.
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let local = instant
            .and_then(|us| jiff::Timestamp::from_microsecond(us).ok())
            .map(|at| at.to_zoned(zone));
        let starts_a_day = local
            .as_ref()
            .is_some_and(|at| at.start_of_day().is_ok_and(|first| first == *at));
        Some(Self {
            placeholder: format!("${name}"),
            local: local.map(|at| at.datetime()),
            starts_a_day,
        })
    }

    fn as_date(&self) -> Expr {
        let days = self.local.map(|local| {
            let epoch = jiff::civil::date(1970, 1, 1);
            local
                .date()
                .since((jiff::Unit::Day, epoch))
                .expect("dates of one calendar are some days apart")
                .get_days()
        });
        Expr::Literal(ScalarValue::Date32(days), None)
    }

    /// Local time in microseconds; the start of a day is its midnight even where clocks skip it.
    fn as_time(&self) -> Expr {
        let us = self.local.map(|local| {
            let local = if self.starts_a_day {
                local.date().at(0, 0, 0, 0)
            } else {
                local
            };
            local
                .to_zoned(TimeZone::UTC)
                .expect("UTC has every local time")
                .timestamp()
                .as_microsecond()
        });
        Expr::Literal(ScalarValue::TimestampMicrosecond(us, None), None)
    }
}

/// A comparison with its bounds in local time, if its other side is local.
fn compare_locally(expression: Expr, schema: &DFSchema, bounds: &[Bound]) -> Transformed<Expr> {
    let local = |side: &Expr| side.get_type(schema).ok().filter(is_local);
    match expression {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let (of_left, of_right) = (local(&left), local(&right));
            let left = match &of_right {
                Some(beside) => localize(*left, beside, bounds),
                None => Transformed::no(*left),
            };
            let right = match &of_left {
                Some(beside) => localize(*right, beside, bounds),
                None => Transformed::no(*right),
            };
            let changed = left.transformed || right.transformed;
            let rebuilt = Expr::BinaryExpr(BinaryExpr::new(Box::new(left.data), op, Box::new(right.data)));
            Transformed::new_transformed(rebuilt, changed)
        }
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) => {
            let Some(beside) = local(&expr) else {
                return Transformed::no(Expr::Between(Between::new(expr, negated, low, high)));
            };
            let (low, high) = (localize(*low, &beside, bounds), localize(*high, &beside, bounds));
            let changed = low.transformed || high.transformed;
            let rebuilt = Expr::Between(Between::new(expr, negated, Box::new(low.data), Box::new(high.data)));
            Transformed::new_transformed(rebuilt, changed)
        }
        Expr::InList(InList { expr, list, negated }) => {
            let Some(beside) = local(&expr) else {
                return Transformed::no(Expr::InList(InList::new(expr, list, negated)));
            };
            let list: Vec<Transformed<Expr>> = list.into_iter().map(|item| localize(item, &beside, bounds)).collect();
            let changed = list.iter().any(|item| item.transformed);
            let list = list.into_iter().map(|item| item.data).collect();
            Transformed::new_transformed(Expr::InList(InList::new(expr, list, negated)), changed)
        }
        other => Transformed::no(other),
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        op,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

fn is_local(kind: &DataType) -> bool {
    matches!(kind, DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None))
}

/// `expression` with the bounds in it as local times, fit to stand beside a value of type `beside`.
fn localize(expression: Expr, beside: &DataType, bounds: &[Bound]) -> Transformed<Expr> {
    if let Expr::Placeholder(placeholder) = &expression
        && let Some(bound) = bounds.iter().find(|bound| bound.placeholder == placeholder.id)
    {
        let is_date = matches!(beside, DataType::Date32 | DataType::Date64);
        let whole_day = bound.starts_a_day || bound.local.is_none();
        return Transformed::yes(if is_date && whole_day {
            bound.as_date()
        } else {
            bound.as_time()
        });
    }
    match expression {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus),
            right,
        }) => {
            // Times and not dates: an interval may be of hours.
            let within = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
            let (left, right) = (localize(*left, &within, bounds), localize(*right, &within, bounds));
            let changed = left.transformed || right.transformed;
            let rebuilt = Expr::BinaryExpr(BinaryExpr::new(Box::new(left.data), op, Box::new(right.data)));
            Transformed::new_transformed(rebuilt, changed)
        }
        other => Transformed::no(other),
    }
}
