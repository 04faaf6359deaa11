//! The decompressed bytes of one file, guarded: against bombs, against damage, against changes while reading.
use std::sync::Arc;

use super::compression::{Compression, Decoder, decode_fault};
use super::error::FormatError;
use super::options::ReadLimits;
use super::raw_input::RawInput;
use super::source::{SourceFile, Stamp};

/// One open file.
pub(super) struct Input {
    source: Arc<SourceFile>,
    stamp: Stamp,
    decoder: Decoder,
    compression: Compression,
    limits: ReadLimits,
    /// Decompressed bytes so far.
    output: u64,
    at_end: bool,
}

/// What is known of a file once its last byte was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InputEnd {
    pub(super) sha256: String,
    pub(super) decompressed: u64,
}

impl Input {
    pub(super) fn open(source: &Arc<SourceFile>, limits: ReadLimits) -> Result<Self, FormatError> {
        let (file, stamp) = source.open()?;
        let (decoder, compression) = Decoder::new(source, RawInput::new(file), limits.decoder_memory)?;
        Ok(Input {
            source: Arc::clone(source),
            stamp,
            decoder,
            compression,
            limits,
            output: 0,
            at_end: false,
        })
    }

    pub(super) fn source(&self) -> &Arc<SourceFile> {
        &self.source
    }

    /// Reads some bytes; none at the end.
    pub(super) fn read(&mut self, target: &mut [u8]) -> Result<usize, FormatError> {
        if self.at_end || target.is_empty() {
            return Ok(0);
        }
        match self.decoder.read(target) {
            Ok(0) => {
                self.at_end = true;
                Ok(0)
            }
            Ok(read) => {
                self.output += read as u64;
                self.check_growth()?;
                Ok(read)
            }
            Err(error) if self.decoder.raw().failed() || self.compression == Compression::Plain => {
                Err(self.source.io(error))
            }
            Err(error) => {
                // A file that is being replaced looks damaged; that it changed is the better answer.
                self.verify()?;
                Err(self.corrupt(decode_fault(self.compression, &error)))
            }
        }
    }

    fn check_growth(&self) -> Result<(), FormatError> {
        if self.compression == Compression::Plain {
            return Ok(());
        }
        let offset = self.decoder.raw().taken();
        let reason = if self.output > self.limits.output_bytes {
            format!("more than {} in all", self.limits.output_bytes)
        } else if self.output > self.limits.ratio_after && self.output / offset.max(1) >= self.limits.ratio {
            format!("more than {} for each one", self.limits.ratio)
        } else {
            return Ok(());
        };
        Err(FormatError::Bomb {
            file: self.source.path.clone(),
            offset,
            output: self.output,
            reason,
        })
    }

    fn corrupt(&self, reason: String) -> FormatError {
        FormatError::Corrupt {
            file: self.source.path.clone(),
            offset: Some(self.decoder.raw().taken()),
            reason,
        }
    }

    /// Fails when the file is no longer the one that was opened.
    pub(super) fn verify(&self) -> Result<(), FormatError> {
        self.source.verify(self.stamp)
    }

    /// Makes sure that the whole file was read and that it is still the same one.
    pub(super) fn finish(&mut self) -> Result<InputEnd, FormatError> {
        let offset = self.decoder.raw().taken();
        let source = Arc::clone(&self.source);
        let left = self.decoder.raw_mut().drain().map_err(|error| source.io(error))?;
        self.verify()?;
        if left > 0 {
            let reason = format!("{left} bytes follow the end of the compressed data");
            return Err(FormatError::Corrupt {
                file: source.path.clone(),
                offset: Some(offset),
                reason,
            });
        }
        let taken = self.decoder.raw().taken();
        if taken != self.stamp.size {
            let how = format!("{taken} bytes came, {} were there when it was opened", self.stamp.size);
            return Err(FormatError::Changed {
                file: source.path.clone(),
                how,
            });
        }
        Ok(InputEnd {
            sha256: self.decoder.raw().sha256(),
            decompressed: self.output,
        })
    }
}
