//! Mistakes and bad data, as a user meets them: each ends in an error that names the place and what to do, with its exit code,
//! and costs nothing that was published.

use millpond_tests::program::{Project, Said};
use serde_json::json;

const TOML: &str = r#"
[project]
name = "bad"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-03

[execution]
workers = 2
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.bronze.rows]
kind = "ingest"
from.files = { path = "landing/rows.csv" }

[asset.bronze.packed]
kind = "ingest"
from.files = { path = "landing/packed.csv.gz" }

[asset.silver.days]
kind = "sql"
sql = "sql/days.sql"
partitions = { use = "daily", column = "day" }

[asset.gold.rows]
kind = "sql"
sql = "sql/rows.sql"
"#;

const DAYS: &str = "SELECT CAST($partition_key AS DATE) AS day, 1 AS n";
const ROWS: &str = "-- All rows.\nSELECT a, b,\n       a + b AS c\n  FROM bronze.rows\n";

fn gz(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap()
}

/// A project that was materialized once.
fn project() -> Project {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("sql/days.sql", DAYS),
        ("sql/rows.sql", ROWS),
        ("landing/rows.csv", "a,b\n1,2\n3,4\n"),
    ]);
    project.write("landing/packed.csv.gz", &gz("x\n1\n2\n3\n"));
    project.run(&["materialize"]).expect(0);
    project
}

/// What was published is there.
#[track_caller]
fn kept(project: &Project) {
    assert_eq!(
        project.row("SELECT sum(a) AS a, sum(b) AS b FROM bronze.rows"),
        json!({ "a": 4, "b": 6 })
    );
    assert_eq!(project.row("SELECT sum(x) AS x FROM bronze.packed"), json!({ "x": 6 }));
    assert_eq!(project.row("SELECT sum(n) AS n FROM silver.days"), json!({ "n": 3 }));
    assert_eq!(project.row("SELECT sum(c) AS c FROM gold.rows"), json!({ "c": 10 }));
    project.sound();
}

#[track_caller]
fn says(said: &Said, words: &[&str]) {
    for words in words {
        assert!(said.err.contains(words), "{words:?} is not in {said:#?}");
    }
}

#[test]
fn files_that_are_not_there_or_cannot_be_read() {
    let project = project();
    project.remove("landing/rows.csv");
    let said = project.run(&["materialize"]).expect(1);
    says(
        &said,
        &[
            "error: failed to look at the sources of `bronze.rows`: find files: nothing matches `landing/rows.csv`\n",
            "help: the nearest folder, `landing`, holds 1 entry: packed.csv.gz; put the files there, or correct `path`\n",
        ],
    );
    project.write("landing/rows.csv", b"a,b\n1,2\n3,4\n");

    project.write(
        "assets/b.toml",
        b"[asset.bronze.none]\nkind = \"ingest\"\nfrom.files = { path = \"arrivals/*.csv\" }\n",
    );
    let said = project.run(&["materialize"]).expect(1);
    says(
        &said,
        &[
            "sources of `bronze.none`: find files: nothing matches `arrivals/*.csv`",
            "the nearest folder, `.`,",
        ],
    );
    project.remove("assets/b.toml");

    let whole = gz(&(0..5000).map(|n| format!("{}\n", n * 7919 % 10007)).collect::<String>());
    project.write("landing/packed.csv.gz", &whole[..whole.len() / 2]);
    let said = project.run(&["materialize"]).expect(1);
    says(
        &said,
        &[
            &format!(
                "failed bronze.packed: read landing/packed.csv.gz: gzip data is cut off at byte {}",
                whole.len() / 2
            ),
            "help: the file is damaged or was not copied whole: compare it with its origin and copy it again",
        ],
    );
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    project.write("landing/packed.csv.gz", &flipped);
    let said = project.run(&["materialize"]).expect(1);
    says(&said, &["failed bronze.packed: read landing/packed.csv.gz: "]);
    project.write("landing/packed.csv.gz", b"a page that says 404");
    let said = project.run(&["materialize"]).expect(1);
    says(
        &said,
        &["landing/packed.csv.gz: named as gzip but it does not begin like it"],
    );

    project.write("landing/rows.csv", b"a,b\n1,2\n3\n");
    let said = project.run(&["materialize"]).expect(1);
    says(
        &said,
        &["failed bronze.rows: read landing/rows.csv line 3: 1 field instead of 2: `3`"],
    );
    kept(&project);
}

#[test]
fn rows_outside_the_partition_are_counted_and_named() {
    let project = project();
    project.write(
        "sql/days.sql",
        b"SELECT DATE '2026-01-01' + CAST(x AS INT) AS day, x AS n FROM generate_series(0, 4) AS t(x)",
    );
    let said = project.run(&["materialize"]).expect(1);
    says(
        &said,
        &[
            "failed silver.days@2026-01-02: 4 rows outside partition 2026-01-02: 2026-01-01 (1), 2026-01-03 (1), 2026-01-04 (1), 2026-01-05 (1)",
            "help: filter the rows by `$partition_start` and `$partition_end`, or by `$partition_key`",
        ],
    );
    project.write("sql/days.sql", b"SELECT CAST(NULL AS DATE) AS day, 1 AS n");
    let said = project.run(&["materialize"]).expect(1);
    says(
        &said,
        &[
            "failed silver.days@2026-01-02: 1 row outside partition 2026-01-02",
            "null",
        ],
    );
    kept(&project);
}

#[test]
fn mistakes_in_sql_name_the_line_of_their_file() {
    let project = project();
    // Found before anything runs.
    project.write("sql/rows.sql", b"-- All rows.\nSELECT a,\n  FROM bronze.rows\n WHERE\n");
    for command in [&["check"][..], &["materialize"], &["plan"]] {
        let said = project.run(command).expect(3);
        says(&said, &["error[sql-syntax]", "--> sql/rows.sql:4:"]);
    }
    project.write("sql/rows.sql", b"-- All rows.\nSELECT a, b, c\n  FROM bronze.row\n");
    let said = project.run(&["materialize"]).expect(3);
    says(
        &said,
        &["--> sql/rows.sql:3:8", "bronze.row", "did you mean `bronze.rows`?"],
    );
    // Found by the step, which knows the columns.
    project.write(
        "sql/rows.sql",
        b"-- All rows.\nSELECT a,\n       bb AS c\n  FROM bronze.rows\n",
    );
    let said = project.run(&["materialize"]).expect(1);
    says(
        &said,
        &[
            "failed gold.rows: sql/rows.sql: there is no column `bb` (line 3, column 8 of the SQL)",
            "help: did you mean `b`?",
        ],
    );
    project.write("sql/rows.sql", b"SELECT a + 'x' AS c\n  FROM bronze.rows\n");
    let said = project.run(&["materialize"]).expect(1);
    says(&said, &["failed gold.rows: sql/rows.sql: "]);
    kept(&project);
}

#[test]
fn mistakes_in_declarations_are_told_all_at_once_with_their_places() {
    let project = project();
    project.write(
        "assets/b.toml",
        br#"[asset.gold.one]
kind = "sql"
sql = "SELECT * FROM gold.two"

[asset.gold.two]
kind = "sql"
sql = "SELECT * FROM gold.one"

[asset.silver.days]
kind = "sql"
sql = "SELECT 1 AS n"

[asset.gold.keys]
kind = "sql"
sqll = "SELECT 1 AS n"
tags = 7
"#,
    );
    project.write(
        "millpond.toml",
        format!("{TOML}\n[params]\napi_token = \"tok-12345\"\n").as_bytes(),
    );
    for command in [&["check"][..], &["materialize"]] {
        let said = project.run(command).expect(3);
        says(
            &said,
            &[
                "error[cycle]: assets read each other in a circle: gold.one -> gold.two -> gold.one",
                "--> assets/b.toml:3:22",
                "error[duplicate-asset]: `silver.days` is declared twice",
                "--> assets/b.toml:9:15",
                "--> assets/a.toml:10:15",
                "unknown key `sqll`",
                "--> assets/b.toml:15:1",
                "--> assets/b.toml:16:8",
                "error[literal-secret]: `api_token` holds a secret",
                "--> millpond.toml:16:13",
            ],
        );
        assert!(
            !said.err.contains("tok-12345") && !said.out.contains("tok-12345"),
            "a secret is shown: {said:#?}"
        );
    }
    // For programs, too.
    let said = project.run(&["--json", "check"]).expect(3);
    assert!(
        said.out.contains("\"assets/b.toml\"") && !said.out.contains("tok-12345"),
        "{said:#?}"
    );
    project.remove("assets/b.toml");
    project.write("millpond.toml", TOML.as_bytes());
    kept(&project);
}

/// A chain of operators nests as deep as it is long: a parser or planner that recursed over it would run off its stack.
#[test]
fn a_query_that_nests_too_deep_is_refused_and_one_below_the_limit_runs() {
    let project = project();
    let chain = |terms: usize| format!("SELECT a, b, {} AS c FROM bronze.rows", vec!["a"; terms].join(" + "));
    for (query, place) in [
        (chain(20_000), "sql/rows.sql:1:"),
        (
            format!("SELECT {}1{} AS c", "(".repeat(2000), ")".repeat(2000)),
            "sql/rows.sql:1:",
        ),
        (
            format!(
                "SELECT c FROM {}bronze.rows{}",
                "(SELECT * FROM ".repeat(300),
                ") AS t".repeat(300)
            ),
            "sql/rows.sql:1:",
        ),
    ] {
        project.write("sql/rows.sql", query.as_bytes());
        let said = project.run(&["materialize"]).expect(3);
        says(&said, &["error[query-too-deep]", place, "help: "]);
    }
    project.write("sql/rows.sql", ROWS.as_bytes());
    kept(&project);
    project.write("sql/rows.sql", chain(1400).as_bytes());
    project.run(&["materialize"]).expect(0);
    assert_eq!(
        project.row("SELECT sum(c) AS c FROM gold.rows"),
        json!({ "c": 4 * 1400 })
    );
    // Asked by hand, the same limits hold.
    let said = project.run(&["query", &chain(20_000)]).expect(1);
    says(
        &said,
        &[
            "error: more than 1500 operators in one expression (line 1, column ",
            "help: ",
        ],
    );
}
