//! The log of an attempt: one JSON object per line in a file of its own, read by offset while it grows.
//!
//! ```json
//! {"at":"2026-03-01T05:00:00.123Z","level":"info","stream":"step","message":"read 3 files","asset":"bronze.flights","partition":"2013-03-01"}
//! ```
//! `stream` is `step` for what Millpond says and `stdout` or `stderr` for what a program of the step says. Lines are written
//! whole, so a reader may follow the file; none goes through the store. The file stops growing at [`FILE_BYTES`]: what comes
//! later is counted, its end is kept, and both are written when the attempt ends.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use assets::{AssetKey, PartitionKey};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// The time, as a function that its owner hands in.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Bytes after which a log file only counts what it leaves out.
pub const FILE_BYTES: u64 = 200 * 1024 * 1024;

/// Bytes of the left out lines' end that are kept for the end of the file.
const KEPT_END_BYTES: usize = 1024 * 1024;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Only of use while looking for a fault.
    Debug,
    /// What happens.
    Info,
    /// Something a person should look at.
    Warn,
    /// Why a step failed.
    Error,
}

/// Who says a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Millpond, or a program through the Pipes protocol.
    Step,
    /// A program's standard output.
    Stdout,
    /// A program's standard error.
    Stderr,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "milliseconds")]
    at: Timestamp,
    level: Level,
    stream: LogStream,
    message: &'a str,
    asset: &'a AssetKey,
    partition: Option<&'a PartitionKey>,
}

fn milliseconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

/// The log file of one attempt. Cheap to clone; clones write to the same file, one whole line at a time.
#[derive(Clone)]
pub struct StepLog {
    asset: AssetKey,
    partition: Option<PartitionKey>,
    clock: Clock,
    file: Arc<Mutex<LogFile>>,
}

struct LogFile {
    file: File,
    written: u64,
    limit: u64,
    left_out_lines: u64,
    left_out_bytes: u64,
    end: VecDeque<Vec<u8>>,
    end_bytes: usize,
    /// Writing failed once (a full disk): the step goes on without its log.
    broken: bool,
}

impl StepLog {
    /// Opens the file, which it creates with its folder if need be; a log that is there already is continued.
    pub fn open(path: &Path, asset: AssetKey, clock: Clock) -> io::Result<Self> {
        Self::open_with_limit(path, asset, clock, FILE_BYTES)
    }

    /// Like [`StepLog::open`], with a limit of its own.
    pub fn open_with_limit(path: &Path, asset: AssetKey, clock: Clock, limit: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let written = file.metadata()?.len();
        let file = LogFile {
            file,
            written,
            limit,
            left_out_lines: 0,
            left_out_bytes: 0,
            end: VecDeque::new(),
            end_bytes: 0,
            broken: false,
        };
        Ok(Self {
            asset,
            partition: None,
            clock,
            file: Arc::new(Mutex::new(file)),
        })
    }

    /// The same log, with lines that name a partition.
    #[must_use]
    pub fn of_partition(&self, partition: Option<&PartitionKey>) -> Self {
        Self {
            partition: partition.cloned(),
            ..self.clone()
        }
    }

    /// Says something as the step.
    pub fn write(&self, level: Level, message: impl AsRef<str>) {
        self.write_as(LogStream::Step, level, [message.as_ref()]);
    }

    /// A line of level info.
    pub fn info(&self, message: impl AsRef<str>) {
        self.write(Level::Info, message);
    }

    /// A line of level warn.
    pub fn warn(&self, message: impl AsRef<str>) {
        self.write(Level::Warn, message);
    }

    /// A line of level error.
    pub fn error(&self, message: impl AsRef<str>) {
        self.write(Level::Error, message);
    }

    /// Writes one line per message, with one call to the system for all of them.
    pub fn write_as<'a>(&self, stream: LogStream, level: Level, messages: impl IntoIterator<Item = &'a str>) {
        let at = (self.clock)();
        let mut lines = Vec::new();
        let mut ends = Vec::new();
        for message in messages {
            let line = Line {
                at,
                level,
                stream,
                message,
                asset: &self.asset,
                partition: self.partition.as_ref(),
            };
            serde_json::to_writer(&mut lines, &line).expect("texts and a time have a JSON form");
            lines.push(b'\n');
            ends.push(lines.len());
        }
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&lines, &ends);
    }

    /// Writes what the limit left out: how much it was, and its end. Called when the attempt ends.
    pub fn close(&self) {
        let (lines, bytes, end) = {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.end_bytes = 0;
            (
                std::mem::take(&mut file.left_out_lines),
                std::mem::take(&mut file.left_out_bytes),
                std::mem::take(&mut file.end),
            )
        };
        if lines == 0 {
            return;
        }
        let kept = end.len();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let message = format!("{lines} lines ({bytes} bytes) were left out here; the last {kept} of them follow");
        let line = Line {
            at: (self.clock)(),
            level: Level::Warn,
            stream: LogStream::Step,
            message: &message,
            asset: &self.asset,
            partition: None,
        };
        let mut text = serde_json::to_vec(&line).expect("texts and a time have a JSON form");
        text.push(b'\n');
        text.extend(end.into_iter().flatten());
        file.write(&text);
    }
}

impl LogFile {
    /// `ends` are the ends of the lines in `lines`.
    fn append(&mut self, lines: &[u8], ends: &[usize]) {
        // Once a line was left out, all later ones are: the gap stays one gap.
        let room = if self.left_out_lines > 0 {
            0
        } else {
            self.limit.saturating_sub(self.written)
        };
        let fitting = ends.partition_point(|end| *end as u64 <= room);
        let written = if fitting == 0 { 0 } else { ends[fitting - 1] };
        if written > 0 {
            self.write(&lines[..written]);
        }
        let mut start = written;
        for end in &ends[fitting..] {
            self.leave_out(&lines[start..*end]);
            start = *end;
        }
    }

    fn leave_out(&mut self, line: &[u8]) {
        self.left_out_lines += 1;
        self.left_out_bytes += line.len() as u64;
        self.end_bytes += line.len();
        self.end.push_back(line.to_vec());
        while self.end_bytes > KEPT_END_BYTES {
            let Some(oldest) = self.end.pop_front() else { break };
            self.end_bytes -= oldest.len();
        }
    }

    fn write(&mut self, text: &[u8]) {
        if self.broken {
            return;
        }
        match self.file.write_all(text) {
            Ok(()) => self.written += text.len() as u64,
            Err(error) => {
                self.broken = true;
                tracing::warn!(%error, "failed to write the log of an attempt; the step goes on without it");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn log(path: &Path, limit: u64) -> StepLog {
        let clock: Clock = Arc::new(|| Timestamp::from_second(1_362_114_000).unwrap());
        StepLog::open_with_limit(path, "silver.flights".parse().unwrap(), clock, limit).unwrap()
    }

    fn lines(path: &Path) -> Vec<Value> {
        std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_says_when_who_and_for_which_partition() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/a.jsonl");
        let log = log(&path, FILE_BYTES);
        log.of_partition(Some(&PartitionKey::new("2013-03-01").unwrap()))
            .info("read \"3\" files\n");
        log.write_as(LogStream::Stderr, Level::Info, ["a", "b"]);
        assert_eq!(
            lines(&path),
            [
                serde_json::json!({"at": "2013-03-01T05:00:00.000Z", "level": "info", "stream": "step",
                    "message": "read \"3\" files\n", "asset": "silver.flights", "partition": "2013-03-01"}),
                serde_json::json!({"at": "2013-03-01T05:00:00.000Z", "level": "info", "stream": "stderr",
                    "message": "a", "asset": "silver.flights", "partition": null}),
                serde_json::json!({"at": "2013-03-01T05:00:00.000Z", "level": "info", "stream": "stderr",
                    "message": "b", "asset": "silver.flights", "partition": null}),
            ]
        );
    }

    #[test]
    fn past_the_limit_the_end_is_kept_and_the_gap_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let log = log(&path, 64 * 1024);
        let filler = "x".repeat(900);
        for number in 0..4000 {
            log.info(format!("{number} {filler}"));
        }
        log.close();
        let lines = lines(&path);
        assert!(std::fs::metadata(&path).unwrap().len() < 64 * 1024 + KEPT_END_BYTES as u64 + 1024);
        let gap = lines.iter().position(|line| line["level"] == "warn").unwrap();
        let message = lines[gap]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{} lines (", 4000 - gap)), "{message}");
        assert!(lines.last().unwrap()["message"].as_str().unwrap().starts_with("3999 "));
    }
}
