//! What a worker hands to its steps.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::{Cancellation, Clock};
use crate::command::ProcessDoor;
use crate::formats::Objects;
use crate::kind::KindSet;
use crate::lakehouse::Lake;
use crate::step::StepReport;

/// The surroundings of a work order. A worker makes one and keeps it: what the lake remembers of tables serves later orders.
#[derive(Clone)]
pub struct StepEnvironment {
    /// The kinds that orders may name.
    pub kinds: KindSet,
    /// Tables and their files.
    pub lake: Lake,
    /// How raw files that are objects are reached.
    pub objects: Objects,
    /// The time, for log lines.
    pub clock: Clock,
    /// The request to stop this order.
    pub cancel: Cancellation,
    /// Takes what is said about the order. Nobody listening any more is the same as a request to stop.
    pub reports: UnboundedSender<StepReport>,
    /// Starts programs.
    pub processes: Arc<dyn ProcessDoor>,
}
