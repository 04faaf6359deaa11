use super::*;

fn infer_files(files: &[(&str, &[u8])], options: &ReadOptions) -> Result<Inferred, FormatError> {
    let landing = Landing::with(files);
    infer(&landing.find("*"), options)
}

#[test]
fn a_late_null_text_is_seen() {
    // The flights of New York have their first NA in dep_time in line 840, long after any sample.
    let mut text = String::from("dep_time,carrier\n");
    for row in 2..2000 {
        text.push_str(if row == 839 { "NA,UA\n" } else { "517,UA\n" });
    }
    let inferred = infer_files(&[("a.csv", text.as_bytes())], &ReadOptions::default()).unwrap();
    assert_eq!(types(&inferred.schema), ["dep_time:string", "carrier:string"]);
    assert_eq!(
        inferred.widened,
        [Widened {
            column: "dep_time".into(),
            expected: "long".into(),
            file: "a.csv".into(),
            line: 839,
            text: "NA".into()
        }]
    );
    let options = ReadOptions {
        null: Some(vec!["NA".into()]),
        ..ReadOptions::default()
    };
    let inferred = infer_files(&[("a.csv", text.as_bytes())], &options).unwrap();
    assert_eq!(types(&inferred.schema), ["dep_time:long", "carrier:string"]);
    assert!(inferred.widened.is_empty());
}

#[test]
fn files_agree_in_any_order_of_columns() {
    let files: &[(&str, &[u8])] = &[
        ("a.csv", b"n,when,flag,code\n1,2013-01-01,true,007\n"),
        ("b.csv", b"code,flag,n,when\n12,,2.5,2013-01-02\n"),
        ("c.csv", b"flag,code,when,n\n"),
    ];
    for threads in [1, 3] {
        let options = ReadOptions {
            threads,
            ..ReadOptions::default()
        };
        let landing = Landing::with(files);
        let found = landing.find("*.csv");
        let inferred = infer(&found, &options).unwrap();
        assert_eq!(
            types(&inferred.schema),
            ["n:double", "when:date", "flag:boolean", "code:string"]
        );
        let outcome = read_all(&found, &options, &inferred.schema).unwrap();
        assert_eq!(
            shown(&outcome.rows),
            [["1.0", "2013-01-01", "true", "007"], ["2.5", "2013-01-02", "∅", "12"]]
        );
    }
}

#[test]
fn missing_and_additional_columns() {
    let files: &[(&str, &[u8])] = &[("a.csv", b"a,b\n1,2\n"), ("b.csv", b"a,c\n3,4\n")];
    match infer_files(files, &ReadOptions::default()) {
        Err(error @ FormatError::Schema { .. }) => {
            assert_eq!(error.file(), Some("b.csv"));
            let message = error.to_string();
            assert!(
                message.contains("it lacks `b` that `a.csv` has") && message.contains("it has `c`"),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
    let options = ReadOptions {
        missing_columns: MissingColumns::Null,
        ..ReadOptions::default()
    };
    let landing = Landing::with(files);
    let outcome = load(&landing.find("*"), &options).unwrap();
    assert_eq!(types(outcome.rows.schema_ref()), ["a:long", "b:long", "c:long"]);
    assert_eq!(shown(&outcome.rows), [["1", "2", "∅"], ["3", "∅", "4"]]);

    // A schema from before: a new column is never dropped unseen.
    let first = landing.find("a.csv");
    let before = infer(&first, &ReadOptions::default()).unwrap().schema;
    let error = read_all(&landing.find("b.csv"), &options, &before)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("b.csv") && error.contains("`c` that the expected schema does not have"),
        "{error}"
    );
}

#[test]
fn declared_columns_stand() {
    let files: &[(&str, &[u8])] = &[("a.csv", b"zip,n\n02134,1\n")];
    let options = ReadOptions {
        columns: declared(&[("zip", "int")]),
        ..ReadOptions::default()
    };
    assert_eq!(
        types(&infer_files(files, &options).unwrap().schema),
        ["zip:int", "n:long"]
    );
    let options = ReadOptions {
        columns: declared(&[("zpi", "int")]),
        ..ReadOptions::default()
    };
    let error = infer_files(files, &options).unwrap_err().to_string();
    assert!(
        error.contains("declared column `zpi` is not in the file (did you mean `zip`?)"),
        "{error}"
    );
    let options = ReadOptions {
        missing_columns: MissingColumns::Null,
        ..options
    };
    assert_eq!(
        types(&infer_files(files, &options).unwrap().schema),
        ["zip:string", "n:long", "zpi:int"]
    );
}

#[test]
fn mixed_formats_and_unknown_ones() {
    let error = |files: &[(&str, &[u8])]| infer_files(files, &ReadOptions::default()).unwrap_err().to_string();
    assert!(error(&[("a.csv", b"a\n"), ("b.jsonl", b"{}\n")]).contains("it is JSON lines, but `a.csv` is CSV"));
    assert!(error(&[("a.txt", b"a\n")]).contains("its name does not tell the format"));
    let options = ReadOptions {
        format: Some(Format::Csv),
        ..ReadOptions::default()
    };
    assert_eq!(
        types(&infer_files(&[("a.txt", b"a\n1\n")], &options).unwrap().schema),
        ["a:long"]
    );
}

#[test]
fn the_first_file_with_an_error_is_the_one_reported() {
    let mut files: Vec<(String, Vec<u8>)> = (0..20)
        .map(|n| (format!("{n:02}.csv"), b"a,b\n1,2\n".to_vec()))
        .collect();
    files[7].1 = b"a,b\n1\n".to_vec();
    files[8].1 = b"a,b\n1,2,3\n".to_vec();
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    for threads in [1, 4] {
        let options = ReadOptions {
            threads,
            ..ReadOptions::default()
        };
        assert_eq!(infer_files(&files, &options).unwrap_err().file(), Some("07.csv"));
    }
}
