//! The attempts of one asset in a run as bars over the time of the run.

use std::fmt::Write;

use state::event::Micros;
use state::sqlite::queries::attempts::AttemptRow;

use super::figures::duration;
use super::markup::{Markup, escape};
use super::tone::Tone;

/// The time that a drawing covers.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Begin.
    pub from: Micros,
    /// End, or now.
    pub to: Micros,
}

/// Most lanes; attempts beyond share the last.
const MOST_LANES: usize = 8;
const LANE: usize = 10;

/// Bars for `attempts` (of one asset, by start), those at the same time below each other.
pub fn draw<'a>(attempts: impl Iterator<Item = &'a AttemptRow>, whole: Stretch) -> Markup {
    const WIDTH: f64 = 1000.0;
    let length = (whole.to - whole.from).max(1) as f64;
    let mut ends: Vec<Micros> = Vec::new();
    let mut bars = String::new();
    for attempt in attempts {
        let end = attempt.ended_at.unwrap_or(whole.to);
        let lane = match ends.iter().position(|busy| *busy <= attempt.started_at) {
            Some(free) => free,
            None if ends.len() < MOST_LANES => {
                ends.push(end);
                ends.len() - 1
            }
            None => MOST_LANES - 1,
        };
        ends[lane] = end;
        let at = |time: Micros| ((time - whole.from) as f64 / length * WIDTH).clamp(0.0, WIDTH);
        let x = at(attempt.started_at).min(WIDTH - 3.0);
        let tone = match (&attempt.failure, attempt.ended_at) {
            (Some(_), _) => Tone::Bad,
            (None, None) => Tone::Busy,
            (None, Some(_)) => Tone::Good,
        };
        let title = format!(
            "{} attempt {}, {}: {}",
            attempt.asset,
            attempt.number,
            super::figures::count(attempt.partitions.len() as u64, "partition", "partitions"),
            duration(end - attempt.started_at),
        );
        write!(
            bars,
            "<a href=\"?attempt={}#log\"><rect class=\"{}\" x=\"{x:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{}\"><title>{}</title></rect></a>",
            attempt.attempt,
            tone.class(),
            lane * LANE + 1,
            (at(end) - x).max(3.0),
            LANE - 2,
            escape(title),
        )
        .expect("a string takes text");
    }
    let height = ends.len().max(1) * LANE;
    Markup(format!(
        "<svg class=\"gantt\" height=\"{height}\" viewBox=\"0 0 1000 {height}\" preserveAspectRatio=\"none\" role=\"group\" \
         aria-label=\"attempts over time\">{bars}</svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u64, started_at: Micros, ended_at: Option<Micros>) -> AttemptRow {
        let attempt = state::ids::AttemptId::from_bits(number);
        AttemptRow {
            attempt,
            seq: number as i64,
            run: state::ids::RunId::from_bits(1),
            asset: "silver.flights".parse().unwrap(),
            number: 1,
            partitions: vec![None],
            inputs: vec![],
            started_at,
            ended_at,
            failure: None,
            log_file: String::new(),
        }
    }

    #[test]
    fn attempts_at_the_same_time_have_lanes_of_their_own() {
        let attempts = [attempt(1, 0, Some(50)), attempt(2, 10, None), attempt(3, 50, Some(100))];
        let drawn = draw(attempts.iter(), Stretch { from: 0, to: 100 }).0;
        let lanes: Vec<&str> = drawn
            .split(" y=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        assert_eq!(lanes, ["1", "11", "1"], "{drawn}");
        assert!(
            drawn.contains("class=\"busy\" x=\"100.0\"") && drawn.contains("width=\"900.0\""),
            "{drawn}"
        );
    }

    #[test]
    fn more_attempts_than_lanes_and_no_time_at_all_still_draw() {
        let attempts: Vec<AttemptRow> = (0..40).map(|number| attempt(number, 5, None)).collect();
        let drawn = draw(attempts.iter(), Stretch { from: 5, to: 9 }).0;
        assert_eq!(drawn.matches("<rect").count(), 40);
        assert!(drawn.contains("height=\"80\""), "{}", &drawn[..100]);
        assert!(!draw(attempts.iter(), Stretch { from: 5, to: 5 }).0.contains("NaN"));
    }
}
