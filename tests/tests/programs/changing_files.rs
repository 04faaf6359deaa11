//! Files that change while a run is at work on them: what was seen and what is read are one version, or the step fails and
//! says so; rows of two versions are never mixed.

use std::fs::{File, FileTimes, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use millpond_tests::program::{Project, Running, Said, processes, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// One worker: while a run waits for it, its files were looked at and are not read yet.
const TOML: &str = r#"
[project]
name = "changing"
timezone = "UTC"

[execution]
workers = 1
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.bronze.before]
kind = "command"
command = ["sh", "-c", "read line < gate"]

[asset.bronze.orders]
kind = "ingest"
from.files = { path = "landing/*.csv" }
"#;

const OLD: &str = "id,n\n1,10\n2,10\n";
/// As long as the old one.
const NEW: &str = "id,n\n1,20\n2,20\n";

fn project() -> Project {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("landing/a.csv", OLD),
    ]);
    nix::unistd::mkfifo(&project.path().join("gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    project
}

/// A run that has looked at the files and waits until another, which waits at the gate, is done with the only worker.
struct Waiting {
    daemon: Running,
    before: Running,
    run: Running,
}

impl Waiting {
    fn new(project: &Project) -> Self {
        let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
        daemon.wait_for("http://127.0.0.1:");
        let before = project.begin(&["materialize", "bronze.before"]);
        let here = project.path();
        let waits = |process: &processes::Process| {
            std::fs::read_link(format!("/proc/{}/cwd", process.id)).is_ok_and(|folder| folder == here)
        };
        until("the program waits at the gate", || {
            processes::with("read line < gate").iter().any(waits).then_some(())
        });
        let mut run = project.begin(&["--json", "materialize", "bronze.orders"]);
        run.wait_for("run_submitted");
        Self { daemon, before, run }
    }

    /// Opens the gate; says how the run ended.
    fn end(self, project: &Project) -> Said {
        let mut gate = OpenOptions::new()
            .write(true)
            .open(project.path().join("gate"))
            .unwrap();
        gate.write_all(b"go\n").unwrap();
        assert_eq!(self.before.end().code, Some(0));
        let said = self.run.end();
        self.daemon.signal(Signal::SIGTERM);
        assert_eq!(self.daemon.end().code, Some(0));
        said
    }
}

fn failure(answers: &[Value]) -> Value {
    let failed: Vec<&Value> = answers
        .iter()
        .filter(|answer| answer["event"]["type"] == "step_failed")
        .collect();
    assert_eq!(failed.len(), 1, "{answers:#?}");
    assert_eq!(failed[0]["event"]["step"]["asset"], "bronze.orders");
    failed[0]["event"]["failure"].clone()
}

/// Writes the new content so that size and time are those of the old one.
fn replace_in_place(path: &Path) {
    let old = std::fs::metadata(path).unwrap();
    assert_eq!(OLD.len(), NEW.len());
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(NEW.as_bytes()).unwrap();
    file.set_times(FileTimes::new().set_modified(old.modified().unwrap()))
        .unwrap();
}

#[test]
fn a_file_that_is_not_what_was_seen_fails_the_step_and_the_next_run_takes_the_new_one() {
    let changes: [(&str, fn(&Path)); 4] = [
        ("another time and size", |path| {
            std::fs::write(path, "id,n\n1,20\n2,20\n3,20\n").unwrap()
        }),
        ("another content alone", replace_in_place),
        ("cut short", |path| std::fs::write(path, "id,n\n1,1").unwrap()),
        ("gone", |path| std::fs::remove_file(path).unwrap()),
    ];
    for (change, apply) in changes {
        let project = project();
        let run = Waiting::new(&project);
        apply(&project.path().join("landing/a.csv"));
        let said = run.end(&project);
        assert_eq!(said.code, Some(1), "{change}: {said:#?}");
        let failure = failure(&said.answers());
        assert_eq!(failure["class"], "changed", "{change}: {failure:#}");
        assert!(
            failure["message"].as_str().unwrap().contains("landing/a.csv"),
            "{change}: {failure:#}"
        );
        assert!(
            failure["help"].as_str().unwrap().contains("run it again"),
            "{change}: {failure:#}"
        );
        project.sound();

        std::fs::write(project.path().join("landing/a.csv"), "id,n\n1,30\n2,30\n").unwrap();
        project.run(&["materialize", "bronze.orders"]).expect(0);
        assert_eq!(
            project.row("SELECT min(n) AS least, max(n) AS most, count(*) AS n FROM bronze.orders"),
            json!({ "least": 30, "most": 30, "n": 2 }),
            "{change}"
        );
    }
}

#[test]
fn a_file_that_comes_after_the_look_waits_for_the_next_run() {
    let project = project();
    let run = Waiting::new(&project);
    project.write("landing/b.csv", b"id,n\n3,10\n");
    assert_eq!(run.end(&project).code, Some(0));
    assert_eq!(
        project.row("SELECT count(*) AS n FROM bronze.orders"),
        json!({ "n": 2 })
    );
    let plan = project.run(&["plan", "bronze.orders"]).expect(0);
    assert!(plan.out.contains("landing/b.csv"), "{plan:#?}");
    project.run(&["materialize", "bronze.orders"]).expect(0);
    assert_eq!(
        project.row("SELECT count(*) AS n FROM bronze.orders"),
        json!({ "n": 3 })
    );
}

/// Tells the writer to stop, also when an assertion fails: the test is to fail and not to wait for ever.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes one version after the other over the file, each row with the version's number, until told to stop.
fn keep_changing(path: PathBuf, stop: &AtomicBool) -> u64 {
    let mut version = 0;
    while !stop.load(Ordering::Relaxed) {
        version += 1;
        let mut file = File::create(&path).unwrap();
        file.write_all(b"id,n\n").unwrap();
        for id in 0..20_000 {
            writeln!(file, "{id},{version}").unwrap();
        }
    }
    version
}

#[test]
fn rows_of_two_versions_are_never_mixed() {
    let project = project();
    let path = project.path().join("landing/a.csv");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| keep_changing(path.clone(), &stop));
        let stops = Stops(&stop);
        let mut refused = 0;
        for _ in 0..12 {
            let said = project.run(&["materialize", "bronze.orders"]);
            if said.code != Some(0) {
                refused += 1;
                assert!(said.err.contains("landing/a.csv"), "{said:#?}");
                let known = [
                    "changed",
                    "something else than when it was observed",
                    "no columns",
                    "empty",
                    " instead of 2",
                ];
                assert!(known.iter().any(|words| said.err.contains(words)), "{said:#?}");
                continue;
            }
            let row = project.row("SELECT min(n) AS least, max(n) AS most, count(*) AS n FROM bronze.orders");
            assert_eq!(row["least"], row["most"], "two versions in one table");
        }
        assert!(refused > 0, "no run met a change");
        drop(stops);
        assert!(writer.join().unwrap() > 1);
    });
    project.run(&["materialize", "bronze.orders"]).expect(0);
    assert_eq!(
        project.row("SELECT count(*) AS n FROM bronze.orders"),
        json!({ "n": 20_000 })
    );
    project.sound();
}
