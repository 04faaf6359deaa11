//! Log files: one per attempt, one JSON line per message, read by byte offset. They are never in the store.
//!
//! Layout under the state folder: `logs/<run>/<attempt>.jsonl`. A worker appends whole lines; a reader may come at any
//! moment, so a last line without its newline is left for the next read. A line that is not JSON of this form (a worker
//! that was killed in the middle of one, a library that wrote by itself) is shown as it is.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::event::Micros;
use crate::ids::{AttemptId, RunId};

/// The folder of a run's log files, relative to the state folder.
pub fn run_folder(run: &RunId) -> PathBuf {
    Path::new("logs").join(run.as_str())
}

/// The log file of an attempt, relative to the state folder.
pub fn attempt_file(run: &RunId, attempt: &AttemptId) -> PathBuf {
    run_folder(run).join(format!("{attempt}.jsonl"))
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For the authors of a library.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// What happens.
    Info,
    /// What should be looked at.
    Warn,
    /// What failed.
    Error,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The step itself.
    Step,
    /// The standard output of a child program.
    Stdout,
    /// The standard error of a child program.
    Stderr,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written. Files hold it as text (`2026-03-01T05:00:00.123Z`), which people can read without help.
    #[serde(deserialize_with = "moment")]
    pub at: Micros,
    /// How important it is.
    pub level: Level,
    /// Where it came from.
    pub stream: Stream,
    /// The text.
    pub message: String,
    /// The asset it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// The partition it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
}

/// A time as text, or as microseconds since 1970.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Micros, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => text
            .parse::<jiff::Timestamp>()
            .map(jiff::Timestamp::as_microsecond)
            .map_err(D::Error::custom),
        Value::Number(number) => number
            .as_i64()
            .ok_or_else(|| D::Error::custom("not a whole number of microseconds")),
        other => Err(D::Error::custom(format!("{other} is not a time"))),
    }
}

/// A line as found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum FoundLine {
    /// A message.
    Message(LogLine),
    /// Text that is not a message of ours.
    Raw {
        /// The text.
        raw: String,
    },
}

/// Part of a log file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogPart {
    /// Whole lines, in the order written.
    pub lines: Vec<FoundLine>,
    /// Where each of these begins in the file.
    pub begins: Vec<u64>,
    /// Where the next read begins.
    pub next_offset: u64,
    /// Whether the file ended here: nothing more was there to read, not even part of a line.
    pub complete: bool,
}

/// Reads whole lines from `offset`, at most about `max_bytes` of them (at least 4 KB; one line longer than that is cut into
/// pieces of that size). A file that is not there yet is empty.
pub fn read_from(file: &Path, offset: u64, max_bytes: usize) -> std::io::Result<LogPart> {
    let max_bytes = max_bytes.max(4096);
    let mut bytes = Vec::new();
    match File::open(file) {
        Ok(mut file) => {
            file.seek(SeekFrom::Start(offset))?;
            file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let more = bytes.len() > max_bytes;
    bytes.truncate(max_bytes);
    let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => newline + 1,
        None if more => bytes.len(),
        None => 0,
    };
    let (mut lines, mut begins, mut begin) = (Vec::new(), Vec::new(), offset);
    for line in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
        lines.push(found(String::from_utf8_lossy(line).trim_end_matches(['\r', '\n'])));
        begins.push(begin);
        begin += line.len() as u64;
    }
    Ok(LogPart {
        lines,
        begins,
        next_offset: offset + whole as u64,
        complete: !more && whole == bytes.len(),
    })
}

fn found(line: &str) -> FoundLine {
    match serde_json::from_str(line) {
        Ok(message) => FoundLine::Message(message),
        Err(_) => FoundLine::Raw { raw: line.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_partial_line_waits_for_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("att_000000000001.jsonl");
        assert_eq!(
            read_from(&path, 0, 0).unwrap(),
            LogPart {
                lines: vec![],
                begins: vec![],
                next_offset: 0,
                complete: true
            }
        );

        let first = r#"{"at":7,"level":"warn","stream":"stderr","message":"späť","asset":"silver.flights"}"#;
        let mut file = File::create(&path).unwrap();
        write!(file, "{first}\nkilled in the mid").unwrap();
        let part = read_from(&path, 0, 1 << 20).unwrap();
        let FoundLine::Message(message) = &part.lines[0] else {
            panic!("{part:?}")
        };
        assert_eq!((message.level, message.message.as_str()), (Level::Warn, "späť"));
        assert_eq!((part.lines.len(), part.complete), (1, false));

        file.write_all(b"dle \xff\n").unwrap();
        let rest = read_from(&path, part.next_offset, 1 << 20).unwrap();
        assert_eq!(
            rest.lines,
            [FoundLine::Raw {
                raw: "killed in the middle \u{fffd}".into()
            }]
        );
        assert!(rest.complete);
    }

    #[test]
    fn reading_in_pieces_gives_every_byte_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut text = String::new();
        for line in 0..2_000 {
            text += &format!("line {line} {}\n", "x".repeat(line * 7 % 9_000));
        }
        std::fs::write(&path, &text).unwrap();
        let (mut offset, mut read, mut complete) = (0, String::new(), false);
        while !complete {
            let part = read_from(&path, offset, 5_000).unwrap();
            assert!(part.next_offset > offset);
            assert_eq!((part.begins[0], part.begins.len()), (offset, part.lines.len()));
            for line in part.lines {
                let FoundLine::Raw { raw } = line else {
                    panic!("{line:?}")
                };
                read.push_str(&raw);
            }
            (offset, complete) = (part.next_offset, part.complete);
        }
        assert_eq!(offset, text.len() as u64);
        assert_eq!(read, text.replace('\n', ""));
    }
}
