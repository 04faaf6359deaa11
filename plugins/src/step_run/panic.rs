//! A panic in a kind or a library ends its step and nothing else.
//!
//! Catching the unwinding gives the message; where it came from is known to the panic hook alone. So a hook notes the last
//! panics of the process, and the one with the caught message tells the place.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, Once, PoisonError};

use assets::outcome::{Failure, FailureClass};
use futures::FutureExt;

/// Message and place of the last panics, newest last.
static NOTES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Panics that are remembered.
const REMEMBERED: usize = 16;

/// Runs `work`; a panic in it becomes a failure that names the message and the place.
pub(super) async fn catching<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    note_places();
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(output) => output,
        Err(payload) => Err(last(&message(payload.as_ref()))),
    }
}

/// The failure of a step one of whose tasks panicked; `told` is what the runtime says of it, which quotes the message.
pub(super) fn last(told: &str) -> Failure {
    let noted = {
        let notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
        notes
            .iter()
            .rev()
            .find(|(message, _)| told.contains(message.as_str()))
            .cloned()
    };
    match noted {
        Some((message, place)) => describe(&message, Some(&place)),
        None => describe(told, None),
    }
}

fn describe(message: &str, place: Option<&str>) -> Failure {
    let place = place.map(|place| format!(" at {place}")).unwrap_or_default();
    Failure::new(FailureClass::Panic, format!("panicked{place}: {message}"))
        .with_help("this is a fault in Millpond or a library, not in the data; other steps go on")
}

fn message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Adds our note to the process's panic hook, once; the hook that was there goes on working.
fn note_places() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info
                .location()
                .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
            let mut notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
            if notes.len() == REMEMBERED {
                notes.remove(0);
            }
            notes.push((message(info.payload()), place));
            drop(notes);
            previous(info);
        }));
    });
}
