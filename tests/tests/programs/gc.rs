//! Old versions of tables: what goes, what stays and why, with a daemon and without one, and after a kill between the two.

use std::io::{BufRead, BufReader, Read};

use millpond_tests::program::{Daemon, Project};
use serde_json::Value;

const TOML: &str = r#"
[project]
name = "old"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-03

[execution]
workers = 1
memory = "128 MB"

[maintenance]
keep = "1 h"
keep_snapshots = 3
"#;

const ASSETS: &str = r#"
[asset.gold.days]
kind = "sql"
sql = "SELECT CAST($partition_key AS DATE) AS day, 1 AS n, 'a' AS label FROM (VALUES (1), (2)) AS rows(id)"
partitions = { use = "daily", column = "day" }

[asset.gold.total]
kind = "sql"
sql = "SELECT sum(n) AS n FROM gold.days"
"#;

const ALL: &str = "SELECT count(*) AS n, count(DISTINCT day) AS days FROM gold.days";

fn project() -> Project {
    let project = Project::new(&[("millpond.toml", TOML), ("assets/a.toml", ASSETS)]);
    for _ in 0..4 {
        project.run(&["materialize", "gold.days+", "--force"]).expect(0);
    }
    project
}

fn gc(project: &Project, arguments: &[&str]) -> Value {
    let arguments = [&["--json", "gc"], arguments].concat();
    project.run(&arguments).expect(0).answer()
}

fn of<'v>(answer: &'v Value, table: &str) -> &'v Value {
    let tables = answer["tables"].as_array().unwrap();
    tables
        .iter()
        .find(|tended| tended["table"] == table)
        .unwrap_or_else(|| panic!("{table} was not tended: {answer:#}"))
}

/// Snapshot ids of a table, oldest first.
fn snapshots(project: &Project, table: &str) -> Vec<i64> {
    let folder = format!("lake/{}/metadata", table.replace('.', "/"));
    let mut metadata: Vec<String> = project
        .files(&folder)
        .into_iter()
        .filter(|path| path.ends_with(".metadata.json"))
        .collect();
    metadata.sort();
    let newest = std::fs::read_to_string(project.path().join(folder).join(metadata.last().unwrap())).unwrap();
    let newest: Value = serde_json::from_str(&newest).unwrap();
    let log = newest["snapshot-log"].as_array().unwrap();
    log.iter().map(|entry| entry["snapshot-id"].as_i64().unwrap()).collect()
}

#[test]
fn old_versions_go_when_asked_and_what_is_left_reads_as_before() {
    let project = project();
    let before = project.row(ALL);
    let data = || project.files("lake/gold/days/data").len();
    let (all, known) = (data(), snapshots(&project, "gold.days"));

    // What [maintenance] says keeps all of this for an hour.
    let answer = gc(&project, &[]);
    assert_eq!(of(&answer, "gold.days")["expired"], 0, "{answer:#}");

    let dry = gc(&project, &["--dry-run", "--keep", "0", "--keep-snapshots", "2"]);
    let told = of(&dry, "gold.days");
    assert_eq!(told["snapshots"], known.len());
    assert_eq!(told["expired"], known.len() - 2, "{dry:#}");
    assert!(told["bytes"].as_u64().unwrap() > 0, "{dry:#}");
    assert_eq!((data(), snapshots(&project, "gold.days")), (all, known.clone()));

    let done = gc(&project, &["gold.days", "--keep", "0", "--keep-snapshots", "2"]);
    assert_eq!(of(&done, "gold.days")["expired"], told["expired"]);
    assert_eq!(
        done["tables"].as_array().unwrap().len(),
        1,
        "only what was selected: {done:#}"
    );
    assert_eq!(snapshots(&project, "gold.days"), known[known.len() - 2..]);
    assert!(data() < all);
    assert_eq!(project.row(ALL), before);
    let oldest = known[0].to_string();
    let said = project.run(&["query", ALL, "--as-of", &oldest]).expect(1);
    assert!(said.err.contains(&oldest), "{}", said.err);
    let kept = known[known.len() - 2].to_string();
    project.run(&["query", ALL, "--as-of", &kept]).expect(0);

    // It is fresh still, goes on, and there is nothing left to do.
    let again = gc(&project, &["--keep", "0", "--keep-snapshots", "2", "gold.days"]);
    assert_eq!(of(&again, "gold.days")["files"], 0, "{again:#}");
    let fresh = project.run(&["materialize", "gold.days+"]).expect(0);
    assert!(fresh.err.contains("nothing to do"), "{}", fresh.err);
    project.run(&["materialize", "gold.days", "--force"]).expect(0);
    assert_eq!(project.row(ALL), before);
    project.sound();
}

#[test]
fn a_daemon_does_it_when_told_and_says_so_in_its_log() {
    let project = project();
    let before = project.row(ALL);
    let daemon = Daemon::start(&project);
    let said = project.run(&["gc", "--keep", "0", "--keep-snapshots", "1"]).expect(0);
    assert!(
        said.out.contains("gold.days") && said.out.contains("versions went"),
        "{}",
        said.out
    );
    let log = daemon.get("/api/v1/log?level=info").json();
    assert!(log.to_string().contains("that nobody needs any more went"), "{log:#}");
    assert_eq!(project.row(ALL), before);
    let refused = daemon.post("/api/v1/gc", &serde_json::json!({ "selection": "no such" }));
    assert_eq!(refused.status, 422, "{refused:?}");
    daemon.stop();
    project.sound();
}

#[test]
fn a_table_that_cannot_be_judged_is_left_as_it_is_and_the_others_are_not_held_up() {
    let project = project();
    let folder = "lake/gold/total/metadata";
    let manifest = project
        .files(folder)
        .into_iter()
        .find(|path| path.ends_with("-m0.avro"))
        .unwrap();
    project.write(&format!("{folder}/{manifest}"), b"no manifest");
    let before = project.files("lake/gold/total");
    let said = project
        .run(&["--json", "gc", "--keep", "0", "--keep-snapshots", "1"])
        .expect(1)
        .answer();
    let error = of(&said, "gold.total")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("-m0.avro"), "{error}");
    assert_eq!(project.files("lake/gold/total"), before);
    assert!(of(&said, "gold.days")["expired"].as_u64().unwrap() > 0, "{said:#}");
}

const LARGE: &str = r#"
[asset.gold.large]
kind = "sql"
sql = "SELECT CAST($partition_key AS DATE) AS day, value AS n, repeat('x', 100) AS label FROM generate_series(1, 20000)"
partitions = { use = "many", column = "day" }
"#;

/// Nobody reads what a query writes, so it has most of its files before it; they stay until it is over, whatever is to go.
#[test]
fn what_a_query_under_way_reads_stays_until_it_is_over() {
    let toml = format!("{TOML}\n[partitions.many]\nevery = \"day\"\nstart = 2026-01-01\nend = 2026-01-08\n");
    let project = Project::new(&[("millpond.toml", &toml), ("assets/a.toml", LARGE)]);
    project.run(&["materialize", "*"]).expect(0);
    let as_of = snapshots(&project, "gold.large").last().unwrap().to_string();
    let data = || project.files("lake/gold/large/data").len();
    let all = ["--keep", "0", "--keep-snapshots", "1"];
    for arguments in [vec![], vec!["--as-of", &as_of]] {
        let arguments = [
            &["query", "SELECT n, label FROM gold.large", "--format", "csv"],
            &arguments[..],
        ]
        .concat();
        let mut query = project.start_piped(&arguments);
        let mut output = query.stdout.take().expect("it is a pipe");
        let mut first = [0];
        output.read_exact(&mut first).expect("the first rows come");

        project.run(&["materialize", "*", "--force"]).expect(0);
        let before = data();
        let answer = gc(&project, &all);
        assert_eq!(answer["read_by"], query.id().to_string(), "{answer:#}");
        assert_eq!(data(), before, "no file goes while it reads: {answer:#}");

        let lines = BufReader::new(output).lines().map_while(Result::ok).count();
        assert!(query.wait().expect("it ends").success(), "{arguments:?}");
        assert_eq!(lines, 8 * 20_000 + 1, "{arguments:?}");
        if arguments.len() > 4 {
            let answer = gc(&project, &all);
            assert_eq!(answer["read_by"], Value::Null);
            assert_eq!(data(), 8, "now they go: {answer:#}");
        }
    }
    project.sound();
    project.run(&["fsck"]).expect(0);
}
