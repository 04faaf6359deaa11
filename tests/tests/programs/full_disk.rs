//! A disk that is full: the step that needs more says so, what was published stays, and with room again all goes on.

use millpond_tests::program::{Project, SmallDisk};
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "small"
timezone = "UTC"

[execution]
workers = 1
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.gold.little]
kind = "sql"
sql = "SELECT 1 AS n"

[asset.gold.much]
kind = "sql"
sql = "assets/much.sql"

[asset.gold.below]
kind = "sql"
sql = "SELECT count(*) AS n FROM gold.much"
"#;

/// Megabytes of the disk. A limit on files alone stands for it where nothing can be mounted, so no small file comes near.
const SMALL: u64 = 6;
const LARGE: u64 = 80;

/// So many rows of random numbers, eight bytes each, that no compression makes smaller.
fn much(rows: u64) -> String {
    format!("SELECT x, random() AS r FROM generate_series(1, {rows}) AS t(x)")
}

fn project() -> Project {
    let disk = SmallDisk::new(SMALL);
    Project::on(
        disk,
        &[
            ("millpond.toml", TOML),
            ("assets/a.toml", ASSETS),
            ("assets/much.sql", &much(1000)),
        ],
    )
}

/// The failures that a run reported, by step.
fn failures(answers: &[Value]) -> Vec<(&Value, &Value)> {
    answers
        .iter()
        .map(|answer| &answer["event"])
        .filter(|event| event["type"] == "step_failed")
        .map(|event| (&event["step"], &event["failure"]))
        .collect()
}

fn temporary_files(project: &Project) -> Vec<String> {
    let files = project.files("lake");
    files.into_iter().filter(|file| file.ends_with(".tmp")).collect()
}

#[test]
fn a_step_that_fills_the_disk_fails_and_the_old_rows_stay() {
    let project = project();
    project.run(&["materialize"]).expect(0);
    // 16 MB of data on a disk of 6.
    project.write("assets/much.sql", much(2_000_000).as_bytes());
    let said = project.run(&["--json", "materialize"]).expect(1);
    let answers = said.answers();
    let failed = failures(&answers);
    assert_eq!(failed.len(), 1, "{said:#?}");
    let (step, failure) = failed[0];
    assert_eq!(step["asset"], "gold.much");
    assert_eq!(failure["class"], "disk_full", "{failure:#}");
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.starts_with("write `") && message.contains("gold/much"),
        "{message}"
    );
    assert_eq!(failure["help"], "free some space there, then retry");

    // Nothing of it is left, nothing published is lost, and the answers can be read.
    assert_eq!(temporary_files(&project), Vec::<String>::new());
    assert_eq!(project.files(".millpond/scratch"), Vec::<String>::new());
    assert_eq!(project.row("SELECT count(*) AS n FROM gold.much"), json!({ "n": 1000 }));
    assert_eq!(project.row("SELECT n FROM gold.below"), json!({ "n": 1000 }));
    assert_eq!(project.row("SELECT n FROM gold.little"), json!({ "n": 1 }));
    let why = project.run(&["why", "gold.much"]).expect(0);
    assert!(why.out.contains("free some space"), "{why:#?}");
    project.sound();

    project.disk().grow_to(LARGE);
    project.run(&["materialize"]).expect(0);
    assert_eq!(project.row("SELECT n FROM gold.below"), json!({ "n": 2_000_000 }));
    project.sound();
}

#[test]
fn a_sort_that_fills_the_disk_with_what_it_spills_fails_alike() {
    let project = project();
    project.run(&["materialize"]).expect(0);
    project.write("millpond.toml", TOML.replace("128 MB", "64 MB").as_bytes());
    // 96 MB to sort in 64, and 400 kB to keep.
    let sorted = "SELECT sum(r * n) AS r FROM (SELECT r, row_number() OVER (ORDER BY r) AS n FROM (SELECT random() AS r FROM \
                  generate_series(1, 12000000) AS t(x)))";
    project.write("assets/much.sql", sorted.as_bytes());
    let said = project.run(&["--json", "materialize"]).expect(1);
    let answers = said.answers();
    let failed = failures(&answers);
    assert_eq!(failed.len(), 1, "{said:#?}");
    assert_eq!(failed[0].1["class"], "disk_full", "{said:#?}");
    assert!(
        failed[0].1["help"].as_str().unwrap().starts_with("free some space"),
        "{said:#?}"
    );
    assert_eq!(project.files(".millpond/scratch"), Vec::<String>::new());
    assert_eq!(project.row("SELECT n FROM gold.below"), json!({ "n": 1000 }));
    project.sound();
}

#[test]
fn a_run_waits_with_its_result_until_the_state_has_room() {
    let project = project();
    if !project.disk().can_be_filled() {
        // A limit on files stands for the disk: it leaves room for the state whatever happens, so there is nothing to wait for.
        project.run(&["materialize"]).expect(0);
        return;
    }
    // The step itself fills the disk to the last byte, and ends well.
    let assets = format!("{ASSETS}\n[asset.gold.program]\nkind = \"command\"\ncommand = [\"sh\", \"program.sh\"]\n");
    project.write("assets/a.toml", assets.as_bytes());
    project.write(
        "program.sh",
        b"cat /dev/zero > ballast 2> /dev/null; head -c 1 /dev/zero >> ballast; echo filled",
    );
    let mut run = project.begin(&["materialize", "gold.program"]);
    let line = run.wait_for("no space left");
    assert!(line.contains("free some on the disk of the state folder"), "{line}");
    project.remove("ballast");
    let said = run.end();
    assert_eq!(said.code, Some(0), "{said:#?}");
    project.sound();
}

#[test]
fn on_a_full_disk_every_command_says_what_is_wrong_and_what_is_there_can_be_read() {
    let project = project();
    project.run(&["materialize"]).expect(0);
    if !project.disk().can_be_filled() {
        // See above: only a disk of its own can be full before anything is written.
        return;
    }
    project.write("assets/much.sql", much(2000).as_bytes());
    let ballast = project.disk().fill();
    let said = project.run(&["materialize"]);
    assert!(matches!(said.code, Some(1 | 70)), "{said:#?}");
    assert!(said.err.contains("free some"), "{said:#?}");
    assert_eq!(project.row("SELECT count(*) AS n FROM gold.much"), json!({ "n": 1000 }));
    project.run(&["show", "gold.much"]).expect(0);
    project.run(&["check"]).expect(0);

    std::fs::remove_file(ballast).unwrap();
    project.run(&["materialize"]).expect(0);
    assert_eq!(project.row("SELECT n FROM gold.below"), json!({ "n": 2000 }));
    project.sound();
}
