//! Asking a step to stop.

use std::sync::Arc;

use assets::outcome::{Failure, FailureClass};
use tokio::sync::watch;

/// A request to stop, shared by who asks and who listens. Once made it stays. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cancellation(Arc<watch::Sender<bool>>);

impl Cancellation {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Asks everyone who listens to stop.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether someone asked.
    pub fn is_canceled(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until someone asks.
    pub async fn canceled(&self) {
        let mut receiver = self.0.subscribe();
        receiver
            .wait_for(|canceled| *canceled)
            .await
            .expect("the sender lives as long as this handle");
    }

    /// The failure of a step that was asked to stop.
    pub fn failure() -> Failure {
        Failure::new(
            FailureClass::Canceled,
            "canceled on request; nothing of this step was published",
        )
    }

    /// The output of `work`, unless someone asks to stop first; then `work` is dropped.
    pub async fn or<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.canceled() => Err(Self::failure()),
            output = work => output,
        }
    }
}

impl Default for Cancellation {
    fn default() -> Self {
        Self::new()
    }
}
