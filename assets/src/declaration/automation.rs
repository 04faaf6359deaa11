//! `automation` of an asset: a rule by name, a cron, or a condition.

use jiff::tz::TimeZone;

use super::context::inline_text;
use super::schedules::{read_crons, read_zone};
use crate::asset::PartitionedBy;
use crate::automation::{Automation, AutomationRule, Condition};
use crate::cron::{Repeated, Timetable};
use crate::diagnostic::{Code, Diagnostic};
use crate::key::AssetKey;
use crate::partition::Partitioning;
use crate::span::{Sources, Span, Spanned};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

const RULE: FieldType = FieldType::Choice(&["eager", "on_missing"]);

pub(super) const AUTOMATION: FieldType = FieldType::OneOf(&[RULE, FieldType::Table(&TABLE)]);

static TABLE: TableSpec = TableSpec {
    name: "automation",
    doc: "When the asset is made by itself: one of `rule`, `on_cron` and `when`.",
    fields: &[
        FieldSpec::optional(
            "rule",
            RULE,
            "\"eager\" makes it as soon as it is not what would be made now, \"on_missing\" once when what it reads is there.",
        ),
        FieldSpec::optional(
            "on_cron",
            FieldType::STRINGS,
            "Makes it after each tick of a cron, once what it reads was made since that tick.",
        ),
        FieldSpec::optional(
            "when",
            FieldType::Text,
            "A condition: `upstream_updated and not any(missing)`, `since(cron('0 6 * * *'), materialized)`.",
        ),
        FieldSpec::optional(
            "timezone",
            FieldType::Text,
            "IANA name of the zone of its crons; the project's if left out.",
        ),
        FieldSpec::optional(
            "latest",
            FieldType::IntegerWithin(1, 1_000_000),
            "Only the newest so many partitions; older ones are left to a backfill.",
        ),
    ],
};

/// Reads the automation of an asset; `None` if there is none, or something in it is wrong (and reported). `named` gets the assets
/// that its condition names, and where.
pub(super) fn read_automation(
    asset: &TableReader<'_>,
    partitions: Option<&PartitionedBy>,
    partitions_known: bool,
    project_zone: &str,
    sources: &Sources,
    named: &mut Vec<(AssetKey, Span)>,
) -> Option<Automation> {
    let plain = |rule| Automation {
        rule,
        latest: None,
        zone: project_zone.to_owned(),
    };
    let Some(table) = asset.table("automation") else {
        return plain_rule(asset.string("automation")?.value).map(plain);
    };
    let given: Vec<&str> = ["rule", "on_cron", "when"]
        .into_iter()
        .filter(|key| table.has(key))
        .collect();
    match given.as_slice() {
        [] => {
            table.report(
                Diagnostic::new(Code::MissingKey, "automation is without a rule", table.span())
                    .help("say when: `automation = \"eager\"`, `{ on_cron = \"0 6 * * *\" }` or `{ when = \"…\" }`"),
            );
            return None;
        }
        [_] => {}
        [first, second, ..] => {
            let message = format!("`{first}` and `{second}` both say when");
            table.report(
                Diagnostic::new(Code::InvalidValue, message, table.key_span(second))
                    .help("keep one of them; `when` can say both: join conditions by `and` or `or`"),
            );
            return None;
        }
    }
    let zone = read_zone(&table, project_zone);
    let latest = match table.has("latest") {
        true => Some(table.integer("latest")?),
        false => None,
    };
    let by_time = matches!(partitions.map(|by| &by.partitioning), Some(Partitioning::Time(_))) || !partitions_known;
    let rule = match given[0] {
        "rule" => plain_rule(table.string("rule")?.value)?,
        "on_cron" => {
            let crons = read_crons(&table, "on_cron", sources);
            let zone = TimeZone::get(zone?).ok()?;
            AutomationRule::OnCron(Timetable::new(crons?, zone, Repeated::default()))
        }
        _ => {
            let written = table.string("when")?;
            let condition = read_condition(&table, written, zone?, sources, named)?;
            if condition.speaks_of_latest() && !by_time {
                table.report(no_latest(written));
                return None;
            }
            AutomationRule::When(condition)
        }
    };
    if table.has("timezone") && rule_has_no_cron(&rule) {
        let diagnostic = Diagnostic::new(
            Code::InvalidValue,
            "`timezone` means nothing without a cron",
            table.key_span("timezone"),
        );
        table.report(diagnostic.help("it is the zone of `on_cron`, or of a `cron` in `when`"));
        return None;
    }
    let latest = match latest {
        Some(latest) if !by_time => {
            table.report(no_latest(Spanned {
                value: "",
                span: latest.span,
            }));
            return None;
        }
        Some(latest) => Some(u32::try_from(latest.value).ok()?),
        None => None,
    };
    Some(Automation {
        rule,
        latest,
        zone: zone?.to_owned(),
    })
}

fn plain_rule(word: &str) -> Option<AutomationRule> {
    match word {
        "eager" => Some(AutomationRule::Eager),
        "on_missing" => Some(AutomationRule::OnMissing),
        // Reported by the type of the key.
        _ => None,
    }
}

fn rule_has_no_cron(rule: &AutomationRule) -> bool {
    match rule {
        AutomationRule::Eager | AutomationRule::OnMissing => true,
        AutomationRule::OnCron(_) => false,
        AutomationRule::When(condition) => condition.timetables().is_empty(),
    }
}

fn no_latest(place: Spanned<&str>) -> Diagnostic {
    Diagnostic::new(
        Code::InvalidValue,
        "`latest` picks the newest partitions by time, and this asset has none",
        place.span,
    )
    .help("leave it out, or partition the asset by time")
}

fn read_condition(
    table: &TableReader<'_>,
    written: Spanned<&str>,
    zone: &str,
    sources: &Sources,
    named: &mut Vec<(AssetKey, Span)>,
) -> Option<Condition> {
    let zone = TimeZone::get(zone).ok()?;
    let place = inline_text(written, sources);
    match Condition::parse_named(written.value, &zone) {
        Ok((condition, names)) => {
            named.extend(names.into_iter().map(|(name, at)| (name, place.span(at.start, at.end))));
            Some(condition)
        }
        Err(error) => {
            let diagnostic = Diagnostic::new(
                Code::BadCondition,
                error.message,
                place.span(error.at.start, error.at.end),
            );
            table.report(match error.help {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            });
            None
        }
    }
}
