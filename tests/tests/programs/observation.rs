//! What is known of the files of an asset is looked at anew when the asset reads them in another way or has other partitions.

use millpond_tests::program::Project;
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "looks"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-02

[partitions.city]
values = ["Rome"]

[execution]
workers = 1
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.bronze.orders]
kind = "ingest"
from.files = { path = "landing/*.csv" }
derive = { day = "make_date(y, m, d)" }
partitions = { use = "daily", column = "day" }

[asset.bronze.cities]
kind = "ingest"
from.files = { path = "landing/*.csv" }
partitions = { use = "city", column = "city" }
on_bad_row = { quarantine = { limit = 10 } }
"#;

fn project() -> Project {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("landing/a.csv", "id,y,m,d,city\n1,2026,1,1,Rome\n2,2026,1,2,Oslo\n"),
    ]);
    project.run(&["materialize"]).expect(0);
    project
}

fn rows(project: &Project, sql: &str) -> Vec<Value> {
    project.run(&["--json", "query", sql]).expect(0).answers()
}

#[test]
fn another_expression_of_the_partition_column_moves_the_rows() {
    let project = project();
    let by_day = "SELECT CAST(day AS VARCHAR) AS day, id FROM bronze.orders ORDER BY id";
    assert_eq!(
        rows(&project, by_day),
        [
            json!({ "day": "2026-01-01", "id": 1 }),
            json!({ "day": "2026-01-02", "id": 2 })
        ]
    );
    // The other way round: the file is the same, and so are the partitions, but no row is where it was.
    let swapped = ASSETS.replace("make_date(y, m, d)", "make_date(y, m, 3 - d)");
    project.write("assets/a.toml", swapped.as_bytes());
    project.run(&["materialize"]).expect(0);
    assert_eq!(
        rows(&project, by_day),
        [
            json!({ "day": "2026-01-02", "id": 1 }),
            json!({ "day": "2026-01-01", "id": 2 })
        ]
    );
    // All rows in one day: the other day has no file any more.
    let one = ASSETS.replace("make_date(y, m, d)", "make_date(y, m, 2)");
    project.write("assets/a.toml", one.as_bytes());
    let said = project.run(&["materialize", "bronze.orders"]).expect(0);
    assert!(
        said.err
            .contains("no source file holds rows of bronze.orders@2026-01-01"),
        "{said:#?}"
    );
    let second = "SELECT count(*) AS n FROM bronze.orders WHERE day = DATE '2026-01-02'";
    assert_eq!(project.row(second), json!({ "n": 2 }));
}

#[test]
fn a_wider_set_of_partitions_finds_its_rows_in_the_files_that_were_seen() {
    let project = project();
    project.write("landing/b.csv", b"id,y,m,d,city\n3,2026,1,2,Rome\n4,2026,1,3,Oslo\n");
    let said = project.run(&["materialize"]).expect(1);
    assert!(
        said.err.contains(
            "1 row belongs to no partition of bronze.orders: 2026-01-03 (1); the first is landing/b.csv line 3"
        ),
        "{said:#?}"
    );
    assert!(said.err.contains("widen it"), "{said:#?}");
    project.write(
        "millpond.toml",
        TOML.replace("end = 2026-01-02", "end = 2026-01-03")
            .replace("\"Rome\"", "\"Rome\", \"Oslo\"")
            .as_bytes(),
    );
    project.run(&["materialize"]).expect(0);
    assert_eq!(
        project.row("SELECT count(*) AS n FROM bronze.orders"),
        json!({ "n": 4 })
    );
    assert_eq!(
        rows(
            &project,
            "SELECT city, count(*) AS n FROM bronze.cities GROUP BY city ORDER BY city"
        ),
        [json!({ "city": "Oslo", "n": 2 }), json!({ "city": "Rome", "n": 2 })]
    );
    let fresh = project.run(&["--json", "materialize"]).expect(0).answer();
    assert_eq!(fresh["run"], Value::Null, "{fresh:#}");
    project.sound();
}
