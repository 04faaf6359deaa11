//! Numbers, sizes, moments and lengths of time as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use state::event::Micros;

use super::markup::{Markup, escape};

/// What pages show where there is nothing to show.
pub const NOTHING: &str = "–";

/// `1234567` as `1,234,567`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1536` as `1.5 kB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{number} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// `1 row`, `2 rows`, `1,000 rows`.
pub fn count(of: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(of), if of == 1 { one } else { many })
}

/// A measured figure with the digits that matter: `0.7312`, `14.2`, `120`.
pub fn figure(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        return if value < 0.0 {
            format!("-{}", number(-value as u64))
        } else {
            number(value as u64)
        };
    }
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        size if size >= 0.001 => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    }
}

/// A length of time: `0.3 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub fn duration(micros: i64) -> String {
    let seconds = micros.max(0) as f64 / 1e6;
    let whole = seconds as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..172_800 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3600 % 24),
    }
}

/// How long ago, or how far ahead, in one unit. `app.js` says the same words as time passes.
pub fn ago(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        ..=-172_800 => format!("in {} d", -seconds / 86_400),
        -172_799..=-3600 => format!("in {} h", -seconds / 3600),
        -3599..=-60 => format!("in {} min", -seconds / 60),
        -59..=-5 => format!("in {} s", -seconds),
        ..5 => "just now".to_owned(),
        5..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// Now, and the zone whose days count.
#[derive(Debug, Clone)]
pub struct Clock {
    now: Micros,
    zone: TimeZone,
}

impl Clock {
    /// A clock that shows `now` in the zone of that IANA name.
    pub fn new(now: Micros, zone: &str) -> Self {
        Self {
            now,
            zone: TimeZone::get(zone).unwrap_or(TimeZone::UTC),
        }
    }

    /// A moment: the project's time and how long ago; UTC on hover.
    pub fn when(&self, at: Micros) -> Markup {
        let Ok(timestamp) = Timestamp::from_microsecond(at) else {
            return Markup(escape(at));
        };
        let local = timestamp.to_zoned(self.zone.clone());
        let today = Timestamp::from_microsecond(self.now).map(|now| now.to_zoned(self.zone.clone()));
        let format = match today {
            Ok(now) if now.date() == local.date() => "%H:%M:%S",
            Ok(now) if now.year() == local.year() => "%-d %b %H:%M",
            _ => "%-d %b %Y %H:%M",
        };
        Markup(format!(
            "<time datetime=\"{}\" title=\"{} ({}), {} UTC\"><span>{}</span> <span class=\"ago\">{}</span></time>",
            timestamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
            local.strftime("%Y-%m-%d %H:%M:%S %:z"),
            escape(self.zone.iana_name().unwrap_or("UTC")),
            timestamp.strftime("%Y-%m-%d %H:%M:%S"),
            local.strftime(format),
            ago(self.now - at),
        ))
    }

    /// A moment as plain text.
    pub fn plain(&self, at: Micros) -> String {
        let timestamp = Timestamp::from_microsecond(at);
        timestamp.map_or_else(
            |_| at.to_string(),
            |timestamp| {
                timestamp
                    .to_zoned(self.zone.clone())
                    .strftime("%-d %b %Y %H:%M")
                    .to_string()
            },
        )
    }

    /// A moment that may not have come.
    pub fn when_known(&self, at: Option<Micros>) -> Markup {
        at.map_or_else(|| Markup(NOTHING.to_owned()), |at| self.when(at))
    }

    /// The time of day with milliseconds, for lines of a log.
    pub fn time_of_day(&self, at: Micros) -> String {
        Timestamp::from_microsecond(at).map_or_else(
            |_| at.to_string(),
            |at| at.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string(),
        )
    }

    /// The length from `from` to `to`, or to now.
    pub fn length(&self, from: Option<Micros>, to: Option<Micros>) -> String {
        from.map_or_else(|| NOTHING.to_owned(), |from| duration(to.unwrap_or(self.now) - from))
    }

    /// Now.
    pub fn now(&self) -> Micros {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let figures = [0.0, 1.0, -12_345.0, 0.712_345, 14.25, 1234.56, 0.000_012].map(figure);
        assert_eq!(figures, ["0", "1", "-12,345", "0.7123", "14.25", "1234.6", "1.200e-5"]);
        let lengths = [300_000, 185_000_000, 7_800_000_000, 200_000_000_000].map(duration);
        assert_eq!(lengths, ["0.3 s", "3 min 5 s", "2 h 10 min", "2 d 7 h"]);
        assert_eq!(
            [0, 59, 60, 90_000, 200_000].map(|s| ago(s * 1_000_000)),
            ["just now", "59 s ago", "1 min ago", "25 h ago", "2 d ago"]
        );
        assert_eq!((bytes(999).as_str(), bytes(1_536).as_str()), ("999 B", "1.5 kB"));
    }

    #[test]
    fn a_moment_is_shown_in_the_projects_zone_and_told_in_utc() {
        // 2013-11-03T05:30:00Z is 01:30 in New York, the first of two.
        let at = 1_383_456_600_000_000;
        let clock = Clock::new(at + 120_000_000, "America/New_York");
        let shown = clock.when(at).0;
        assert!(
            shown.contains("<span>01:30:00</span>") && shown.contains("2 min ago"),
            "{shown}"
        );
        assert!(
            shown.contains("2013-11-03 01:30:00 -04:00 (America/New_York), 2013-11-03 05:30:00 UTC"),
            "{shown}"
        );
        assert_eq!(clock.time_of_day(at + 1_234), "01:30:00.001");
    }
}
