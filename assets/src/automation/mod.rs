//! Automation: the rule on an asset that says when it is to be made, without a schedule that names it.
//!
//! A rule is a condition over what is known of each partition and of those that it reads ([`Condition`]). What is done with it
//! (when it is looked at, what waits, what is requested) is decided by the core; nothing here knows the state of anything.

mod condition;
mod parse;

pub use condition::{Condition, Happening, State, is_named};
pub use parse::AutomationError;

use crate::cron::Timetable;

/// An asset's automation, without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Automation {
    /// When a partition is to be made.
    pub rule: AutomationRule,
    /// Only the newest so many partitions that exist; all of them if absent.
    pub latest: Option<u32>,
    /// IANA name of the zone of its crons.
    pub zone: String,
}

/// When a partition is to be made.
#[derive(Debug, Clone, PartialEq)]
pub enum AutomationRule {
    /// As soon as it is not what would be made now: it is missing, or what it reads, its code or its sources changed.
    Eager,
    /// Once, when it is missing and what it reads is there.
    OnMissing,
    /// After each tick, once what it reads was made since that tick.
    OnCron(Timetable),
    /// When a condition holds.
    When(Condition),
}

impl Automation {
    /// The rule as a condition.
    pub fn condition(&self) -> Condition {
        let rule = match &self.rule {
            AutomationRule::Eager => Condition::Is(State::Stale),
            AutomationRule::OnMissing => Condition::Is(State::Missing),
            AutomationRule::OnCron(timetable) => {
                let cron = || Happening::Cron(timetable.clone());
                Condition::And(vec![
                    Condition::Since(cron(), Happening::Materialized),
                    Condition::All(Box::new(Condition::Since(Happening::Materialized, cron())), Vec::new()),
                ])
            }
            AutomationRule::When(condition) => condition.clone(),
        };
        match self.latest {
            Some(count) => Condition::And(vec![Condition::Latest(count), rule]),
            None => rule,
        }
    }

    /// The rule as it was declared, in a few words.
    pub fn describe(&self) -> String {
        let mut text = match &self.rule {
            AutomationRule::Eager => "eager".to_owned(),
            AutomationRule::OnMissing => "on_missing".to_owned(),
            AutomationRule::OnCron(timetable) => {
                let crons: Vec<&str> = timetable.crons().iter().map(crate::cron::Cron::as_str).collect();
                format!("on_cron `{}` ({})", crons.join("`, `"), self.zone)
            }
            AutomationRule::When(condition) => format!("when {condition}"),
        };
        if let Some(latest) = self.latest {
            text.push_str(&format!(", the latest {latest}"));
        }
        text
    }
}
