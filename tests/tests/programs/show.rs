//! `millpond show`: an asset as it stands, over all its partitions.

use millpond_tests::program::Project;
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "standing"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-04

[execution]
workers = 1
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.bronze.days]
kind = "sql"
sql = "assets/days.sql"
partitions = { use = "daily", column = "day" }
checks = [
  { range = { column = "n", max = 100 } },
  { null_share = { column = "m", max = 0.0 }, severity = "warn" },
  { not_null = ["n"] },
]

[asset.gold.whole]
kind = "sql"
sql = "SELECT count(*) AS n FROM bronze.days"
checks = [{ row_count = { min = 1 } }]
"#;

/// The days with one value of `n` for the second day and one of `m` for the first.
fn days(second: &str, first: &str) -> String {
    format!(
        "SELECT CAST($partition_key AS DATE) AS day, CASE $partition_key WHEN '2026-01-02' THEN {second} ELSE 1 END AS n, \
         CASE $partition_key WHEN '2026-01-01' THEN {first} ELSE 1 END AS m"
    )
}

/// Name, worst result, and how many of how many partitions did not pass.
fn standing(project: &Project) -> Vec<(String, bool, u64, u64)> {
    let shown = project.run(&["--json", "show", "bronze.days"]).expect(0).answer();
    let of = |check: &Value| {
        let number = |key: &str| check[key].as_u64().unwrap();
        let name = check["result"]["name"].as_str().unwrap().to_owned();
        (
            name,
            check["result"]["passed"] == true,
            number("failing"),
            number("partitions"),
        )
    };
    shown["checks"].as_array().unwrap().iter().map(of).collect()
}

fn expected(share: (bool, u64), range: (bool, u64)) -> Vec<(String, bool, u64, u64)> {
    vec![
        ("not_null(n)".to_owned(), true, 0, 4),
        ("null_share(m)".to_owned(), share.0, share.1, 4),
        ("range(n)".to_owned(), range.0, range.1, 4),
    ]
}

#[test]
fn checks_stand_as_the_worst_of_all_partitions() {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("assets/days.sql", &days("2", "1")),
    ]);
    project.run(&["materialize"]).expect(0);
    assert_eq!(standing(&project), expected((true, 0), (true, 0)));
    let shown = project.run(&["show", "bronze.days"]).expect(0);
    assert_eq!(shown.out.matches("all 4 passed").count(), 3, "{shown:#?}");

    // The first day warns and is published, the second fails and is not; the last partition that ran is fine.
    project.write("assets/days.sql", days("1000", "CAST(NULL AS BIGINT)").as_bytes());
    project.run(&["materialize"]).expect(1);
    assert_eq!(standing(&project), expected((false, 1), (false, 1)));
    let shown = project.run(&["show", "bronze.days"]).expect(0);
    for words in [
        "1 of 4 did not pass, such as 2026-01-01",
        "1 of 4 did not pass, such as 2026-01-02",
    ] {
        assert!(shown.out.contains(words), "{words}: {shown:#?}");
    }
    project
        .run(&["materialize", "--force", "--partition", "2026-01-04", "bronze.days"])
        .expect(0);
    assert_eq!(standing(&project), expected((false, 1), (false, 1)));

    // Put right, every partition stands with its newest result.
    project.write("assets/days.sql", days("3", "1").as_bytes());
    project.run(&["materialize"]).expect(0);
    assert_eq!(standing(&project), expected((true, 0), (true, 0)));

    let whole = project.run(&["--json", "show", "gold.whole"]).expect(0).answer();
    assert_eq!(
        (&whole["checks"][0]["partitions"], &whole["checks"][0]["failing"]),
        (&json!(1), &json!(0))
    );
    let shown = project.run(&["show", "gold.whole"]).expect(0);
    assert!(!shown.out.contains("all 1 passed"), "{shown:#?}");
}
