//! Wakes the core when something is to be told, and sends what waits to be sent. Decides nothing and remembers nothing: what
//! was on its way when the daemon ended is sent by the next one.

use std::collections::HashSet;
use std::time::Duration;

use state::event::{Event, Micros};
use state::ids::MessageId;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinHandle, JoinSet};

use super::super::clock;
use super::super::engine::EngineHandle;
use super::super::ticker::sleep_until;
use super::{Letter, deliver};
use crate::core::Input;

/// Longest sleep without asking the core.
const ASK_AGAIN: Micros = 30_000_000;
/// How long one try may take, whatever the receiver does.
const LONGEST: Duration = Duration::from_secs(60);

/// Sends the messages of an engine.
pub struct Teller(JoinHandle<()>);

impl Teller {
    /// Starts it. Must be called inside a tokio runtime.
    pub fn start(engine: EngineHandle) -> Self {
        Self(tokio::spawn(keep(engine)))
    }

    /// Stops it, also in the middle of a try: the next start tries again.
    pub async fn stop(self) {
        self.0.abort();
        // Either it was aborted, or it ended by itself because the driver did.
        self.0.await.ok();
    }
}

async fn keep(engine: EngineHandle) {
    let mut live = engine.driver().live();
    let mut tries: JoinSet<MessageId> = JoinSet::new();
    let mut on_the_way: HashSet<MessageId> = HashSet::new();
    loop {
        let skip = on_the_way.clone();
        let question = engine.driver().ask(move |world, at| {
            let mut send = world.messages_to_send(at);
            send.retain(|(_, message, _)| !skip.contains(&message.id));
            (
                world.next_grouping().is_some_and(|due| due <= at),
                send,
                world.next_message(&skip),
            )
        });
        let Some((group, send, wake)) = question.await else {
            return;
        };
        if group {
            engine.driver().send(Input::AlertsDue);
            continue;
        }
        for (alert, message, tried) in send {
            on_the_way.insert(message.id.clone());
            let engine = engine.clone();
            tries.spawn(async move {
                let (name, id) = (alert.name.clone(), message.id.clone());
                let letter = Letter::new(&engine, message, tried + 1);
                let sent = tokio::time::timeout(LONGEST, deliver(&alert, &letter)).await;
                let error = match sent {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(error),
                    Err(_) => Some(format!(
                        "the receiver did not take it within {} seconds",
                        LONGEST.as_secs()
                    )),
                };
                if let Some(error) = &error {
                    tracing::warn!(alert = %name, %id, tries = tried + 1, %error, "failed to deliver a message");
                }
                let message = id.clone();
                engine.driver().send(Input::AlertTried {
                    alert: name,
                    message,
                    error,
                });
                id
            });
        }
        let soon = clock::now() + ASK_AGAIN;
        // What is due and on its way is asked for again when that is done.
        let until = wake.map_or(soon, |wake| wake.min(soon));
        tokio::select! {
            done = tries.join_next(), if !tries.is_empty() => match done {
                Some(Ok(id)) => drop(on_the_way.remove(&id)),
                Some(Err(error)) => {
                    tracing::error!(%error, "a try to deliver a message broke off; it is tried again");
                    // Which one is not told; a receiver can tell a message that it gets twice.
                    on_the_way.clear();
                }
                None => {}
            },
            () = sleep_until(until) => {}
            () = something_to_tell(&mut live) => {}
        }
    }
}

/// Waits until an alert has something to tell or to try.
async fn something_to_tell(live: &mut tokio::sync::broadcast::Receiver<std::sync::Arc<Vec<state::event::Recorded>>>) {
    loop {
        match live.recv().await {
            Ok(events) => {
                let of_alerts = |event: &Event| {
                    matches!(
                        event,
                        Event::AlertRaised { .. }
                            | Event::AlertEnded { tell: true, .. }
                            | Event::AlertGrouped { .. }
                            | Event::AlertFailed { .. }
                    )
                };
                if events.iter().any(|recorded| of_alerts(&recorded.event)) {
                    return;
                }
            }
            Err(RecvError::Lagged(_)) => return,
            // The driver has ended; the next question finds out.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
