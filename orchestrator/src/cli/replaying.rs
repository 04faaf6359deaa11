//! The inside of a `millpond replaying` process: what a run has published, made again for a page of the dashboard, each verdict told as
//! it comes.
//!
//! Code that overflows the stack, eats the memory or runs for ever is the end of this process, and of nothing else.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use super::look::{Look, Place};
use super::terminal::{Terminal, start_log};
use super::{Stop, query_runtime};
use crate::edge::environment;
use crate::edge::replay::{ReplayOrder, Word};
use crate::edge::warehouse;
use crate::edge::worker_process::limit_memory;

/// Stack of the thread that plans and runs.
const STACK_BYTES: usize = 16 << 20;

/// Replays what standard input orders.
pub fn run() -> ExitCode {
    start_log("warn");
    environment::large_pages(true);
    // Queries recurse over their own text, and are planned on this thread.
    let answered = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(answer);
    let answered = answered.map_err(|error| Stop::broken(format!("failed to start a thread: {error}")));
    let Err(stop) = answered.and_then(|thread| match thread.join() {
        Ok(answered) => answered,
        Err(panic) => std::panic::resume_unwind(panic),
    }) else {
        return ExitCode::SUCCESS;
    };
    let message = match stop.help {
        Some(help) => format!("{}: {help}", stop.message),
        None => stop.message,
    };
    // A daemon that is gone needs no reason.
    say(&Word::Stopped { message }).ok();
    ExitCode::FAILURE
}

fn answer() -> Result<(), Stop> {
    let mut text = String::new();
    let read = io::stdin().read_line(&mut text);
    read.map_err(|error| Stop::broken(format!("the order cannot be read: {error}")))?;
    let order: ReplayOrder =
        serde_json::from_str(&text).map_err(|error| Stop::broken(format!("the order is none: {error}")))?;
    let place = Place::new(Some(order.project), order.environment);
    let look = Look::new(&place, &Terminal::new(true))?;
    limit_memory(look.project.pool.worker.memory_limit_bytes);
    let store = look.store()?;
    let lake = warehouse::open(&look.project.settings).map_err(|error| Stop::broken(error.to_string()))?;
    let published = look.published(store, &lake);
    let steps = published.by_run(&order.run)?;
    if steps.is_empty() {
        return Err(Stop::not_found(format!("nothing of {} is published", order.run)));
    }
    say(&Word::Begun {
        partitions: steps.len() as u64,
    })?;
    let runtime = query_runtime()?;
    let cancel = published.cancel.clone();
    // Who ordered it closes the pipe to have it stop, or is gone.
    std::thread::spawn(move || {
        io::stdin().read_to_end(&mut Vec::new()).ok();
        cancel.cancel();
    });
    for step in steps {
        if published.cancel.is_canceled() {
            break;
        }
        let verdict = runtime.block_on(published.again(step, Some(&order.run), order.with))?;
        say(&Word::Made {
            verdict: Box::new(verdict),
        })?;
    }
    Ok(())
}

fn say(word: &Word) -> Result<(), Stop> {
    let mut line = serde_json::to_string(word).expect("a word has a JSON form");
    line.push('\n');
    let mut output = io::stdout().lock();
    let said = output.write_all(line.as_bytes()).and_then(|()| output.flush());
    said.map_err(|error| Stop::broken(format!("nobody listens: {error}")))
}
