//! The log of one attempt, in parts: on the page of its run, and as JSON for whoever follows it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use state::event::Micros;
use state::ids::{AttemptId, RunId};
use state::logs::{FoundLine, Level, LogLine, Stream, read_from};
use state::sqlite::queries::attempts::{AttemptRow, attempt};
use tokio_util::io::ReaderStream;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::console::{Span, spans};
use super::figures::Clock;
use super::frame::page_clock;
use super::{given, read, run_id};

/// Bytes read at once.
pub const PIECE: usize = 128 << 10;
/// What is shown before a line that is linked to.
const BEFORE_A_LINE: u64 = 8 << 10;
/// Most bytes that are looked through for lines of a level or with a text.
const FURTHEST: u64 = 16 << 20;
/// Most lines in one part.
const MOST_LINES: usize = 1000;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    /// The attempt.
    pub attempt: Option<String>,
    /// Where to begin, in bytes; without it the end of a long log, and the begin of any other.
    pub offset: Option<u64>,
    /// The line that has to be among those shown, by where it begins.
    pub line: Option<u64>,
    /// Only lines of this level and above.
    pub level: Option<String>,
    /// Only lines from there: `step`, `stdout`, `stderr`.
    pub stream: Option<String>,
    /// Only lines about this partition.
    pub partition: Option<String>,
    /// Only lines with this text.
    pub find: Option<String>,
}

impl Asked {
    /// Whether only some lines are wanted.
    pub fn filters(&self) -> bool {
        !Wanted::new(self).is_all()
    }

    /// Where to begin in a file of this size.
    fn begin(&self, size: u64) -> u64 {
        match (self.line, self.offset) {
            (Some(line), _) => line.saturating_sub(BEFORE_A_LINE),
            (None, Some(offset)) => offset,
            // The end of what failed or still runs is what one wants to see.
            (None, None) if size > PIECE as u64 && !self.filters() => tail_offset(size),
            (None, None) => 0,
        }
    }
}

/// Part of a log.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct LogFacts {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptId,
    /// Where this part begins.
    pub offset: u64,
    /// Lines in the order written.
    pub lines: Vec<ShownLine>,
    /// Where the next part begins.
    pub next_offset: u64,
    /// Whether the file ended here.
    pub complete: bool,
    /// Whether the attempt has ended: a complete log then stays as it is.
    pub ended: bool,
    /// Bytes of the file.
    pub size: u64,
}

/// One line, harmless.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ShownLine {
    /// Where it begins in the file: what names it in links.
    pub begin: u64,
    /// When, if the line says so.
    pub at: Option<Micros>,
    /// Time of day in the project's zone.
    pub time: String,
    /// `trace`, `debug`, `info`, `warn`, `error`; `raw` for text that no step wrote.
    pub level: &'static str,
    /// Where it came from, if it is not the step itself.
    pub stream: &'static str,
    /// The partition it is about.
    pub partition: String,
    /// The text.
    pub spans: Vec<Span>,
}

/// The levels to choose from.
pub const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// Where lines come from, to choose from.
pub const STREAMS: [(&str, &str); 3] = [
    ("step", "the step itself"),
    ("stdout", "its output"),
    ("stderr", "its errors"),
];

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

fn shown(begin: u64, line: FoundLine, clock: &Clock) -> ShownLine {
    match line {
        FoundLine::Message(LogLine {
            at,
            level,
            stream,
            message,
            partition,
            ..
        }) => ShownLine {
            begin,
            at: Some(at),
            time: clock.time_of_day(at),
            level: level_name(level),
            stream: match stream {
                Stream::Step => "",
                Stream::Stdout => "out",
                Stream::Stderr => "err",
            },
            partition: partition.unwrap_or_default(),
            spans: spans(&message),
        },
        FoundLine::Raw { raw } => ShownLine {
            begin,
            at: None,
            time: String::new(),
            level: "raw",
            stream: "",
            partition: String::new(),
            spans: spans(&raw),
        },
    }
}

/// Which lines are wanted.
struct Wanted {
    least: Option<Level>,
    stream: Option<Stream>,
    partition: Option<String>,
    text: Option<String>,
}

impl Wanted {
    fn new(asked: &Asked) -> Self {
        let least = match given(asked.level.clone()).as_deref() {
            Some("debug") => Some(Level::Debug),
            Some("info") => Some(Level::Info),
            Some("warn") => Some(Level::Warn),
            Some("error") => Some(Level::Error),
            _ => None,
        };
        let stream = match given(asked.stream.clone()).as_deref() {
            Some("step") => Some(Stream::Step),
            Some("stdout") => Some(Stream::Stdout),
            Some("stderr") => Some(Stream::Stderr),
            _ => None,
        };
        Self {
            least,
            stream,
            partition: given(asked.partition.clone()),
            text: given(asked.find.clone()).map(|text| text.to_lowercase()),
        }
    }

    fn is_all(&self) -> bool {
        self.least.is_none() && self.stream.is_none() && self.partition.is_none() && self.text.is_none()
    }

    fn takes(&self, line: &FoundLine) -> bool {
        let (level, text) = match line {
            FoundLine::Message(line) => {
                let from_there = self.stream.is_none_or(|stream| stream == line.stream);
                let about_it = self.partition.is_none() || self.partition == line.partition;
                if !from_there || !about_it {
                    return false;
                }
                (Some(line.level), &line.message)
            }
            FoundLine::Raw { raw } => (None, raw),
        };
        // Text that no step wrote (a crash) is never below anything.
        level.is_none_or(|level| self.least.is_none_or(|least| level >= least))
            && self
                .text
                .as_ref()
                .is_none_or(|wanted| text.to_lowercase().contains(wanted))
    }
}

/// The part of a log that is asked for.
pub async fn facts(state: &WebState, run: &str, asked: &Asked) -> Result<LogFacts, ErrorPage> {
    let row = known(state, &run_id(run)?, asked).await?;
    part(state, row.run, row.attempt, row.ended_at.is_some(), asked).await
}

/// The attempt that is asked for, if it belongs to the run.
async fn known(state: &WebState, run: &RunId, asked: &Asked) -> Result<AttemptRow, ErrorPage> {
    let id = given(asked.attempt.clone()).ok_or_else(|| ErrorPage::not_found("name the attempt: `?attempt=att_…`"))?;
    let id: AttemptId = id
        .parse()
        .map_err(|error: state::ids::IdError| ErrorPage::not_found(error.to_string()))?;
    let wanted_attempt = id.clone();
    let row = read(&state.engine, move |store| attempt(store, &wanted_attempt)).await?;
    row.filter(|row| row.run == *run)
        .ok_or_else(|| ErrorPage::not_found(format!("{run} has no attempt {id}")))
}

/// The part of the log of an attempt that is known to belong to the run.
async fn part(
    state: &WebState,
    run: RunId,
    attempt: AttemptId,
    ended: bool,
    asked: &Asked,
) -> Result<LogFacts, ErrorPage> {
    let file = state.engine.folder().written_log_file(&run, &attempt);
    let wanted = Wanted::new(asked);
    let asked = asked.clone();
    let clock = page_clock(state);
    let found = tokio::task::spawn_blocking(move || {
        let size = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
        // There is nothing beyond the end, and far beyond it no file can be.
        let offset = asked.begin(size).min(size);
        Ok::<_, std::io::Error>((offset, scan(&file, offset, &wanted, &clock)?))
    })
    .await;
    let cannot = |error: String| {
        ErrorPage::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            format!("failed to read the log: {error}"),
        )
    };
    let (offset, found) = found
        .map_err(|error| cannot(error.to_string()))?
        .map_err(|error| cannot(error.to_string()))?;
    Ok(LogFacts {
        run,
        attempt,
        offset,
        lines: found.lines,
        next_offset: found.next_offset,
        complete: found.complete,
        ended,
        size: found.size,
    })
}

#[derive(Debug)]
struct Scanned {
    lines: Vec<ShownLine>,
    next_offset: u64,
    complete: bool,
    size: u64,
}

/// Reads on until there is a part's worth of wanted lines.
fn scan(file: &Path, offset: u64, wanted: &Wanted, clock: &Clock) -> std::io::Result<Scanned> {
    let size = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let inside = begins_inside_a_line(file, offset)?;
    let mut scanned = Scanned {
        lines: Vec::new(),
        next_offset: offset,
        complete: false,
        size,
    };
    loop {
        let part = read_from(file, scanned.next_offset, PIECE)?;
        let first = usize::from(inside && scanned.next_offset == offset);
        scanned.lines.extend(
            part.begins
                .into_iter()
                .zip(part.lines)
                .skip(first)
                .filter(|(_, line)| wanted.takes(line))
                .map(|(begin, line)| shown(begin, line, clock)),
        );
        let stuck = part.next_offset == scanned.next_offset;
        scanned.next_offset = part.next_offset;
        scanned.complete = part.complete;
        let enough = wanted.is_all() || scanned.lines.len() >= MOST_LINES || scanned.next_offset - offset >= FURTHEST;
        if enough || part.complete || stuck {
            return Ok(scanned);
        }
    }
}

/// Whether `offset` is not the begin of a line: a link to the end of a log points into the middle of one.
fn begins_inside_a_line(file: &Path, offset: u64) -> std::io::Result<bool> {
    let Some(before) = offset.checked_sub(1) else {
        return Ok(false);
    };
    let mut file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(before))?;
    let mut byte = [0];
    Ok(file.read(&mut byte)? == 1 && byte[0] != b'\n')
}

/// Where a part begins that shows the end of a log of this size.
pub fn tail_offset(size: u64) -> u64 {
    size.saturating_sub(PIECE as u64 / 2)
}

/// `GET /runs/{run}/log/{attempt}`: the whole file as it is, for programs and for who wants to keep it.
pub async fn download(
    State(state): State<WebState>,
    UrlPath((run, attempt)): UrlPath<(String, String)>,
) -> Result<Response, ErrorPage> {
    let asked = Asked {
        attempt: Some(attempt),
        offset: Some(0),
        ..Asked::default()
    };
    let row = known(&state, &run_id(&run)?, &asked).await?;
    let path = state.engine.folder().written_log_file(&row.run, &row.attempt);
    let file = tokio::fs::File::open(path).await.map_err(|error| {
        ErrorPage::not_found(format!("the log of {} cannot be read: {error}", row.attempt))
            .with_help("an attempt that wrote nothing has none, and old ones are removed")
    })?;
    let name = format!("attachment; filename=\"{}.jsonl\"", row.attempt);
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(folder: &Path, lines: usize) -> std::path::PathBuf {
        let file = folder.join("att.jsonl");
        let mut text = String::new();
        for line in 0..lines {
            let level = if line % 100 == 99 { "warn" } else { "info" };
            text += &format!(
                "{{\"at\":{line},\"level\":\"{level}\",\"stream\":\"step\",\"message\":\"row {line} <b>\"}}\n"
            );
        }
        text += "thread panicked\n";
        std::fs::write(&file, text).unwrap();
        file
    }

    fn texts(scanned: &Scanned) -> Vec<String> {
        scanned
            .lines
            .iter()
            .map(|line| line.spans.iter().map(|span| span.text.as_str()).collect())
            .collect()
    }

    #[test]
    fn a_filter_looks_through_the_whole_log() {
        let folder = tempfile::tempdir().unwrap();
        let file = log(folder.path(), 20_000);
        let clock = Clock::new(0, "UTC");
        let asked = Asked {
            level: Some("warn".into()),
            find: Some("ROW 1".into()),
            ..Asked::default()
        };
        let found = scan(&file, 0, &Wanted::new(&asked), &clock).unwrap();
        // 199, 1099..=1999 and 10099..=19999, each by hundreds.
        assert_eq!(found.lines.len(), 1 + 10 + 100, "{:?}", &texts(&found)[..3]);
        assert!(found.complete && found.lines.iter().all(|line| line.level == "warn"));
        let asked = Asked {
            level: Some("error".into()),
            ..Asked::default()
        };
        assert_eq!(
            texts(&scan(&file, 0, &Wanted::new(&asked), &clock).unwrap()),
            ["thread panicked"]
        );
    }

    #[test]
    fn parts_give_every_line_once_and_the_end_begins_with_a_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = log(folder.path(), 5_000);
        let (clock, all) = (Clock::new(0, "UTC"), Wanted::new(&Asked::default()));
        let (mut offset, mut lines) = (0, 0);
        loop {
            let part = scan(&file, offset, &all, &clock).unwrap();
            lines += part.lines.len();
            offset = part.next_offset;
            if part.complete {
                assert_eq!((offset, lines), (part.size, 5_001));
                break;
            }
        }
        let end = scan(&file, tail_offset(offset), &all, &clock).unwrap();
        assert!(end.complete && texts(&end)[0].starts_with("row ") && texts(&end).last().unwrap() == "thread panicked");
        let missing = scan(&folder.path().join("none"), 17, &all, &clock).unwrap();
        assert!(missing.lines.is_empty() && missing.complete);
    }
}
