//! Rows of raw files that cannot be used: set aside with their reason and their place up to a limit, and past it a failure
//! that publishes nothing.

use millpond_tests::program::Project;
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "orders"
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
[asset.bronze.orders]
kind = "ingest"
from.files = { path = "landing/orders/*.csv" }
columns = { id = "long", amount = "double", day = "date" }
partitions = { use = "daily", column = "day" }
on_bad_row = { quarantine = { limit = 3 } }

[asset.bronze.events]
kind = "ingest"
from.files = { path = "landing/events/*.jsonl.gz" }
columns = { id = "long" }
on_bad_row = { quarantine = { limit = 2 } }

[asset.bronze.strict]
kind = "ingest"
from.files = { path = "landing/strict.csv" }
columns = { id = "long" }

[asset.silver.orders]
kind = "sql"
sql = "SELECT count(*) AS n FROM bronze.orders"
"#;

const ORDERS: &str = "id,day,amount\n\
                      1,2026-01-01,1.5\n\
                      2,2026-01-02,many\n\
                      3,2026-02-09,2\n\
                      4,2026-01-02,4\n\
                      5,2026-01-03\n";

fn gz(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap()
}

const EVENTS: &str =
    "{\"id\":1,\"kind\":\"a\"}\n{\"id\":\"two\",\"kind\":\"b\"}\n{\"id\":3,\n{\"id\":4,\"kind\":\"d\"}\n";

fn project() -> Project {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("landing/orders/a.csv", ORDERS),
        ("landing/strict.csv", "id\n1\n"),
    ]);
    project.write("landing/events/e.jsonl.gz", &gz(EVENTS));
    project
}

fn rows(project: &Project, sql: &str) -> Vec<Value> {
    project.run(&["--json", "query", sql]).expect(0).answers()
}

#[test]
fn bad_rows_are_set_aside_with_file_line_and_reason() {
    let project = project();
    project.run(&["materialize"]).expect(0);
    assert_eq!(
        rows(&project, "SELECT id, amount FROM bronze.orders ORDER BY id"),
        [json!({ "id": 1, "amount": 1.5 }), json!({ "id": 4, "amount": 4.0 })]
    );
    let aside = "SELECT file, line, reason, raw FROM bronze.orders__quarantine ORDER BY line";
    let expected = [
        json!({ "file": "landing/orders/a.csv", "line": 3, "reason": "column amount: `many` does not read as one (column type double)", "raw": "2,2026-01-02,many" }),
        json!({ "file": "landing/orders/a.csv", "line": 4, "reason": "belongs to no partition: 2026-02-09", "raw": "3,2026-02-09,2.0" }),
        json!({ "file": "landing/orders/a.csv", "line": 6, "reason": "2 fields instead of 3", "raw": "5,2026-01-03" }),
    ];
    assert_eq!(rows(&project, aside), expected);
    let events = rows(
        &project,
        "SELECT file, line, reason, raw FROM bronze.events__quarantine ORDER BY line",
    );
    assert_eq!(events.len(), 2, "{events:#?}");
    assert_eq!(
        events[0],
        json!({ "file": "landing/events/e.jsonl.gz", "line": 2, "reason": "column id: `two` does not read as one (column type long)", "raw": "{\"id\":\"two\",\"kind\":\"b\"}" })
    );
    assert_eq!(
        (&events[1]["line"], &events[1]["raw"]),
        (&json!(3), &json!("{\"id\":3,"))
    );
    assert_eq!(
        project.row("SELECT sum(id) AS ids FROM bronze.events"),
        json!({ "ids": 5 })
    );

    // Made again, bad rows are there once. Corrected, they are gone, and the table stays to be read.
    project.run(&["materialize", "--force", "bronze.*"]).expect(0);
    assert_eq!(rows(&project, aside), expected);
    let corrected = ORDERS
        .replace("many", "2")
        .replace("2026-02-09", "2026-01-03")
        .replace("01-03\n", "01-03,5\n");
    project.write("landing/orders/a.csv", corrected.as_bytes());
    project.run(&["materialize"]).expect(0);
    assert_eq!(
        project.row("SELECT count(*) AS n FROM bronze.orders"),
        json!({ "n": 5 })
    );
    assert_eq!(rows(&project, aside), Vec::<Value>::new());
    project.sound();
}

#[test]
fn past_the_limit_the_step_fails_and_nothing_of_it_is_published() {
    let project = project();
    project.run(&["materialize"]).expect(0);
    project.write(
        "landing/orders/a.csv",
        format!("{ORDERS}6,soon,1\n7,2026-01-01,9\n").as_bytes(),
    );
    project.write("landing/events/e.jsonl.gz", &gz(&format!("{EVENTS}[5]\n")));
    let said = project.run(&["materialize"]).expect(1);
    for words in [
        // Rows that cannot be read and those that belong nowhere count together.
        "failed bronze.orders@2026-01-01: read on after 4 bad rows, more than the 3 allowed; the last is landing/orders/a.csv line",
        "failed bronze.events: read on after 3 bad rows, more than the 2 allowed: landing/events/e.jsonl.gz line 2, column id",
        "raise `limit` of `quarantine`",
    ] {
        assert!(said.err.contains(words), "{words}: {said:#?}");
    }
    // The rows, and the bad ones, are those of the last good version.
    assert_eq!(
        project.row("SELECT sum(id) AS ids FROM bronze.orders"),
        json!({ "ids": 5 })
    );
    assert_eq!(
        project.row("SELECT count(*) AS n FROM bronze.orders__quarantine"),
        json!({ "n": 3 })
    );
    assert_eq!(
        project.row("SELECT sum(id) AS ids FROM bronze.events"),
        json!({ "ids": 5 })
    );
    assert_eq!(
        project.row("SELECT count(*) AS n FROM bronze.events__quarantine"),
        json!({ "n": 2 })
    );
    project.sound();
}

#[test]
fn without_a_quarantine_the_first_bad_row_fails_the_step() {
    let project = project();
    project.run(&["materialize"]).expect(0);
    project.write("landing/strict.csv", b"id\n1\n2\nthree\n4,4\n");
    let said = project.run(&["materialize", "bronze.strict"]).expect(1);
    assert!(
        said.err
            .contains("failed bronze.strict: read landing/strict.csv line 4, column id: `three` does not read as one"),
        "{said:#?}"
    );
    assert!(
        said.err.contains("on_bad_row = { quarantine = { limit = 1000 } }"),
        "{said:#?}"
    );
    project.write("landing/strict.csv", b"id\n1\n2\n3\n4,4\n");
    let said = project.run(&["materialize", "bronze.strict"]).expect(1);
    assert!(
        said.err
            .contains("landing/strict.csv line 5: 2 fields instead of 1: `4,4`"),
        "{said:#?}"
    );
    assert_eq!(
        project.row("SELECT count(*) AS n FROM bronze.strict"),
        json!({ "n": 1 })
    );
}
