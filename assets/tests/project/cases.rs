//! Runs every `tests/ui/*.case`: the files of a project, and what must be said about it, word for word.
//!
//! A case is `=== path` headers with the text of each file below, and `=== expected` at the end. A header may end in `bytes`
//! (the text has `\xNN` escapes), `size N` (a file of N bytes) or `unreadable REASON`; `no millpond.toml` leaves that file out. Without a `millpond.toml` of its own a
//! case has a plain one. `UPDATE_EXPECT=1` writes what is said into the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use assets::diagnostic::{Code, Level};
use assets::files::{FileError, MemoryFiles, ProjectFiles};

use crate::kinds::TestKinds;

/// The `millpond.toml` of a case that has none.
pub(crate) const PLAIN: &str = r#"[project]
name = "flights"
timezone = "America/New_York"

[params]
late_minutes = 15

[partitions.daily]
every = "day"
start = 2013-01-01
end = 2013-12-31

[partitions.hourly]
every = "hour"
start = 2013-01-01

[partitions.airport]
values = ["EWR", "JFK", "LGA"]
"#;

/// A project in memory some of whose files cannot be read.
#[derive(Default)]
pub(crate) struct CaseFiles {
    pub(crate) files: MemoryFiles,
    pub(crate) unreadable: BTreeMap<String, String>,
}

impl ProjectFiles for CaseFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        match self.unreadable.get(path) {
            Some(reason) => Err(FileError::Other(reason.clone())),
            None => self.files.read(path),
        }
    }

    fn list(&self, folder: &str, extension: &str) -> Result<Vec<String>, FileError> {
        let mut paths = self.files.list(folder, extension)?;
        paths.extend(self.unreadable.keys().filter(|path| path.starts_with(folder)).cloned());
        paths.sort();
        Ok(paths)
    }
}

struct Case {
    path: PathBuf,
    /// Everything before what is expected.
    head: String,
    expected: String,
    files: CaseFiles,
}

fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "case"));
    paths.into_iter().map(read_case).collect()
}

fn read_case(path: PathBuf) -> Case {
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, expected) = text.split_once("=== expected\n").unwrap_or((&text, ""));
    let mut files = CaseFiles::default();
    for part in format!("\n{head}").split("\n=== ").skip(1) {
        let (header, body) = part.split_once('\n').unwrap_or((part, ""));
        let body = if body.is_empty() || body.ends_with('\n') {
            body.to_owned()
        } else {
            format!("{body}\n")
        };
        match header.split_once(' ') {
            Some(("no", _)) => {}
            None => files.files.insert(header, body),
            Some((name, "bytes")) => files.files.insert(name, unescape(&body)),
            Some((name, rest)) => match rest.split_once(' ') {
                Some(("size", size)) => files.files.insert(name, vec![b'#'; size.parse().unwrap()]),
                Some(("unreadable", reason)) => drop(files.unreadable.insert(name.to_owned(), reason.to_owned())),
                _ => panic!("{}: what is `{rest}`?", path.display()),
            },
        }
    }
    if files.files.read("millpond.toml").is_err() {
        files.files.insert("millpond.toml", PLAIN);
    }
    if head.contains("=== no millpond.toml") {
        files.files = MemoryFiles::new();
    }
    Case {
        head: head.to_owned(),
        expected: expected.to_owned(),
        files,
        path,
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    bytes
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch of this test alone")]
fn every_case_is_told_as_expected() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let loaded = assets::load(&case.files, &TestKinds);
        let mut told = loaded.diagnostics.render(&loaded.sources, false);
        if told.is_empty() {
            told = "nothing\n".to_owned();
        }
        assert_eq!(
            loaded.project.is_some(),
            !loaded.diagnostics.has_errors(),
            "{}",
            case.path.display()
        );
        if told != case.expected {
            if update {
                let head = if case.head.ends_with('\n') {
                    case.head
                } else {
                    case.head + "\n"
                };
                std::fs::write(&case.path, format!("{head}=== expected\n{told}")).unwrap();
            } else {
                wrong.push(format!(
                    "{}\n--- expected\n{}--- told\n{told}",
                    case.path.display(),
                    case.expected
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    let mut told = BTreeSet::new();
    for case in cases() {
        let loaded = assets::load(&case.files, &TestKinds);
        told.extend(loaded.diagnostics.iter().map(|diagnostic| diagnostic.code));
    }
    let untold: Vec<&str> = Code::ALL
        .iter()
        .filter(|code| !told.contains(code))
        .map(|code| code.as_str())
        .collect();
    assert!(untold.is_empty(), "no case tells {untold:?}");
}

#[test]
fn codes_have_names_and_sentences() {
    let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    for code in Code::ALL {
        assert!(
            code.as_str()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
            "{code}"
        );
        assert!(
            code.sentence().ends_with('.') && !code.sentence().contains(". "),
            "{code}: {}",
            code.sentence()
        );
    }
    assert_eq!(Code::NotRun.level(), Level::Warning);
}
