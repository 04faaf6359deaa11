//! A sliding window over the decompressed bytes of a file, from which whole rows are taken.
//!
//! Checks that would cost much for each field are made once for each filling: up to where the bytes are valid
//! UTF-8, and where the first NUL is.
use super::error::FormatError;
use super::input::{Input, InputEnd};

const FIRST_SIZE: usize = 256 << 10;

pub(super) struct Window {
    input: Input,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    /// The bytes between the last filling's start and here are valid UTF-8.
    utf8_to: usize,
    /// Where the first NUL of the window is.
    nul_from: Option<usize>,
}

/// What is wrong with the bytes of a row, whatever the format; positions are 1-based within the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteFault {
    Utf8(usize),
    Nul(usize),
}

impl Window {
    /// A window at the first byte after a byte order mark.
    pub(super) fn new(input: Input) -> Result<Self, FormatError> {
        let mut window = Window {
            input,
            buffer: vec![0; FIRST_SIZE],
            start: 0,
            end: 0,
            at_end: false,
            utf8_to: 0,
            nul_from: None,
        };
        window.fill()?;
        match window.bytes() {
            [0xEF, 0xBB, 0xBF, ..] => window.consume(3),
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
                return Err(window.input.source().unsupported("it is UTF-16; save it as UTF-8"));
            }
            _ => {}
        }
        Ok(window)
    }

    pub(super) fn input(&self) -> &Input {
        &self.input
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether no bytes will come after those in the window.
    pub(super) fn at_end(&self) -> bool {
        self.at_end
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Brings in more bytes, keeping those that are there; makes room when they fill the window.
    pub(super) fn fill(&mut self) -> Result<(), FormatError> {
        if self.at_end {
            return Ok(());
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.utf8_to = self.utf8_to.saturating_sub(self.start);
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        // Filled to the brim: each filling costs one more look at the row that was cut.
        while self.end < self.buffer.len() {
            let read = self.input.read(&mut self.buffer[self.end..])?;
            if read == 0 {
                self.at_end = true;
                break;
            }
            self.end += read;
        }
        self.utf8_to += match std::str::from_utf8(&self.buffer[self.utf8_to..self.end]) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        self.nul_from = memchr::memchr(0, &self.buffer[..self.end]);
        Ok(())
    }

    /// Checks the next `length` bytes.
    pub(super) fn check(&self, length: usize) -> Result<(), ByteFault> {
        let (from, to) = (self.start, self.start + length);
        if self.nul_from.is_some_and(|nul| nul < to)
            && let Some(at) = memchr::memchr(0, &self.buffer[from..to])
        {
            return Err(ByteFault::Nul(at + 1));
        }
        if to > self.utf8_to
            && let Err(error) = std::str::from_utf8(&self.buffer[from..to])
        {
            return Err(ByteFault::Utf8(error.valid_up_to() + 1));
        }
        Ok(())
    }

    /// Takes bytes out up to and with the next line end, without keeping them. How many line ends were passed: 1,
    /// or 0 where the file ends first.
    pub(super) fn skip_line(&mut self) -> Result<u64, FormatError> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', self.bytes()) {
                self.consume(at + 1);
                return Ok(1);
            }
            self.start = self.end;
            if self.at_end {
                return Ok(0);
            }
            self.fill()?;
        }
    }

    pub(super) fn finish(&mut self) -> Result<InputEnd, FormatError> {
        self.input.finish()
    }
}
