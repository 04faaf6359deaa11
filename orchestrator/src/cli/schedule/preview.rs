//! `millpond schedule preview`: when schedules will be due, and what changing clocks do to them.

use assets::Schedule;
use assets::cron::{Odd, OddKind, Tick, TickKind};
use clap::Args;
use jiff::civil::DateTime;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::super::look::Place;
use super::super::terminal::Terminal;
use super::super::{Exit, Stop};
use super::named;
use crate::edge::clock;

/// Print the next instants at which schedules are due, and the odd days of the coming year.
///
/// Odd is a day on which clocks skip or repeat a time that a schedule names.
#[derive(Args)]
pub struct Preview {
    /// One schedule; all if left out.
    name: Option<String>,
    /// How many instants of each.
    #[arg(long, short = 'n', default_value_t = 5)]
    number: usize,
    /// From this instant on instead of from now: 2026-03-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    after: Option<Timestamp>,
}

impl Preview {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let project = place.project(terminal)?;
        let schedules: Vec<&Schedule> = match &self.name {
            Some(name) => vec![named(&project.definitions, name)?],
            None => project.definitions.schedules().values().collect(),
        };
        if schedules.is_empty() && !terminal.json() {
            terminal.note("no schedule is declared: `[schedule.NAME]` with `cron` and `select`");
        }
        let after = self.after.unwrap_or_else(clock::timestamp);
        let until = after.checked_add((365 * 24).hours()).unwrap_or(Timestamp::MAX);
        let previews = schedules.iter().map(|schedule| {
            let next = schedule.timetable.after(after).take(self.number).collect::<Vec<_>>();
            (*schedule, next, schedule.timetable.odd(after, until))
        });
        if terminal.json() {
            let previews: Vec<Value> = previews
                .map(|(schedule, next, odd)| as_json(schedule, &next, &odd))
                .collect();
            terminal.answer(&json!({ "schedules": previews }));
            return Ok(Exit::Done);
        }
        for (number, (schedule, next, odd)) in previews.enumerate() {
            if number > 0 {
                terminal.say("");
            }
            print(schedule, &next, &odd, terminal);
        }
        Ok(Exit::Done)
    }
}

fn as_json(schedule: &Schedule, next: &[Tick], odd: &[Odd]) -> Value {
    let next: Vec<Value> = next
        .iter()
        .map(|tick| json!({ "at": tick.at, "local": tick.local, "moved": tick.kind == TickKind::Moved }))
        .collect();
    let odd: Vec<Value> = odd
        .iter()
        .map(|odd| {
            json!({
                "cron": odd.cron, "at": odd.at, "from": odd.between.start, "to": odd.between.end,
                "local": odd.local, "runs": runs(odd.kind),
            })
        })
        .collect();
    json!({
        "schedule": schedule.name,
        "cron": schedule.crons(),
        "timezone": schedule.zone,
        "select": schedule.selection.as_str(),
        "next": next,
        "odd": odd,
    })
}

fn print(schedule: &Schedule, next: &[Tick], odd: &[Odd], terminal: &Terminal) {
    let crons = schedule.crons().join("`, `");
    let head = terminal.bold(&schedule.name);
    terminal.say(format!(
        "{head}  `{crons}` in {}  {}",
        schedule.zone,
        schedule.selection.as_str()
    ));
    for cron in schedule
        .timetable
        .crons()
        .iter()
        .filter(|cron| cron.matches_either_day())
    {
        terminal.say(terminal.dim(&format!(
            "  `{cron}` names both kinds of day: it is due when the day of the month matches, and when the day of the week does"
        )));
    }
    for tick in next {
        let zoned = tick.at.to_zoned(schedule.timetable.zone().clone());
        let remark = match tick.kind {
            TickKind::Usual => String::new(),
            TickKind::Moved => format!("  clocks skip {}", time(tick.local)),
            TickKind::FirstPass => "  clocks show this twice: the first time".to_owned(),
            TickKind::LastPass => "  clocks show this twice: the second time".to_owned(),
        };
        terminal.say(format!(
            "  {}{}",
            zoned.strftime("%a %Y-%m-%d %H:%M %:z"),
            terminal.yellow(&remark)
        ));
    }
    if next.is_empty() {
        terminal.say("  never again");
    }
    if !odd.is_empty() {
        terminal.say("  odd in the year to come:");
    }
    for odd in odd {
        terminal.say(format!(
            "  {}  {}",
            odd.between.start.date().min(odd.between.end.date()),
            sentence(odd)
        ));
    }
}

/// What becomes of a time that is skipped or repeated, as one word for programs.
fn runs(kind: OddKind) -> &'static str {
    match kind {
        OddKind::Moved => "at_the_end_of_the_gap",
        OddKind::LeftOut => "not_at_all",
        OddKind::FirstPass => "at_the_first_pass",
        OddKind::LastPass => "at_the_last_pass",
        OddKind::BothPasses => "at_both_passes",
    }
}

fn sentence(odd: &Odd) -> String {
    let (from, to, local, cron) = (
        time(odd.between.start),
        time(odd.between.end),
        time(odd.local),
        &odd.cron,
    );
    match odd.kind {
        OddKind::Moved => format!("clocks go from {from} to {to}: `{cron}` names {local} and is due at {to}"),
        OddKind::LeftOut => format!("clocks go from {from} to {to}: `{cron}` is not due in between"),
        OddKind::FirstPass => format!("clocks show {from} to {to} twice: `{cron}` is due the first time"),
        OddKind::LastPass => format!("clocks show {from} to {to} twice: `{cron}` is due the second time"),
        OddKind::BothPasses => format!("clocks show {from} to {to} twice: `{cron}` is due both times"),
    }
}

fn time(local: DateTime) -> String {
    local.strftime("%H:%M").to_string()
}
