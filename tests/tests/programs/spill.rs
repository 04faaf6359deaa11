//! Steps that sort and group far more than a worker's declared memory holds: they spill to the project's scratch folder, end
//! with the right rows, and leave no file behind.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use millpond_tests::program::Project;
use serde_json::json;

const TOML: &str = r#"
[project]
name = "large"
timezone = "UTC"

[execution]
workers = 1
memory = "MEMORY"
"#;

const ROWS: u64 = 6_000_000;

/// Runs a step, and counts the most spill files that were there at once.
fn spilled(project: &Project, asset: &str) -> usize {
    let (ended, most) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                most.fetch_max(project.files(".millpond/scratch").len(), Ordering::Relaxed);
                std::thread::park_timeout(std::time::Duration::from_millis(5));
            }
        });
        let said = project.run(&["materialize", asset]);
        ended.store(true, Ordering::Relaxed);
        said.expect(0);
    });
    assert_eq!(project.files(".millpond/scratch"), Vec::<String>::new());
    most.into_inner()
}

fn project(memory: &str, sql: &str) -> Project {
    let assets = format!("[asset.gold.large]\nkind = \"sql\"\nsql = \"{sql}\"\n");
    Project::new(&[
        ("millpond.toml", &TOML.replace("MEMORY", memory)),
        ("assets/a.toml", &assets),
    ])
}

#[test]
fn a_sort_far_larger_than_the_memory_spills() {
    // 6 million rows of some 50 bytes in 32 MB.
    let sql = format!("SELECT x, sha256(CAST(x AS VARCHAR)) AS h FROM generate_series(1, {ROWS}) AS t(x) ORDER BY h");
    let project = project("32 MB", &sql);
    assert!(spilled(&project, "gold.large") > 1);
    assert_eq!(
        project.row("SELECT count(*) AS n, sum(x) AS x, count(*) FILTER (WHERE h <> sha256(CAST(x AS VARCHAR))) AS wrong FROM gold.large"),
        json!({ "n": ROWS, "x": ROWS * (ROWS + 1) / 2, "wrong": 0 })
    );
}

#[test]
fn an_aggregate_far_larger_than_the_memory_spills() {
    // 3 million groups, each met twice.
    let groups = ROWS / 2;
    let sql = format!(
        "SELECT CAST(x % {groups} AS VARCHAR) AS g, count(*) AS n, sum(x) AS s FROM generate_series(1, {ROWS}) AS t(x) GROUP BY 1"
    );
    let project = project("48 MB", &sql);
    assert!(spilled(&project, "gold.large") > 1);
    assert_eq!(
        project.row("SELECT count(*) AS groups, min(n) AS least, max(n) AS most, sum(s) AS s FROM gold.large"),
        json!({ "groups": groups, "least": 2, "most": 2, "s": ROWS * (ROWS + 1) / 2 })
    );
}

#[test]
fn a_join_of_which_no_side_fits_into_the_memory_sorts_both_and_spills() {
    // Each number below the prime is met once on either side, but for the last ten of each: other ones.
    let side = "(SELECT x, x * FACTOR % 6000011 AS k FROM generate_series(1, 6000000) AS t(x))";
    let sql = format!(
        "SELECT a.x, b.x AS y FROM {} AS a JOIN {} AS b ON a.k = b.k",
        side.replace("FACTOR", "7919"),
        side.replace("FACTOR", "104729")
    );
    let project = project("32 MB", &sql);
    assert!(spilled(&project, "gold.large") > 1);
    assert_eq!(
        project.row("SELECT count(*) AS n, count(*) FILTER (WHERE x * 7919 % 6000011 <> y * 104729 % 6000011) AS wrong FROM gold.large"),
        json!({ "n": ROWS + 10 - 20, "wrong": 0 })
    );
}

#[test]
fn what_cannot_spill_fails_with_its_class_and_leaves_nothing_behind() {
    // A list is held whole.
    let sql = format!("SELECT array_agg(x) AS numbers FROM generate_series(1, {ROWS}) AS t(x)");
    let project = project("32 MB", &sql);
    let said = project.run(&["--json", "materialize"]).expect(1);
    let answers = said.answers();
    let failed = answers
        .iter()
        .find(|answer| answer["event"]["type"] == "step_failed")
        .unwrap();
    let failure = &failed["event"]["failure"];
    assert_eq!(failure["class"], "memory", "{failure:#}");
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.starts_with("the query needs more memory than it may use: AggregateStream["),
        "{message}"
    );
    assert!(message.ends_with("of 32.0 MB for the whole query"), "{message}");
    assert_eq!(project.files(".millpond/scratch"), Vec::<String>::new());
}

#[test]
fn rows_to_merge_far_larger_than_the_memory_are_merged_in_parts() {
    // 600,000 rows of some 60 bytes in 32 MB, of which they may take 8: the first time into nothing, then over half of them.
    const MERGED: u64 = 600_000;
    let query = |from: u64, more: &str| {
        let to = from + MERGED - 1;
        format!("SELECT x AS id, md5(CAST(x AS VARCHAR)) || '{more}' AS h FROM generate_series({from}, {to}) AS t(x)")
    };
    let assets = |sql: String| {
        format!("[asset.gold.large]\nkind = \"sql\"\nwrite = \"merge\"\nkey = [\"id\"]\nsql = \"{sql}\"\n")
    };
    let project = Project::new(&[
        ("millpond.toml", &TOML.replace("MEMORY", "32 MB")),
        ("assets/a.toml", &assets(query(1, "first"))),
    ]);
    assert!(spilled(&project, "gold.large") > 1);
    let sums = "SELECT count(*) AS n, CAST(sum(id) AS BIGINT) AS ids, count(*) FILTER (WHERE h LIKE '%first') AS first, \
                count(*) FILTER (WHERE left(h, 32) <> md5(CAST(id AS VARCHAR))) AS wrong FROM gold.large";
    let all = |n: u64, first: u64| json!({ "n": n, "ids": n * (n + 1) / 2, "first": first, "wrong": 0 });
    assert_eq!(project.row(sums), all(MERGED, MERGED));
    let half = MERGED / 2;
    project.write("assets/a.toml", assets(query(half + 1, "second")).as_bytes());
    assert!(spilled(&project, "gold.large") > 1);
    assert_eq!(project.row(sums), all(MERGED + half, half));
}
