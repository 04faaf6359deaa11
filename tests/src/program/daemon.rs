//! A daemon on a project, and what it answers over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Project, Running, Said};

/// A running `millpond up`. Dropped, it is killed.
#[derive(Debug)]
pub struct Daemon {
    running: Running,
    client: Client,
}

/// Asks a daemon over HTTP, from any thread.
#[derive(Debug, Clone)]
pub struct Client {
    host: String,
    token: String,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Reply {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

impl Daemon {
    /// Starts it on a free port, and waits until it serves.
    #[track_caller]
    pub fn start(project: &Project) -> Self {
        Self::start_with(project, &[], &[])
    }

    /// As [`Self::start`], with more arguments and with environment variables.
    #[track_caller]
    pub fn start_with(project: &Project, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut all = vec!["--json", "up", "--port", "0"];
        all.extend(arguments);
        Self::ready(project.begin_with(&all, variables))
    }

    /// One that is started by another program, such as one that traces it.
    #[track_caller]
    pub fn of(mut command: std::process::Command, arguments: &[&str]) -> Self {
        command
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .env("NO_COLOR", "1");
        Self::ready(Running::start(command))
    }

    #[track_caller]
    fn ready(mut running: Running) -> Self {
        let line = running.wait_for("\"url\":\"http://127.0.0.1:");
        let ready: Value = serde_json::from_str(&line).expect("the first line is JSON");
        let text = |name: &str| ready[name].as_str().expect("a text").to_owned();
        let token = text("login").split_once("token=").expect("a login link").1.to_owned();
        let host = text("url").trim_start_matches("http://").to_owned();
        Self {
            running,
            client: Client { host, token },
        }
    }

    /// Asks it, from any thread.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its process.
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// What it answers to `GET`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, "").expect("the daemon answers")
    }

    /// What it answers to `POST` with a JSON body.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path, &body.to_string())
            .expect("the daemon answers")
    }

    /// Asks; `None` if it is not there (any more).
    pub fn request(&self, method: &str, path: &str, body: &str) -> Option<Reply> {
        self.client.request(method, path, body)
    }

    /// Asks it to end and waits until it has.
    #[track_caller]
    pub fn stop(self) -> Said {
        self.running.signal(Signal::SIGTERM);
        self.running.end()
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn end(self) -> Said {
        self.running.end()
    }

    /// Kills it as `kill -9` does, with nothing said.
    pub fn kill(self) {
        self.running.signal_only(Signal::SIGKILL);
        self.running.end();
    }
}

impl Client {
    /// Asks for what does not end, and gives its connection; `None` if the daemon is not there (any more).
    pub fn stream(&self, path: &str) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(&self.host).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
            self.host, self.token
        )
        .ok()?;
        Some(stream)
    }

    /// Asks; `None` if it is not there (any more).
    pub fn request(&self, method: &str, path: &str, body: &str) -> Option<Reply> {
        let mut stream = TcpStream::connect(&self.host).ok()?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.host,
            self.token,
            body.len()
        )
        .ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { whole(body) } else { body.to_owned() };
        Some(Reply { status, body })
    }
}

/// A body that came in chunks.
fn whole(chunks: &str) -> String {
    let (mut text, mut left) = (String::new(), chunks);
    while let Some((size, rest)) = left.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        text.push_str(&rest[..size]);
        left = rest[size..].trim_start_matches("\r\n");
    }
    text
}
