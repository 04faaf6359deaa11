//! A project that fails and recovers as a file says, and its daemon.

use std::io::{BufRead, BufReader};
use std::process::Child;

use millpond_tests::program::Project;
use serde_json::Value;

const ASSETS: &str = r#"
[asset.bronze.number]
kind = "ingest"
from.files = { path = "landing/*.csv" }

[asset.gold.quotient]
kind = "sql"
sql = "SELECT 10 / x AS y FROM bronze.number"

[asset.gold.checked]
kind = "sql"
tags = ["checked"]
sql = "SELECT x FROM bronze.number"
checks = [{ sql = "SELECT * FROM this WHERE x > 100", name = "not too large" }]
"#;

/// A project with these alerts.
pub fn project(alerts: &str) -> Project {
    let toml = format!(
        "[project]\nname = \"toy\"\ntimezone = \"America/New_York\"\n\n[execution]\nworkers = 1\nmemory = \"128 MB\"\n\n{alerts}"
    );
    let project = Project::new(&[("millpond.toml", toml.as_str()), ("assets/a.toml", ASSETS)]);
    put(&project, 5);
    project
}

/// What the assets are made of: 0 makes `gold.quotient` fail, more than 100 the check of `gold.checked`.
pub fn put(project: &Project, number: u32) {
    project.write("landing/x.csv", format!("x\n{number}\n").as_bytes());
}

/// A daemon of a project. Dropped, it is killed.
pub struct Daemon {
    child: Child,
    pub url: String,
    pub token: String,
}

impl Daemon {
    pub fn start(project: &Project, variables: &[(&str, &str)]) -> Self {
        let mut child = project.start_piped_with(&["--json", "up", "--port", "0"], variables);
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut said)
            .unwrap();
        let said: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        let token = std::fs::read_to_string(project.path().join(".millpond/token")).unwrap();
        Self {
            child,
            url: said["url"].as_str().unwrap().to_owned(),
            token,
        }
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end.
    pub fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// What it answers to a GET: the status line, and the body.
    pub fn get(&self, path: &str, token: bool) -> (String, String) {
        use std::io::{Read, Write};
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        let bearer = if token {
            format!("Authorization: Bearer {}\r\n", self.token)
        } else {
            String::new()
        };
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\n{bearer}Connection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
