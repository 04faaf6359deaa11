//! The attempts of one asset in a run as bars over the time of the run; thousands of them as how many ran at each moment.

use std::fmt::Write;

use state::event::Micros;
use state::sqlite::queries::attempts::AttemptBar;

use super::figures::{count, duration};
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
const WIDTH: f64 = 1000.0;
/// More attempts of one asset than these are drawn together.
const MOST_BARS: usize = 150;
/// Into how many moments the time is divided then.
const MOMENTS: usize = 200;
const TALL: usize = 34;

impl Stretch {
    fn at(self, time: Micros) -> f64 {
        let length = (self.to - self.from).max(1) as f64;
        ((time - self.from) as f64 / length * WIDTH).clamp(0.0, WIDTH)
    }

    /// Lengths of time since the begin, at every quarter.
    pub fn quarters(self) -> [String; 5] {
        let length = (self.to - self.from).max(0);
        [0, 1, 2, 3, 4].map(|quarter| match quarter {
            0 => "0".to_owned(),
            quarter => duration(length * quarter / 4),
        })
    }
}

/// The attempts of one asset, by start. Before the first of them a pale line: it waited.
pub fn draw(attempts: &[AttemptBar], whole: Stretch) -> Markup {
    let waited = attempts.first().map_or(String::new(), |first| {
        let until = whole.at(first.started_at);
        let title = format!("waited {}", duration(first.started_at - whole.from));
        if until < 4.0 {
            return String::new();
        }
        format!(
            "<rect class=\"waited\" x=\"0\" y=\"4\" width=\"{:.1}\" height=\"2\"><title>{title}</title></rect>",
            until - 1.0
        )
    });
    let (bars, height) = if attempts.len() > MOST_BARS {
        (together(attempts, whole), TALL)
    } else {
        apart(attempts, whole)
    };
    Markup(format!(
        "<svg class=\"gantt\" height=\"{height}\" viewBox=\"0 0 1000 {height}\" preserveAspectRatio=\"none\" role=\"group\" \
         aria-label=\"attempts over time\">{waited}{bars}</svg>"
    ))
}

fn tone(attempt: &AttemptBar) -> Tone {
    match (attempt.failed, attempt.ended_at) {
        (true, _) => Tone::Bad,
        (false, None) => Tone::Busy,
        (false, Some(_)) => Tone::Good,
    }
}

/// A bar for each, those at the same time below each other.
fn apart(attempts: &[AttemptBar], whole: Stretch) -> (String, usize) {
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
        let x = whole.at(attempt.started_at).min(WIDTH - 3.0);
        let title = format!(
            "{} attempt {}: {}",
            attempt.asset,
            attempt.number,
            duration(end - attempt.started_at),
        );
        write!(
            bars,
            "<a href=\"?attempt={}#log\"><rect class=\"{}\" x=\"{x:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{}\"><title>{}</title></rect></a>",
            attempt.attempt,
            tone(attempt).class(),
            lane * LANE + 1,
            (whole.at(end) - x).max(3.0),
            LANE - 2,
            escape(title),
        )
        .expect("a string takes text");
    }
    (bars, ends.len().max(1) * LANE)
}

/// How many ran at each moment, as columns; where one failed, the foot of its column is red.
fn together(attempts: &[AttemptBar], whole: Stretch) -> String {
    #[derive(Clone, Default)]
    struct Moment {
        change: i64,
        failed: usize,
        open: bool,
    }
    let mut moments = vec![Moment::default(); MOMENTS + 1];
    let of = |time: Micros| ((whole.at(time) / WIDTH * MOMENTS as f64) as usize).min(MOMENTS - 1);
    for attempt in attempts {
        let (first, last) = (of(attempt.started_at), of(attempt.ended_at.unwrap_or(whole.to)));
        moments[first].change += 1;
        moments[last + 1].change -= 1;
        moments[last].failed += usize::from(attempt.failed);
        moments[last].open |= attempt.ended_at.is_none();
    }
    let mut running = Vec::with_capacity(MOMENTS);
    let mut now = 0;
    for moment in &moments[..MOMENTS] {
        now += moment.change;
        running.push(now.max(0) as f64);
    }
    let most = running.iter().copied().fold(1.0, f64::max);
    let (width, tall) = (WIDTH / MOMENTS as f64, TALL as f64);
    let mut bars = String::new();
    for (place, (moment, running)) in moments.iter().zip(&running).enumerate() {
        if *running < 0.5 {
            continue;
        }
        let height = (tall - 2.0) * running / most;
        let (x, y) = (place as f64 * width, tall - 1.0 - height);
        let class = if moment.open { Tone::Busy } else { Tone::Good }.class();
        let mut title = count(*running as u64, "attempt", "attempts");
        if moment.failed > 0 {
            write!(title, ", {} failed", moment.failed).expect("a string takes text");
        }
        write!(
            bars,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{title}</title></rect>",
            width - 0.5
        )
        .expect("a string takes text");
        if moment.failed > 0 {
            write!(
                bars,
                "<rect class=\"bad\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"5\"><title>{title}</title></rect>",
                tall - 6.0,
                width.max(3.0)
            )
            .expect("a string takes text");
        }
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u64, started_at: Micros, ended_at: Option<Micros>) -> AttemptBar {
        AttemptBar {
            attempt: state::ids::AttemptId::from_bits(number),
            asset: "silver.flights".parse().unwrap(),
            number: 1,
            started_at,
            ended_at,
            failed: false,
        }
    }

    #[test]
    fn attempts_at_the_same_time_have_lanes_of_their_own() {
        let attempts = [attempt(1, 0, Some(50)), attempt(2, 10, None), attempt(3, 50, Some(100))];
        let drawn = draw(&attempts, Stretch { from: 0, to: 100 }).0;
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
        let attempts: Vec<AttemptBar> = (0..40).map(|number| attempt(number, 5, None)).collect();
        let drawn = draw(&attempts, Stretch { from: 5, to: 9 }).0;
        assert_eq!(drawn.matches("<rect").count(), 40);
        assert!(drawn.contains("height=\"80\""), "{}", &drawn[..100]);
        assert!(!draw(&attempts, Stretch { from: 5, to: 5 }).0.contains("NaN"));
    }

    #[test]
    fn one_failure_among_ten_thousand_attempts_is_seen() {
        let mut attempts: Vec<AttemptBar> = (0..10_000)
            .map(|n| attempt(n, n as Micros * 10, Some(n as Micros * 10 + 40)))
            .collect();
        attempts[7_000].failed = true;
        let drawn = draw(&attempts, Stretch { from: 0, to: 100_040 }).0;
        assert!(drawn.len() < 40_000, "{}", drawn.len());
        assert_eq!(drawn.matches("class=\"bad\"").count(), 1);
        assert!(drawn.contains(", 1 failed"), "{drawn}");
    }

    #[test]
    fn a_wait_before_the_first_attempt_is_drawn() {
        let drawn = draw(
            &[attempt(1, 12_000_000, None)],
            Stretch {
                from: 0,
                to: 24_000_000,
            },
        )
        .0;
        assert!(drawn.contains("waited 12 s"), "{drawn}");
    }
}
