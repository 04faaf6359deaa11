//! Lengths of time and amounts of bytes as users write them: `26h`, `7 days`, `1 GiB`.

use jiff::{Span, SpanRelativeTo, Unit};

/// Why a text is not a length of time or an amount of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It is not of the form number, unit, ….
    #[error("`{0}` is not a number with a unit")]
    Form(String),
    /// It is zero, or below.
    #[error("it must be more than nothing")]
    NotPositive,
    /// It is more than can be counted.
    #[error("it is too much")]
    TooMuch,
    /// Months and years have no fixed length.
    #[error("months and years differ in length; say it in days")]
    Calendar,
}

/// A length of time in any units.
fn positive_span(text: &str) -> Result<Span, QuantityError> {
    let form = || QuantityError::Form(text.chars().take(40).collect());
    // The friendly format of jiff; ISO 8601 (`P7D`) is not a form that people write here.
    if text.len() > 100 || !text.trim_start().starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return Err(form());
    }
    let span: Span = text.trim().parse().map_err(|_| form())?;
    if span.is_zero() || span.is_negative() {
        Err(QuantityError::NotPositive)
    } else {
        Ok(span)
    }
}

/// A fixed length of time in whole seconds; a day has 24 hours.
pub fn seconds(text: &str) -> Result<u64, QuantityError> {
    let span = positive_span(text)?;
    if span.get_months() != 0 || span.get_years() != 0 {
        return Err(QuantityError::Calendar);
    }
    let relative = SpanRelativeTo::days_are_24_hours();
    let seconds = span
        .total((Unit::Second, relative))
        .map_err(|_| QuantityError::TooMuch)?;
    if seconds < 1.0 {
        Err(QuantityError::NotPositive)
    } else {
        Ok(seconds as u64)
    }
}

/// An amount of bytes: `512 MB` (decimal), `1 GiB` (binary), `1000` or `1000 B`.
pub fn bytes(text: &str) -> Result<u64, QuantityError> {
    let text = text.trim();
    let form = || QuantityError::Form(text.chars().take(40).collect());
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| form())?;
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(form()),
    };
    let amount = number * factor;
    if amount < 1.0 {
        Err(QuantityError::NotPositive)
    } else if amount > 1e18 {
        Err(QuantityError::TooMuch)
    } else {
        Ok(amount as u64)
    }
}

/// A length of time as users write it, in the largest unit that leaves no rest: `26h`, `90s`, `2 days`.
pub fn length(seconds: u64) -> String {
    match seconds {
        _ if seconds >= 172_800 && seconds % 86_400 == 0 => format!("{} days", seconds / 86_400),
        _ if seconds >= 3600 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        _ if seconds >= 60 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, expected) in [
            ("90s", 90),
            ("26h", 93_600),
            ("1h 30m", 5_400),
            ("7 days", 604_800),
            ("2 weeks", 1_209_600),
            ("1 hour", 3_600),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "5 parsecs",
            "h",
            "-1h",
            "0s",
            "1 month",
            "P7D",
            "10",
            "99999999999999999999h",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_are_written_so_that_they_can_be_read() {
        for (length_of, text) in [
            (1, "1s"),
            (90, "90s"),
            (1800, "30m"),
            (93_600, "26h"),
            (604_800, "7 days"),
            (86_400, "24h"),
        ] {
            assert_eq!(length(length_of), text);
            assert_eq!(seconds(text), Ok(length_of));
        }
    }

    #[test]
    fn amounts_of_bytes() {
        for (text, expected) in [
            ("512 MB", 512_000_000),
            ("1 GiB", 1 << 30),
            ("1.5 kb", 1_500),
            ("10", 10),
            ("7B", 7),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "MB", "0", "-1 GB", "1 parsec", "1e9 TB", "9999999999 TB", "1..5 GB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
