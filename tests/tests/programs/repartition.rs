//! An asset whose `partitions` change while its table has rows.

use millpond_tests::program::{Project, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "repartition"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-30
end = 2026-02-02

[partitions.monthly]
every = "month"
start = 2026-01-01
end = 2026-02-01

[execution]
workers = 2
memory = "128 MB"
"#;

const DAILY: &str = r#"partitions = { use = "daily", column = "day" }"#;
const MONTHLY: &str = r#"partitions = { use = "monthly", column = "day" }"#;

const ASSETS: &str = r#"
[asset.bronze.sales]
kind = "ingest"
from.files = { path = "landing/*.csv" }
partitions = { use = "daily", column = "day" }

[asset.silver.sales]
kind = "sql"
sql = "SELECT day, id, amount FROM bronze.sales"
partitions = { use = "daily", column = "day" }
checks = [{ unique = ["id"] }]

[asset.gold.total]
kind = "sql"
sql = "SELECT sum(amount) AS amount, count(*) AS rows FROM silver.sales"
"#;

const SALES: &str = "id,day,amount\n1,2026-01-30,5\n2,2026-01-31,6\n3,2026-02-01,7\n4,2026-02-02,8\n";

/// `silver.sales` with other words.
fn silver(partitions: &str) -> String {
    let (before, silver) = ASSETS.split_once("[asset.silver.sales]").unwrap();
    format!("{before}[asset.silver.sales]{}", silver.replacen(DAILY, partitions, 1))
}

fn project() -> Project {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("landing/1.csv", SALES),
    ]);
    project.run(&["materialize"]).expect(0);
    project
}

fn held(project: &Project) -> Value {
    project.row("SELECT count(*) AS rows, CAST(sum(amount) AS BIGINT) AS amount FROM silver.sales")
}

#[test]
fn days_become_months_in_one_change_and_no_row_is_there_twice() {
    let project = project();
    let all = json!({ "rows": 4, "amount": 26 });
    project.run(&["tag", "silver.sales", "days"]).expect(0);
    project.write("assets/a.toml", silver(MONTHLY).as_bytes());
    let said = project.run(&["materialize", "silver.sales"]).expect(1);
    assert!(
        said.err
            .contains("the table is partitioned by `day`, the asset by the month of `day`"),
        "{said:#?}"
    );
    assert!(said.err.contains("millpond repartition silver.sales"), "{said:#?}");
    assert_eq!(held(&project), all);

    let plan = project.run(&["repartition", "silver.sales", "--dry-run"]).expect(0);
    assert!(
        plan.out.contains("would be by the month of `day`: 4 rows in 4 files"),
        "{plan:#?}"
    );
    assert_eq!(
        project
            .run(&["show", "silver.sales", "--history"])
            .expect(0)
            .out
            .matches("replace")
            .count(),
        0
    );
    let told = project
        .run(&["--json", "repartition", "silver.sales"])
        .expect(0)
        .answer();
    assert_eq!(
        json!([
            told["was"],
            told["is"],
            told["rows"],
            told["files"],
            told["into"],
            told["already"]
        ]),
        json!(["`day`", "the month of `day`", 4, 4, 2, false])
    );
    assert_eq!(held(&project), all);
    let history = project.run(&["show", "silver.sales", "--history"]).expect(0);
    assert!(history.out.contains("the same rows in other files"), "{history:#?}");
    assert!(!history.out.contains("another program"), "{history:#?}");
    // Its days are no partitions any more, and nothing counts their rows beside those of the months.
    let shown = project.run(&["show", "silver.sales"]).expect(0);
    assert!(!shown.out.contains("holds       4 rows"), "{shown:#?}");
    let plan = project.run(&["plan", "silver.sales"]).expect(0);
    assert!(
        plan.out.contains("2 steps would run; 0 partitions are fresh"),
        "{plan:#?}"
    );
    let again = project.run(&["repartition", "silver.sales"]).expect(0);
    assert!(
        again.out.contains("cut as it is declared: nothing was changed"),
        "{again:#?}"
    );
    project.sound();
    project.run(&["fsck"]).expect(0);

    // What stands above the rows is made of the same ones still; a month is replaced whole.
    project.write("landing/1.csv", SALES.replace(",6\n", ",60\n").as_bytes());
    project.run(&["materialize"]).expect(0);
    let now = json!({ "rows": 4, "amount": 80 });
    assert_eq!(held(&project), now);
    let shown = project.run(&["show", "silver.sales"]).expect(0);
    assert!(shown.out.contains("holds       4 rows"), "{shown:#?}");
    assert_eq!(
        project.row("SELECT CAST(amount AS BIGINT) AS a, rows FROM gold.total"),
        json!({ "a": 80, "rows": 4 })
    );
    let then = [
        "--json",
        "query",
        "SELECT count(*) AS n FROM silver.sales WHERE day = DATE '2026-01-31'",
        "--as-of",
        "days",
    ];
    assert_eq!(project.run(&then).expect(0).answer()["n"], 1);
    let plan = project.run(&["plan"]).expect(0);
    assert!(plan.out.contains("nothing to do"), "{plan:#?}");

    // And back, by way of a daemon, which writes down what it did.
    project.write("assets/a.toml", ASSETS.as_bytes());
    let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
    daemon.wait_for("http://127.0.0.1:");
    let told = project
        .run(&["--json", "repartition", "silver.sales"])
        .expect(0)
        .answer();
    assert_eq!(json!([told["is"], told["into"]]), json!(["`day`", 4]));
    assert_eq!(held(&project), now);
    daemon.signal(Signal::SIGTERM);
    daemon.end().expect(0);
    let day = ["materialize", "--partition", "2026-01-31", "silver.sales"];
    project.run(&day).expect(0);
    assert_eq!(held(&project), now);
    project
        .run(&["rollback", "silver.sales", "days", "--note", "back"])
        .expect(0);
    assert_eq!(held(&project), all);
    project.sound();
}

#[test]
fn what_cannot_be_cut_is_said_and_stays() {
    let project = project();
    let all = held(&project);
    // February has no partition.
    let short = TOML.replace("end = 2026-02-01", "end = 2026-01-01");
    project.write("millpond.toml", short.as_bytes());
    project.write("assets/a.toml", silver(MONTHLY).as_bytes());
    let said = project.run(&["repartition", "silver.sales"]).expect(1);
    assert!(said.err.contains("2 rows outside"), "{said:#?}");
    assert!(
        said.err.contains("let the partitions begin earlier or end later"),
        "{said:#?}"
    );
    project.run(&["repartition", "gold.nothing"]).expect(4);

    // Files are added once by partition, and which of them a month has is not known.
    project.write("millpond.toml", TOML.as_bytes());
    let appended = ASSETS.replacen(DAILY, &format!("{MONTHLY}\nwrite = \"append\""), 1);
    project.write("assets/a.toml", appended.as_bytes());
    let said = project.run(&["repartition", "bronze.sales"]).expect(1);
    assert!(said.err.contains("adds the rows of each file once"), "{said:#?}");
    assert_eq!(held(&project), all);
    project.sound();
}

#[test]
fn a_run_that_is_to_write_the_table_goes_first() {
    let project = project();
    let (before, _) = ASSETS.split_once("[asset.silver.sales]").unwrap();
    let slow = "[asset.silver.sales]\nkind = \"command\"\ncommand = [\"sleep\", \"60\"]";
    project.write("assets/a.toml", format!("{before}{slow}\n{MONTHLY}\n").as_bytes());
    let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
    daemon.wait_for("http://127.0.0.1:");
    let run = project.begin(&["--json", "materialize", "silver.sales"]);
    until("the run begins", || {
        let runs = project.run(&["--json", "runs"]).expect(0).out;
        runs.contains("\"running\"").then_some(())
    });
    let said = project.run(&["repartition", "silver.sales"]).expect(1);
    assert!(said.err.contains("is to make silver.sales"), "{said:#?}");
    run.signal(Signal::SIGINT);
    run.end();
    project.write("assets/a.toml", silver(MONTHLY).as_bytes());
    daemon.signal(Signal::SIGTERM);
    daemon.end().expect(0);
    project.run(&["repartition", "silver.sales"]).expect(0);
    assert_eq!(held(&project), json!({ "rows": 4, "amount": 26 }));
}

#[test]
fn an_environment_is_cut_alone_until_it_is_merged() {
    let project = project();
    project.run(&["env", "create", "months"]).expect(0);
    project.write("assets/a.toml", silver(MONTHLY).as_bytes());
    project
        .run(&["--env", "months", "repartition", "silver.sales"])
        .expect(0);
    let cut = |within: &[&str]| {
        let plan = [within, &["repartition", "silver.sales", "--dry-run"]].concat();
        project.run(&plan).expect(0).out.contains("cut as it is declared")
    };
    assert!(cut(&["--env", "months"]));
    assert!(!cut(&[]), "production is cut as before");
    project.run(&["--env", "months", "materialize"]).expect(0);
    project.run(&["env", "merge", "months"]).expect(0);
    project.run(&["env", "drop", "months"]).expect(0);
    assert!(cut(&[]));
    assert_eq!(held(&project), json!({ "rows": 4, "amount": 26 }));
    let shown = project.run(&["show", "silver.sales"]).expect(0);
    assert!(shown.out.contains("holds       4 rows"), "{shown:#?}");
    let plan = project.run(&["plan"]).expect(0);
    assert!(plan.out.contains("nothing to do"), "{plan:#?}");
    project.sound();
}

#[test]
fn automation_makes_the_new_partitions_once_the_table_is_cut() {
    let project = project();
    let eager = |partitions: &str| silver(&format!("{partitions}\nautomation = \"eager\""));
    project.write("assets/a.toml", eager(DAILY).as_bytes());
    let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
    daemon.wait_for("http://127.0.0.1:");
    project.write("assets/a.toml", eager(MONTHLY).as_bytes());
    let health = |state: &str, partitions: u64| {
        until(state, || {
            let shown = project.run(&["--json", "show", "silver.sales"]).expect(0).answer();
            (shown["health"][state] == partitions).then_some(())
        });
    };
    health("failed", 2);
    project.run(&["repartition", "silver.sales"]).expect(0);
    health("fresh", 2);
    assert_eq!(held(&project), json!({ "rows": 4, "amount": 26 }));
    daemon.signal(Signal::SIGTERM);
    daemon.end().expect(0);
    project.sound();
}

/// A step of an asset that has no partitions any more replaces the table whole: nothing has to be cut for it.
#[test]
fn a_table_that_is_made_whole_has_its_days_no_more() {
    let project = project();
    let all = json!({ "rows": 4, "amount": 26 });
    project.run(&["tag", "silver.sales", "days"]).expect(0);
    project.write("assets/a.toml", silver("").as_bytes());
    project.run(&["materialize"]).expect(0);
    assert_eq!(held(&project), all);
    let holds = || {
        let shown = project.run(&["show", "silver.sales"]).expect(0);
        shown.out.contains("holds       4 rows")
    };
    assert!(holds(), "no row is counted twice");
    project.sound();
    // The days are back with the table, and the whole is gone.
    project.write("assets/a.toml", ASSETS.as_bytes());
    project.run(&["rollback", "silver.sales", "days"]).expect(0);
    assert!(holds());
    assert_eq!(held(&project), all);
    project.sound();
    let plan = project.run(&["plan", "silver.sales"]).expect(0);
    assert!(plan.out.contains("nothing to do"), "{plan:#?}");
}

#[test]
fn rows_that_were_set_aside_go_with_the_partitions_that_they_were_of() {
    let source = "from.files = { path = \"landing/*.csv\" }\n";
    let taken = format!("{source}columns = {{ amount = \"long\" }}\non_bad_row = {{ quarantine = {{ limit = 9 }} }}\n");
    let bronze = |partitions: &str| {
        let (bronze, _) = ASSETS.split_once("[asset.silver.sales]").unwrap();
        bronze.replace(source, &taken).replace(DAILY, partitions)
    };
    let landed = format!("{SALES}5,2026-01-30,many\n6,2026-02-01,few\n");
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", &bronze("")),
        ("landing/1.csv", &landed),
    ]);
    project.run(&["materialize"]).expect(0);
    let aside = |by: &str| {
        project.row(&format!(
            "SELECT count(*) AS rows, count(DISTINCT {by}) AS parts FROM bronze.sales__quarantine"
        ))
    };
    assert_eq!(aside("1"), json!({ "rows": 2, "parts": 1 }));
    let rows = "SELECT count(*) AS rows FROM bronze.sales";
    for (partitions, parts) in [(DAILY, 1), (MONTHLY, 1), ("", 0), (DAILY, 1)] {
        project.write("assets/a.toml", bronze(partitions).as_bytes());
        project.run(&["repartition", "bronze.sales"]).expect(0);
        assert_eq!(aside("1"), json!({ "rows": 0, "parts": 0 }), "{partitions}");
        assert_eq!(project.row(rows), json!({ "rows": 4 }), "{partitions}");
        project.sound();
        project.run(&["materialize"]).expect(0);
        let by = if partitions.is_empty() { "NULL" } else { "partition_key" };
        assert_eq!(aside(by), json!({ "rows": 2, "parts": parts }), "{partitions}");
        assert_eq!(project.row(rows), json!({ "rows": 4 }), "{partitions}");
        project.sound();
    }
}
