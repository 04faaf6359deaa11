//! A project in a folder of its own, and the commands that run on it.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use state::sqlite::{OpenMode, Store, fsck};
use tempfile::TempDir;

use super::{Running, SmallDisk};

/// A project and the program to run on it.
pub struct Project {
    home: Home,
}

/// Where it lives, for as long as the test runs.
enum Home {
    Folder(TempDir),
    Disk(SmallDisk),
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
        Self::at(
            Home::Folder(tempfile::tempdir().expect("a temporary folder can be made")),
            files,
        )
    }

    /// A project of these files, all of it on a small disk.
    pub fn on(disk: SmallDisk, files: &[(&str, &str)]) -> Self {
        Self::at(Home::Disk(disk), files)
    }

    fn at(home: Home, files: &[(&str, &str)]) -> Self {
        let project = Self { home };
        for (path, text) in files {
            project.write(path, text.as_bytes());
        }
        project
    }

    /// The example of this name, as `millpond init` makes it.
    pub fn example(name: &str) -> Self {
        let project = Self::new(&[]);
        let mut command = Command::new(program());
        let folder = project.path();
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
    pub fn path(&self) -> PathBuf {
        match &self.home {
            Home::Folder(folder) => folder.path().to_owned(),
            Home::Disk(disk) => disk.own_path(),
        }
    }

    /// The small disk that it is on.
    ///
    /// # Panics
    /// If it is not on one.
    pub fn disk(&self) -> &SmallDisk {
        match &self.home {
            Home::Disk(disk) => disk,
            Home::Folder(_) => panic!("the project was not made on a small disk"),
        }
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        std::fs::write(path, bytes).expect("a file can be written");
    }

    /// Removes a file of the project.
    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.path().join(path)).expect("the file is there");
    }

    /// The files below a folder of the project, by their paths from there, sorted. A folder that is not there has none.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let root = self.path().join(folder);
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().map_while(Result::ok) {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                } else {
                    let path = entry.path();
                    let path = path.strip_prefix(&root).expect("it was found below the folder");
                    found.push(path.to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let (mut command, folder) = match &self.home {
            Home::Folder(folder) => (Command::new(program()), folder.path()),
            Home::Disk(disk) => (disk.command(&program()), disk.path()),
        };
        command
            .arg("-C")
            .arg(folder)
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

    /// Starts a command; its lines are there as they come.
    pub fn begin(&self, arguments: &[&str]) -> Running {
        self.begin_with(arguments, &[])
    }

    /// As [`Self::begin`], with environment variables.
    pub fn begin_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        Running::start(self.command(arguments, variables))
    }

    /// Fails unless the state agrees with itself and no run is left open. Nobody else may own the state meanwhile.
    #[track_caller]
    pub fn sound(&self) {
        let store = Store::open(&self.path().join(".millpond/state.db"), OpenMode::Writer).expect("the state opens");
        let violations = fsck::check(&store).expect("the state can be checked");
        assert!(violations.is_empty(), "{violations:#?}");
        assert!(store.load().expect("the state loads").runs.is_empty(), "a run is open");
        store.close().expect("the state closes");
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
