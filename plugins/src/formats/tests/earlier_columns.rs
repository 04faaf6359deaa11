//! Files of another time: columns that were called otherwise, and columns that are not read any more.
use std::sync::Arc;

use arrow::array::{ArrayRef, DurationSecondArray, Int64Array};

use super::parquet_files::parquet;
use super::*;

/// `new:old,older` was called so before, `-gone` is not read.
fn earlier(words: &[&str]) -> ReadOptions {
    let mut earlier = EarlierColumns::default();
    for word in words {
        match (word.strip_prefix('-'), word.split_once(':')) {
            (Some(dropped), _) => earlier.dropped.push(dropped.to_owned()),
            (None, Some((now, then))) => {
                let then = then.split(',').map(str::to_owned).collect();
                earlier.renamed.push((now.to_owned(), then));
            }
            (None, None) => panic!("{word}"),
        }
    }
    ReadOptions {
        earlier,
        ..ReadOptions::default()
    }
}

/// A year of files: the first calls `late` otherwise and has `tail`, the last is as it is now.
fn files() -> [(&'static str, Landing); 3] {
    let long = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    // No table can hold it, and none has to.
    let odd = Arc::new(DurationSecondArray::from(vec![1, 2])) as ArrayRef;
    let first = parquet(vec![("tail", odd), ("id", long(&[1, 2])), ("minutes", long(&[5, 7]))]);
    let second = parquet(vec![("dep_delay", long(&[9])), ("id", long(&[3]))]);
    let third = parquet(vec![("id", long(&[4])), ("late", long(&[11]))]);
    [
        (
            "csv",
            Landing::with(&[
                ("1.csv", b"tail,id,minutes\nN1,1,5\nN2,2,7\n"),
                ("2.csv", b"dep_delay,id\n9,3\n"),
                ("3.csv", b"id,late\n4,11\n"),
            ]),
        ),
        (
            "json lines",
            Landing::with(&[
                (
                    "1.jsonl",
                    b"{\"tail\":\"N1\",\"id\":1,\"minutes\":5}\n{\"tail\":{\"n\":2},\"id\":2,\"minutes\":7}\n",
                ),
                ("2.jsonl", b"{\"dep_delay\":9,\"id\":3}\n"),
                ("3.jsonl", b"{\"id\":4,\"late\":11}\n"),
            ]),
        ),
        (
            "parquet",
            Landing::with(&[("1.parquet", &first), ("2.parquet", &second), ("3.parquet", &third)]),
        ),
    ]
}

#[test]
fn columns_are_read_under_the_name_of_now_and_dropped_ones_are_not() {
    for (format, landing) in files() {
        let options = earlier(&["late:dep_delay,minutes", "-tail"]);
        let outcome = load(&landing.find("*"), &options).unwrap();
        let mut columns = types(outcome.rows.schema_ref());
        columns.sort();
        assert_eq!(columns, ["id:long", "late:long"], "{format}");
        let place = |name| outcome.rows.schema_ref().index_of(name).unwrap();
        let (id, late) = (place("id"), place("late"));
        let rows = shown(&outcome.rows);
        let rows: Vec<String> = rows.iter().map(|row| format!("{} {}", row[id], row[late])).collect();
        assert_eq!(rows, ["1 5", "2 7", "3 9", "4 11"], "{format}");
    }
}

#[test]
fn what_is_not_declared_is_told_as_ever() {
    for (format, landing) in files() {
        let expected = match format {
            "csv" => "2.csv: it lacks `tail`, `late` that `1.csv` has, and it has `dep_delay` that",
            "parquet" => "1.parquet: column `tail` is Arrow's Duration(s), which tables cannot hold",
            // A key that some lines lack is null there.
            _ => continue,
        };
        let error = load(&landing.find("*"), &earlier(&["late:minutes"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{format}: {error}");
    }
}

#[test]
fn a_file_with_both_names_has_two_columns() {
    let landing = Landing::with(&[
        ("a.csv", b"late,minutes,old\n1,2,3\n"),
        ("a.jsonl", b"{\"late\":1,\"minutes\":2,\"old\":3}\n"),
    ]);
    for name in ["a.csv", "a.jsonl"] {
        let outcome = load(&landing.find(name), &earlier(&["late:minutes"])).unwrap();
        assert_eq!(
            types(outcome.rows.schema_ref()),
            ["late:long", "minutes:long", "old:long"],
            "{name}"
        );
        let outcome = load(&landing.find(name), &earlier(&["x:minutes,old"])).unwrap();
        assert_eq!(
            types(outcome.rows.schema_ref()),
            ["late:long", "x:long", "old:long"],
            "{name}: the later of the earlier names"
        );
        assert_eq!(shown(&outcome.rows), [["1", "2", "3"]]);
    }
}
