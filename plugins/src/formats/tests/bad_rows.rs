use super::*;

const COLUMNS: &[(&str, &str)] = &[("id", "int"), ("note", "string"), ("day", "date")];

fn options(on_bad_row: OnBadRow) -> ReadOptions {
    ReadOptions {
        columns: declared(COLUMNS),
        on_bad_row,
        ..ReadOptions::default()
    }
}

/// Reads one damaged row between two good ones, both ways: it stops the reading where it stands, or it is set
/// aside alone.
fn one_bad_row(name: &str, bad: &[u8], options: ReadOptions) -> BadRow {
    let text = [b"id,note,day\n1,\"a\nb\",2013-01-01\n", bad, b"\n2,c,2013-01-02\n"].concat();
    let landing = Landing::with(&[("a.csv", &text)]);
    let files = landing.find("a.csv");

    let failing = ReadOptions {
        on_bad_row: OnBadRow::Fail,
        ..options.clone()
    };
    let Err(FormatError::BadRow(stopped)) = load(&files, &failing) else {
        panic!("{name}")
    };
    let collecting = ReadOptions {
        on_bad_row: OnBadRow::Collect { limit: 1 },
        ..options
    };
    let outcome = load(&files, &collecting).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(outcome.bad_rows, [*stopped.clone()], "{name}");
    assert_eq!(outcome.finished[0].bad_rows, 1, "{name}");
    assert_eq!(
        shown(&outcome.rows),
        [["1", "a\nb", "2013-01-01"], ["2", "c", "2013-01-02"]],
        "{name}"
    );
    assert_eq!(stopped.line, 4, "{name}");
    assert_eq!(stopped.file, "a.csv", "{name}");
    *stopped
}

#[test]
fn each_kind_of_damage_has_its_reason() {
    let mut short = options(OnBadRow::Fail);
    short.limits.row_bytes = 64;
    let value = |column: &str, expected: &str, text: &str, fault| BadReason::Value {
        column: column.into(),
        expected: expected.into(),
        text: text.into(),
        fault,
    };
    let long = [b"9,".as_slice(), &b"x".repeat(80), b",2013-01-01"].concat();
    let cases: [(&str, &[u8], BadReason); 12] = [
        ("short", b"9,x", BadReason::Ragged { expected: 3, found: 2 }),
        ("long", b"9,x,2013-01-01,", BadReason::Ragged { expected: 3, found: 4 }),
        (
            "word for a number",
            b"NA,x,2013-01-01",
            value("id", "int", "NA", ValueFault::Form),
        ),
        (
            "number too large",
            b"2147483648,x,2013-01-01",
            value("id", "int", "2147483648", ValueFault::Range),
        ),
        (
            "thousands",
            b"\"1,234\",x,2013-01-01",
            value("id", "int", "1,234", ValueFault::Form),
        ),
        (
            "exponent",
            b"1e5,x,2013-01-01",
            value("id", "int", "1e5", ValueFault::Form),
        ),
        (
            "no such day",
            b"9,x,2013-02-30",
            value("day", "date", "2013-02-30", ValueFault::NoSuchMoment),
        ),
        ("not UTF-8", b"9,caf\xE9,2013-01-01", BadReason::InvalidUtf8 { at: 6 }),
        (
            "half a letter",
            b"9,caf\xC3,2013-01-01",
            BadReason::InvalidUtf8 { at: 6 },
        ),
        ("NUL", b"9,a\0b,2013-01-01", BadReason::NulByte { at: 4 }),
        (
            "text after a quote",
            b"9,\"x\"y,2013-01-01",
            BadReason::TextAfterQuote { at: 6 },
        ),
        (
            "over the limit",
            &long,
            BadReason::TooLong {
                limit: 64,
                open_quote: false,
            },
        ),
    ];
    for (name, bad, reason) in cases {
        let options = if name == "over the limit" {
            short.clone()
        } else {
            options(OnBadRow::Fail)
        };
        let row = one_bad_row(name, bad, options);
        assert_eq!(row.reason, reason, "{name}");
        assert_eq!(row.raw.as_bytes(), String::from_utf8_lossy(bad).as_bytes(), "{name}");
    }
}

#[test]
fn messages_name_the_place_and_the_text() {
    let message =
        |bad: &[u8]| FormatError::BadRow(Box::new(one_bad_row("message", bad, options(OnBadRow::Fail)))).to_string();
    assert_eq!(
        message(b"NA,x,2013-01-01"),
        "read a.csv line 4, column id: `NA` does not read as one (column type int)"
    );
    assert_eq!(message(b"9,x"), "read a.csv line 4: 2 fields instead of 3: `9,x`");
    let text = format!("9,x,{}", "é".repeat(100));
    let shortened = message(text.as_bytes());
    assert!(shortened.contains(&format!("`{}…`", "é".repeat(40))), "{shortened}");
}

#[test]
fn an_open_quote_costs_one_line() {
    let text = b"id,note,day\n1,a,2013-01-01\n2,\"b,2013-01-02\n3,c,2013-01-03\n4,d,2013-01-04\n";
    let landing = Landing::with(&[("a.csv", text)]);
    let files = landing.find("a.csv");
    let outcome = load(&files, &options(OnBadRow::Collect { limit: 5 })).unwrap();
    assert_eq!(outcome.lines, [2, 4, 5]);
    let [bad] = &outcome.bad_rows[..] else {
        panic!("{:?}", outcome.bad_rows)
    };
    assert_eq!(
        (bad.line, &bad.reason, bad.raw.as_str()),
        (3, &BadReason::UnterminatedQuote, "2,\"b,2013-01-02")
    );

    // Far from the end of the file the limit on a row's length finds it.
    let mut text = text.to_vec();
    for row in 0..200_000 {
        text.extend_from_slice(format!("{row},x,2013-01-05\n").as_bytes());
    }
    landing.write("a.csv", &text);
    let mut options = options(OnBadRow::Collect { limit: 5 });
    options.limits.row_bytes = 1 << 20;
    let outcome = load(&landing.find("a.csv"), &options).unwrap();
    assert_eq!(outcome.rows.num_rows(), 200_003);
    assert_eq!(
        outcome.bad_rows[0].reason,
        BadReason::TooLong {
            limit: 1 << 20,
            open_quote: true
        }
    );
    assert_eq!((outcome.bad_rows[0].line, outcome.lines[1]), (3, 4));
}

#[test]
fn an_endless_line_stays_in_bounds() {
    let mut text = b"id,note,day\n1,".to_vec();
    text.extend(std::iter::repeat_n(b'x', 3 << 20));
    text.extend_from_slice(b",2013-01-01\n2,c,2013-01-02\n");
    let landing = Landing::with(&[("a.csv", &text)]);
    let mut options = options(OnBadRow::Collect { limit: 5 });
    options.limits.row_bytes = 1 << 20;
    let outcome = load(&landing.find("a.csv"), &options).unwrap();
    assert_eq!(outcome.lines, [3]);
    assert_eq!(
        outcome.bad_rows[0].reason,
        BadReason::TooLong {
            limit: 1 << 20,
            open_quote: false
        }
    );
    assert_eq!(outcome.bad_rows[0].line, 2);
}

#[test]
fn too_many_bad_rows_say_how_many_and_which() {
    let text: String = std::iter::once("id,note,day\n".to_owned())
        .chain((0..50).map(|_| "x,y,z\n".to_owned()))
        .collect();
    let landing = Landing::with(&[("a.csv", text.as_bytes())]);
    match load(&landing.find("a.csv"), &options(OnBadRow::Collect { limit: 10 })) {
        Err(
            error @ FormatError::TooManyBadRows {
                limit: 10, count: 11, ..
            },
        ) => {
            let message = error.to_string();
            assert!(
                message.starts_with("read on after 11 bad rows, more than the 10 allowed: a.csv line 2, column id")
            );
            assert!(
                message.contains("a.csv line 4, column id") && !message.contains("line 5"),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
    // The limit counts over all files.
    let landing = Landing::with(&[("a.csv", b"id,note,day\nx,,\n"), ("b.csv", b"id,note,day\ny,,\n")]);
    let files = landing.find("*.csv");
    assert_eq!(
        load(&files, &options(OnBadRow::Collect { limit: 2 }))
            .unwrap()
            .bad_rows
            .len(),
        2
    );
    assert!(matches!(
        load(&files, &options(OnBadRow::Collect { limit: 1 })),
        Err(FormatError::TooManyBadRows { .. })
    ));
}

#[test]
fn bad_rows_across_batches_leave_whole_columns() {
    // Every third row fails in the last column, after the others were appended.
    let mut text = String::from("id,note,day\n");
    for row in 0..1000 {
        let day = if row % 3 == 0 { "never" } else { "2013-01-01" };
        text.push_str(&format!("{row},n{row},{day}\n"));
    }
    let landing = Landing::with(&[("a.csv", text.as_bytes())]);
    let options = ReadOptions {
        batch_rows: 7,
        ..options(OnBadRow::Collect { limit: 1000 })
    };
    let outcome = load(&landing.find("a.csv"), &options).unwrap();
    let expected: Vec<Vec<String>> = (0..1000)
        .filter(|row| row % 3 != 0)
        .map(|row| vec![row.to_string(), format!("n{row}"), "2013-01-01".to_owned()])
        .collect();
    assert_eq!(shown(&outcome.rows), expected);
    assert_eq!(outcome.bad_rows.len(), 334);
}
