//! The daemon that the tests ask: the real program on a project of its own, asked over plain HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::project;

/// A daemon on a project of its own; it ends with the value.
pub struct Daemon {
    child: Child,
    pub folder: tempfile::TempDir,
    pub host: String,
    pub login: String,
    pub cookie: String,
}

/// What the daemon said.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Daemon {
    pub fn start() -> Self {
        Self::with(project::FILES)
    }

    pub fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_millpond"))
            .args([
                "--project",
                folder.path().to_str().unwrap(),
                "--json",
                "up",
                "--port",
                "0",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        let host = text("url").trim_start_matches("http://").to_owned();
        let mut daemon = Self {
            child,
            folder,
            host,
            login: text("login"),
            cookie: String::new(),
        };
        let path = daemon.login.split_once(&daemon.host).unwrap().1.to_owned();
        let logged_in = daemon.ask("GET", &path, &[], "");
        assert_eq!(logged_in.status, 303);
        let cookie = logged_in
            .head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "))
            .unwrap();
        daemon.cookie = cookie.split(';').next().unwrap().to_owned();
        daemon
    }

    /// One request; `Host` is the daemon's unless it is given.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|(name, _)| *name == "Host") {
            text += &format!("Host: {}\r\n", self.host);
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        write!(stream, "{text}\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.replace("\r\n", "\n"),
            body: body.to_owned(),
        }
    }

    pub fn page(&self, path: &str) -> String {
        let answer = self.ask("GET", path, &[("Cookie", &self.cookie)], "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.head.contains("script-src 'self'"), "{path}: {}", answer.head);
        answer.body
    }

    pub fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.page(path)).unwrap()
    }

    pub fn form_token(&self) -> String {
        self.page("/")
            .split("/runs?form=")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        let origin = format!("http://{}", self.host);
        let headers = [
            ("Cookie", self.cookie.as_str()),
            ("Origin", &origin),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        self.ask("POST", path, &headers, body)
    }

    /// Presses the button of the overview and waits for the run to end.
    pub fn materialize(&self) -> String {
        self.materialize_so("selection=*")
    }

    /// The same with other fields of the form.
    pub fn materialize_so(&self, fields: &str) -> String {
        let pressed = self.post(&format!("/runs?form={}", self.form_token()), fields);
        assert_eq!(pressed.status, 303, "{}", pressed.body);
        let place = pressed
            .head
            .lines()
            .find_map(|line| line.strip_prefix("location: "))
            .unwrap();
        let run = place.trim_start_matches("/runs/").split('?').next().unwrap().to_owned();
        self.ended(&run);
        run
    }

    /// Presses a button that leads to another page, and follows it.
    pub fn press(&self, path: &str, body: &str) -> String {
        let join = if path.contains('?') { '&' } else { '?' };
        let pressed = self.post(&format!("{path}{join}form={}", self.form_token()), body);
        assert_eq!(pressed.status, 303, "{path}: {}", pressed.body);
        let place = pressed.head.lines().find_map(|line| line.strip_prefix("location: "));
        place.unwrap().to_owned()
    }

    /// Asks for a run and does not wait for its end.
    pub fn begin(&self, body: &str) -> String {
        run_in(&self.press("/runs", body))
    }

    /// Waits for the first attempt of a run.
    pub fn first_attempt(&self, run: &str) -> String {
        let mut after = 0;
        for _ in 0..100 {
            let facts = self.json(&format!("/api/v1/runs/{run}"));
            if let Some(attempt) = facts["attempts"][0]["attempt"].as_str() {
                return attempt.to_owned();
            }
            let events = self.json(&format!("/api/v1/events?after={after}&wait=5"));
            let last = events["rows"].as_array().unwrap().last();
            after = last.map_or(after, |row| row["seq"].as_i64().unwrap());
        }
        panic!("the run does not begin");
    }

    /// An answer whose body need not be text: its head and its bytes.
    pub fn bytes(&self, path: &str, body: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        write!(
            stream,
            "POST {path}?form={} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.form_token(),
            self.cookie,
            body.len(),
            host = self.host,
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        (head, answer[end + 4..].to_vec())
    }

    pub fn with_cookie(&self, path: &str, more: &str) -> Answer {
        let cookie = format!("{}; {more}", self.cookie);
        self.ask("GET", path, &[("Cookie", &cookie)], "")
    }

    /// Waits for the replay of a run: asks again whenever the stream tells that something is news, until the replay is over.
    pub fn replayed(&self, run: &str) -> Value {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let (host, cookie) = (&self.host, &self.cookie);
        write!(stream, "GET /live HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n").unwrap();
        let mut told = BufReader::new(stream).lines().map(Result::unwrap);
        // The answer has begun: from here on nothing is missed.
        assert!(told.next().unwrap().contains("200"));
        loop {
            let replay = self.json(&format!("/api/v1/runs/{run}/replay"))["replay"].clone();
            if !replay["ended_at"].is_null() {
                return replay;
            }
            told.find(|line| line.starts_with("data:")).unwrap();
        }
    }

    /// Waits for a run to end.
    pub fn ended(&self, run: &str) {
        let mut after = 0;
        for _ in 0..200 {
            let status = self.json(&format!("/api/v1/runs/{run}"))["run"]["row"]["status"].clone();
            if ["succeeded", "failed", "canceled"].contains(&status.as_str().unwrap()) {
                return;
            }
            let events = self.json(&format!("/api/v1/events?after={after}&wait=5"));
            after = events["rows"]
                .as_array()
                .unwrap()
                .last()
                .map_or(after, |row| row["seq"].as_i64().unwrap());
        }
        panic!("the run does not end");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).ok();
        self.child.wait().ok();
    }
}

/// The run in the address of its page.
pub fn run_in(place: &str) -> String {
    let run = place.split('/').nth(2).unwrap();
    run.split('?').next().unwrap().to_owned()
}
