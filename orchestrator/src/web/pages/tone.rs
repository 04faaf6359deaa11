//! States as shape, colour and word: never by colour alone.

use std::fmt::Write;

use state::sqlite::queries::runs::StepCounts;
use state::status::{RunStatus, StepStatus};

use super::markup::{Markup, escape};
use crate::core::{Health, HealthState};

/// What a state means to whoever looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Something is under way.
    Busy,
    /// Waits its turn.
    Idle,
    /// Not there yet.
    Missing,
    /// Will not happen.
    Off,
    /// Should be looked at.
    Warn,
    /// Failed.
    Bad,
}

impl Tone {
    /// The class that gives the colour.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::Missing => "missing",
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// The shape, in a square of 12.
    fn shape(self) -> &'static str {
        match self {
            Self::Good => "<circle cx=\"6\" cy=\"6\" r=\"5.5\"/><path class=\"cut\" d=\"M3.4 6.2 5.3 8 8.7 4.3\"/>",
            Self::Busy => {
                "<circle class=\"ring\" cx=\"6\" cy=\"6\" r=\"4.6\"/><path class=\"arc\" d=\"M6 1.4A4.6 4.6 0 0 1 10.6 6\"/>"
            }
            Self::Idle => "<circle class=\"ring dots\" cx=\"6\" cy=\"6\" r=\"4.6\"/>",
            Self::Missing => "<circle class=\"ring\" cx=\"6\" cy=\"6\" r=\"4.6\"/>",
            Self::Off => "<circle class=\"ring\" cx=\"6\" cy=\"6\" r=\"4.6\"/><path class=\"ring\" d=\"M3 9 9 3\"/>",
            Self::Warn => "<path d=\"M6 .6 11.7 11H.3z\"/><path class=\"cut\" d=\"M6 4.4v3M6 8.9v.3\"/>",
            Self::Bad => {
                "<rect x=\".8\" y=\".8\" width=\"10.4\" height=\"10.4\" rx=\"2\"/><path class=\"cut\" d=\"m4 4 4 4m0-4-4 4\"/>"
            }
        }
    }

    /// The shape alone, for where the word stands beside it.
    pub fn mark(self) -> Markup {
        Markup(format!(
            "<svg class=\"mark {}\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">{}</svg>",
            self.class(),
            self.shape()
        ))
    }

    /// The shape as a part of a larger drawing, with its corner at a point.
    pub fn drawn_at(self, x: f64, y: f64) -> Markup {
        Markup(format!(
            "<g class=\"mark {}\" transform=\"translate({x} {y})\">{}</g>",
            self.class(),
            self.shape()
        ))
    }

    /// Shape and word.
    pub fn state(self, word: &str) -> Markup {
        Markup(format!(
            "<span class=\"state {}\">{}{}</span>",
            self.class(),
            self.mark(),
            escape(word)
        ))
    }
}

impl From<RunStatus> for Tone {
    fn from(status: RunStatus) -> Self {
        match status {
            RunStatus::Queued => Self::Idle,
            RunStatus::Running | RunStatus::Canceling => Self::Busy,
            RunStatus::Succeeded => Self::Good,
            RunStatus::Failed => Self::Bad,
            RunStatus::Canceled => Self::Off,
        }
    }
}

impl From<StepStatus> for Tone {
    fn from(status: StepStatus) -> Self {
        match status {
            StepStatus::Waiting => Self::Idle,
            StepStatus::Running | StepStatus::Publishing => Self::Busy,
            StepStatus::Succeeded => Self::Good,
            StepStatus::Failed => Self::Bad,
            StepStatus::Skipped | StepStatus::Canceled => Self::Off,
        }
    }
}

impl From<HealthState> for Tone {
    fn from(state: HealthState) -> Self {
        match state {
            HealthState::Fresh => Self::Good,
            HealthState::Waiting => Self::Idle,
            HealthState::Missing => Self::Missing,
            HealthState::Stale => Self::Warn,
            HealthState::Failed => Self::Bad,
        }
    }
}

/// A run's state; that it is held stands before what it would do.
pub fn run_state(status: RunStatus, paused: bool) -> Markup {
    if paused {
        Tone::Warn.state("paused")
    } else {
        Tone::from(status).state(status.as_str())
    }
}

/// A step's state.
pub fn step_state(status: StepStatus) -> Markup {
    Tone::from(status).state(status.as_str())
}

/// An asset's state; what runs now stands before what is.
pub fn asset_state(state: HealthState, running: bool) -> Markup {
    if running {
        Tone::Busy.state("running")
    } else {
        Tone::from(state).state(word_of(state))
    }
}

/// The word for people: `missing` alone would leave open what is.
fn word_of(state: HealthState) -> &'static str {
    match state {
        HealthState::Missing => "never made",
        other => other.as_str(),
    }
}

/// One part of a bar.
pub type Part = (Tone, u64, &'static str);

/// The steps of a run by status.
pub fn step_parts(steps: &StepCounts) -> [Part; 7] {
    [
        (Tone::Good, steps.succeeded, "succeeded"),
        (Tone::Bad, steps.failed, "failed"),
        (Tone::Off, steps.skipped, "skipped"),
        (Tone::Off, steps.canceled, "canceled"),
        (Tone::Busy, steps.publishing, "publishing"),
        (Tone::Busy, steps.running, "running"),
        (Tone::Idle, steps.waiting, "waiting"),
    ]
}

/// The partitions of an asset by state.
pub fn health_parts(health: &Health) -> [Part; 5] {
    [
        (Tone::Good, health.fresh as u64, "fresh"),
        (Tone::Warn, health.stale as u64, "stale"),
        (Tone::Bad, health.failed as u64, "failed"),
        (Tone::Idle, health.waiting as u64, "waiting"),
        (Tone::Missing, health.missing as u64, "never made"),
    ]
}

/// `358 fresh, 7 failed`.
pub fn in_words(parts: &[Part]) -> String {
    let words: Vec<String> = parts
        .iter()
        .filter(|part| part.1 > 0)
        .map(|(_, count, word)| format!("{} {word}", super::figures::number(*count)))
        .collect();
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join(", ")
    }
}

/// The parts side by side, each as wide as its share and no part too thin to see.
pub fn bar(parts: &[Part]) -> Markup {
    const WIDTH: f64 = 1000.0;
    const LEAST: f64 = 12.0;
    let words = escape(in_words(parts));
    let shown: Vec<&Part> = parts.iter().filter(|part| part.1 > 0).collect();
    let total: u64 = shown.iter().map(|part| part.1).sum();
    let mut svg = format!(
        "<svg class=\"bar\" viewBox=\"0 0 1000 8\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{words}\"><title>{words}</title>"
    );
    // What every part gets before the rest is shared out by size.
    let shared = WIDTH - LEAST * shown.len() as f64;
    let mut x = 0.0;
    for (tone, count, _) in shown {
        let width = LEAST + shared * *count as f64 / total as f64;
        write!(
            svg,
            "<rect class=\"{}\" x=\"{x:.1}\" width=\"{width:.1}\" height=\"8\"/>",
            tone.class()
        )
        .expect("a string takes text");
        x += width;
    }
    svg.push_str("</svg>");
    Markup(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_shape_of_its_own() {
        let tones = [
            Tone::Good,
            Tone::Busy,
            Tone::Idle,
            Tone::Missing,
            Tone::Off,
            Tone::Warn,
            Tone::Bad,
        ];
        for (i, one) in tones.iter().enumerate() {
            for other in &tones[i + 1..] {
                assert_ne!(one.shape(), other.shape(), "{one:?} and {other:?}");
                assert_ne!(one.class(), other.class());
            }
        }
    }

    #[test]
    fn one_failure_among_thousands_is_seen() {
        let drawn = bar(&[
            (Tone::Good, 9_999, "succeeded"),
            (Tone::Bad, 1, "failed"),
            (Tone::Off, 0, "skipped"),
        ])
        .0;
        assert!(drawn.contains("aria-label=\"9,999 succeeded, 1 failed\""), "{drawn}");
        let widths: Vec<f64> = drawn
            .split("width=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!(
            (widths.iter().sum::<f64>() - 1000.0).abs() < 0.2 && widths[1] > 10.0,
            "{widths:?}"
        );
        assert_eq!(drawn.matches("<rect").count(), 2);
        assert!(!bar(&[]).0.contains("NaN"));
    }
}
