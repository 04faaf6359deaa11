//! Finds where the fields of one row begin and end.
//!
//! Eight bytes are looked at in one step: the bytes of a word that equal the delimiter or a line end are marked
//! by an exact zero-byte test (Warren, Hacker's Delight, section 6-1), then taken one by one.

/// Which bytes have a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
}

/// One field: where its text lies in the row, quotes left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) struct Field {
    start: u32,
    end: u32,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Quoted,
    /// Quoted, with doubled quotes inside.
    Doubled(u8),
}

impl Field {
    pub(in crate::formats) fn is_quoted(self) -> bool {
        self.form != Form::Plain
    }

    /// The field's text; `scratch` serves where doubled quotes have to be undone.
    #[inline]
    pub(in crate::formats) fn text<'a>(self, row: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let raw = &row[self.start as usize..self.end as usize];
        match self.form {
            Form::Plain | Form::Quoted => raw,
            Form::Doubled(quote) => undouble(raw, quote, scratch),
        }
    }
}

fn undouble<'a>(raw: &[u8], quote: u8, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    scratch.clear();
    let mut rest = raw;
    while let Some(at) = memchr::memchr(quote, rest) {
        scratch.extend_from_slice(&rest[..=at]);
        rest = &rest[(at + 2).min(rest.len())..];
    }
    scratch.extend_from_slice(rest);
    scratch
}

/// What was found at the front of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// A whole row.
    Row {
        /// Bytes of the row without its line end.
        content: usize,
        /// Bytes with it.
        consumed: usize,
        /// Line ends inside quotes.
        lines_inside: u64,
        /// Where text follows a closing quote, 0-based.
        text_after_quote: Option<usize>,
    },
    /// The row goes on after these bytes.
    More {
        /// A quote is open at their end.
        open_quote: bool,
    },
    /// The file ends inside quotes.
    Unterminated,
}

const LOW_BITS: u64 = 0x7F7F_7F7F_7F7F_7F7F;

const fn splat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The high bit of each byte of `word` that is zero, and no other bit.
const fn zero_bytes(word: u64) -> u64 {
    !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS)
}

/// Walks over the delimiters and line ends from a position on.
struct Marks<'a> {
    bytes: &'a [u8],
    delimiter: u64,
    base: usize,
    word: u64,
}

impl<'a> Marks<'a> {
    fn new(bytes: &'a [u8], delimiter: u8) -> Self {
        let mut marks = Marks {
            bytes,
            delimiter: splat(delimiter),
            base: 0,
            word: 0,
        };
        marks.load();
        marks
    }

    fn load(&mut self) {
        let word = match self.bytes.get(self.base..).and_then(<[u8]>::first_chunk::<8>) {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => {
                // A zero is neither a delimiter nor a line end.
                let mut last = [0; 8];
                let rest = self.bytes.get(self.base..).unwrap_or_default();
                last[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(last)
            }
        };
        self.word = zero_bytes(word ^ self.delimiter) | zero_bytes(word ^ splat(b'\n'));
    }

    fn seek(&mut self, position: usize) {
        self.base = position;
        self.load();
    }

    fn next(&mut self) -> Option<usize> {
        while self.word == 0 {
            self.base += 8;
            if self.base >= self.bytes.len() {
                return None;
            }
            self.load();
        }
        let position = self.base + (self.word.trailing_zeros() / 8) as usize;
        self.word &= self.word - 1;
        Some(position)
    }
}

/// Scans the row at the front of `bytes`, which must not be empty; `at_end` says that no bytes come after them.
/// The fields are written to `fields`. Rows are at most 4 GiB long.
pub(super) fn scan_row(bytes: &[u8], at_end: bool, dialect: Dialect, fields: &mut Vec<Field>) -> Scan {
    fields.clear();
    let mut marks = Marks::new(bytes, dialect.delimiter);
    let mut start = 0;
    let (mut lines_inside, mut text_after_quote) = (0, None);
    loop {
        let mut quoted = None;
        if dialect.quote.is_some() && bytes.get(start).copied() == dialect.quote {
            match quoted_field(bytes, start, at_end, dialect) {
                Quoted::Closed { field, after, lines } => {
                    lines_inside += lines;
                    marks.seek(after);
                    quoted = Some((field, after));
                }
                Quoted::More { open_quote } => return Scan::More { open_quote },
                Quoted::Unterminated => return Scan::Unterminated,
            }
        }
        let mark = marks.next();
        let row_ends = mark.is_none_or(|at| bytes[at] == b'\n');
        if mark.is_none() && !at_end {
            return Scan::More { open_quote: false };
        }
        let stop = mark.unwrap_or(bytes.len());
        let end = if row_ends && stop > start && bytes[stop - 1] == b'\r' {
            stop - 1
        } else {
            stop
        };
        match quoted {
            Some((field, after)) => {
                if after < end && text_after_quote.is_none() {
                    text_after_quote = Some(after);
                }
                fields.push(field);
            }
            None => fields.push(Field {
                start: start as u32,
                end: end as u32,
                form: Form::Plain,
            }),
        }
        if row_ends {
            let consumed = mark.map_or(bytes.len(), |at| at + 1);
            return Scan::Row {
                content: end,
                consumed,
                lines_inside,
                text_after_quote,
            };
        }
        start = stop + 1;
    }
}

enum Quoted {
    Closed { field: Field, after: usize, lines: u64 },
    More { open_quote: bool },
    Unterminated,
}

/// Scans a field that opens with a quote at `start`, up to after the closing quote.
fn quoted_field(bytes: &[u8], start: usize, at_end: bool, dialect: Dialect) -> Quoted {
    let quote = bytes[start];
    let (mut from, mut form) = (start + 1, Form::Quoted);
    loop {
        let Some(found) = memchr::memchr(quote, &bytes[from..]) else {
            return if at_end {
                Quoted::Unterminated
            } else {
                Quoted::More { open_quote: true }
            };
        };
        let close = from + found;
        match bytes.get(close + 1) {
            Some(next) if *next == quote => {
                form = Form::Doubled(quote);
                from = close + 2;
            }
            None if !at_end => return Quoted::More { open_quote: false },
            // Whether a carriage return belongs to the line end shows with the byte after it.
            Some(b'\r') if close + 2 == bytes.len() && !at_end => return Quoted::More { open_quote: false },
            _ => {
                let inside = &bytes[start + 1..close];
                let lines = memchr::memchr_iter(b'\n', inside).count() as u64;
                let field = Field {
                    start: start as u32 + 1,
                    end: close as u32,
                    form,
                };
                debug_assert_ne!(dialect.delimiter, quote);
                return Quoted::Closed {
                    field,
                    after: close + 1,
                    lines,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CSV: Dialect = Dialect {
        delimiter: b',',
        quote: Some(b'"'),
    };

    fn texts(row: &[u8], fields: &[Field]) -> Vec<String> {
        fields
            .iter()
            .map(|field| String::from_utf8(field.text(row, &mut Vec::new()).to_vec()).unwrap())
            .collect()
    }

    fn rows(mut bytes: &[u8], dialect: Dialect) -> Vec<Vec<String>> {
        let (mut rows, mut fields) = (Vec::new(), Vec::new());
        while !bytes.is_empty() {
            let Scan::Row {
                consumed,
                text_after_quote: None,
                ..
            } = scan_row(bytes, true, dialect, &mut fields)
            else {
                panic!("not a row: {:?}", String::from_utf8_lossy(bytes));
            };
            rows.push(texts(bytes, &fields));
            bytes = &bytes[consumed..];
        }
        rows
    }

    #[test]
    fn fields_quotes_and_line_ends() {
        assert_eq!(rows(b"a,b,c\n1,,3\r\n", CSV), [["a", "b", "c"], ["1", "", "3"]]);
        assert_eq!(
            rows(b"\"a,1\",\"say \"\"hi\"\"\",\"\"\nx,y,z", CSV),
            [["a,1", "say \"hi\"", ""], ["x", "y", "z"]]
        );
        assert_eq!(rows(b"\"a\r\nb\",c\r\n", CSV), [["a\r\nb", "c"]]);
        assert_eq!(rows(b"a,\n,b", CSV), [["a", ""], ["", "b"]]);
        assert_eq!(rows(b"it's 5\" long,b\n", CSV), [["it's 5\" long", "b"]]);
        assert_eq!(
            rows(
                b"\"a\"\t\"b\"\n",
                Dialect {
                    delimiter: b'\t',
                    quote: None
                }
            ),
            [["\"a\"", "\"b\""]]
        );
        assert_eq!(rows(b"a\rb,c\r", CSV), [["a\rb", "c"]]);
    }

    #[test]
    fn what_is_wrong_and_where() {
        let mut fields = Vec::new();
        assert_eq!(scan_row(b"\"a\nb,c\n", true, CSV, &mut fields), Scan::Unterminated);
        assert_eq!(
            scan_row(b"\"a\nb,c\n", false, CSV, &mut fields),
            Scan::More { open_quote: true }
        );
        assert_eq!(
            scan_row(b"\"a\"", false, CSV, &mut fields),
            Scan::More { open_quote: false }
        );
        assert_eq!(
            scan_row(b"\"a\"\r", false, CSV, &mut fields),
            Scan::More { open_quote: false }
        );
        assert_eq!(
            scan_row(b"1,\"a\nb\" c,2\n", true, CSV, &mut fields),
            Scan::Row {
                content: 11,
                consumed: 12,
                lines_inside: 1,
                text_after_quote: Some(7)
            }
        );
    }

    proptest! {
        /// The csv crate is the oracle, on texts that both read alike: no text after a closing quote, no lone
        /// carriage returns, no quote left open, no blank lines.
        #[test]
        fn agrees_with_the_csv_crate(table in prop::collection::vec(prop::collection::vec("[a-c,\"\n\r ]{0,12}", 1..6), 1..8)) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &table {
                writer.write_record(row).unwrap();
            }
            let bytes = writer.into_inner().unwrap();
            prop_assert_eq!(rows(&bytes, CSV), table);
        }

        /// Cut anywhere, the front of a row asks for more or is a row of its own, and never a fault.
        #[test]
        fn a_cut_row_asks_for_more(row in prop::collection::vec("[a-c,\"\n]{0,12}", 1..6), at in 0.0..1.0_f64) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(&row).unwrap();
            let bytes = writer.into_inner().unwrap();
            let cut = (bytes.len() as f64 * at) as usize;
            prop_assume!(cut > 0 && cut < bytes.len());
            let more = matches!(scan_row(&bytes[..cut], false, CSV, &mut Vec::new()), Scan::More { .. });
            prop_assert!(more);
        }

        #[test]
        fn marks_are_exact(bytes in prop::collection::vec(prop_oneof![Just(b','), Just(b'\n'), Just(0_u8), Just(b'-'), Just(b'\x0b'), Just(0xAC_u8), any::<u8>()], 0..40)) {
            let mut marks = Marks::new(&bytes, b',');
            let found: Vec<usize> = std::iter::from_fn(|| marks.next()).collect();
            let expected: Vec<usize> = (0..bytes.len()).filter(|at| matches!(bytes[*at], b',' | b'\n')).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
