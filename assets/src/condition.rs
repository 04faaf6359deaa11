//! Conditions over the metrics of a model: `auc > 0.65 AND auc >= champion.auc`.
//!
//! A bare name is a metric of the new version, `alias.metric` one of the version that the alias points to. Numbers, `+ - * /`,
//! comparisons, `AND`, `OR`, `NOT` and parentheses; read with the parser of SQL, so that precedence is SQL's. Where the alias
//! points to no version yet, a comparison that speaks of it holds: the first good model is promoted.

use std::collections::BTreeMap;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

/// A condition that was read and is well formed.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(Logic);

/// Why a condition cannot be read, or cannot be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// Not an expression.
    #[error("`{text}` is not a condition: {message}")]
    Syntax {
        /// The condition.
        text: String,
        /// What the parser says.
        message: String,
    },
    /// An expression of another sort.
    #[error("`{found}` cannot be part of a condition: use metrics, numbers, + - * /, comparisons, AND, OR, NOT")]
    Unsupported {
        /// The part.
        found: String,
    },
    /// A metric that the model does not have.
    #[error("there is no metric `{name}`: the model has {known}")]
    UnknownMetric {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
}

/// Something true or false.
#[derive(Debug, Clone, PartialEq)]
enum Logic {
    Compare(Comparison, Number, Number),
    And(Box<Logic>, Box<Logic>),
    Or(Box<Logic>, Box<Logic>),
    Not(Box<Logic>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// Something with a number.
#[derive(Debug, Clone, PartialEq)]
enum Number {
    Literal(f64),
    Metric(String),
    OfAlias(String, String),
    Negated(Box<Number>),
    Arithmetic(Arithmetic, Box<Number>, Box<Number>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arithmetic {
    Plus,
    Minus,
    Times,
    Over,
}

/// Deepest nesting that is read; a deeper text is a mistake, and must not overflow the stack.
const DEEPEST: usize = 50;

impl Condition {
    /// Reads a condition.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let syntax = |message: String| ConditionError::Syntax {
            text: text.to_owned(),
            message,
        };
        let dialect = GenericDialect {};
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(DEEPEST)
            .try_with_sql(text)
            .map_err(|error| syntax(error.to_string()))?;
        let expression = parser.parse_expr().map_err(|error| syntax(error.to_string()))?;
        match parser.peek_token().token {
            Token::EOF => logic(&expression, DEEPEST).map(Self),
            more => Err(syntax(format!("unexpected `{more}` after it"))),
        }
    }

    /// Every alias and metric that the condition speaks of; no alias for the new version's own.
    pub fn names(&self) -> Vec<(Option<&str>, &str)> {
        let mut names = Vec::new();
        self.0.names(&mut names);
        names
    }

    /// Whether the condition holds for a version with these metrics. `holder` has the metrics of the version that `alias`
    /// points to, if it points to one.
    ///
    /// # Errors
    /// It speaks of a metric, or of an alias, that is not there.
    pub fn holds(
        &self,
        metrics: &BTreeMap<String, f64>,
        alias: &str,
        holder: Option<&BTreeMap<String, f64>>,
    ) -> Result<bool, ConditionError> {
        self.0.holds(&Known { metrics, alias, holder })
    }
}

struct Known<'a> {
    metrics: &'a BTreeMap<String, f64>,
    alias: &'a str,
    holder: Option<&'a BTreeMap<String, f64>>,
}

impl Logic {
    fn names<'a>(&'a self, names: &mut Vec<(Option<&'a str>, &'a str)>) {
        match self {
            Self::Compare(_, left, right) => {
                left.names(names);
                right.names(names);
            }
            Self::And(left, right) | Self::Or(left, right) => {
                left.names(names);
                right.names(names);
            }
            Self::Not(inner) => inner.names(names),
        }
    }

    fn holds(&self, known: &Known<'_>) -> Result<bool, ConditionError> {
        Ok(match self {
            Self::And(left, right) => left.holds(known)? && right.holds(known)?,
            Self::Or(left, right) => left.holds(known)? || right.holds(known)?,
            Self::Not(inner) => !inner.holds(known)?,
            Self::Compare(comparison, left, right) => {
                let (Some(left), Some(right)) = (left.value(known)?, right.value(known)?) else {
                    return Ok(true);
                };
                match comparison {
                    Comparison::Less => left < right,
                    Comparison::LessOrEqual => left <= right,
                    Comparison::Greater => left > right,
                    Comparison::GreaterOrEqual => left >= right,
                    Comparison::Equal => (left - right).abs() <= f64::EPSILON * left.abs().max(right.abs()),
                    Comparison::NotEqual => (left - right).abs() > f64::EPSILON * left.abs().max(right.abs()),
                }
            }
        })
    }
}

impl Number {
    fn names<'a>(&'a self, names: &mut Vec<(Option<&'a str>, &'a str)>) {
        match self {
            Self::Literal(_) => {}
            Self::Metric(name) => names.push((None, name)),
            Self::OfAlias(alias, name) => names.push((Some(alias), name)),
            Self::Negated(inner) => inner.names(names),
            Self::Arithmetic(_, left, right) => {
                left.names(names);
                right.names(names);
            }
        }
    }

    /// The number; `None` if it depends on a version that does not exist yet.
    fn value(&self, known: &Known<'_>) -> Result<Option<f64>, ConditionError> {
        let metric = |metrics: &BTreeMap<String, f64>, name: &str, shown: String| match metrics.get(name) {
            Some(value) => Ok(Some(*value)),
            None => {
                let names: Vec<&str> = metrics.keys().map(String::as_str).collect();
                Err(ConditionError::UnknownMetric {
                    name: shown,
                    known: names.join(", "),
                })
            }
        };
        match self {
            Self::Literal(value) => Ok(Some(*value)),
            Self::Metric(name) => metric(known.metrics, name, name.clone()),
            Self::OfAlias(alias, name) if alias == known.alias => match known.holder {
                Some(holder) => metric(holder, name, format!("{alias}.{name}")),
                None => Ok(None),
            },
            Self::OfAlias(alias, name) => Err(ConditionError::UnknownMetric {
                name: format!("{alias}.{name}"),
                known: format!("its own metrics and those of `{}`", known.alias),
            }),
            Self::Negated(inner) => Ok(inner.value(known)?.map(|value| -value)),
            Self::Arithmetic(operator, left, right) => {
                let (Some(left), Some(right)) = (left.value(known)?, right.value(known)?) else {
                    return Ok(None);
                };
                Ok(Some(match operator {
                    Arithmetic::Plus => left + right,
                    Arithmetic::Minus => left - right,
                    Arithmetic::Times => left * right,
                    Arithmetic::Over => left / right,
                }))
            }
        }
    }
}

fn logic(expression: &Expr, depth: usize) -> Result<Logic, ConditionError> {
    let unsupported = || ConditionError::Unsupported {
        found: expression.to_string(),
    };
    let depth = depth.checked_sub(1).ok_or_else(unsupported)?;
    match expression {
        Expr::Nested(inner) => logic(inner, depth),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => Ok(Logic::Not(Box::new(logic(expr, depth)?))),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => Ok(Logic::And(
            Box::new(logic(left, depth)?),
            Box::new(logic(right, depth)?),
        )),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Or,
            right,
        } => Ok(Logic::Or(Box::new(logic(left, depth)?), Box::new(logic(right, depth)?))),
        Expr::BinaryOp { left, op, right } => {
            let comparison = match op {
                BinaryOperator::Lt => Comparison::Less,
                BinaryOperator::LtEq => Comparison::LessOrEqual,
                BinaryOperator::Gt => Comparison::Greater,
                BinaryOperator::GtEq => Comparison::GreaterOrEqual,
                BinaryOperator::Eq => Comparison::Equal,
                BinaryOperator::NotEq => Comparison::NotEqual,
                _ => return Err(unsupported()),
            };
            Ok(Logic::Compare(comparison, number(left, depth)?, number(right, depth)?))
        }
        _ => Err(unsupported()),
    }
}

fn number(expression: &Expr, depth: usize) -> Result<Number, ConditionError> {
    let unsupported = || ConditionError::Unsupported {
        found: expression.to_string(),
    };
    let depth = depth.checked_sub(1).ok_or_else(unsupported)?;
    match expression {
        Expr::Nested(inner) => number(inner, depth),
        Expr::Identifier(name) => Ok(Number::Metric(name.value.clone())),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [alias, name] => Ok(Number::OfAlias(alias.value.clone(), name.value.clone())),
            _ => Err(unsupported()),
        },
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse().map(Number::Literal).map_err(|_| unsupported()),
            _ => Err(unsupported()),
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => Ok(Number::Negated(Box::new(number(expr, depth)?))),
        Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr,
        } => number(expr, depth),
        Expr::BinaryOp { left, op, right } => {
            let operator = match op {
                BinaryOperator::Plus => Arithmetic::Plus,
                BinaryOperator::Minus => Arithmetic::Minus,
                BinaryOperator::Multiply => Arithmetic::Times,
                BinaryOperator::Divide => Arithmetic::Over,
                _ => return Err(unsupported()),
            };
            Ok(Number::Arithmetic(
                operator,
                Box::new(number(left, depth)?),
                Box::new(number(right, depth)?),
            ))
        }
        _ => Err(unsupported()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn a_condition_compares_with_the_version_that_holds_the_alias() {
        let own = metrics(&[("auc", 0.7), ("log_loss", 0.5)]);
        let (worse, better) = (metrics(&[("auc", 0.6)]), metrics(&[("auc", 0.8)]));
        for (text, none, against_worse, against_better) in [
            ("auc > 0.65 AND auc >= champion.auc", true, true, false),
            ("auc > 0.75 and auc >= champion.auc", false, false, false),
            ("auc >= champion.auc + 0.2", true, false, false),
            ("(log_loss * 2 <= 1) OR champion.auc > 9", true, true, true),
            ("not auc < 0.65", true, true, true),
            ("-auc < +champion.auc / 2 - 0.4", true, true, true),
            ("auc = 0.7", true, true, true),
            ("auc <> 0.7", false, false, false),
        ] {
            let condition = Condition::parse(text).unwrap();
            let holds = |holder| condition.holds(&own, "champion", holder).unwrap();
            let found = (holds(None), holds(Some(&worse)), holds(Some(&better)));
            assert_eq!(found, (none, against_worse, against_better), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in [
            "",
            "auc",
            "auc >",
            "auc > 1 1",
            "f(auc) > 1",
            "auc > 'x'",
            "auc like 'x'",
            "a.b.c > 1",
            "1 + 1",
        ] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
        let deep = format!("{}auc > 1{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(Condition::parse(&deep).is_err());
        let long = format!("auc > 1{}", " AND auc > 1".repeat(10_000));
        assert!(Condition::parse(&long).is_err());
    }

    #[test]
    fn an_unknown_metric_is_named() {
        let condition = Condition::parse("acu > 0.5").unwrap();
        assert_eq!(condition.names(), [(None, "acu")]);
        let error = condition
            .holds(&metrics(&[("auc", 0.7)]), "champion", None)
            .unwrap_err();
        assert_eq!(error.to_string(), "there is no metric `acu`: the model has auc");
    }
}
