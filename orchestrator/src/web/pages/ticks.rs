//! What schedules and sensors share: both have ticks, are paused and resumed, and are asked to tick now.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use state::event::Micros;
use state::ids::RunId;
use state::schedule::TickStatus;

use super::super::reply::ErrorPage;
use super::markup::Markup;
use super::tone::{Tone, run_state};
use crate::core::Answer;

/// Ticks on a page.
pub const ON_A_PAGE: usize = 50;
/// Most schedules, or sensors, on a page.
pub const MOST: usize = 500;

/// A form without fields.
#[derive(Debug, Deserialize)]
pub struct Press {}

/// Whether something that ticks rests, and by whose wish.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Paused {
    /// When it was paused, if it is.
    pub paused_at: Option<Micros>,
    /// By whom.
    pub paused_by: Option<String>,
}

impl From<Option<(Micros, String)>> for Paused {
    fn from(paused: Option<(Micros, String)>) -> Self {
        let (paused_at, paused_by) = paused.unzip();
        Self { paused_at, paused_by }
    }
}

impl Paused {
    /// Whether it rests.
    pub fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }

    /// The state while it rests.
    pub fn state(&self) -> Option<Markup> {
        let by = self.paused_by.as_ref()?;
        Some(Tone::Off.state(&format!("paused by {by}")))
    }
}

/// A tick as a row of a table.
pub struct TickView {
    /// Its number.
    pub seq: i64,
    /// The schedule or the sensor.
    pub name: String,
    /// Its page.
    pub href: String,
    /// When.
    pub when: Markup,
    /// What else there is to say of when.
    pub stretch: Option<String>,
    /// What became of it.
    pub state: Markup,
    /// The run that it requested, and where that is.
    pub run: Option<(RunId, Option<Markup>)>,
    /// What was seen.
    pub seen: Vec<String>,
    /// How much more.
    pub more: Option<String>,
    /// Why.
    pub reason: String,
}

impl From<TickStatus> for Tone {
    fn from(status: TickStatus) -> Self {
        match status {
            TickStatus::Requested => Self::Good,
            TickStatus::Skipped => Self::Off,
            TickStatus::Missed => Self::Warn,
            TickStatus::Failed => Self::Bad,
        }
    }
}

/// What became of a tick, drawn.
pub fn tick_state(status: TickStatus) -> Markup {
    Tone::from(status).state(status.as_str())
}

/// The run of a tick with its state, as stored; no state if the run was removed since.
pub fn run_of(run: Option<RunId>, status: Option<&str>) -> Option<(RunId, Option<Markup>)> {
    let known = state::status::RunStatus::ALL.into_iter();
    let state = known
        .filter(|known| Some(known.as_str()) == status)
        .map(|status| run_state(status, false))
        .next();
    run.map(|run| (run, state))
}

/// Why a button did nothing.
pub fn refused(answer: Answer) -> ErrorPage {
    match answer {
        Answer::Refused { reasons } => ErrorPage::not_found(reasons.join("; ")),
        _ => ErrorPage::new(StatusCode::INTERNAL_SERVER_ERROR, "an answer to another question"),
    }
}
