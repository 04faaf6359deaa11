//! Values from their text, byte by byte and without allocating.
//!
//! What is accepted: integers with an optional sign; decimal and exponent notation, `NaN`, `inf` and `infinity`;
//! ISO 8601 days and timestamps with `T` or a space, seconds optional, offsets `Z`, `±hh`, `±hhmm` or `±hh:mm`.
//! Digits of a second past the sixth are cut, since Iceberg's timestamps count microseconds.
use jiff::tz::TimeZone;

use super::bad_row::ValueFault;

const MICROS: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;

pub(super) fn boolean(text: &[u8]) -> Result<bool, ValueFault> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    match text {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ if is(&["true", "t", "yes", "y", "1"]) => Ok(true),
        _ if is(&["false", "f", "no", "n", "0"]) => Ok(false),
        _ => Err(ValueFault::Form),
    }
}

pub(super) fn long(text: &[u8]) -> Result<i64, ValueFault> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() {
        return Err(ValueFault::Form);
    }
    let mut value: i64 = 0;
    if digits.len() <= 18 {
        for digit in digits {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return Err(ValueFault::Form);
            }
            value = value * 10 + i64::from(digit);
        }
        return Ok(if negative { -value } else { value });
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(ValueFault::Form);
    }
    // Counted downwards, since the smallest number has no positive twin.
    for digit in digits {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_sub(i64::from(digit - b'0')))
            .ok_or(ValueFault::Range)?;
    }
    if negative {
        Ok(value)
    } else {
        value.checked_neg().ok_or(ValueFault::Range)
    }
}

pub(super) fn int(text: &[u8]) -> Result<i32, ValueFault> {
    i32::try_from(long(text)?).map_err(|_| ValueFault::Range)
}

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

pub(super) fn double(text: &[u8]) -> Result<f64, ValueFault> {
    // Clinger's fast path: with at most 15 digits both the digits and the power of ten are exact doubles, so one
    // division gives the nearest double.
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (mut digits, mut count, mut after_point): (u64, usize, Option<usize>) = (0, 0, None);
    for byte in unsigned {
        match byte {
            b'0'..=b'9' if count < 15 => {
                digits = digits * 10 + u64::from(byte - b'0');
                count += 1;
                if let Some(places) = &mut after_point {
                    *places += 1;
                }
            }
            b'.' if after_point.is_none() => after_point = Some(0),
            _ => return slow_float(text),
        }
    }
    if count == 0 {
        return slow_float(text);
    }
    let value = digits as f64 / POWERS[after_point.unwrap_or(0)];
    Ok(if negative { -value } else { value })
}

pub(super) fn float(text: &[u8]) -> Result<f32, ValueFault> {
    slow_float(text)
}

trait Float: std::str::FromStr + Copy {
    fn is_infinite(self) -> bool;
}

impl Float for f32 {
    fn is_infinite(self) -> bool {
        f32::is_infinite(self)
    }
}

impl Float for f64 {
    fn is_infinite(self) -> bool {
        f64::is_infinite(self)
    }
}

fn slow_float<F: Float>(text: &[u8]) -> Result<F, ValueFault> {
    let value: F = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(ValueFault::Form)?;
    // An infinity that was not written is an overflow.
    if value.is_infinite() && text.iter().any(u8::is_ascii_digit) {
        Err(ValueFault::Range)
    } else {
        Ok(value)
    }
}

/// An exact number times ten to the `scale`.
pub(super) fn decimal(text: &[u8], precision: u8, scale: u8) -> Result<i128, ValueFault> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let point = unsigned.iter().position(|byte| *byte == b'.').unwrap_or(unsigned.len());
    let (whole, fraction) = (&unsigned[..point], unsigned.get(point + 1..).unwrap_or_default());
    if whole.len() + fraction.len() == 0 || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(ValueFault::Form);
    }
    let (kept, beyond) = fraction.split_at(fraction.len().min(usize::from(scale)));
    if beyond.iter().any(|digit| *digit != b'0') {
        return Err(ValueFault::Scale);
    }
    let padding = std::iter::repeat_n(&b'0', usize::from(scale) - kept.len());
    let limit = 10_i128.pow(u32::from(precision));
    let mut value: i128 = 0;
    for digit in whole.iter().chain(kept).chain(padding) {
        // The widest decimals fill 127 bits nearly: one digit more can overflow.
        value = value
            .checked_mul(10)
            .map(|value| value + i128::from(digit - b'0'))
            .filter(|value| *value < limit)
            .ok_or(ValueFault::Range)?;
    }
    Ok(if negative { -value } else { value })
}

/// Two digits at a place.
fn two(text: &[u8], at: usize) -> Option<u32> {
    let (tens, ones) = (text.get(at)?.wrapping_sub(b'0'), text.get(at + 1)?.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// Days since 1970-01-01 of a day of the proleptic Gregorian calendar, by the arithmetic that counts years from
/// March, so that the leap day ends them (Howard Hinnant, "chrono-compatible low-level date algorithms",
/// `days_from_civil`). For years from 0 on.
fn days_since_1970(year: u32, month: u32, day: u32) -> i32 {
    let year = year as i32 - i32::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month as i32 + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day as i32 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of `YYYY-MM-DD`, years 0001 to 9999.
pub(super) fn date(text: &[u8]) -> Result<i32, ValueFault> {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return Err(ValueFault::Form);
    }
    let (Some(century), Some(year), Some(month), Some(day)) = (two(text, 0), two(text, 2), two(text, 5), two(text, 8))
    else {
        return Err(ValueFault::Form);
    };
    let year = century * 100 + year;
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return Err(ValueFault::NoSuchMoment);
    }
    Ok(days_since_1970(year, month, day))
}

/// A date and a time of day as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Microseconds since 1970-01-01T00:00 on the clock that is meant.
    pub(super) micros: i64,
    /// How many seconds that clock is ahead of UTC, where the text says so.
    pub(super) offset: Option<i64>,
}

/// Reads `YYYY-MM-DD`, then optionally `T` or a space, `hh:mm`, `:ss`, a fraction and an offset.
pub(super) fn moment(text: &[u8]) -> Result<Moment, ValueFault> {
    let day_text = text.get(..10).ok_or(ValueFault::Form)?;
    let day_seconds = i64::from(date(day_text)?) * DAY_SECONDS;
    if text.len() == 10 {
        return Ok(Moment {
            micros: day_seconds * MICROS,
            offset: None,
        });
    }
    if !matches!(text[10], b'T' | b't' | b' ') || text.get(13) != Some(&b':') {
        return Err(ValueFault::Form);
    }
    let (Some(hour), Some(minute)) = (two(text, 11), two(text, 14)) else {
        return Err(ValueFault::Form);
    };
    let mut rest = &text[16..];
    let mut second = 0;
    let mut fraction = 0;
    if let [b':', after @ ..] = rest {
        second = two(after, 0).ok_or(ValueFault::Form)?;
        rest = &after[2..];
        if let [b'.' | b',', digits @ ..] = rest {
            let count = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
            if count == 0 || count > 9 {
                return Err(ValueFault::Form);
            }
            let micros = digits[..count].iter().chain(std::iter::repeat(&b'0')).take(6);
            fraction = micros.fold(0, |fraction, digit| fraction * 10 + i64::from(digit - b'0'));
            rest = &digits[count..];
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Err(ValueFault::NoSuchMoment);
    }
    let seconds = day_seconds + i64::from(hour * 3600 + minute * 60 + second);
    Ok(Moment {
        micros: seconds * MICROS + fraction,
        offset: offset(rest)?,
    })
}

fn offset(text: &[u8]) -> Result<Option<i64>, ValueFault> {
    let (sign, digits) = match text {
        [] => return Ok(None),
        [b'Z' | b'z'] => return Ok(Some(0)),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return Err(ValueFault::Form),
    };
    let minutes = match digits.len() {
        2 => Some(0),
        4 => two(digits, 2),
        5 if digits[2] == b':' => two(digits, 3),
        _ => None,
    };
    let (Some(hours), Some(minutes)) = (two(digits, 0), minutes) else {
        return Err(ValueFault::Form);
    };
    if hours > 23 || minutes > 59 {
        return Err(ValueFault::NoSuchMoment);
    }
    Ok(Some(sign * i64::from(hours * 3600 + minutes * 60)))
}

/// Microseconds on the clock that is meant.
pub(super) fn timestamp(text: &[u8]) -> Result<i64, ValueFault> {
    let moment = moment(text)?;
    if moment.offset.is_some() {
        Err(ValueFault::HasOffset)
    } else {
        Ok(moment.micros)
    }
}

/// Microseconds since 1970 in UTC; a text without an offset is read in `zone`.
pub(super) fn timestamptz(text: &[u8], zone: Option<&TimeZone>) -> Result<i64, ValueFault> {
    let moment = moment(text)?;
    match (moment.offset, zone) {
        (Some(offset), _) => Ok(moment.micros - offset * MICROS),
        (None, Some(zone)) => in_zone(moment.micros, zone),
        (None, None) => Err(ValueFault::NoOffset),
    }
}

fn in_zone(micros: i64, zone: &TimeZone) -> Result<i64, ValueFault> {
    let local = jiff::Timestamp::from_microsecond(micros).map_err(|_| ValueFault::Range)?;
    let local = TimeZone::UTC.to_datetime(local);
    let instant = zone
        .to_ambiguous_timestamp(local)
        .unambiguous()
        .map_err(|_| ValueFault::Ambiguous)?;
    Ok(instant.as_microsecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers() {
        assert_eq!(long(b"0"), Ok(0));
        assert_eq!(long(b"-007"), Ok(-7));
        assert_eq!(long(b"+5"), Ok(5));
        assert_eq!(long(b"9223372036854775807"), Ok(i64::MAX));
        assert_eq!(long(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(long(b"9223372036854775808"), Err(ValueFault::Range));
        assert_eq!(long(b"99999999999999999999999999"), Err(ValueFault::Range));
        assert_eq!(long(b"0000000000000000000000000012"), Ok(12));
        assert_eq!(int(b"2147483648"), Err(ValueFault::Range));
        for text in [
            "",
            "-",
            "1e5",
            "1,234",
            " 1",
            "1.0",
            "NaN",
            "--1",
            "12345678901234567890x",
        ] {
            assert_eq!(long(text.as_bytes()), Err(ValueFault::Form), "{text}");
        }
    }

    #[test]
    fn floats() {
        assert_eq!(double(b"29.92"), Ok(29.92));
        assert_eq!(double(b"-.5"), Ok(-0.5));
        assert_eq!(double(b"5."), Ok(5.0));
        assert_eq!(double(b"1e5"), Ok(1e5));
        assert_eq!(double(b"0.1234567890123456789"), Ok(0.123_456_789_012_345_68));
        assert!(double(b"NaN").unwrap().is_nan());
        assert_eq!(double(b"-inf"), Ok(f64::NEG_INFINITY));
        assert_eq!(double(b"1e400"), Err(ValueFault::Range));
        assert!(double(b"-0").unwrap().is_sign_negative());
        assert_eq!(float(b"0.1"), Ok(0.1_f32));
        for text in ["", ".", "-", "1,5", "1.2.3", "1e", "0x10", " 1", "1_000"] {
            assert_eq!(double(text.as_bytes()), Err(ValueFault::Form), "{text}");
        }
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal(b"12.3", 5, 2), Ok(1230));
        assert_eq!(decimal(b"-0.05", 5, 2), Ok(-5));
        assert_eq!(decimal(b"12.3400", 5, 2), Ok(1234));
        assert_eq!(decimal(b".5", 3, 1), Ok(5));
        assert_eq!(decimal(b"999.99", 5, 2), Ok(99_999));
        assert_eq!(decimal(b"1000", 5, 2), Err(ValueFault::Range));
        assert_eq!(decimal(b"1.234", 5, 2), Err(ValueFault::Scale));
        assert_eq!(decimal(b"1e2", 5, 2), Err(ValueFault::Form));
        assert_eq!(decimal(b"", 5, 2), Err(ValueFault::Form));
        assert_eq!(decimal(b".", 5, 2), Err(ValueFault::Form));
        let widest = "9".repeat(38);
        assert_eq!(decimal(widest.as_bytes(), 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(decimal("9".repeat(39).as_bytes(), 38, 0), Err(ValueFault::Range));
    }

    #[test]
    fn days_and_times() {
        assert_eq!(date(b"1970-01-01"), Ok(0));
        assert_eq!(date(b"2013-01-01"), Ok(15_706));
        assert_eq!(date(b"1969-12-31"), Ok(-1));
        assert_eq!(date(b"2013-02-29"), Err(ValueFault::NoSuchMoment));
        assert_eq!(date(b"2013-13-01"), Err(ValueFault::NoSuchMoment));
        assert_eq!(date(b"2013-1-1"), Err(ValueFault::Form));
        let second = 1_000_000;
        assert_eq!(timestamp(b"1970-01-02T00:00:01.5"), Ok(86_401 * second + 500_000));
        assert_eq!(timestamp(b"1970-01-01 00:00:00.123456789"), Ok(123_456));
        assert_eq!(timestamp(b"1970-01-01 01:02"), Ok(3720 * second));
        assert_eq!(timestamp(b"1970-01-01"), Ok(0));
        assert_eq!(timestamp(b"1970-01-01T00:00:00Z"), Err(ValueFault::HasOffset));
        assert_eq!(timestamp(b"1970-01-01T24:00:00"), Err(ValueFault::NoSuchMoment));
        assert_eq!(timestamp(b"1970-01-01T00:00:60"), Err(ValueFault::NoSuchMoment));
        assert_eq!(timestamptz(b"2013-01-01T10:00:00Z", None), Ok(1_357_034_400 * second));
        assert_eq!(
            timestamptz(b"2013-01-01T05:00:00-05:00", None),
            Ok(1_357_034_400 * second)
        );
        assert_eq!(
            timestamptz(b"2013-01-01T15:30:00+0530", None),
            Ok(1_357_034_400 * second)
        );
        assert_eq!(timestamptz(b"2013-01-01T10:00:00", None), Err(ValueFault::NoOffset));
        for text in [
            "1970-01-01T",
            "1970-01-01T0:00",
            "1970-01-01T00:00:",
            "1970-01-01T00:00:00.",
            "1970-01-01T00:00:00+1",
            "1970-01-01 00:00:00 UTC",
            "1970-01-01T00:00:00é",
        ] {
            assert_eq!(timestamp(text.as_bytes()), Err(ValueFault::Form), "{text}");
        }
    }

    #[test]
    fn local_times_in_a_zone() {
        let zone = TimeZone::get("America/New_York").unwrap();
        assert_eq!(
            timestamptz(b"2013-01-01 05:00:00", Some(&zone)),
            Ok(1_357_034_400_000_000)
        );
        assert_eq!(
            timestamptz(b"2013-03-10 02:30:00", Some(&zone)),
            Err(ValueFault::Ambiguous)
        );
        assert_eq!(
            timestamptz(b"2013-11-03 01:30:00", Some(&zone)),
            Err(ValueFault::Ambiguous)
        );
        assert_eq!(
            timestamptz(b"2013-11-03 01:30:00-05:00", Some(&zone)),
            Ok(1_383_460_200_000_000)
        );
    }

    proptest! {
        #[test]
        fn integers_as_the_standard_library_reads_them(value: i64) {
            prop_assert_eq!(long(value.to_string().as_bytes()), Ok(value));
        }

        #[test]
        fn floats_as_the_standard_library_reads_them(text in "-?[0-9]{0,17}(\\.[0-9]{0,17})?(e-?[0-9]{1,2})?") {
            match text.parse::<f64>() {
                Ok(value) => prop_assert_eq!(double(text.as_bytes()).unwrap().to_bits(), value.to_bits()),
                Err(_) => prop_assert_eq!(double(text.as_bytes()), Err(ValueFault::Form)),
            }
        }

        #[test]
        fn moments_as_jiff_reads_them(micros in -62_135_596_800_000_000_i64..253_402_207_200_000_000) {
            let instant = jiff::Timestamp::from_microsecond(micros).unwrap();
            prop_assert_eq!(timestamptz(instant.to_string().as_bytes(), None), Ok(micros));
            let local = TimeZone::UTC.to_datetime(instant);
            prop_assert_eq!(timestamp(local.to_string().as_bytes()), Ok(micros));
            let days = local.date().since(jiff::civil::date(1970, 1, 1)).unwrap().get_days();
            prop_assert_eq!(date(local.date().to_string().as_bytes()), Ok(days));
        }
    }
}
