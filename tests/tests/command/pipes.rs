//! The published Python client of the Dagster Pipes protocol, as it is.

use assets::outcome::{FailureClass, Severity};
use serde_json::json;

use super::world::World;

const REPORT: &str = include_str!("../../pipes/report.py");
const FAIL: &str = include_str!("../../pipes/fail.py");

fn python() -> String {
    std::env::var("MILLPOND_PYTHON").expect("MILLPOND_PYTHON names a Python with dagster-pipes and pyarrow")
}

fn world() -> World {
    let python = python();
    let assets = format!(
        r#"
[asset.silver.numbers]
kind = "sql"
sql = """
SELECT CAST($partition_start AS DATE) AS day, value AS number FROM generate_series(1, 4)
"""
partitions = {{ use = "daily", column = "day" }}

[asset.gold.report]
kind = "command"
command = ["{python}", "report.py"]
needs = ["silver.numbers"]
partitions = {{ use = "daily", column = "day" }}
checks = [{{ row_count = {{ min = 1 }} }}]

[asset.gold.fail]
kind = "command"
command = ["{python}", "fail.py"]
"#
    );
    World::new(&assets, &[("report.py", REPORT), ("fail.py", FAIL)])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "second tier: needs MILLPOND_PYTHON"]
async fn a_program_reads_its_input_and_leaves_rows_checks_and_metadata() {
    let mut world = world();
    world.materialize("silver.numbers", Some("2013-03-01")).await;
    world.materialize("silver.numbers", Some("2013-03-02")).await;
    let staged = world.materialize("gold.report", Some("2013-03-02")).await;
    assert_eq!(
        world.rows(&staged).await,
        "\
+------------+--------+-------+
| day        | number | times |
+------------+--------+-------+
| 2013-03-02 | 1      | 3     |
| 2013-03-02 | 2      | 6     |
| 2013-03-02 | 3      | 9     |
| 2013-03-02 | 4      | 12    |
+------------+--------+-------+"
    );
    let checks: Vec<_> = staged
        .checks
        .iter()
        .map(|check| (check.name.as_str(), check.passed, check.severity, check.figure))
        .collect();
    assert_eq!(
        checks,
        [
            ("row_count", true, Severity::Error, Some(4.0)),
            ("not empty", true, Severity::Error, Some(4.0)),
            ("is small", false, Severity::Warn, None)
        ]
    );
    assert_eq!(staged.blocked_by(), None);
    assert_eq!(staged.metadata["mean"], json!(2.5));
    assert_eq!(staged.metadata["rows read"], json!(4));
    assert_eq!(
        staged.metadata["report"],
        json!({ "type": "md", "raw_value": "# Title" })
    );
    assert_eq!(staged.data_version.as_deref(), Some("snapshot-True"));
    let said = world.log("step");
    assert!(said.contains(&"gold/report 2013-03-02 try 1".to_owned()), "{said:?}");
    assert!(
        said.contains(&r#"message of the program: {"any":"payload"}"#.to_owned()),
        "{said:?}"
    );
    assert_eq!(
        world.log("stdout"),
        ["from 2013-03-02T00:00:00-05:00 to 2013-03-03T00:00:00-05:00"]
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "second tier: needs MILLPOND_PYTHON"]
async fn an_exception_fails_the_step_and_its_stack_is_in_the_log() {
    let mut world = world();
    let failure = world.execute("gold.fail", None).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Command);
    assert!(
        failure.message.ends_with("failed: ValueError: no numbers today"),
        "{}",
        failure.message
    );
    let said = world.log("step").join("\n");
    assert!(said.contains("about to fail") && said.contains("in <module>"), "{said}");
}
