//! Cases by hand: the rule each one shows is its name.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};

use super::super::{FeatureColumn, FeatureSource, LabelInput, RowInput, TimeToLive};
use super::data::{empty, run, schema};

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn integers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int64Array>())
}

fn micros(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values))
}

fn labels(batch: RecordBatch) -> LabelInput {
    LabelInput {
        input: RowInput::from_batches(batch.schema(), vec![vec![batch]]).unwrap(),
        timestamp: "at".to_owned(),
    }
}

fn source(entity: &[&str], batch: RecordBatch) -> FeatureSource {
    FeatureSource {
        name: "f".to_owned(),
        entity: entity
            .iter()
            .map(|column| ((*column).to_owned(), (*column).to_owned()))
            .collect(),
        timestamp: "ts".to_owned(),
        created: None,
        ttl: None,
        columns: vec![FeatureColumn::same("value")],
        input: RowInput::from_batches(batch.schema(), vec![vec![batch]]).unwrap(),
    }
}

fn answer(labels: LabelInput, source: FeatureSource) -> Vec<Option<i64>> {
    let output = run(labels, vec![source]).unwrap();
    output
        .column_by_name("value")
        .unwrap()
        .as_primitive::<Int64Type>()
        .iter()
        .collect()
}

#[test]
fn a_late_correction_of_an_old_event_never_replaces_a_newer_event() {
    let labels = labels(table(vec![("id", integers([1, 1, 1])), ("at", micros([10, 20, 30]))]));
    // The event of time 5 is corrected at 25, after the event of time 8 is known.
    let features = table(vec![
        ("id", integers([1, 1, 1])),
        ("ts", micros([5, 8, 5])),
        ("known", micros([6, 15, 25])),
        ("value", integers([50, 80, 51])),
    ]);
    let source = FeatureSource {
        created: Some("known".to_owned()),
        ..source(&["id"], features)
    };
    assert_eq!(answer(labels, source), [Some(50), Some(80), Some(80)]);
}

#[test]
fn a_correction_serves_the_labels_after_it_became_known_and_no_earlier_ones() {
    let labels = labels(table(vec![("id", integers([1, 1])), ("at", micros([10, 30]))]));
    let features = table(vec![
        ("id", integers([1, 1])),
        ("ts", micros([5, 5])),
        ("known", micros([6, 25])),
        ("value", integers([50, 51])),
    ]);
    let source = FeatureSource {
        created: Some("known".to_owned()),
        ..source(&["id"], features)
    };
    assert_eq!(answer(labels, source), [Some(50), Some(51)]);
}

#[test]
fn both_ends_of_the_window_belong_to_it() {
    let labels = labels(table(vec![
        ("id", integers([1, 1, 1, 1])),
        ("at", micros([99, 100, 110, 111])),
    ]));
    let features = table(vec![
        ("id", integers([1])),
        ("ts", micros([100])),
        ("value", integers([7])),
    ]);
    let source = FeatureSource {
        ttl: TimeToLive::from_micros(10),
        ..source(&["id"], features)
    };
    assert_eq!(answer(labels, source), [None, Some(7), Some(7), None]);
}

#[test]
fn a_nanosecond_too_late_is_too_late() {
    let at: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values([1_000, 1_001]));
    let ts: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values([1_001]));
    let labels = labels(table(vec![("id", integers([1, 1])), ("at", at)]));
    let features = table(vec![("id", integers([1])), ("ts", ts), ("value", integers([7]))]);
    assert_eq!(answer(labels, source(&["id"], features)), [None, Some(7)]);
}

#[test]
fn a_source_without_an_entity_holds_for_every_label() {
    let labels = labels(table(vec![("at", micros([5, 1, 9]))]));
    let features = table(vec![("ts", micros([8, 2])), ("value", integers([80, 20]))]);
    assert_eq!(answer(labels, source(&[], features)), [Some(20), None, Some(80)]);
}

#[test]
fn dates_booleans_and_strings_make_a_key_together() {
    let day: ArrayRef = Arc::new(Date32Array::from(vec![1, 1, 2, 1]));
    let open: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None]));
    let city: ArrayRef = Arc::new(StringArray::from(vec!["x", "x", "x", "x"]));
    let labels = labels(table(vec![
        ("day", day.clone()),
        ("open", open.clone()),
        ("city", city.clone()),
        ("at", micros([5, 5, 5, 5])),
    ]));
    let features = table(vec![
        ("day", day),
        ("open", open),
        ("city", city),
        ("ts", micros([1, 2, 3, 4])),
        ("value", integers([1, 2, 3, 4])),
    ]);
    assert_eq!(
        answer(labels, source(&["day", "open", "city"], features)),
        [Some(1), Some(2), Some(3), None]
    );
}

#[test]
fn keys_far_apart_and_beyond_int64_are_found() {
    let ids: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 0, 1 << 40]));
    let labels = labels(table(vec![("id", ids.clone()), ("at", micros([5, 5, 5]))]));
    let features = table(vec![
        ("id", ids),
        ("ts", micros([1, 1, 1])),
        ("value", integers([1, 2, 3])),
    ]);
    assert_eq!(answer(labels, source(&["id"], features)), [Some(1), Some(2), Some(3)]);

    // As Int64 the same key does not exist: it must not be mistaken for -1.
    let ids: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    let labels = self::labels(table(vec![("id", ids), ("at", micros([5]))]));
    let features = table(vec![
        ("id", integers([-1])),
        ("ts", micros([1])),
        ("value", integers([1])),
    ]);
    assert_eq!(answer(labels, source(&["id"], features)), [None]);
}

#[test]
fn integers_count_as_times_among_themselves() {
    let labels = labels(table(vec![("id", integers([1])), ("at", integers([4]))]));
    let features = table(vec![
        ("id", integers([1, 1])),
        ("ts", integers([4, 5])),
        ("value", integers([40, 50])),
    ]);
    assert_eq!(answer(labels, source(&["id"], features)), [Some(40)]);
}

#[test]
fn kept_rows_are_let_go_when_better_ones_come() {
    // One label, and ever newer features: more than the slack of superseded rows.
    let rows = 600_000;
    let labels = labels(table(vec![("id", integers([1])), ("at", micros([i64::from(rows)]))]));
    let chunk = 1_000;
    let batches: Vec<RecordBatch> = (0..i64::from(rows) / chunk)
        .map(|batch| {
            let of_batch = batch * chunk..(batch + 1) * chunk;
            table(vec![
                ("id", integers(of_batch.clone().map(|_| 1))),
                ("ts", micros(of_batch.clone())),
                ("value", integers(of_batch)),
            ])
        })
        .collect();
    let mut source = source(&["id"], batches[0].clone());
    source.input = RowInput::from_batches(batches[0].schema(), vec![batches]).unwrap();
    assert_eq!(answer(labels, source), [Some(i64::from(rows) - 1)]);
}

#[test]
fn no_labels_give_no_rows_and_the_whole_schema() {
    let shape = schema(&[
        ("id", DataType::Int64),
        ("at", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ]);
    let features = table(vec![
        ("id", integers([1])),
        ("ts", micros([1])),
        ("value", integers([1])),
    ]);
    let output = run(labels(empty(&shape)), vec![source(&["id"], features)]).unwrap();
    assert_eq!((output.num_rows(), output.num_columns()), (0, 3));
}

fn message(labels: LabelInput, source: FeatureSource) -> String {
    run(labels, vec![source]).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_joined_says_which_columns_and_what_to_do() {
    let plain_labels = || labels(table(vec![("id", integers([1])), ("at", micros([5]))]));
    let plain = || {
        table(vec![
            ("id", integers([1])),
            ("ts", micros([1])),
            ("value", integers([1])),
        ])
    };

    let zoned: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC"));
    let with_zone = table(vec![("id", integers([1])), ("ts", zoned), ("value", integers([1]))]);
    let unlike_keys = table(vec![
        ("id", Arc::new(StringArray::from(vec!["1"]))),
        ("ts", micros([1])),
        ("value", integers([1])),
    ]);
    let without_key = table(vec![("ts", micros([1])), ("value", integers([1]))]);
    let text_time = table(vec![
        ("id", integers([1])),
        ("ts", Arc::new(StringArray::from(vec!["1"]))),
        ("value", integers([1])),
    ]);
    let counter = table(vec![
        ("id", integers([1])),
        ("ts", integers([1])),
        ("value", integers([1])),
    ]);
    let clash = FeatureSource {
        columns: vec![FeatureColumn::renamed("value", "id")],
        ..source(&["id"], plain())
    };

    let messages = [
        message(plain_labels(), source(&["id"], with_zone)),
        message(plain_labels(), source(&["id"], counter)),
        message(plain_labels(), source(&["id"], unlike_keys)),
        message(plain_labels(), source(&["id"], without_key)),
        message(plain_labels(), source(&["id"], text_time)),
        message(plain_labels(), clash),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r#"
    compare "at" of the labels, a timestamp without time zone, with "ts" of features f, a timestamp with time zone; cast one of them so that both are alike
    compare "at" of the labels, a timestamp without time zone, with "ts" of features f, an integer without a unit; cast one of them so that both are alike
    match entity column "id" of the labels (Int64) with "id" of features f (Utf8); cast one of them; keys are integers, strings, dates, booleans, decimals or bytes
    find column "id" of features f: it has ts, value; name one of these or add it
    read "ts" of features f as a time: it is Utf8; cast it to a timestamp, a date or a 64-bit integer
    name column "id" of features f: the name is taken by the labels; rename one of them
    "#);
}

#[test]
fn what_exceeds_the_memory_pool_is_an_error() {
    use datafusion::execution::TaskContext;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;

    let count = 100_000;
    let batch = table(vec![("id", integers(0..count)), ("at", micros(0..count))]);
    let features = table(vec![
        ("id", integers(0..count)),
        ("ts", micros(0..count)),
        ("value", integers(0..count)),
    ]);
    let environment = RuntimeEnvBuilder::new()
        .with_memory_limit(1 << 20, 1.0)
        .build_arc()
        .unwrap();
    let context = Arc::new(TaskContext::default().with_runtime(environment));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let joined = runtime.block_on(super::super::point_in_time_join(
        labels(batch),
        vec![source(&["id"], features)],
        context,
    ));
    let message = joined
        .err()
        .expect("a megabyte does not hold a hundred thousand labels")
        .to_string();
    assert!(message.contains("point-in-time join"), "{message}");
}
