//! Backfills and run requests of steps that do nothing: what the queue, the store and the workers cost by themselves.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::daemon::start;
use super::processes::{millpond, one_fsync, seconds, stop};
use super::{BenchError, Measured, Settings, median};
use crate::program::Project;

const DAYS: &str = "[project]\nname = \"queue\"\ntimezone = \"UTC\"\n\n[partitions.daily]\nevery = \"day\"\nstart = 2025-01-01\n\
                    end = 2025-12-31\n";
const NO_OP: &str =
    "[asset.jobs.days]\nkind = \"command\"\ncommand = [\"true\"]\npartitions = { use = \"daily\", column = \"day\" }\n";
const ROUNDS: usize = 3;
const CLIENTS: usize = 16;

/// A year of days, each an attempt of its own.
pub(super) fn backfill_one_by_one(_: &Settings) -> Result<Measured, BenchError> {
    backfill("", &["--batch", "1"], 2.0)
}

/// A year of days in one start of the program.
pub(super) fn backfill_batched(_: &Settings) -> Result<Measured, BenchError> {
    backfill("together = true\n", &[], 0.3)
}

fn backfill(more: &str, pace: &[&str], limit: f64) -> Result<Measured, BenchError> {
    let (mut all, mut beside) = (Vec::new(), Vec::new());
    let mut fsync = 0.0;
    for _ in 0..ROUNDS {
        let asset = format!("{NO_OP}{more}");
        let project = Project::new(&[("millpond.toml", DAYS), ("assets/a.toml", &asset)]);
        fsync = one_fsync(&project.path())?;
        let arguments = [&["backfill", "jobs.days"], pace].concat();
        all.push(seconds(millpond(project.path(), &arguments))?);
        // The same command with nothing to do is what starting the program costs.
        beside.push(seconds(millpond(project.path(), &arguments))?);
    }
    let (all, beside) = (median(all), median(beside));
    let remark = format!("of which {beside:.3} s without steps; fsync {:.2} ms", fsync * 1e3);
    Ok(Measured::against_limit(all, limit, remark))
}

/// Milliseconds until a request for a run is answered, which is once it is synced, with 16 clients asking at once.
pub(super) fn run_requests(settings: &Settings) -> Result<Measured, BenchError> {
    let requests = 2000 / settings.divide;
    // What is asked for waits for a place that the first run holds: accepting is measured, and nothing else.
    let toml = "[project]\nname = \"queue\"\ntimezone = \"UTC\"\n\n[pool.one]\nlimit = 1\n";
    let project = no_ops(toml, requests, "pool = \"one\"\n")?;
    let hold = "[asset.jobs.hold]\nkind = \"command\"\ncommand = [\"sleep\", \"600\"]\npool = \"one\"\n";
    project.write("assets/hold.toml", hold.as_bytes());
    let (daemon, address) = start(&project)?;
    let token = token(&project)?;
    Client::new(&address, &token)?.submit("jobs.hold")?;
    let elapsed = ask_at_once(&address, &token, requests)?;
    stop(daemon)?;
    let each = elapsed.as_secs_f64() * 1e3 / requests as f64;
    let remark = format!("{:.0} requests a second", 1e3 / each);
    Ok(Measured::against_limit(each, 2.0, remark))
}

/// Milliseconds of a whole run of one step that does nothing, from its request to its end, 16 clients asking.
pub(super) fn no_op_runs(settings: &Settings) -> Result<Measured, BenchError> {
    let requests = 500 / settings.divide;
    let project = no_ops("[project]\nname = \"queue\"\ntimezone = \"UTC\"\n", requests, "")?;
    let (daemon, address) = start(&project)?;
    let token = token(&project)?;
    let began = Instant::now();
    ask_at_once(&address, &token, requests)?;
    let mut client = Client::new(&address, &token)?;
    loop {
        let open = ["queued", "running"].map(|status| client.get(&format!("/api/v1/runs?status={status}")));
        let open = open.into_iter().collect::<Result<Vec<Value>, _>>()?;
        if open
            .iter()
            .all(|page| page["runs"].as_array().is_some_and(Vec::is_empty))
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let each = began.elapsed().as_secs_f64() * 1e3 / requests as f64;
    stop(daemon)?;
    let remark = format!("{:.0} runs a second", 1e3 / each);
    Ok(Measured::against_limit(each, 20.0, remark))
}

fn no_ops(toml: &str, count: usize, more: &str) -> Result<Project, BenchError> {
    let mut assets = String::new();
    for at in 0..count {
        write!(
            assets,
            "[asset.jobs.a{at:05}]\nkind = \"command\"\ncommand = [\"true\"]\n{more}\n"
        )?;
    }
    Ok(Project::new(&[("millpond.toml", toml), ("assets/a.toml", &assets)]))
}

fn token(project: &Project) -> Result<String, BenchError> {
    let path = project.path().join(".millpond/token");
    Ok(std::fs::read_to_string(path)?.trim().to_owned())
}

/// Every asset asked for once, by several clients side by side.
fn ask_at_once(address: &str, token: &str, requests: usize) -> Result<Duration, BenchError> {
    let began = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || -> Result<(), BenchError> {
                    let mut connection = Client::new(address, token)?;
                    let mine = (client..requests).step_by(CLIENTS);
                    mine.into_iter()
                        .try_for_each(|at| connection.submit(&format!("jobs.a{at:05}")))
                })
            })
            .collect();
        let ends = clients
            .into_iter()
            .map(|client| client.join().expect("a client does not panic"));
        ends.collect::<Result<Vec<()>, _>>()
    })?;
    Ok(began.elapsed())
}

/// One connection that is kept open.
struct Client<'a> {
    address: &'a str,
    token: &'a str,
    stream: BufReader<TcpStream>,
}

impl<'a> Client<'a> {
    fn new(address: &'a str, token: &'a str) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            address,
            token,
            stream: BufReader::new(stream),
        })
    }

    fn submit(&mut self, selection: &str) -> Result<(), BenchError> {
        let answer = self.ask("POST", "/api/v1/runs", &json!({ "selection": selection }).to_string())?;
        if answer["answer"] == "accepted" {
            Ok(())
        } else {
            Err(format!("{selection}: {answer}").into())
        }
    }

    fn get(&mut self, path: &str) -> Result<Value, BenchError> {
        self.ask("GET", path, "")
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Value, BenchError> {
        let (address, token, length) = (self.address, self.token, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(found) = line.strip_prefix("content-length:") {
                length = found.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }
}
