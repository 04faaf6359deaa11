//! From the bytes that a program prints to lines of the step's log.
//!
//! A line is what a terminal would show: text after a carriage return replaces what stands before it (progress bars), bytes that are no
//! UTF-8 become replacement characters, and a line longer than [`LINE_BYTES`] is cut, with a note of how much is missing.
//! Reading never waits for anyone: a program is not blocked by a slow log.

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::step_run::{Level, LogStream, StepLog};

/// Bytes of a line that are kept.
pub(super) const LINE_BYTES: usize = 16 * 1024;

/// Copies a pipe to the log until it ends.
pub(super) async fn copy(mut pipe: impl AsyncRead + Unpin, stream: LogStream, log: StepLog) {
    let mut splitter = Splitter::default();
    let mut chunk = vec![0; PIECE_BYTES];
    loop {
        let read = match pipe.read(&mut chunk).await {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => {
                log.warn(format!("failed to read the program's output: {error}"));
                break;
            }
        };
        let lines = splitter.take(&chunk[..read]);
        if !lines.is_empty() {
            log.write_as(stream, Level::Info, lines.iter().map(String::as_str));
        }
    }
    if let Some(last) = splitter.finish() {
        log.write_as(stream, Level::Info, [last.as_str()]);
    }
}

/// Bytes that are read at once. Most programs say little, and a pipe holds no more than a few times that.
const PIECE_BYTES: usize = 16 * 1024;

/// Cuts bytes into lines.
#[derive(Default)]
struct Splitter {
    line: Vec<u8>,
    cut: usize,
    /// A carriage return was the last byte: what it does depends on the next.
    returned: bool,
}

impl Splitter {
    /// The lines that end within `bytes`.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, end) = match piece.split_last() {
                Some((end @ (b'\n' | b'\r'), text)) => (text, Some(*end)),
                _ => (piece, None),
            };
            if self.returned && !(text.is_empty() && end == Some(b'\n')) {
                self.line.clear();
                self.cut = 0;
            }
            self.returned = end == Some(b'\r');
            let room = LINE_BYTES - self.line.len();
            let kept = text.len().min(room);
            self.line.extend_from_slice(&text[..kept]);
            self.cut += text.len() - kept;
            if end == Some(b'\n') {
                lines.push(self.end_line());
            }
        }
        lines
    }

    fn finish(mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.end_line())
    }

    fn end_line(&mut self) -> String {
        let mut line = String::from_utf8_lossy(&self.line).into_owned();
        if self.cut > 0 {
            line.push_str(&format!("… ({} more bytes)", self.cut));
        }
        self.line.clear();
        self.cut = 0;
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut lines: Vec<String> = chunks.iter().flat_map(|chunk| splitter.take(chunk)).collect();
        lines.extend(splitter.finish());
        lines
    }

    #[test]
    fn lines_are_what_a_terminal_shows() {
        assert_eq!(split(&[b"one\ntw", b"o\n\nlast"]), ["one", "two", "", "last"]);
        assert_eq!(split(&[b"dos\r\nmac\r", b"\nx"]), ["dos", "mac", "x"]);
        assert_eq!(split(&[b" 1%\r 50%\r", b"100%\ndone\n"]), ["100%", "done"]);
        assert_eq!(split(&[b"caf\xff\n"]), ["caf\u{fffd}"]);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; LINE_BYTES + 5000];
        let lines = split(&[&long, &long, b"\nnext\n"]);
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].ends_with(&format!("x… ({} more bytes)", LINE_BYTES + 10_000)),
            "{}",
            &lines[0][LINE_BYTES..]
        );
        assert_eq!(lines[1], "next");
    }
}
