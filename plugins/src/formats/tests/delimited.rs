use super::*;

fn load_text(text: &[u8], options: &ReadOptions) -> Result<Outcome, FormatError> {
    let landing = Landing::with(&[("a.csv", text)]);
    load(&landing.find("a.csv"), options)
}

#[test]
fn marks_line_ends_and_quotes() {
    let text = b"\xEF\xBB\xBFid,note\r\n1,plain\r\n2,\"two\r\nlines, \"\"quoted\"\"\"\r\n\r\n3,\r\n4,last";
    let outcome = load_text(text, &ReadOptions::default()).unwrap();
    assert_eq!(types(outcome.rows.schema_ref()), ["id:long", "note:string"]);
    assert_eq!(
        shown(&outcome.rows),
        [
            ["1", "plain"],
            ["2", "two\r\nlines, \"quoted\""],
            ["3", "∅"],
            ["4", "last"]
        ]
    );
    assert_eq!(outcome.lines, [2, 3, 6, 7]);
}

#[test]
fn rows_longer_than_the_window_and_across_its_edge() {
    // Quoted line ends, CRLF and letters of several bytes land on every offset of the window's edge.
    let long = "é\r\n".repeat(200_000);
    let mut text = String::from("id,note\r\n");
    for row in 0..6 {
        text.push_str(&format!("{row},\"{}{}\"\r\n", "x".repeat(row), long));
    }
    let outcome = load_text(text.as_bytes(), &ReadOptions::default()).unwrap();
    assert_eq!(outcome.rows.num_rows(), 6);
    assert_eq!(outcome.lines, (0..6).map(|row| 2 + row * 200_001).collect::<Vec<u64>>());
    let notes = outcome.rows.column(1);
    let notes = arrow::array::AsArray::as_string::<i32>(notes);
    for row in 0..6 {
        assert_eq!(notes.value(row), format!("{}{long}", "x".repeat(row)));
    }
}

#[test]
fn other_delimiters_and_no_quotes() {
    let landing = Landing::with(&[
        ("a.tsv", b"id\tnote\n1\t5\" pipe\n2\t\"as it is\n"),
        ("b.csv", b"a;b\n'1;2';3\n"),
    ]);
    let mut options = ReadOptions::default();
    options.delimited.quote = None;
    let outcome = load(&landing.find("a.tsv"), &options).unwrap();
    assert_eq!(shown(&outcome.rows), [["1", "5\" pipe"], ["2", "\"as it is"]]);
    options.delimited = Delimited {
        delimiter: Some(b';'),
        quote: Some(b'\''),
        ..Delimited::default()
    };
    assert_eq!(
        shown(&load(&landing.find("b.csv"), &options).unwrap().rows),
        [["1;2", "3"]]
    );
    options.delimited.delimiter = Some(b'\n');
    assert!(
        load(&landing.find("b.csv"), &options)
            .unwrap_err()
            .to_string()
            .contains("one ASCII byte")
    );
    options.delimited.delimiter = Some(b'\'');
    assert!(
        load(&landing.find("b.csv"), &options)
            .unwrap_err()
            .to_string()
            .contains("not the delimiter")
    );
}

#[test]
fn with_and_without_header() {
    let mut options = ReadOptions::default();
    options.delimited.names = Some(vec!["number".into(), "letter".into()]);
    let outcome = load_text(b"id,note\n1,a\n", &options).unwrap();
    assert_eq!(types(outcome.rows.schema_ref()), ["number:long", "letter:string"]);
    assert_eq!(outcome.lines, [2]);
    options.delimited.header = false;
    let outcome = load_text(b"1,a\n2,b\n", &options).unwrap();
    assert_eq!(
        (shown(&outcome.rows), outcome.lines),
        (
            vec![vec!["1".into(), "a".into()], vec!["2".into(), "b".into()]],
            vec![1, 2]
        )
    );
    // Without a header an empty file is a table without rows.
    assert_eq!(load_text(b"", &options).unwrap().rows.num_rows(), 0);
    options.delimited.names = None;
    assert!(
        load_text(b"1,a\n", &options)
            .unwrap_err()
            .to_string()
            .contains("give them as `names`")
    );
}

#[test]
fn headers_that_cannot_serve() {
    let error = |text: &[u8]| load_text(text, &ReadOptions::default()).unwrap_err();
    assert!(
        error(b"")
            .to_string()
            .contains("the file is empty; a header line is expected")
    );
    assert!(error(b"\n\n").to_string().contains("blank lines only"));
    let doubled = error(b"a,b,a\n1,2,3\n");
    assert!(doubled.to_string().contains("several columns are called `a`"));
    assert!(matches!(doubled, FormatError::Schema { columns, .. } if columns == ["a"]));
    assert!(
        error(b"\"\",b\n1,2\n")
            .to_string()
            .contains("column 1 of 2 has no name")
    );
    assert!(error(b"a,\"b\n1,2\n").to_string().contains("line 1: a quote is opened"));
    assert!(error(b"\xFF\xFEa\0").to_string().contains("UTF-16"));
    // A header alone is a table without rows.
    let outcome = load_text(b"a,b\n", &ReadOptions::default()).unwrap();
    assert_eq!(
        (types(outcome.rows.schema_ref()), outcome.rows.num_rows()),
        (vec!["a:string".into(), "b:string".into()], 0)
    );
}

#[test]
fn null_texts() {
    let text = b"n,s\n1,x\nNA,NA\n-,\"NA\"\n2,\n";
    let null = |texts: &[&str], quoted_null| ReadOptions {
        null: Some(texts.iter().map(|text| (*text).to_owned()).collect()),
        quoted_null,
        ..ReadOptions::default()
    };
    let outcome = load_text(text, &null(&["NA", "-"], true)).unwrap();
    assert_eq!(types(outcome.rows.schema_ref()), ["n:long", "s:string"]);
    assert_eq!(shown(&outcome.rows), [["1", "x"], ["∅", "∅"], ["∅", "∅"], ["2", ""]]);
    let outcome = load_text(text, &null(&["NA", "-", ""], false)).unwrap();
    assert_eq!(shown(&outcome.rows), [["1", "x"], ["∅", "∅"], ["∅", "NA"], ["2", "∅"]]);
}

#[test]
fn declared_types_and_their_null() {
    let options = ReadOptions {
        columns: declared(&[
            ("b", "boolean"),
            ("i", "int"),
            ("l", "long"),
            ("f", "float"),
            ("d", "double"),
            ("m", "decimal(9,2)"),
            ("day", "date"),
            ("t", "timestamp"),
            ("z", "timestamptz"),
            ("s", "string"),
            ("x", "binary"),
        ]),
        zone: Some(jiff::tz::TimeZone::get("America/New_York").unwrap()),
        ..ReadOptions::default()
    };
    let text = b"b,i,l,f,d,m,day,t,z,s,x\n\
        yes,007,-9223372036854775808,0.1,1e5,1234567.80,2013-02-28,2013-02-28 05:15,2013-07-01 08:00:00,007,ab\n\
        0,-1,+5,5,.5,-0.05,0001-01-01,2013-02-28T05:15:00.123456789,2013-07-01T08:00:00+02:00,,\n,,,,,,,,,,\n";
    let outcome = load_text(text, &options).unwrap();
    assert_eq!(
        shown(&outcome.rows),
        [
            [
                "true",
                "7",
                "-9223372036854775808",
                "0.1",
                "100000.0",
                "1234567.80",
                "2013-02-28",
                "2013-02-28T05:15:00",
                "2013-07-01T12:00:00Z",
                "007",
                "6162"
            ],
            [
                "false",
                "-1",
                "5",
                "5.0",
                "0.5",
                "-0.05",
                "0001-01-01",
                "2013-02-28T05:15:00.123456",
                "2013-07-01T06:00:00Z",
                "∅",
                "∅"
            ],
            ["∅"; 11],
        ]
    );
}

#[test]
fn projection_reads_what_is_asked_for() {
    let landing = Landing::with(&[("a.csv", b"a,b,c\n1,x,9\n2,y,oops\n")]);
    let files = landing.find("a.csv");
    let options = ReadOptions {
        columns: declared(&[("a", "int"), ("b", "string"), ("c", "int")]),
        ..ReadOptions::default()
    };
    let schema = infer(&files, &options).unwrap().schema;
    let batches: Vec<_> = read(&files, &options, &schema, Some(&["b", "a"]))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(batches.len(), 1);
    assert_eq!(shown(&batches[0].batch), [["x", "1"], ["y", "2"]]);
    let none: Vec<_> = read(&files, &options, &schema, Some(&[]))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(none[0].batch.num_rows(), 2);
    let error = |names: &[&str]| {
        read(&files, &options, &schema, Some(names))
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert!(
        error(&["bb"]).contains("no column `bb` (did you mean `b`?)"),
        "{}",
        error(&["bb"])
    );
    assert!(error(&["a", "a"]).contains("asked for twice"));
}

#[test]
fn batches_say_where_their_rows_are() {
    let text: String = std::iter::once("n\n".to_owned())
        .chain((0..25).map(|row| format!("{row}\n")))
        .collect();
    let landing = Landing::with(&[("a.csv", text.as_bytes()), ("b.csv", b"n\n100\n")]);
    let files = landing.find("*.csv");
    let options = ReadOptions {
        batch_rows: 10,
        ..ReadOptions::default()
    };
    let schema = infer(&files, &options).unwrap().schema;
    let places: Vec<_> = read(&files, &options, &schema, None)
        .unwrap()
        .map(|batch| {
            batch
                .map(|batch| (batch.file, batch.first_row, batch.lines[0], batch.batch.num_rows()))
                .unwrap()
        })
        .collect();
    assert_eq!(places, [(0, 0, 2, 10), (0, 10, 12, 10), (0, 20, 22, 5), (1, 0, 2, 1)]);
}

#[test]
fn distinct_values_of_a_column() {
    let text = b"day,n\n2013-01-02,1\n2013-01-01,x\n2013-01-01,2\n,3\n\"2013-01-02\",4\n";
    let landing = Landing::with(&[("a.csv", text)]);
    let file = landing.one("a.csv");
    let mut options = ReadOptions::default();
    let days = distinct_values(&file, &options, "day").unwrap();
    assert_eq!(days.into_iter().collect::<Vec<_>>(), ["2013-01-01", "2013-01-02"]);
    assert!(
        distinct_values(&file, &options, "dya")
            .unwrap_err()
            .to_string()
            .contains("did you mean `day`")
    );
    options.limits.distinct_values = 1;
    assert!(
        distinct_values(&file, &options, "day")
            .unwrap_err()
            .to_string()
            .contains("more than 1 distinct")
    );
}
