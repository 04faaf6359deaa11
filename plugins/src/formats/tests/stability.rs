use super::*;

fn big(rows: u32) -> String {
    std::iter::once("n,text\n".to_owned())
        .chain((0..rows).map(|row| format!("{row},some text\n")))
        .collect()
}

/// Reads the first batch, lets `meddle` change the file, reads on.
fn meddled(name: &str, meddle: impl FnOnce(&Landing)) -> FormatError {
    let landing = Landing::with(&[(name, big(100_000).as_bytes())]);
    let files = landing.find(name);
    let options = ReadOptions {
        columns: declared(&[("n", "long"), ("text", "string")]),
        ..ReadOptions::default()
    };
    let schema = infer(&files, &options).unwrap().schema;
    let mut reader = read(&files, &options, &schema, None).unwrap();
    assert!(reader.next().unwrap().is_ok());
    meddle(&landing);
    let error = reader.find_map(Result::err).expect("the change shows");
    assert!(reader.next().is_none() && reader.finished().is_empty());
    error
}

#[test]
fn a_file_that_changes_while_it_is_read() {
    let changed = |error: FormatError| match error {
        FormatError::Changed { file, how } => (file, how),
        other => panic!("{other}"),
    };
    let append = |landing: &Landing| {
        use std::io::Write;
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(landing.root().join("a.csv"))
            .unwrap();
        file.write_all(b"100000,late\n").unwrap();
    };
    let (file, how) = changed(meddled("a.csv", append));
    assert_eq!(file, "a.csv");
    assert!(how.contains("bytes to"), "{how}");

    let replace = |landing: &Landing| {
        landing.write("new", big(100_000).as_bytes());
        fs::rename(landing.root().join("new"), landing.root().join("a.csv")).unwrap();
    };
    assert_eq!(changed(meddled("a.csv", replace)).1, "another file took its place");

    let remove = |landing: &Landing| fs::remove_file(landing.root().join("a.csv")).unwrap();
    assert_eq!(changed(meddled("a.csv", remove)).1, "it is gone");

    // Cut while it is read: the half row at the new end is no bad row, the file is another one.
    let cut = |landing: &Landing| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(landing.root().join("a.csv"))
            .unwrap();
        file.set_len(700_003).unwrap();
    };
    changed(meddled("a.csv", cut));

    // The same bytes written again at another time.
    let touch = |landing: &Landing| {
        let file = fs::File::options()
            .write(true)
            .open(landing.root().join("a.csv"))
            .unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    assert_eq!(changed(meddled("a.csv", touch)).1, "written again");
}

#[test]
fn a_file_that_changed_since_it_was_found() {
    let landing = Landing::with(&[("a.csv", b"n\n1\n"), ("b.jsonl", b"{\"n\":1}\n")]);
    for name in ["a.csv", "b.jsonl"] {
        let files = landing.find(name);
        landing.write(name, b"n\n1\n2\n3\n");
        for error in [
            infer(&files, &ReadOptions::default()).map(|_| ()).unwrap_err(),
            content_hash(&files[0]).map(|_| ()).unwrap_err(),
            distinct_values(&files[0], &ReadOptions::default(), "n")
                .map(|_| ())
                .unwrap_err(),
        ] {
            assert!(
                matches!(&error, FormatError::Changed { file, .. } if file == name),
                "{error}"
            );
        }
        fs::remove_file(landing.root().join(name)).unwrap();
        assert!(matches!(
            infer(&files, &ReadOptions::default()),
            Err(FormatError::Changed { .. })
        ));
    }
}

#[test]
fn only_regular_files_are_opened() {
    let landing = Landing::with(&[("a.csv", b"n\n1\n")]);
    let mut file = landing.one("a.csv");
    file.absolute = landing.root().to_owned();
    assert!(
        infer(&[file], &ReadOptions::default())
            .unwrap_err()
            .to_string()
            .contains("not a regular file")
    );
}

#[test]
fn a_reader_moves_to_another_thread() {
    fn moves<T: Send>() {}
    moves::<Reader>();
    moves::<FormatError>();
}
