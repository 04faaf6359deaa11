//! What a text could be, and what a column is when all its texts are taken together.
use super::bad_row::shorten;
use super::column_type::ColumnType;
use super::text_value;

/// The narrowest reading of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Boolean,
    Long,
    Double,
    Date,
    Timestamp,
    Timestamptz,
    String,
}

const KINDS: [Kind; 7] = [
    Kind::Boolean,
    Kind::Long,
    Kind::Double,
    Kind::Date,
    Kind::Timestamp,
    Kind::Timestamptz,
    Kind::String,
];

impl Kind {
    const fn bit(self) -> u8 {
        1 << self as u8
    }

    fn column_type(self) -> ColumnType {
        match self {
            Kind::Boolean => ColumnType::Boolean,
            Kind::Long => ColumnType::Long,
            Kind::Double => ColumnType::Double,
            Kind::Date => ColumnType::Date,
            Kind::Timestamp => ColumnType::Timestamp,
            Kind::Timestamptz => ColumnType::Timestamptz,
            Kind::String => ColumnType::String,
        }
    }

    /// The narrowest reading of a text that keeps all of it: `007`, `+5`, `1,234` and integers that need more
    /// than 64 bits stay text.
    pub(super) fn of(text: &[u8]) -> Kind {
        match text.first() {
            Some(b'0'..=b'9' | b'-' | b'.') => {
                if is_plain_long(text) {
                    return Kind::Long;
                }
                if is_plain_double(text) {
                    return if text_value::double(text).is_ok() {
                        Kind::Double
                    } else {
                        Kind::String
                    };
                }
                if text == b"-inf" || text == b"-Infinity" {
                    return Kind::Double;
                }
                if text_value::date(text).is_ok() {
                    return Kind::Date;
                }
                match text_value::moment(text) {
                    Ok(moment) if moment.offset.is_some() => Kind::Timestamptz,
                    Ok(_) => Kind::Timestamp,
                    Err(_) => Kind::String,
                }
            }
            Some(b't' | b'T' | b'f' | b'F')
                if matches!(text, b"true" | b"True" | b"TRUE" | b"false" | b"False" | b"FALSE") =>
            {
                Kind::Boolean
            }
            Some(b'N' | b'i' | b'I') if matches!(text, b"NaN" | b"inf" | b"Infinity") => Kind::Double,
            _ => Kind::String,
        }
    }
}

/// Digits without a leading zero that fit 64 bits.
fn is_plain_long(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] if rest.len() < 18 => rest.iter().all(u8::is_ascii_digit),
        [b'1'..=b'9', ..] if digits.len() == 19 => text_value::long(text).is_ok(),
        _ => false,
    }
}

/// `1.5`, `.5`, `5.`, `1e5` and the like; neither an integer nor `00.5`.
fn is_plain_double(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let leading_zero = matches!(unsigned, [b'0', b'0'..=b'9', ..]);
    let mut marks = unsigned.iter().filter(|byte| !byte.is_ascii_digit());
    let first_mark = marks.next();
    !leading_zero
        && matches!(first_mark, Some(b'.' | b'e' | b'E'))
        && marks.all(|byte| matches!(byte, b'e' | b'E' | b'+' | b'-'))
}

/// Where a kind was first seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// Index into the files.
    pub(super) file: usize,
    pub(super) line: u64,
    pub(super) text: String,
}

impl Sample {
    pub(super) fn new(file: usize, line: u64, text: &[u8]) -> Self {
        Sample {
            file,
            line,
            text: shorten(text, 40),
        }
    }
}

/// The kinds that a column's texts have, and where each came up first.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    bits: u8,
    first: [Option<Box<Sample>>; KINDS.len()],
}

impl Seen {
    /// Takes in a text that is not null.
    #[inline]
    pub(super) fn add_text(&mut self, text: &[u8], file: usize, line: u64) {
        // Text is as wide as it gets, and a column of one kind mostly stays so.
        if self.bits & Kind::String.bit() != 0 || self.bits == Kind::Long.bit() && is_plain_long(text) {
            return;
        }
        self.add(Kind::of(text), text, file, line);
    }

    pub(super) fn add(&mut self, kind: Kind, text: &[u8], file: usize, line: u64) {
        if self.bits & kind.bit() == 0 {
            self.bits |= kind.bit();
            self.first[kind as usize] = Some(Box::new(Sample::new(file, line, text)));
        }
    }

    /// Takes in what a later file says.
    pub(super) fn merge(&mut self, other: &Seen) {
        self.bits |= other.bits;
        for (own, theirs) in self.first.iter_mut().zip(&other.first) {
            if own.is_none() {
                own.clone_from(theirs);
            }
        }
    }

    fn kinds(&self) -> Vec<Kind> {
        KINDS.into_iter().filter(|kind| self.bits & kind.bit() != 0).collect()
    }

    /// The type that holds all texts; `string` for a column that is null throughout.
    pub(super) fn column_type(&self) -> ColumnType {
        match self.kinds()[..] {
            [kind] => kind.column_type(),
            [Kind::Long, Kind::Double] => ColumnType::Double,
            _ => ColumnType::String,
        }
    }

    /// For a column that became text because its values differ: the narrower type that most would expect, and
    /// the first value that does not fit it.
    pub(super) fn spoiled_by(&self) -> Option<(ColumnType, &Sample)> {
        let kinds = self.kinds();
        if kinds.len() < 2 || self.column_type() != ColumnType::String {
            return None;
        }
        let expected = match kinds[..] {
            [Kind::Long, Kind::Double, ..] => Kind::Double,
            _ => kinds[0],
        };
        let spoiler = kinds
            .into_iter()
            .rev()
            .find_map(|kind| self.first[kind as usize].as_deref())?;
        Some((expected.column_type(), spoiler))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_reading() {
        for (kind, texts) in [
            (Kind::Boolean, &["true", "False", "TRUE"][..]),
            (
                Kind::Long,
                &["0", "-1", "517", "9223372036854775807", "-9223372036854775808", "-0"],
            ),
            (
                Kind::Double,
                &[
                    "1.5", "-.5", "5.", "1e5", "-1E-5", "0.0", "NaN", "-inf", "Infinity", "1.5e+3",
                ],
            ),
            (Kind::Date, &["2013-01-01", "0001-12-31"]),
            (
                Kind::Timestamp,
                &["2013-01-01T10:00:00", "2013-01-01 10:00", "2013-01-01 10:00:00.123"],
            ),
            (
                Kind::Timestamptz,
                &["2013-01-01T10:00:00Z", "2013-01-01 10:00:00.5-05:00"],
            ),
            (
                Kind::String,
                &[
                    "NA",
                    "007",
                    "-07",
                    "00.5",
                    "+5",
                    "1,234",
                    "9223372036854775808",
                    "1e400",
                    "1e",
                    "e5",
                    "-",
                    ".",
                    "1.2.3",
                    "1-2",
                    "2013-02-30",
                    "2013-1-1",
                    "10:00",
                    "N",
                    "t",
                    "yes",
                    " 1",
                    "1 ",
                    "é",
                    "1e5e5",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(Kind::of(text.as_bytes()), kind, "{text}");
            }
        }
    }

    #[test]
    fn columns_of_several_kinds() {
        let of = |texts: &[&str]| {
            let mut seen = Seen::default();
            for (line, text) in texts.iter().enumerate() {
                seen.add_text(text.as_bytes(), 0, line as u64 + 2);
            }
            seen
        };
        assert_eq!(of(&[]).column_type(), ColumnType::String);
        assert_eq!(of(&["1", "2.5", "3"]).column_type(), ColumnType::Double);
        assert_eq!(of(&["1", "true"]).column_type(), ColumnType::String);
        assert_eq!(
            of(&["2013-01-01", "2013-01-01 00:00"]).column_type(),
            ColumnType::String
        );
        assert_eq!(of(&["1", "007"]).column_type(), ColumnType::String);

        let flights = of(&["517", "533", "NA", "x"]);
        let (expected, spoiler) = flights.spoiled_by().unwrap();
        assert_eq!(
            (expected, spoiler),
            (
                ColumnType::Long,
                &Sample {
                    file: 0,
                    line: 4,
                    text: "NA".into()
                }
            )
        );
        assert_eq!(of(&["a", "b"]).spoiled_by(), None);

        let mut merged = of(&["1"]);
        merged.merge(&of(&["2.5"]));
        assert_eq!(merged.column_type(), ColumnType::Double);
    }
}
