//! `freshness` of an asset: by age, or by a deadline.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::schedules::{read_crons, read_zone};
use crate::cron::{Cron, Repeated, Timetable};
use crate::diagnostic::{Code, Diagnostic};
use crate::freshness::{Freshness, FreshnessRule, length};
use crate::span::Sources;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

pub(super) static FRESHNESS: TableSpec = TableSpec {
    name: "freshness",
    doc: "How old the newest materialization may be: by its age (`within`), or by a deadline (`by` or `cron`).",
    fields: &[
        FieldSpec::optional(
            "within",
            FieldType::Duration,
            "It is late once its newest materialization is older: `26h`. With a deadline: how long before the deadline it may \
             have been made; since the deadline before if left out.",
        ),
        FieldSpec::optional(
            "by",
            FieldType::Text,
            "A time of the day by which it has to be made, every day: `07:00`.",
        ),
        FieldSpec::optional(
            "cron",
            FieldType::STRINGS,
            "The deadlines, as a cron: `0 7 * * MON-FRI`.",
        ),
        FieldSpec::optional(
            "timezone",
            FieldType::Text,
            "IANA name of the zone of the deadlines; the project's if left out.",
        ),
        FieldSpec::optional(
            "warn",
            FieldType::Duration,
            "Warns before it is late: from this age on, or so long before the deadline.",
        ),
    ],
};

/// Reads the policy of an asset; `None` if there is none, or something in it is wrong (and reported).
pub(super) fn read_freshness(asset: &TableReader<'_>, project_zone: &str, sources: &Sources) -> Option<Freshness> {
    let table = asset.table("freshness")?;
    let wrong = |key: &str, message: &str, help: &str| {
        let diagnostic = Diagnostic::new(Code::InvalidValue, message.to_owned(), table.key_span(key));
        table.report(diagnostic.help(help.to_owned()));
    };
    let within = table.duration("within");
    let warn = table.duration("warn");
    if (table.has("within") && within.is_none()) || (table.has("warn") && warn.is_none()) {
        return None;
    }
    let crons = match (table.has("by"), table.has("cron")) {
        (true, true) => {
            wrong("cron", "`by` and `cron` both name the deadlines", "keep one of them");
            return None;
        }
        (false, true) => Some(read_crons(&table, "cron", sources)?),
        (true, false) => {
            let by = table.string("by")?;
            match time_of_day(by.value) {
                Some(cron) => Some(vec![cron]),
                None => {
                    table.report(
                        Diagnostic::new(
                            Code::InvalidValue,
                            format!("`{}` is no time of the day", by.value),
                            by.span,
                        )
                        .help("write it as `07:00`; deadlines on some days only are a `cron`"),
                    );
                    return None;
                }
            }
        }
        (false, false) => None,
    };
    let Some(crons) = crons else {
        if table.has("timezone") {
            wrong(
                "timezone",
                "`timezone` means nothing without a deadline",
                "an age is the same everywhere; a deadline is `by` or `cron`",
            );
        }
        let Some(within) = within else {
            let help = "say how old it may be: `freshness = { within = \"26h\" }`, or `{ by = \"07:00\" }`";
            table.report(
                Diagnostic::new(
                    Code::MissingKey,
                    "freshness policy is without an age or a deadline",
                    table.span(),
                )
                .help(help),
            );
            return None;
        };
        if let Some(warn) = warn.filter(|warn| warn.value >= within.value) {
            let message = "`warn` is not shorter than `within`: it would never warn";
            table.report(
                Diagnostic::new(Code::InvalidValue, message, warn.span)
                    .help("`warn` is the age from which on it warns, `within` that from which on it is late"),
            );
            return None;
        }
        return Some(Freshness {
            rule: FreshnessRule::Within { seconds: within.value },
            warn_seconds: warn.map(|warn| warn.value),
        });
    };
    let zone = read_zone(&table, project_zone)?;
    let timetable = Timetable::new(crons, TimeZone::get(zone).ok()?, Repeated::default());
    let some_year = DateTime::constant(2024, 1, 1, 0, 0, 0, 0);
    let apart = timetable.closest_ticks(some_year).unwrap_or(u64::MAX);
    if let Some(warn) = warn.filter(|warn| warn.value >= apart) {
        let message = format!(
            "`warn` is not shorter than the time between two deadlines, which is {}",
            length(apart)
        );
        table.report(
            Diagnostic::new(Code::InvalidValue, message, warn.span)
                .help("with a deadline, `warn` is how long before it a warning comes"),
        );
        return None;
    }
    Some(Freshness {
        rule: FreshnessRule::ByDeadline {
            timetable,
            zone: zone.to_owned(),
            within_seconds: within.map(|within| within.value),
        },
        warn_seconds: warn.map(|warn| warn.value),
    })
}

/// `07:00` as a cron.
fn time_of_day(text: &str) -> Option<Cron> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str, below: u8| {
        let digits = text.len() <= 2 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u8>().ok().filter(|number| digits && *number < below)
    };
    let (hour, minute) = (number(hour, 24)?, number(minute, 60)?);
    Cron::parse(&format!("{minute} {hour} * * *")).ok()
}
