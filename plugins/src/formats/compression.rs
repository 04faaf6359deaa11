//! Which compression a file has, and its decoder.
//!
//! The magic bytes decide; the name only says what to expect, so that a wrong name or a file cut to nothing is
//! reported as such. All decoders read files of several members, frames or streams one after the other.
use std::io::{self, Read};

use super::error::FormatError;
use super::raw_input::RawInput;
use super::source::SourceFile;

/// How the bytes of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952), of any number of members.
    Gzip,
    /// Zstandard (RFC 8878), of any number of frames.
    Zstd,
    /// bzip2, of any number of streams.
    Bzip2,
    /// xz, of any number of streams.
    Xz,
}

/// How many first bytes tell the compression.
pub(super) const MAGIC_BYTES: usize = 10;

impl Compression {
    /// What the end of a file's name says, and the name without it.
    pub fn of_name(name: &str) -> (Compression, &str) {
        for (extension, compression) in [
            (".gz", Compression::Gzip),
            (".zst", Compression::Zstd),
            (".zstd", Compression::Zstd),
            (".bz2", Compression::Bzip2),
            (".xz", Compression::Xz),
        ] {
            let Some(split) = name.len().checked_sub(extension.len()) else {
                continue;
            };
            if name.is_char_boundary(split) && name[split..].eq_ignore_ascii_case(extension) {
                return (compression, &name[..split]);
            }
        }
        (Compression::Plain, name)
    }

    /// What the first bytes say.
    pub fn of_bytes(first: &[u8]) -> Compression {
        match first {
            [0x1F, 0x8B, ..] => Compression::Gzip,
            // A frame, or a skippable frame before one.
            [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Compression::Zstd,
            // "BZh" alone could begin a CSV header; a block or the end of an empty stream follows it.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Compression::Bzip2,
            [0xFD, b'7', b'z', b'X', b'Z', 0x00, ..] => Compression::Xz,
            _ => Compression::Plain,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Compression::Plain => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
        }
    }
}

/// A decoder over the raw bytes of a file.
pub(super) enum Decoder {
    Plain(RawInput),
    Gzip(Box<flate2::bufread::MultiGzDecoder<RawInput>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, RawInput>>),
    Bzip2(Box<bzip2::bufread::MultiBzDecoder<RawInput>>),
    Xz(Box<liblzma::bufread::XzDecoder<RawInput>>),
}

impl Decoder {
    pub(super) fn new(
        source: &SourceFile,
        mut raw: RawInput,
        decoder_memory: u64,
    ) -> Result<(Self, Compression), FormatError> {
        let first = raw.peek(MAGIC_BYTES).map_err(|error| source.io(error))?.to_vec();
        let (named, _) = Compression::of_name(&source.path);
        let compression = Compression::of_bytes(&first);
        if compression == Compression::Plain {
            if first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06") {
                return Err(source.unsupported("it is a zip archive; unpack it first"));
            }
            if named != Compression::Plain {
                let reason = if first.is_empty() {
                    format!("no {} data, the file is empty", named.name())
                } else {
                    format!("named as {} but it does not begin like it", named.name())
                };
                return Err(FormatError::Corrupt {
                    file: source.path.clone(),
                    offset: Some(0),
                    reason,
                });
            }
        }
        let decoder = match compression {
            Compression::Plain => Decoder::Plain(raw),
            Compression::Gzip => Decoder::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(raw))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(raw).map_err(|error| source.io(error))?;
                // The window is what a frame makes the decoder allocate; 2^10 to 2^31 are the format's bounds.
                let window = decoder_memory.max(1024).ilog2().clamp(10, 31);
                decoder.window_log_max(window).map_err(|error| source.io(error))?;
                Decoder::Zstd(Box::new(decoder))
            }
            Compression::Bzip2 => Decoder::Bzip2(Box::new(bzip2::bufread::MultiBzDecoder::new(raw))),
            Compression::Xz => {
                let stream =
                    liblzma::stream::Stream::new_stream_decoder(decoder_memory.max(1), liblzma::stream::CONCATENATED)
                        .map_err(|error| source.io(error.into()))?;
                Decoder::Xz(Box::new(liblzma::bufread::XzDecoder::new_stream(raw, stream)))
            }
        };
        Ok((decoder, compression))
    }

    pub(super) fn raw(&self) -> &RawInput {
        match self {
            Decoder::Plain(raw) => raw,
            Decoder::Gzip(decoder) => decoder.get_ref(),
            Decoder::Zstd(decoder) => decoder.get_ref(),
            Decoder::Bzip2(decoder) => decoder.get_ref(),
            Decoder::Xz(decoder) => decoder.get_ref(),
        }
    }

    pub(super) fn raw_mut(&mut self) -> &mut RawInput {
        match self {
            Decoder::Plain(raw) => raw,
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Zstd(decoder) => decoder.get_mut(),
            Decoder::Bzip2(decoder) => decoder.get_mut(),
            Decoder::Xz(decoder) => decoder.get_mut(),
        }
    }

    pub(super) fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match self {
            Decoder::Plain(raw) => raw.read(target),
            Decoder::Gzip(decoder) => decoder.read(target),
            Decoder::Zstd(decoder) => decoder.read(target),
            Decoder::Bzip2(decoder) => decoder.read(target),
            Decoder::Xz(decoder) => decoder.read(target),
        }
    }
}

/// What a decoder's error means, as a fragment for [`FormatError::Corrupt`].
pub(super) fn decode_fault(compression: Compression, error: &io::Error) -> String {
    let name = compression.name();
    match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("{name} data is cut off"),
        _ => format!("{name} data does not decode ({error})"),
    }
}
