//! Running the real `millpond` on a project in a folder of its own.
#![expect(clippy::disallowed_methods, reason = "tests start the program that they test")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A project and the program to run on it.
pub struct Project {
    folder: TempDir,
}

/// What the program said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// The answers, one JSON value per line.
    pub fn answers(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}; {self:#?}"));
        self.out.lines().map(read).collect()
    }

    /// The only answer.
    pub fn answer(&self) -> Value {
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "{self:#?}");
        answers.remove(0)
    }

    /// Fails unless the exit code is this.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// The program under test: beside the test binaries, where `cargo test --workspace` puts it; or beside the benchmarks.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    let folder = own.parent().expect("a program is in a folder");
    let folder = if folder.ends_with("deps") {
        folder.parent().expect("deps is in target/<profile>")
    } else {
        folder
    };
    let program = folder.join("millpond");
    assert!(
        program.is_file(),
        "{} is missing: run `cargo test --workspace`, which builds it",
        program.display()
    );
    program
}

impl Project {
    /// A project of these files.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let project = Self {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
        };
        for (path, text) in files {
            project.write(path, text.as_bytes());
        }
        project
    }

    /// The example of this name, as `millpond init` makes it.
    pub fn example(name: &str) -> Self {
        let project = Self::new(&[]);
        let mut command = Command::new(program());
        let folder = project.path().to_owned();
        let output = command
            .arg("init")
            .arg(folder)
            .args(["--example", name])
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{output:?}");
        project
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        std::fs::write(path, bytes).expect("a file can be written");
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(program());
        command
            .arg("-C")
            .arg(self.path())
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        command.env_remove("MILLPOND_LOG").env("NO_COLOR", "1");
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[])
    }

    /// Runs a command with environment variables.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let Output { status, stdout, stderr } =
            self.command(arguments, variables).output().expect("the program starts");
        Said {
            code: status.code(),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Starts a command and leaves it running, without output.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments, &[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts")
    }

    /// Starts a command and leaves it running, with its standard output to read.
    pub fn start_piped(&self, arguments: &[&str]) -> Child {
        self.start_piped_with(arguments, &[])
    }

    /// As [`Self::start_piped`], with environment variables.
    pub fn start_piped_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Child {
        self.command(arguments, variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts")
    }

    /// The first row of a query's result.
    #[track_caller]
    pub fn row(&self, sql: &str) -> Value {
        let said = self.run(&["--json", "query", sql]).expect(0);
        said.answers()
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("no row: {sql}"))
    }
}
