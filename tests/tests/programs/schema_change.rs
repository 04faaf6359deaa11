//! Columns that come, go or change their type between two runs. A table that is replaced whole takes any columns; one that
//! keeps other partitions takes new and wider ones, and says of all else which column differs and how.

use millpond_tests::program::{Project, Said};
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "columns"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-02

[execution]
workers = 2
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.bronze.whole]
kind = "ingest"
from.files = { path = "landing/*.csv" }
missing_columns = "null"

[asset.bronze.days]
kind = "ingest"
from.files = { path = "landing/*.csv" }
partitions = { use = "daily", column = "day" }
missing_columns = "null"

[asset.silver.days]
kind = "sql"
sql = "SELECT * FROM bronze.days"
partitions = { use = "daily", column = "day" }

[asset.gold.n]
kind = "sql"
sql = "SELECT sum(n) AS n FROM bronze.whole"
"#;

const FIRST: &str = "id,day,n\n1,2026-01-01,10\n";
const SECOND: &str = "id,day,n\n2,2026-01-02,20\n";

fn project() -> Project {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("landing/1.csv", FIRST),
        ("landing/2.csv", SECOND),
    ]);
    project.run(&["materialize"]).expect(0);
    project
}

/// Runs after the second file was replaced.
fn with(project: &Project, second: &str) -> Said {
    project.write("landing/2.csv", second.as_bytes());
    project.run(&["materialize"])
}

fn rows(project: &Project, table: &str) -> Vec<Value> {
    let sql = format!("SELECT * FROM {table} ORDER BY id");
    project.run(&["--json", "query", &sql]).expect(0).answers()
}

fn as_before() -> [Value; 2] {
    [
        json!({ "id": 1, "day": "2026-01-01", "n": 10 }),
        json!({ "id": 2, "day": "2026-01-02", "n": 20 }),
    ]
}

#[test]
fn a_new_column_is_null_in_the_rows_that_were_there() {
    let project = project();
    let shown = project.run(&["--json", "show", "bronze.days"]).expect(0).answer();
    let before = shown["snapshots"][0]["id"].as_str().unwrap().to_owned();
    with(&project, "id,day,n,city\n2,2026-01-02,20,Rome\n").expect(0);
    let expected = [
        json!({ "id": 1, "day": "2026-01-01", "n": 10, "city": null }),
        json!({ "id": 2, "day": "2026-01-02", "n": 20, "city": "Rome" }),
    ];
    for table in ["bronze.whole", "bronze.days", "silver.days"] {
        assert_eq!(rows(&project, table), expected, "{table}");
    }
    // An older version is as it was.
    let then = [
        "--json",
        "query",
        "SELECT * FROM bronze.days ORDER BY id",
        "--as-of",
        &before,
    ];
    assert_eq!(project.run(&then).expect(0).answers(), as_before());
}

#[test]
fn a_wider_type_holds_the_old_values_too() {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        (
            "assets/a.toml",
            &ASSETS.replace("missing_columns", "columns = { n = \"int\" }\nmissing_columns"),
        ),
        ("landing/1.csv", FIRST),
        ("landing/2.csv", SECOND),
    ]);
    project.run(&["materialize"]).expect(0);
    project.write("assets/a.toml", ASSETS.as_bytes());
    project.write("landing/2.csv", b"id,day,n\n2,2026-01-02,20000000000\n");
    // Only one partition is made with the wider type.
    project
        .run(&["materialize", "--partition", "2026-01-02", "bronze.days"])
        .expect(0);
    assert_eq!(
        project.row("SELECT sum(n) AS n, min(arrow_typeof(n)) AS t FROM bronze.days"),
        json!({ "n": 20_000_000_010_i64, "t": "Int64" })
    );
}

#[test]
fn a_column_that_goes_or_changes_its_type_is_named_and_the_rows_stay() {
    for (second, difference) in [
        ("id,day\n2,2026-01-02\n", None),
        ("id,day,n\n2,2026-01-02,twenty\n", Some("`n` was long, is string")),
        ("id,day,n\n2,2026-01-02,2.5\n", Some("`n` was long, is double")),
        ("id,day,n\n2,2026-01-02,2026-01-02\n", Some("`n` was long, is string")),
    ] {
        let project = project();
        let Some(difference) = difference else {
            // Another file has the column still, and the asset says that it is null then.
            with(&project, second).expect(0);
            assert_eq!(
                rows(&project, "bronze.days")[1],
                json!({ "id": 2, "day": "2026-01-02", "n": null })
            );
            continue;
        };
        let said = with(&project, second).expect(1);
        let message = format!(
            "failed bronze.days@2026-01-02: write bronze.days: its columns differ from those of the table: {difference}\n"
        );
        assert!(said.err.contains(&message), "{said:#?}");
        assert!(said.err.contains("declare it in `columns`"), "{said:#?}");
        assert_eq!(rows(&project, "bronze.days"), as_before(), "{second}");
        assert_eq!(rows(&project, "silver.days"), as_before(), "{second}");
        // The table that is replaced whole has the new columns.
        assert_ne!(rows(&project, "bronze.whole"), as_before(), "{second}");
        project.sound();
        // Put right again, all is as it was.
        with(&project, SECOND).expect(0);
        assert_eq!(rows(&project, "bronze.whole"), as_before(), "{second}");
    }
}

#[test]
fn a_column_that_is_gone_from_every_file_is_kept_by_declaring_it() {
    let project = project();
    project.write("landing/1.csv", b"id,day\n1,2026-01-01\n");
    let said = with(&project, "id,day\n2,2026-01-02\n").expect(1);
    assert!(
        said.err
            .contains("its columns differ from those of the table: `n` was long, is missing"),
        "{said:#?}"
    );
    // What reads the column by its name says where it did.
    assert!(
        said.err
            .contains("failed gold.n: there is no column `n` (line 1, column 12 of the SQL)"),
        "{said:#?}"
    );
    assert_eq!(rows(&project, "bronze.days"), as_before());
    assert_eq!(project.row("SELECT n FROM gold.n"), json!({ "n": 30 }));

    let declared = ASSETS.replace("missing_columns", "columns = { n = \"long\" }\nmissing_columns");
    project.write("assets/a.toml", declared.as_bytes());
    project.run(&["materialize"]).expect(0);
    let n = |row: &Value| row["n"].clone();
    assert_eq!(
        rows(&project, "bronze.days").iter().map(n).collect::<Vec<_>>(),
        [json!(null), json!(null)]
    );
    project.sound();
}

#[test]
fn a_query_that_loses_a_column_says_how_to_keep_it() {
    let project = project();
    let assets = ASSETS.replace("SELECT * FROM bronze.days", "SELECT id, day FROM bronze.days");
    project.write("assets/a.toml", assets.as_bytes());
    let said = project.run(&["materialize"]).expect(1);
    assert!(
        said.err.contains("failed silver.days@2026-01-01: write silver.days: its columns differ from those of the table: `n` was long, is missing"),
        "{said:#?}"
    );
    assert!(said.err.contains("CAST(NULL AS …)"), "{said:#?}");
    assert_eq!(rows(&project, "silver.days"), as_before());
    let kept = ASSETS.replace(
        "SELECT * FROM bronze.days",
        "SELECT id, day, CAST(NULL AS BIGINT) AS n FROM bronze.days",
    );
    project.write("assets/a.toml", kept.as_bytes());
    project.run(&["materialize"]).expect(0);
    assert_eq!(
        rows(&project, "silver.days")[0],
        json!({ "id": 1, "day": "2026-01-01", "n": null })
    );
}

/// The rows that `query` gives for a version of a table.
fn as_of(project: &Project, table: &str, version: &str) -> Vec<Value> {
    let sql = format!("SELECT * FROM {table} ORDER BY id");
    let query = ["--json", "query", &sql, "--as-of", version];
    project.run(&query).expect(0).answers()
}

#[test]
fn a_column_that_is_renamed_keeps_its_values_and_a_dropped_one_goes() {
    let project = project();
    project.run(&["tag", "silver.days", "before"]).expect(0);
    let renamed = ASSETS.replace(
        "SELECT * FROM bronze.days\"",
        "SELECT id, day, n AS amount FROM bronze.days\"\ncolumns = { amount = { was = [\"total\", \"n\"], required = true } }",
    );
    project.write("assets/a.toml", renamed.as_bytes());
    // One partition is made; the other has its values under the new name all the same.
    let day = ["materialize", "--partition", "2026-01-02", "silver.days"];
    project.run(&day).expect(0);
    let expected = |name: &str, first: Value, second: Value| {
        [
            json!({ "id": 1, "day": "2026-01-01", name: first }),
            json!({ "id": 2, "day": "2026-01-02", name: second }),
        ]
    };
    assert_eq!(rows(&project, "silver.days"), expected("amount", json!(10), json!(20)));
    assert_eq!(as_of(&project, "silver.days", "before"), as_before());
    let diff = project.run(&["diff", "silver.days", "before"]).expect(0);
    assert!(diff.out.contains("was called n"), "{diff:#?}");
    let shown = project.run(&["show", "silver.days"]).expect(0);
    assert!(shown.out.contains("amount required was total, n"), "{shown:#?}");
    project.run(&["materialize"]).expect(0);

    // It goes: no row has it any more, and the version before has.
    project.run(&["tag", "silver.days", "renamed"]).expect(0);
    let dropped = ASSETS.replace(
        "SELECT * FROM bronze.days\"",
        "SELECT id, day FROM bronze.days\"\ncolumns = { amount = { dropped = true } }",
    );
    project.write("assets/a.toml", dropped.as_bytes());
    project.run(&day).expect(0);
    let ids = [
        json!({ "id": 1, "day": "2026-01-01" }),
        json!({ "id": 2, "day": "2026-01-02" }),
    ];
    assert_eq!(rows(&project, "silver.days"), ids);
    assert_eq!(
        as_of(&project, "silver.days", "renamed"),
        expected("amount", json!(10), json!(20))
    );
    project.sound();

    // Rows that have it still are refused, and what is there stays.
    let still = dropped.replace("SELECT id, day FROM", "SELECT id, day, n AS amount FROM");
    project.write("assets/a.toml", still.as_bytes());
    let said = project.run(&day).expect(1);
    assert!(
        said.err.contains("`amount` is declared as dropped and is there"),
        "{said:#?}"
    );
    assert_eq!(rows(&project, "silver.days"), ids);
    // Back to before all of it.
    project
        .run(&["rollback", "silver.days", "before", "--note", "a mistake"])
        .expect(0);
    assert_eq!(rows(&project, "silver.days"), as_before());
    project.sound();
}

#[test]
fn files_may_call_a_column_otherwise_and_nothing_is_made_again_for_it() {
    let assets = ASSETS.replace("missing_columns = \"null\"\n", "");
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", &assets),
        ("landing/1.csv", "id,day,n,tail\n1,2026-01-01,10,N1\n"),
    ]);
    project.run(&["materialize", "bronze.days"]).expect(0);
    // From the second day on the files have another header.
    project.write("landing/2.csv", b"id,amount,day\n2,20,2026-01-02\n");
    let said = project.run(&["materialize", "bronze.days"]).expect(1);
    assert!(said.err.contains("it lacks `n`, `tail` that"), "{said:#?}");
    let columns = "columns = { amount = { was = \"n\" }, tail = { dropped = true } }\npartitions = { use";
    project.write(
        "assets/a.toml",
        assets.replacen("partitions = { use", columns, 1).as_bytes(),
    );
    let plan = project.run(&["plan", "bronze.days"]).expect(0);
    assert!(!plan.out.contains("2026-01-01"), "{plan:#?}");
    project.run(&["materialize", "bronze.days"]).expect(0);
    assert_eq!(
        rows(&project, "bronze.days"),
        [
            json!({ "id": 1, "day": "2026-01-01", "amount": 10 }),
            json!({ "id": 2, "day": "2026-01-02", "amount": 20 }),
        ]
    );
    project.sound();
}
