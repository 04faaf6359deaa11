//! Freshness policies: how old the newest materialization of an asset may be, by its age or by a deadline.
//!
//! Pure: whoever asks brings the time of the newest materialization, and the time now. What comes of it (an asset became late,
//! it recovered) is decided by the core and remembered by the store.

use jiff::{SignedDuration, Timestamp};

use crate::cron::Timetable;

/// A policy without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Freshness {
    /// When it is late.
    pub rule: FreshnessRule,
    /// How long before it is late it warns, in seconds; for [`FreshnessRule::Within`] the age from which on it does.
    pub warn_seconds: Option<u64>,
}

/// When an asset is late.
#[derive(Debug, Clone, PartialEq)]
pub enum FreshnessRule {
    /// When its newest materialization is older than so many seconds.
    Within {
        /// The age.
        seconds: u64,
    },
    /// When a deadline comes and its newest materialization is not new enough; until the next materialization that is.
    ByDeadline {
        /// The deadlines.
        timetable: Timetable,
        /// IANA name of their zone.
        zone: String,
        /// How long before the deadline it may have been made, in seconds; since the deadline before if absent.
        within_seconds: Option<u64>,
    },
}

/// Where an asset stands by its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As new as it has to be.
    OnTime,
    /// Late soon.
    Warning,
    /// Late.
    Late,
}

/// Where an asset stands, and until when that holds if nothing is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreshnessVerdict {
    /// Where it stands.
    pub standing: Standing,
    /// From when on it is late, or will be if nothing is made.
    pub late_at: Option<Timestamp>,
    /// When it stands otherwise if nothing is made; `None` if never.
    pub until: Option<Timestamp>,
}

/// Most deadlines that are looked at ahead: a policy whose deadlines are all met by one materialization is never late.
const MOST_DEADLINES: usize = 1000;

fn later(instant: Timestamp, seconds: u64) -> Timestamp {
    let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    instant.checked_add(seconds).unwrap_or(Timestamp::MAX)
}

fn earlier(instant: Timestamp, seconds: u64) -> Timestamp {
    let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    instant.checked_sub(seconds).unwrap_or(Timestamp::MIN)
}

impl Freshness {
    /// Where an asset stands at `now` whose newest materialization is of `made`, if it has one, and which is watched since
    /// `watched`: what was never made is given from then on the time that it has.
    pub fn verdict(&self, made: Option<Timestamp>, watched: Timestamp, now: Timestamp) -> FreshnessVerdict {
        match &self.rule {
            FreshnessRule::Within { seconds } => {
                let from = made.unwrap_or(watched);
                let warn_at = self.warn_seconds.map(|age| later(from, age));
                standing(now, later(from, *seconds), warn_at)
            }
            FreshnessRule::ByDeadline {
                timetable,
                within_seconds,
                ..
            } => {
                let missed = |deadline: Timestamp| {
                    let needed = match within_seconds {
                        Some(seconds) => earlier(deadline, *seconds),
                        None => timetable.previous(deadline).map_or(Timestamp::MIN, |tick| tick.at),
                    };
                    made.is_none_or(|made| made < needed)
                };
                let just_after = now.checked_add(SignedDuration::from_micros(1)).unwrap_or(now);
                let last = timetable.previous(just_after).map(|tick| tick.at);
                if let Some(last) = last.filter(|last| *last > watched && missed(*last)) {
                    return FreshnessVerdict {
                        standing: Standing::Late,
                        late_at: Some(last),
                        until: None,
                    };
                }
                let coming = timetable.after(now).map(|tick| tick.at).filter(|at| *at > watched);
                let Some(deadline) = coming.take(MOST_DEADLINES).find(|deadline| missed(*deadline)) else {
                    return FreshnessVerdict {
                        standing: Standing::OnTime,
                        late_at: None,
                        until: None,
                    };
                };
                standing(now, deadline, self.warn_seconds.map(|before| earlier(deadline, before)))
            }
        }
    }

    /// What it asks, in a few words: `within 26h`, `by 0 7 * * * (Europe/Zurich)`.
    pub fn describe(&self) -> String {
        let mut text = match &self.rule {
            FreshnessRule::Within { seconds } => format!("within {}", length(*seconds)),
            FreshnessRule::ByDeadline {
                timetable,
                zone,
                within_seconds,
            } => {
                let crons: Vec<&str> = timetable.crons().iter().map(crate::cron::Cron::as_str).collect();
                let within = within_seconds.map_or_else(String::new, |seconds| {
                    format!(", made at most {} before", length(seconds))
                });
                format!("by `{}` ({zone}){within}", crons.join("`, `"))
            }
        };
        if let Some(seconds) = self.warn_seconds {
            let how = match self.rule {
                FreshnessRule::Within { .. } => "warns after",
                FreshnessRule::ByDeadline { .. } => "warns before by",
            };
            text.push_str(&format!("; {how} {}", length(seconds)));
        }
        text
    }
}

fn standing(now: Timestamp, late_at: Timestamp, warn_at: Option<Timestamp>) -> FreshnessVerdict {
    let (standing, until) = match warn_at {
        _ if now >= late_at => (Standing::Late, None),
        Some(warn_at) if now < warn_at => (Standing::OnTime, Some(warn_at)),
        Some(_) => (Standing::Warning, Some(late_at)),
        None => (Standing::OnTime, Some(late_at)),
    };
    FreshnessVerdict {
        standing,
        late_at: Some(late_at),
        until,
    }
}

/// `90s`, `15m`, `26h`, `3 days`.
pub fn length(seconds: u64) -> String {
    match seconds {
        86_400 => "1 day".to_owned(),
        _ if seconds > 0 && seconds % 86_400 == 0 => format!("{} days", seconds / 86_400),
        _ if seconds > 0 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        _ if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::cron::{Cron, Repeated};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn told(policy: &Freshness, made: Option<&str>, watched: &str, now: &str) -> (Standing, String, String) {
        let verdict = policy.verdict(made.map(at), at(watched), at(now));
        let text = |at: Option<Timestamp>| at.map_or_else(String::new, |at| at.to_string());
        // What is told to hold until an instant holds just before it, and not at it.
        if let Some(until) = verdict.until {
            let before = until - SignedDuration::from_micros(1);
            let of = |now| policy.verdict(made.map(at), at(watched), now).standing;
            assert_eq!(of(before), verdict.standing);
            assert_ne!(of(until), verdict.standing);
        }
        (verdict.standing, text(verdict.late_at), text(verdict.until))
    }

    #[test]
    fn by_age_it_warns_and_then_is_late_and_what_was_never_made_counts_from_when_it_is_watched() {
        let policy = Freshness {
            rule: FreshnessRule::Within { seconds: 26 * 3600 },
            warn_seconds: Some(24 * 3600),
        };
        let made = Some("2024-03-10T06:00:00Z");
        let watched = "2024-01-01T00:00:00Z";
        let (late, warn) = ("2024-03-11T08:00:00Z".to_owned(), "2024-03-11T06:00:00Z".to_owned());
        let on_time = told(&policy, made, watched, "2024-03-11T05:59:59Z");
        assert_eq!(on_time, (Standing::OnTime, late.clone(), warn.clone()));
        let warning = told(&policy, made, watched, "2024-03-11T06:00:00Z");
        assert_eq!(warning, (Standing::Warning, late.clone(), late.clone()));
        let is_late = told(&policy, made, watched, "2024-03-11T08:00:00Z");
        assert_eq!(is_late, (Standing::Late, late, String::new()));
        assert_eq!(
            told(&policy, None, watched, "2024-01-02T01:59:59Z").0,
            Standing::Warning
        );
        assert_eq!(told(&policy, None, watched, "2024-01-02T02:00:00Z").0, Standing::Late);
        assert_eq!(policy.describe(), "within 26h; warns after 1 day");
    }

    #[test]
    fn by_deadline_it_is_late_until_it_is_made_and_follows_the_clocks() {
        let timetable = Timetable::new(
            vec![Cron::parse("0 7 * * *").unwrap()],
            TimeZone::get("America/New_York").unwrap(),
            Repeated::First,
        );
        let policy = Freshness {
            rule: FreshnessRule::ByDeadline {
                timetable,
                zone: "America/New_York".to_owned(),
                within_seconds: Some(6 * 3600),
            },
            warn_seconds: Some(1800),
        };
        let watched = "2024-03-01T00:00:00Z";
        // 07:00 is 12:00 UTC on the 9th, and 11:00 UTC from the 10th on.
        let yesterday = Some("2024-03-09T10:00:00Z");
        let before = told(&policy, yesterday, watched, "2024-03-10T10:00:00Z");
        assert_eq!(
            before,
            (
                Standing::OnTime,
                "2024-03-10T11:00:00Z".to_owned(),
                "2024-03-10T10:30:00Z".to_owned()
            )
        );
        assert_eq!(
            told(&policy, yesterday, watched, "2024-03-10T10:59:00Z").0,
            Standing::Warning
        );
        assert_eq!(
            told(&policy, yesterday, watched, "2024-03-10T11:00:00Z").0,
            Standing::Late
        );
        assert_eq!(
            told(&policy, yesterday, watched, "2024-03-11T10:59:59Z").0,
            Standing::Late
        );
        // Made late, it recovers; what was made this early counts for no later deadline.
        let recovered = told(&policy, Some("2024-03-10T11:40:00Z"), watched, "2024-03-10T11:40:00Z");
        assert_eq!(recovered.0, Standing::OnTime);
        assert_eq!(recovered.1, "2024-03-11T11:00:00Z");
        // Deadlines before it was watched do not count, and the first after that does.
        assert_eq!(
            told(&policy, None, "2024-03-10T11:00:00Z", "2024-03-10T12:00:00Z").0,
            Standing::OnTime
        );
        assert_eq!(
            told(&policy, None, "2024-03-10T10:00:00Z", "2024-03-10T11:00:00Z").0,
            Standing::Late
        );
    }
}
