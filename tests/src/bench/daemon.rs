//! The daemon: how soon it answers, and what it costs when nothing happens.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::processes::{millpond, processor_seconds, proportional_bytes, stop, tree};
use super::{BenchError, Measured, Settings, median};
use crate::program::Project;

const IDLE: Duration = Duration::from_secs(30);

/// From the start of the program to the first answer over HTTP, in seconds.
pub(super) fn first_answer(_: &Settings) -> Result<Measured, BenchError> {
    let project = Project::example("flights");
    let mut each = Vec::new();
    for _ in 0..7 {
        let started = Instant::now();
        let (daemon, address) = start(&project)?;
        let answer = get(&address, "/healthz");
        each.push(started.elapsed().as_secs_f64());
        stop(daemon)?;
        answer?;
    }
    Ok(Measured::against_limit(median(each), 0.3, String::new()))
}

/// Memory of the idle daemon and its children, in MB.
pub(super) fn idle_megabytes(_: &Settings) -> Result<Measured, BenchError> {
    idle().map(|(megabytes, share)| Measured::against_limit(megabytes, 60.0, format!("{share:.3} % of a core")))
}

/// Processor time of the idle daemon and its children, in percent of one core.
pub(super) fn idle_percent(_: &Settings) -> Result<Measured, BenchError> {
    idle().map(|(megabytes, share)| Measured::against_limit(share, 0.2, format!("{megabytes:.0} MB")))
}

fn idle() -> Result<(f64, f64), BenchError> {
    let project = Project::example("flights");
    let (daemon, address) = start(&project)?;
    get(&address, "/healthz")?;
    std::thread::sleep(Duration::from_secs(2));
    let used = || tree(daemon.id()).iter().map(|pid| processor_seconds(*pid)).sum::<f64>();
    let before = used();
    std::thread::sleep(IDLE);
    let share = (used() - before) / IDLE.as_secs_f64() * 100.0;
    let bytes: u64 = tree(daemon.id()).iter().map(|pid| proportional_bytes(*pid)).sum();
    stop(daemon)?;
    Ok((bytes as f64 / 1e6, share))
}

/// A daemon on a free port, and its address.
pub(super) fn start(project: &Project) -> Result<(Child, String), BenchError> {
    let mut command = millpond(project.path(), &["--json", "up", "--port", "0"]);
    let mut daemon = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().ok_or("the daemon has no output")?).read_line(&mut line)?;
    let told: Value = serde_json::from_str(&line)?;
    let url = told["url"].as_str().ok_or("the daemon names no address")?;
    Ok((
        daemon,
        url.trim_start_matches("http://").trim_end_matches('/').to_owned(),
    ))
}

fn get(address: &str, path: &str) -> Result<(), BenchError> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 ") {
        Ok(())
    } else {
        Err(format!("no answer of HTTP: {answer:?}").into())
    }
}
