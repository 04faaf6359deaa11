//! Moments as pages show them, and the program's figures.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use state::event::Micros;

use super::markup::{Markup, escape};
pub use crate::figures::{ago, bytes, count, duration, figure, number};

/// What pages show where there is nothing to show.
pub const NOTHING: &str = "–";

/// Now, and the zone whose days count.
#[derive(Debug, Clone)]
pub struct Clock {
    now: Micros,
    /// The zone of the times shown.
    zone: TimeZone,
    /// Other zones that are told on hover.
    others: Vec<TimeZone>,
}

impl Clock {
    /// A clock that shows `now` in the zone of that IANA name.
    pub fn new(now: Micros, zone: &str) -> Self {
        Self {
            now,
            zone: TimeZone::get(zone).unwrap_or(TimeZone::UTC),
            others: Vec::new(),
        }
    }

    /// The same for a reader whose zone is known: told on hover, or shown in place of the project's.
    #[must_use]
    pub fn read_by(mut self, zone: Option<TimeZone>, shown: bool) -> Self {
        if let Some(mut zone) = zone.filter(|zone| zone.iana_name() != self.zone.iana_name()) {
            if shown {
                std::mem::swap(&mut zone, &mut self.zone);
            }
            self.others.push(zone);
        }
        self
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
        let told = |zone: &TimeZone| {
            format!(
                "{} ({})",
                timestamp.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z"),
                escape(zone.iana_name().unwrap_or("UTC"))
            )
        };
        let zones: Vec<String> = std::iter::once(&self.zone).chain(&self.others).map(told).collect();
        Markup(format!(
            "<time datetime=\"{}\" title=\"{}, {} UTC\"><span>{}</span> <span class=\"ago\">{}</span></time>",
            timestamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
            zones.join(", "),
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

    #[test]
    fn a_reader_elsewhere_is_told_both() {
        let at = 1_383_456_600_000_000;
        let clock = |shown| {
            let zurich = TimeZone::get("Europe/Zurich").unwrap();
            Clock::new(at, "America/New_York")
                .read_by(Some(zurich), shown)
                .when(at)
                .0
        };
        let project = clock(false);
        assert!(
            project.contains("<span>01:30:00</span>") && project.contains("06:30:00 +01:00 (Europe/Zurich)"),
            "{project}"
        );
        let own = clock(true);
        assert!(
            own.contains("<span>06:30:00</span>") && own.contains("01:30:00 -04:00 (America/New_York)"),
            "{own}"
        );
    }
}
