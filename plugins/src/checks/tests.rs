//! The checks that need one pass, against rows by hand and, for `unique`, against a set.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    StringViewArray,
};
use arrow::datatypes::Int32Type;
use assets::check::{Check, CheckRule};
use assets::outcome::{CheckResult, Severity};
use proptest::prelude::*;

use super::{Checking, Finished};

fn flights() -> RecordBatch {
    RecordBatch::try_from_iter([
        (
            "carrier",
            Arc::new(StringViewArray::from(vec![Some("AA"), None, Some("UA"), Some("AA")])) as ArrayRef,
        ),
        (
            "origin",
            Arc::new(DictionaryArray::<Int32Type>::from_iter([
                Some("JFK"),
                Some("EWR"),
                Some("XXX"),
                None,
            ])),
        ),
        (
            "flight",
            Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(1)])),
        ),
        (
            "delay",
            Arc::new(Float64Array::from(vec![Some(-3.5), Some(f64::NAN), Some(90.0), None])),
        ),
        ("day", Arc::new(Date32Array::from(vec![15_765, 15_765, 15_766, 15_765]))),
        ("late", Arc::new(BooleanArray::from(vec![true, false, true, true]))),
    ])
    .unwrap()
}

fn check(rule: CheckRule) -> Check {
    Check {
        name: "it".to_owned(),
        severity: Severity::Error,
        rule,
    }
}

/// The result of one check over some batches of `flights`' columns.
fn run(rule: CheckRule, batches: &[RecordBatch]) -> CheckResult {
    let check = check(rule);
    let schema = flights().schema();
    let mut checking = Checking::new(std::slice::from_ref(&check), &schema, 1 << 20);
    batches.iter().for_each(|batch| checking.observe(batch));
    match checking.finish().pop().unwrap() {
        Finished::Result(check, verdict) => verdict.of(&check),
        Finished::Query(_, query) => panic!("{query:?}"),
    }
}

fn column(column: &str) -> String {
    column.to_owned()
}

#[test]
fn not_null_counts_and_shows_the_rows() {
    let batches = [flights(), flights()];
    let result = run(
        CheckRule::NotNull {
            column: column("carrier"),
        },
        &batches,
    );
    assert_eq!(
        (result.passed, result.failing_rows, result.figure),
        (false, Some(2), Some(2.0))
    );
    assert_eq!(result.expected, "no null in `carrier`");
    let sample = result.sample.clone().unwrap();
    assert_eq!(sample.columns, ["carrier", "origin", "flight", "delay", "day", "late"]);
    let row = [
        None,
        Some("EWR"),
        Some("2"),
        Some("NaN"),
        Some("2013-03-01"),
        Some("false"),
    ];
    assert_eq!(sample.rows, vec![row.map(|value| value.map(str::to_owned)).to_vec(); 2]);
    assert!(result.blocks());
    let fine = run(CheckRule::NotNull { column: column("late") }, &batches);
    assert_eq!((fine.passed, fine.failing_rows, fine.sample), (true, Some(0), None));
    assert_eq!(
        run(
            CheckRule::NotNull {
                column: column("origin")
            },
            &batches
        )
        .failing_rows,
        Some(2)
    );
}

#[test]
fn null_share_is_measured_and_no_rows_have_no_nulls() {
    let rule = |max| CheckRule::NullShare {
        column: column("carrier"),
        max,
    };
    let result = run(rule(0.2), &[flights()]);
    assert_eq!(
        (result.passed, result.figure, result.failing_rows),
        (false, Some(0.25), Some(1))
    );
    let result = run(rule(0.25), &[flights()]);
    assert_eq!((result.passed, result.figure, result.sample), (true, Some(0.25), None));
    assert_eq!(run(rule(0.0), &[]).figure, Some(0.0));
}

#[test]
fn accepted_compares_text_and_lets_null_pass() {
    let accepted = |name: &str, values: &[&str]| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        run(
            CheckRule::Accepted {
                column: column(name),
                values,
            },
            &[flights()],
        )
    };
    let result = accepted("origin", &["EWR", "JFK", "LGA"]);
    assert_eq!((result.passed, result.failing_rows), (false, Some(1)));
    assert_eq!(result.sample.unwrap().rows[0][1].as_deref(), Some("XXX"));
    assert_eq!(result.expected, "`origin` one of `EWR`, `JFK`, `LGA`");
    assert!(accepted("carrier", &["AA", "UA"]).passed);
    assert!(accepted("flight", &["1", "2"]).passed);
    assert!(accepted("day", &["2013-03-01", "2013-03-02"]).passed);
    assert_eq!(accepted("late", &["true"]).failing_rows, Some(1));
}

#[test]
fn range_counts_what_lies_outside_and_a_nan_lies_nowhere() {
    let range = |name: &str, min, max| {
        run(
            CheckRule::Range {
                column: column(name),
                min,
                max,
            },
            &[flights()],
        )
    };
    assert_eq!(range("delay", Some(-10.0), Some(60.0)).failing_rows, Some(2));
    assert_eq!(range("delay", None, None).failing_rows, Some(0));
    assert!(range("flight", Some(1.0), Some(2.0)).passed);
    assert_eq!(range("flight", Some(1.5), None).expected, "`flight` at least 1.5");
    assert_eq!(range("flight", Some(1.5), None).failing_rows, Some(2));
    let error = range("carrier", Some(0.0), None);
    assert!(!error.passed && error.error.unwrap().contains("a range needs numbers"));
}

#[test]
fn row_count_says_what_it_expected() {
    let rows = |min, max| run(CheckRule::RowCount { min, max }, &[flights(), flights()]);
    let told = |result: CheckResult| (result.passed, result.figure, result.expected);
    assert_eq!(
        told(rows(Some(1), None)),
        (true, Some(8.0), "at least 1 row".to_owned())
    );
    assert_eq!(
        told(rows(Some(9), None)),
        (false, Some(8.0), "at least 9 rows".to_owned())
    );
    assert_eq!(
        told(rows(Some(2), Some(7))),
        (false, Some(8.0), "2 to 7 rows".to_owned())
    );
    assert_eq!(
        told(rows(Some(8), Some(8))),
        (true, Some(8.0), "exactly 8 rows".to_owned())
    );
    assert!(
        !run(
            CheckRule::RowCount {
                min: Some(1),
                max: None
            },
            &[]
        )
        .passed
    );
}

#[test]
fn a_missing_column_is_an_error_that_names_the_nearest() {
    let result = run(
        CheckRule::NotNull {
            column: column("carier"),
        },
        &[flights()],
    );
    assert_eq!(
        result.error.as_deref(),
        Some("there is no column `carier`; did you mean `carrier`?")
    );
    assert!(!result.passed && result.blocks());
    let rule = CheckRule::Unique {
        columns: vec![column("flight"), column("zzz")],
    };
    let error = run(rule, &[flights()]).error.unwrap();
    assert!(
        error.starts_with("there is no column `zzz`; the columns are `carrier`, `origin`"),
        "{error}"
    );
}

#[test]
fn a_warning_does_not_block() {
    let mut warn = check(CheckRule::RowCount {
        min: Some(1),
        max: None,
    });
    warn.severity = Severity::Warn;
    let Some(Finished::Result(_, verdict)) = Checking::new(&[warn.clone()], &flights().schema(), 0).finish().pop()
    else {
        panic!("no result");
    };
    let result = verdict.of(&warn);
    assert!(!result.passed && !result.blocks());
}

#[test]
fn a_sample_holds_ten_short_rows() {
    let long = "ü".repeat(500);
    let batch = RecordBatch::try_from_iter([
        ("text", Arc::new(StringArray::from(vec![long.as_str(); 30])) as ArrayRef),
        ("none", Arc::new(Int64Array::from(vec![None::<i64>; 30]))),
    ])
    .unwrap();
    let rule = check(CheckRule::NotNull { column: column("none") });
    let mut checking = Checking::new(&[rule], &batch.schema(), 0);
    checking.observe(&batch);
    let Some(Finished::Result(_, verdict)) = checking.finish().pop() else {
        panic!("no result")
    };
    assert_eq!(verdict.failing_rows, Some(30));
    let sample = verdict.sample.unwrap();
    assert_eq!(sample.rows.len(), 10);
    let shown = sample.rows[0][0].as_ref().unwrap();
    assert_eq!((shown.chars().count(), shown.ends_with("ü…")), (200, true));
}

#[test]
fn unique_gives_over_to_the_staged_rows_when_memory_is_short() {
    let rule = CheckRule::Unique {
        columns: vec![column("fl\"ight"), column("b")],
    };
    let batch = RecordBatch::try_from_iter([
        ("fl\"ight", Arc::new(Int64Array::from_iter_values(0..1000)) as ArrayRef),
        ("b", Arc::new(Int64Array::from_iter_values(0..1000))),
    ])
    .unwrap();
    let mut checking = Checking::new(&[check(rule)], &batch.schema(), 60 * 500);
    checking.observe(&batch);
    checking.observe(&batch);
    let Some(Finished::Query(_, query)) = checking.finish().pop() else {
        panic!("no query")
    };
    assert_eq!(
        query.sql,
        "SELECT \"fl\"\"ight\", \"b\", count(*) - 1 AS \"repeats\" FROM this \
         WHERE \"fl\"\"ight\" IS NOT NULL AND \"b\" IS NOT NULL GROUP BY \"fl\"\"ight\", \"b\" HAVING count(*) > 1"
    );
    assert_eq!(query.expected, "no two rows with equal `fl\"ight`, `b`");
}

proptest! {
    /// Any two columns of few values, cut into batches anywhere: the repeats are those that a set of rows finds.
    #[test]
    fn unique_finds_what_a_set_finds(
        rows in prop::collection::vec((prop::option::weighted(0.9, 0i64..8), prop::option::weighted(0.9, "[ab]{0,2}")), 0..60),
        cut in 1usize..20,
    ) {
        let number: Int64Array = rows.iter().map(|row| row.0).collect();
        let text: StringViewArray = rows.iter().map(|row| row.1.as_deref()).collect();
        let batch = RecordBatch::try_from_iter([("n", Arc::new(number) as ArrayRef), ("t", Arc::new(text))]).unwrap();
        let rule = check(CheckRule::Unique { columns: vec![column("n"), column("t")] });
        let mut checking = Checking::new(&[rule], &batch.schema(), 1 << 20);
        for start in (0..batch.num_rows()).step_by(cut) {
            checking.observe(&batch.slice(start, cut.min(batch.num_rows() - start)));
        }
        let Some(Finished::Result(_, verdict)) = checking.finish().pop() else { panic!("no result") };
        let mut seen = HashSet::new();
        let repeats = rows.iter().filter(|(n, t)| n.is_some() && t.is_some() && !seen.insert((n, t))).count();
        prop_assert_eq!(verdict.failing_rows, Some(repeats as u64));
        prop_assert_eq!(verdict.passed, repeats == 0);
    }
}
