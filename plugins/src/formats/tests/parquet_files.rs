use std::collections::HashMap;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression as Codec, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow::array::{
    ArrayRef, DictionaryArray, Int32Array, Int64Array, LargeStringArray, StringArray, TimestampNanosecondArray,
    UInt64Array,
};
use arrow::datatypes::{Field, Int32Type, Schema};

use super::*;

pub(super) fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| {
            let id = HashMap::from([("PARQUET:field_id".to_owned(), "7".to_owned())]);
            Field::new(*name, array.data_type().clone(), true).with_metadata(id)
        })
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Codec::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(1000))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn numbers(rows: i64) -> Vec<(&'static str, ArrayRef)> {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..rows).map(|row| format!("name {row}")),
    ));
    let days: ArrayRef = Arc::new(arrow::array::Date32Array::from_iter_values(
        (0..rows).map(|row| (row / 1500) as i32),
    ));
    vec![("id", ids), ("name", names), ("day", days)]
}

#[test]
fn types_of_the_file_become_types_of_tables() {
    let words: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let bytes = parquet(vec![
        ("word", Arc::new(words)),
        (
            "text",
            Arc::new(LargeStringArray::from(vec![Some("x"), None, Some("z")])),
        ),
        ("count", Arc::new(UInt64Array::from(vec![0, 1, u64::MAX]))),
        (
            "at",
            Arc::new(TimestampNanosecondArray::from(vec![0, 1_500, -1]).with_timezone("Europe/Berlin")),
        ),
    ]);
    let landing = Landing::with(&[("a.parquet", &bytes)]);
    let files = landing.find("a.parquet");
    let outcome = load(&files, &ReadOptions::default()).unwrap();
    assert_eq!(
        types(outcome.rows.schema_ref()),
        ["word:string", "text:string", "count:decimal(20,0)", "at:timestamptz"]
    );
    assert!(
        outcome
            .rows
            .schema_ref()
            .fields()
            .iter()
            .all(|field| field.metadata().is_empty())
    );
    assert_eq!(
        shown(&outcome.rows),
        [
            ["a", "x", "0", "1970-01-01T00:00:00Z"],
            ["b", "∅", "1", "1970-01-01T00:00:00.000001Z"],
            ["a", "z", "18446744073709551615", "1970-01-01T00:00:00Z"],
        ]
    );
    assert_eq!(outcome.lines, [1, 2, 3]);
    assert_eq!(outcome.finished[0].sha256, content_hash(&files[0]).unwrap());
}

#[test]
fn projection_reads_only_the_columns_in_the_order_asked_for() {
    let landing = Landing::with(&[("a.parquet", &parquet(numbers(4000)))]);
    let files = landing.find("a.parquet");
    let options = ReadOptions {
        batch_rows: 700,
        ..ReadOptions::default()
    };
    let schema = infer(&files, &options).unwrap().schema;
    let mut next = 0;
    for batch in read(&files, &options, &schema, Some(&["day", "id"])).unwrap() {
        let batch = batch.unwrap();
        assert_eq!(types(batch.batch.schema_ref()), ["day:date", "id:long"]);
        assert_eq!((batch.first_row, batch.lines[0]), (next, next + 1));
        let ids = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(batch.batch.column(1));
        assert_eq!(ids.value(0), next as i64);
        next += batch.batch.num_rows() as u64;
    }
    assert_eq!(next, 4000);
    let days = distinct_values(&files[0], &options, "day").unwrap();
    assert_eq!(
        days.into_iter().collect::<Vec<_>>(),
        ["1970-01-01", "1970-01-02", "1970-01-03"]
    );

    // The text of the other columns is not touched: damage in it does not show.
    let mut bytes = fs::read(&files[0].absolute).unwrap();
    let at = bytes
        .windows(6)
        .position(|window| window == b"name 0")
        .unwrap_or(bytes.len() / 2);
    bytes[at] ^= 0x55;
    landing.write("b.parquet", &bytes);
    let files = landing.find("b.parquet");
    let rows: usize = read(&files, &options, &schema, Some(&["id"]))
        .unwrap()
        .map(|batch| batch.unwrap().batch.num_rows())
        .sum();
    assert_eq!(rows, 4000);
}

#[test]
fn files_that_differ() {
    let wide = parquet(vec![
        ("id", Arc::new(Int64Array::from(vec![1_i64 << 40]))),
        ("s", Arc::new(StringArray::from(vec!["x"]))),
    ]);
    let narrow = parquet(vec![
        ("s", Arc::new(StringArray::from(vec!["y"]))),
        ("id", Arc::new(Int32Array::from(vec![2]))),
    ]);
    let landing = Landing::with(&[("a.parquet", &narrow), ("b.parquet", &wide)]);
    let outcome = load(&landing.find("*"), &ReadOptions::default()).unwrap();
    assert_eq!(types(outcome.rows.schema_ref()), ["s:string", "id:long"]);
    assert_eq!(shown(&outcome.rows), [["y", "2"], ["x", "1099511627776"]]);

    let text = parquet(vec![
        ("id", Arc::new(StringArray::from(vec!["1"]))),
        ("s", Arc::new(StringArray::from(vec!["x"]))),
    ]);
    landing.write("c.parquet", &text);
    let error = infer(&landing.find("*"), &ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "read c.parquet: column `id` is string here, but in `a.parquet` it is int"
    );
    let schema = infer(&landing.find("b.parquet"), &ReadOptions::default())
        .unwrap()
        .schema;
    let error = read_all(&landing.find("c.parquet"), &ReadOptions::default(), &schema)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("column `id` is string here, but long in the expected schema"),
        "{error}"
    );

    let options = ReadOptions {
        columns: declared(&[("id", "int")]),
        ..ReadOptions::default()
    };
    let error = infer(&landing.find("b.parquet"), &options).unwrap_err().to_string();
    assert_eq!(
        error,
        "read b.parquet: column `id` is long here, but it is declared int"
    );

    landing.write("d.parquet", &parquet(vec![("id", Arc::new(Int64Array::from(vec![5])))]));
    let files = [landing.one("b.parquet"), landing.one("d.parquet")];
    assert!(
        infer(&files, &ReadOptions::default())
            .unwrap_err()
            .to_string()
            .contains("it lacks `s`")
    );
    let options = ReadOptions {
        missing_columns: MissingColumns::Null,
        ..ReadOptions::default()
    };
    assert_eq!(
        shown(&load(&files, &options).unwrap().rows),
        [["1099511627776", "x"], ["5", "∅"]]
    );
}

#[test]
fn damaged_files_are_errors_that_name_them() {
    let whole = parquet(numbers(3000));
    let landing = Landing::new();
    let outcome_of = |bytes: &[u8]| {
        landing.write("a.parquet", bytes);
        load(&landing.find("a.parquet"), &ReadOptions::default())
    };
    let expected = outcome_of(&whole).unwrap().rows;
    let mut broken = 0;
    for cut in [0, 3, 4, 11, 12, whole.len() / 2, whole.len() - 1] {
        let error = outcome_of(&whole[..cut]).unwrap_err();
        assert!(
            matches!(&error, FormatError::Corrupt { file, .. } if file == "a.parquet"),
            "cut at {cut}: {error}"
        );
    }
    // A footer that claims to be 2 GiB long.
    let mut lie = whole.clone();
    let at = lie.len() - 8;
    lie[at..at + 4].copy_from_slice(&0x7FFF_FFFF_u32.to_le_bytes());
    assert!(matches!(outcome_of(&lie), Err(FormatError::Corrupt { .. })));
    // Any byte may be wrong: an error of ours, the same rows, or values that Parquet has no checksum for; never a
    // panic, and never a different number of rows.
    for at in (0..whole.len()).step_by(37) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xFF;
        match outcome_of(&damaged) {
            Ok(outcome) => assert_eq!(outcome.rows.num_rows(), expected.num_rows(), "byte {at}"),
            Err(
                error @ (FormatError::Corrupt { .. }
                | FormatError::Schema { .. }
                | FormatError::Unsupported { .. }
                | FormatError::Bomb { .. }),
            ) => {
                assert_eq!(error.file(), Some("a.parquet"));
                broken += 1;
            }
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(broken > 0);
    landing.write("b.parquet", &zstd::encode_all(&whole[..], 1).unwrap());
    let error = load(&landing.find("b.parquet"), &ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("unpack the outer compression first"), "{error}");
}
