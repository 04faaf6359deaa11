//! What a check found, before it is joined with the check's name and severity.

use assets::check::{Check, CheckRule};
use assets::outcome::{CheckResult, Sample};

/// The finding of one check over all rows of one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether the rows are as asked.
    pub passed: bool,
    /// The measured figure, if the check measures one.
    pub figure: Option<f64>,
    /// What was expected, in words.
    pub expected: String,
    /// How many rows fail, where the check is about rows.
    pub failing_rows: Option<u64>,
    /// The first failing rows.
    pub sample: Option<Sample>,
    /// Why there is no finding.
    pub error: Option<String>,
}

impl Verdict {
    /// A finding about rows: none may fail.
    pub fn no_row_fails(failing: u64, expected: impl Into<String>, sample: Option<Sample>) -> Self {
        Self {
            passed: failing == 0,
            figure: Some(failing as f64),
            expected: expected.into(),
            failing_rows: Some(failing),
            sample,
            error: None,
        }
    }

    /// The check could not run.
    pub fn none(expected: impl Into<String>, error: impl Into<String>) -> Self {
        Self {
            passed: false,
            figure: None,
            expected: expected.into(),
            failing_rows: None,
            sample: None,
            error: Some(error.into()),
        }
    }

    /// The result that is stored and shown.
    pub fn of(self, check: &Check) -> CheckResult {
        CheckResult {
            name: check.name.clone(),
            check: rule_name(&check.rule).to_owned(),
            severity: check.severity,
            passed: self.passed && self.error.is_none(),
            figure: self.figure,
            expected: self.expected,
            failing_rows: self.failing_rows,
            sample: self.sample,
            error: self.error,
        }
    }
}

/// The name of a rule, as it is written in TOML.
pub(super) fn rule_name(rule: &CheckRule) -> &'static str {
    match rule {
        CheckRule::NotNull { .. } => "not_null",
        CheckRule::Unique { .. } => "unique",
        CheckRule::Accepted { .. } => "accepted",
        CheckRule::Range { .. } => "range",
        CheckRule::RowCount { .. } => "row_count",
        CheckRule::NullShare { .. } => "null_share",
        CheckRule::ForeignKey { .. } => "foreign_key",
        CheckRule::Sql { .. } => "sql",
    }
}
