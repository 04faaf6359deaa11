//! The last 24 hours as a strip: which runs were asked for in each half hour, and how they stand.

use std::fmt::Write;

use serde::Serialize;
use state::event::Micros;
use state::sqlite::queries::runs::RunSpan;
use state::status::RunStatus;

use super::figures::{Clock, count};
use super::markup::{Markup, escape};

/// How many stretches of time.
const STRETCHES: usize = 48;
/// How long each is.
const LENGTH: Micros = 1_800_000_000;
/// How far back the strip goes.
pub const DAY: Micros = LENGTH * STRETCHES as Micros;
const HEIGHT: f64 = 44.0;

/// The runs of half an hour, by when they were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct HalfHour {
    /// When it began.
    pub from: Micros,
    /// Runs that succeeded.
    pub succeeded: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs that were canceled.
    pub canceled: u64,
    /// Runs that are not over.
    pub open: u64,
    /// The number of the newest of them.
    pub newest: Option<i64>,
}

impl HalfHour {
    fn total(&self) -> u64 {
        self.succeeded + self.failed + self.canceled + self.open
    }
}

/// The last 48 half hours, the oldest first.
pub fn half_hours(runs: &[RunSpan], now: Micros) -> Vec<HalfHour> {
    let begin = now - DAY;
    let mut found: Vec<HalfHour> = (0..STRETCHES)
        .map(|place| HalfHour {
            from: begin + place as Micros * LENGTH,
            ..HalfHour::default()
        })
        .collect();
    for run in runs {
        let place = ((run.submitted_at - begin) / LENGTH).clamp(0, STRETCHES as Micros - 1) as usize;
        let hour = &mut found[place];
        *match run.status {
            RunStatus::Succeeded => &mut hour.succeeded,
            RunStatus::Failed => &mut hour.failed,
            RunStatus::Canceled => &mut hour.canceled,
            RunStatus::Queued | RunStatus::Running | RunStatus::Canceling => &mut hour.open,
        } += 1;
        hour.newest = hour.newest.max(Some(run.seq));
    }
    found
}

/// Draws them; each leads to its runs.
pub fn draw(hours: &[HalfHour], clock: &Clock) -> Markup {
    let most = hours.iter().map(HalfHour::total).max().unwrap_or(0).max(1) as f64;
    let width = 1000.0 / hours.len().max(1) as f64;
    let mut svg = format!(
        "<svg class=\"day\" viewBox=\"0 0 1000 {HEIGHT}\" preserveAspectRatio=\"none\" role=\"group\" aria-label=\"runs of the last 24 hours\">"
    );
    for (place, hour) in hours.iter().enumerate() {
        let x = place as f64 * width;
        let total = hour.total();
        if total == 0 {
            write!(
                svg,
                "<rect class=\"none\" x=\"{x:.1}\" y=\"{}\" width=\"{:.1}\" height=\"2\"/>",
                HEIGHT - 2.0,
                width - 2.0
            )
            .expect("a string takes text");
            continue;
        }
        let parts = [
            ("bad", hour.failed, "failed"),
            ("busy", hour.open, "not over"),
            ("off", hour.canceled, "canceled"),
            ("good", hour.succeeded, "succeeded"),
        ];
        let mut title = format!("{}: ", clock.plain(hour.from));
        title.push_str(&count(total, "run", "runs"));
        for (_, number, word) in parts.iter().filter(|part| part.1 > 0) {
            write!(title, ", {number} {word}").expect("a string takes text");
        }
        let title = escape(title);
        write!(
            svg,
            "<a href=\"/runs?before={}\" aria-label=\"{title}\"><rect class=\"hit\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{HEIGHT}\"><title>{title}</title></rect>",
            hour.newest.unwrap_or(0) + 1
        )
        .expect("a string takes text");
        // The root lets one failure be seen beside a hundred runs.
        let tall = (HEIGHT - 4.0) * (total as f64 / most).sqrt();
        let mut y = HEIGHT;
        for (class, number, _) in parts.iter().filter(|part| part.1 > 0) {
            let height = (tall * *number as f64 / total as f64).max(4.0);
            y -= height;
            write!(
                svg,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                y.max(0.0),
                width - 2.0
            )
            .expect("a string takes text");
        }
        svg.push_str("</a>");
    }
    svg.push_str("</svg>");
    Markup(svg)
}

/// The hours below the strip: at its begin, at each quarter, and now.
pub fn axis(hours: &[HalfHour], clock: &Clock) -> Vec<String> {
    let quarter = hours.iter().step_by(STRETCHES / 4).map(|hour| {
        let time = clock.time_of_day(hour.from);
        time.chars().take(5).collect()
    });
    quarter.chain(std::iter::once("now".to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_seen_beside_a_thousand_runs() {
        let now = 200_000_000_000;
        let run = |seq: i64, at: Micros, status| RunSpan {
            run: state::ids::RunId::from_bits(seq as u64),
            seq,
            status,
            submitted_at: at,
            started_at: None,
            ended_at: None,
        };
        let mut runs: Vec<RunSpan> = (0..1_000).map(|seq| run(seq, now - 1, RunStatus::Succeeded)).collect();
        runs.push(run(1_000, now - 1, RunStatus::Failed));
        runs.push(run(1, now - DAY + 5, RunStatus::Running));
        let hours = half_hours(&runs, now);
        let sum: u64 = hours.iter().map(HalfHour::total).sum();
        assert_eq!((hours.len(), sum, hours[0].open, hours[47].failed), (48, 1_002, 1, 1));
        let drawn = draw(&hours, &Clock::new(now, "UTC")).0;
        assert!(
            drawn.contains("1,001 runs, 1 failed, 1000 succeeded") && drawn.contains("/runs?before=1001"),
            "{drawn}"
        );
        let bad = drawn.split("class=\"bad\"").nth(1).unwrap();
        let height: f64 = bad
            .split("height=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(height >= 4.0, "{height}");
    }
}
