//! Which texts stand for null.
use super::options::{Format, ReadOptions};

/// The texts that stand for null in a file.
#[derive(Debug, Clone)]
pub(super) struct NullTexts {
    texts: Vec<Box<[u8]>>,
    /// Bit n is set when a text is n bytes long, so that nearly all fields are told apart by their length.
    lengths: u64,
    quoted: bool,
}

impl NullTexts {
    pub(super) fn new(options: &ReadOptions, format: Format) -> Self {
        let usual: &[String] = match format {
            Format::Csv | Format::Tsv => &[String::new()],
            Format::JsonLines | Format::Parquet => &[],
        };
        let texts = options.null.as_deref().unwrap_or(usual);
        NullTexts {
            texts: texts.iter().map(|text| text.as_bytes().into()).collect(),
            lengths: texts.iter().fold(0, |bits, text| bits | (1 << text.len().min(63))),
            quoted: options.quoted_null,
        }
    }

    #[inline]
    pub(super) fn matches(&self, text: &[u8], quoted: bool) -> bool {
        // Nearly all fields are settled by their length, and of the others by their first byte.
        self.lengths & (1 << text.len().min(63)) != 0
            && (self.quoted || !quoted)
            && self
                .texts
                .iter()
                .any(|null| null.first() == text.first() && **null == *text)
    }
}
