use super::*;

fn load_text(text: &[u8], options: &ReadOptions) -> Result<Outcome, FormatError> {
    let landing = Landing::with(&[("a.jsonl", text)]);
    load(&landing.find("a.jsonl"), options)
}

#[test]
fn objects_become_rows() {
    let text = "\u{FEFF}{\"id\":1,\"name\":\"caf\\u00e9 \\ud83d\\ude00\",\"ok\":true,\"at\":\"2013-01-01T10:00:00Z\"}\r\n\
        \r\n\
        {\"name\":null,\"id\":2.5,\"day\":\"2013-01-01\"}\n\
        {\"ok\":false,\"id\":3,\"name\":\"\"}";
    let outcome = load_text(text.as_bytes(), &ReadOptions::default()).unwrap();
    assert_eq!(
        types(outcome.rows.schema_ref()),
        ["id:double", "name:string", "ok:boolean", "at:timestamptz", "day:date"]
    );
    assert_eq!(
        shown(&outcome.rows),
        [
            ["1.0", "café 😀", "true", "2013-01-01T10:00:00Z", "∅"],
            ["2.5", "∅", "∅", "∅", "2013-01-01"],
            ["3.0", "", "false", "∅", "∅"],
        ]
    );
    assert_eq!(outcome.lines, [1, 3, 4]);
}

#[test]
fn nested_values_by_inference() {
    let text = br#"{"id":1,"place":{"lat":1,"lon":2},"tags":["a","b"],"legs":[{"to":"EWR","min":5}],"any":1,"odd":[1]}
{"id":2,"place":{"lat":1.5,"name":"x"},"tags":[],"legs":[],"any":{"a":[1, 2]},"odd":["x",null]}
{"id":3,"place":null,"legs":[{"to":null},{"min":7}],"any":"text","odd":[{"y":1}]}
"#;
    let landing = Landing::with(&[("a.jsonl", text)]);
    let files = landing.find("a.jsonl");
    let inferred = infer(&files, &ReadOptions::default()).unwrap();
    assert_eq!(
        types(&inferred.schema),
        [
            "id:long",
            "place:struct<lat:double,lon:long,name:string>",
            "tags:list<string>",
            "legs:list<struct<to:string,min:long>>",
            "any:string",
            "odd:list<string>",
        ]
    );
    assert_eq!(
        (inferred.widened[0].column.as_str(), inferred.widened[0].line),
        ("any", 2)
    );
    let outcome = read_all(&files, &ReadOptions::default(), &inferred.schema).unwrap();
    assert_eq!(
        shown(&outcome.rows),
        [
            [
                "1",
                "{lat: 1.0, lon: 2, name: ∅}",
                "[a, b]",
                "[{to: EWR, min: 5}]",
                "1",
                "[1]"
            ],
            [
                "2",
                "{lat: 1.5, lon: ∅, name: x}",
                "[]",
                "[]",
                "{\"a\":[1, 2]}",
                "[x, ∅]"
            ],
            [
                "3",
                "∅",
                "∅",
                "[{to: ∅, min: ∅}, {to: ∅, min: 7}]",
                "text",
                "[{\"y\":1}]"
            ],
        ]
    );
}

#[test]
fn nested_values_as_declared_and_what_does_not_fit() {
    let options = ReadOptions {
        columns: declared(&[
            ("id", "long"),
            ("place", "struct<lat:double,at:list<timestamptz>>"),
            ("price", "decimal(20,2)"),
        ]),
        on_bad_row: OnBadRow::Collect { limit: 10 },
        ..ReadOptions::default()
    };
    let text =
        br#"{"id":9007199254740993,"place":{"lat":1,"at":["2013-01-01T00:00:00Z"]},"price":123456789012345678.05}
{"id":1,"place":{"lat":"north"}}
{"id":2,"place":{"at":["2013-01-01T00:00:00Z","2013-01-01"]}}
{"id":3,"place":{"long":1}}
{"id":4,"place":[1]}
{"id":5.5}
{"id":"6"}
{"id":true}
"#;
    let outcome = load_text(text, &options).unwrap();
    assert_eq!(
        shown(&outcome.rows),
        [
            [
                "9007199254740993",
                "{lat: 1.0, at: [2013-01-01T00:00:00Z]}",
                "123456789012345678.05"
            ],
            ["6", "∅", "∅"],
        ]
    );
    let bad: Vec<_> = outcome
        .bad_rows
        .iter()
        .map(|row| match &row.reason {
            BadReason::Value {
                column, text, fault, ..
            } => (row.line, column.as_str(), text.as_str(), *fault),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        bad,
        [
            (2, "place.lat", "north", ValueFault::Form),
            (3, "place.at[1]", "2013-01-01", ValueFault::NoOffset),
            (4, "place.long", "1", ValueFault::UnknownKey),
            (5, "place", "[1]", ValueFault::Kind),
            (6, "id", "5.5", ValueFault::Form),
            (8, "id", "true", ValueFault::Kind),
        ]
    );
}

#[test]
fn lines_that_are_not_objects() {
    let reason = |line: &[u8]| {
        let text = [b"{\"a\":1}\n".as_slice(), line, b"\n{\"a\":2}\n"].concat();
        let Err(FormatError::BadRow(row)) = load_text(&text, &ReadOptions::default()) else {
            panic!("{line:?}")
        };
        assert_eq!(row.line, 2);
        let outcome = load_text(&text, &collecting(1)).unwrap();
        assert_eq!((outcome.lines, outcome.bad_rows), (vec![1, 3], vec![*row.clone()]));
        row.reason
    };
    assert_eq!(reason(b"[1]"), BadReason::NotAnObject { found: "a list" });
    assert_eq!(reason(b"7"), BadReason::NotAnObject { found: "a number" });
    assert_eq!(reason(b"{\"a\":\"\xFF\"}"), BadReason::InvalidUtf8 { at: 7 });
    assert_eq!(reason(b"{\"a\":\0}"), BadReason::NulByte { at: 6 });
    assert!(matches!(reason(b"{\"a\":1"), BadReason::Json { at: 7, .. }));
    assert!(matches!(reason(b"{\"a\":NaN}"), BadReason::Json { at: 6, .. }));
    assert!(matches!(reason(b"{\"a\":1,\"a\":2}"), BadReason::Json { at: 8, .. }));
    let deep = [b"{\"a\":".as_slice(), &b"[".repeat(100_000)].concat();
    assert!(matches!(reason(&deep), BadReason::Json { what, .. } if what == "nested deeper than 64"));
}

#[test]
fn a_file_that_is_still_growing() {
    let Err(FormatError::BadRow(row)) = load_text(b"{\"a\":1}\n{\"a\":2,\"b", &ReadOptions::default()) else {
        panic!()
    };
    assert_eq!((row.line, row.reason), (2, BadReason::CutOff));
    // Damage before the cut is damage.
    let Err(FormatError::BadRow(row)) = load_text(b"{\"a\":1}\n{\"a\" 2", &ReadOptions::default()) else {
        panic!()
    };
    assert!(matches!(row.reason, BadReason::Json { at: 6, .. }));
}

#[test]
fn whole_arrays_and_new_keys() {
    let landing = Landing::with(&[
        ("a.json", b" \n[{\"a\":1}]"),
        ("b.jsonl", b"{\"a\":1}\n"),
        ("c.jsonl", b"{\"a\":2}\n{\"a\":3,\"bb\":4}\n"),
    ]);
    let options = ReadOptions::default();
    let error = load(&landing.find("a.json"), &options).unwrap_err().to_string();
    assert!(
        error.contains("it is a JSON array; write one object on each line"),
        "{error}"
    );
    let before = infer(&landing.find("b.jsonl"), &options).unwrap().schema;
    match read_all(&landing.find("c.jsonl"), &options, &before) {
        Err(FormatError::Schema {
            file, line, columns, ..
        }) => {
            assert_eq!(
                (file.as_str(), line, columns),
                ("c.jsonl", Some(2), vec!["bb".to_owned()])
            );
        }
        other => panic!("{other:?}"),
    }
    // Together they have both columns.
    assert_eq!(load(&landing.find("*.jsonl"), &options).unwrap().rows.num_columns(), 2);
}

#[test]
fn too_wide_and_too_long() {
    let mut options = collecting(1);
    options.limits.columns = 3;
    options.limits.row_bytes = 40;
    let error = load_text(b"{\"a\":1,\"b\":1}\n{\"c\":1,\"d\":1}\n", &options)
        .unwrap_err()
        .to_string();
    assert!(error.contains("more than 3 different keys"), "{error}");
    let text = [b"{\"a\":\"".as_slice(), &b"x".repeat(2 << 20), b"\"}\n{\"a\":\"y\"}\n"].concat();
    let outcome = load_text(&text, &options).unwrap();
    assert_eq!(
        outcome.bad_rows[0].reason,
        BadReason::TooLong {
            limit: 40,
            open_quote: false
        }
    );
    assert_eq!((outcome.bad_rows[0].line, outcome.lines), (1, vec![2]));
    // Dictionaries with ever new keys are kept as text.
    let text = (0..2000)
        .map(|row| format!("{{\"counts\":{{\"k{row}\":{row}}}}}\n"))
        .collect::<Vec<_>>()
        .concat();
    let outcome = load_text(text.as_bytes(), &ReadOptions::default()).unwrap();
    assert_eq!(types(outcome.rows.schema_ref()), ["counts:string"]);
    assert_eq!(shown(&outcome.rows)[1999], ["{\"k1999\":1999}"]);
}

#[test]
fn null_texts_and_distinct_values() {
    let landing = Landing::with(&[(
        "a.jsonl",
        b"{\"d\":\"x\",\"n\":1}\n{\"d\":\"NA\"}\n{\"d\":null}\n{}\n{\"d\":\"w\"}\n{\"d\":5}\n",
    )]);
    let options = ReadOptions {
        null: Some(vec!["NA".into()]),
        ..ReadOptions::default()
    };
    let outcome = load(&landing.find("a.jsonl"), &options).unwrap();
    assert_eq!(
        shown(&outcome.rows)
            .into_iter()
            .map(|mut row| row.remove(0))
            .collect::<Vec<_>>(),
        ["x", "∅", "∅", "∅", "w", "5"]
    );
    let values = distinct_values(&landing.one("a.jsonl"), &options, "d").unwrap();
    assert_eq!(values.into_iter().collect::<Vec<_>>(), ["5", "w", "x"]);
    assert!(
        distinct_values(&landing.one("a.jsonl"), &options, "dd")
            .unwrap_err()
            .to_string()
            .contains("did you mean `d`")
    );
}
