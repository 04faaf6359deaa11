use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use proptest::prelude::*;

use super::*;

/// A row of one value of each type.
type Row = (
    Option<i64>,
    Option<f64>,
    Option<String>,
    (Option<bool>, Option<i32>, Option<i64>, Option<i64>, Option<i64>),
);

fn row() -> impl Strategy<Value = Row> {
    // Texts with all that CSV gives a meaning to; the null text itself is kept apart by a quote.
    let text = prop_oneof![
        "[a-z,;\"'\n\r\t ]{0,8}",
        "\\PC{0,5}",
        Just("NULL".to_owned()),
        Just(String::new())
    ];
    let micros = -62_135_596_800_000_000_i64..253_402_207_200_000_000;
    (
        any::<Option<i64>>(),
        prop::option::of(any::<f64>().prop_filter("NaN is not equal to itself", |value| !value.is_nan())),
        prop::option::of(text),
        (
            any::<Option<bool>>(),
            prop::option::of(-719_162..2_932_896_i32),
            prop::option::of(micros.clone()),
            prop::option::of(micros),
            prop::option::of(-999_999_999_i64..=999_999_999),
        ),
    )
}

const TYPES: [(&str, &str); 8] = [
    ("number", "long"),
    ("real", "double"),
    ("text, \"quoted\"", "string"),
    ("flag", "boolean"),
    ("day", "date"),
    ("local", "timestamp"),
    ("instant", "timestamptz"),
    ("price", "decimal(9,2)"),
];

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.2.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.3.0).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.3.1).collect::<Date32Array>()),
        Arc::new(rows.iter().map(|row| row.3.2).collect::<TimestampMicrosecondArray>()),
        Arc::new(
            rows.iter()
                .map(|row| row.3.3)
                .collect::<TimestampMicrosecondArray>()
                .with_timezone(UTC),
        ),
        Arc::new(
            rows.iter()
                .map(|row| row.3.4.map(i128::from))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(9, 2)
                .unwrap(),
        ),
    ];
    let fields: Vec<Field> = declared(&TYPES)
        .into_iter()
        .map(|(name, kind)| Field::new(name, kind.to_arrow(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Writes with the csv crate and jiff, which know nothing of the reader. Nulls are the bare word NULL, texts are
/// quoted.
fn as_csv(rows: &[Row], delimiter: u8, crlf: bool) -> Vec<u8> {
    let end = if crlf { "\r\n" } else { "\n" };
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let day = |days: i64| jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(days);
    let instant = |micros| jiff::Timestamp::from_microsecond(micros).unwrap();
    let mut text: String = TYPES
        .map(|(name, _)| quoted(name))
        .join(&(delimiter as char).to_string())
        + end;
    for (number, real, word, (flag, date, local, zoned, price)) in rows {
        let fields = [
            number.map(|value| value.to_string()),
            real.map(|value| format!("{value:?}")),
            word.as_deref().map(quoted),
            flag.map(|value| value.to_string()),
            date.map(|days| day(i64::from(days)).to_string()),
            local.map(|micros| jiff::tz::TimeZone::UTC.to_datetime(instant(micros)).to_string()),
            zoned.map(|micros| instant(micros).to_string()),
            price.map(|cents| {
                format!(
                    "{}{}.{:02}",
                    if cents < 0 { "-" } else { "" },
                    cents.abs() / 100,
                    cents.abs() % 100
                )
            }),
        ];
        let fields = fields.map(|field| field.unwrap_or_else(|| "NULL".to_owned()));
        text.push_str(&fields.join(&(delimiter as char).to_string()));
        text.push_str(end);
    }
    text.into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_table_reads_back(rows in prop::collection::vec(row(), 0..40), delimiter in prop::sample::select(b",;|\t".to_vec()), crlf: bool) {
        let landing = Landing::with(&[("a.csv", &as_csv(&rows, delimiter, crlf))]);
        let options = ReadOptions {
            columns: declared(&TYPES),
            null: Some(vec!["NULL".into()]),
            quoted_null: false,
            delimited: Delimited { delimiter: Some(delimiter), ..Delimited::default() },
            batch_rows: 16,
            ..ReadOptions::default()
        };
        let outcome = load(&landing.find("a.csv"), &options).unwrap();
        prop_assert_eq!(outcome.rows, batch(&rows));
    }

    /// What is inferred holds every value: reading with it gives the texts back, up to how numbers are printed.
    #[test]
    fn inferred_types_hold_all_values(texts in prop::collection::vec("-?[0-9]{1,3}|0[0-9]{2}|[0-9]\\.[0-9]|true|2013-0[1-9]-[0-3][0-9]|[a-c]?", 1..12)) {
        let mut csv = String::from("column,row\n");
        for (row, text) in texts.iter().enumerate() {
            csv.push_str(&format!("{text},{row}\n"));
        }
        let landing = Landing::with(&[("a.csv", csv.as_bytes())]);
        let outcome = load(&landing.find("a.csv"), &ReadOptions::default()).unwrap();
        prop_assert_eq!(outcome.rows.num_rows(), texts.len());
        for (row, text) in shown(&outcome.rows).iter().zip(&texts) {
            let same = match (row[0].as_str(), text.as_str()) {
                ("∅", "") => true,
                (shown, text) if outcome.rows.schema().field(0).data_type().is_floating() => shown.parse::<f64>() == text.parse(),
                (shown, "-0" | "-00" | "-000") => shown == "0" || shown == text,
                (shown, text) => shown == text,
            };
            prop_assert!(same, "{:?} for {:?}", row[0], text);
        }
    }

    /// Objects written by serde_json read back as the same objects.
    #[test]
    fn any_objects_read_back(rows in prop::collection::vec((any::<Option<i64>>(), prop::option::of("\\PC{0,6}"), prop::option::of(prop::collection::vec(any::<Option<bool>>(), 0..4))), 0..30)) {
        let mut text = String::new();
        for (number, word, list) in &rows {
            text.push_str(&serde_json::json!({"n": number, "w": word, "l": list}).to_string());
            text.push('\n');
        }
        let landing = Landing::with(&[("a.jsonl", text.as_bytes())]);
        let options = ReadOptions { columns: declared(&[("n", "long"), ("w", "string"), ("l", "list<boolean>")]), batch_rows: 7, ..ReadOptions::default() };
        let files = landing.find("a.jsonl");
        let schema = super::super::columns::nullable_schema(options.columns.iter().map(|(name, kind)| (name.clone(), kind.to_arrow())));
        let outcome = read_all(&files, &options, &schema).unwrap();
        let expected: Vec<Vec<String>> = rows.iter().map(|(number, word, list)| vec![
            number.map_or("∅".into(), |number| number.to_string()),
            word.clone().unwrap_or("∅".into()),
            list.as_ref().map_or("∅".into(), |list| format!("[{}]", list.iter().map(|item| item.map_or("∅".to_owned(), |item| item.to_string())).collect::<Vec<_>>().join(", "))),
        ]).collect();
        prop_assert_eq!(shown(&outcome.rows), expected);
    }

    /// Whatever the bytes: no panic, every line in order, and the same rows whatever the size of the batches.
    #[test]
    fn any_bytes_are_rows_or_bad_rows(
        bytes in prop::collection::vec(prop_oneof![4 => prop::sample::select(b"\",\n\r\t{}[]:1a\\ ".to_vec()), 1 => any::<u8>()], 0..300),
        name in prop::sample::select(vec!["a.csv", "a.tsv", "a.jsonl"]),
    ) {
        let landing = Landing::with(&[(name, &bytes)]);
        let mut options = collecting(u64::MAX);
        options.limits.row_bytes = 100;
        options.delimited.header = false;
        options.delimited.names = Some(vec!["x".into(), "y".into()]);
        match load(&landing.find(name), &options) {
            Ok(whole) => {
                prop_assert!(whole.lines.is_sorted_by(|one, other| one < other));
                prop_assert!(whole.bad_rows.iter().map(|row| row.line).is_sorted_by(|one, other| one < other));
                let ends = memchr::memchr_iter(b'\n', &bytes).count() as u64 + 1;
                prop_assert!(whole.lines.last().is_none_or(|line| *line <= ends));
                let schema = whole.rows.schema();
                let small = read_all(&landing.find(name), &ReadOptions { batch_rows: 1, ..options }, &schema).unwrap();
                prop_assert_eq!((small.rows, small.lines, small.bad_rows), (whole.rows, whole.lines, whole.bad_rows));
            }
            // UTF-16, a JSON array, or compressed by its first bytes.
            Err(error) => prop_assert!(matches!(error, FormatError::Unsupported { .. } | FormatError::Corrupt { .. }), "{error}"),
        }
    }
}
