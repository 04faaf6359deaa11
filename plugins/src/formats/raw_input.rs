//! The bytes of a file as they lie on disk, counted and hashed on their way to a decoder.
use std::fs::File;
use std::io::{self, BufRead, Read};

use sha2::{Digest, Sha256};

use super::error::FormatError;
use super::source::SourceFile;

const BUFFER: usize = 128 << 10;

/// A buffered reader that knows how many bytes its reader has taken and hashes all that come from the file.
pub(super) struct RawInput {
    file: File,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes handed on.
    taken: u64,
    hash: Sha256,
    /// The file itself failed to read, as opposed to what a decoder thinks of its bytes.
    failed: bool,
}

impl RawInput {
    pub(super) fn new(file: File) -> Self {
        RawInput {
            file,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            taken: 0,
            hash: Sha256::new(),
            failed: false,
        }
    }

    /// How many bytes of the file the decoder has taken in.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// The first bytes, at most `count` and fewer only at the end of the file, without taking them.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.end - self.start < count && self.end < self.buffer.len() {
            let read = Self::pull(
                &mut self.file,
                &mut self.buffer[self.end..],
                &mut self.hash,
                &mut self.failed,
            )?;
            if read == 0 {
                break;
            }
            self.end += read;
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + count)])
    }

    /// Reads what is left, so that the hash covers the whole file; how much that was.
    pub(super) fn drain(&mut self) -> io::Result<u64> {
        let mut left = 0;
        loop {
            let count = self.fill_buf()?.len();
            if count == 0 {
                return Ok(left);
            }
            self.consume(count);
            left += count as u64;
        }
    }

    /// The SHA-256 of all bytes that came from the file, as lowercase hex.
    pub(super) fn sha256(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    fn pull(file: &mut File, target: &mut [u8], hash: &mut Sha256, failed: &mut bool) -> io::Result<usize> {
        loop {
            match file.read(target) {
                Ok(read) => {
                    hash.update(&target[..read]);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    *failed = true;
                    return Err(error);
                }
            }
        }
    }
}

impl Read for RawInput {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        // Plain files are read straight into the caller's large buffer.
        if self.start == self.end && target.len() >= self.buffer.len() {
            let read = Self::pull(&mut self.file, target, &mut self.hash, &mut self.failed)?;
            self.taken += read as u64;
            return Ok(read);
        }
        let available = self.fill_buf()?;
        let count = available.len().min(target.len());
        target[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for RawInput {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = Self::pull(&mut self.file, &mut self.buffer, &mut self.hash, &mut self.failed)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, amount: usize) {
        self.start += amount;
        self.taken += amount as u64;
    }
}

/// The SHA-256 of a file as it lies on disk, as lowercase hex, in one streaming pass.
///
/// Reading a file with [`read`](super::read()) gives the same hash at no extra pass.
///
/// # Errors
/// [`FormatError::Io`], and [`FormatError::Changed`] when it is not, or does not stay, the file that was found.
pub fn content_hash(source: &SourceFile) -> Result<String, FormatError> {
    let (file, stamp) = source.open()?;
    let mut raw = RawInput::new(file);
    raw.drain().map_err(|error| source.io(error))?;
    source.verify(stamp)?;
    Ok(raw.sha256())
}
