//! `atomic_group`: assets that are published together, or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use millpond_tests::program::{Daemon, Project, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "together"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-03

[execution]
workers = 2
memory = "128 MB"
"#;

/// The sums of a day by hour and by shop have to agree for whoever reads both.
const ASSETS: &str = r#"
[asset.bronze.sales]
kind = "ingest"
from.files = { path = "landing/*.csv" }
partitions = { use = "daily", column = "day" }

[asset.gold.by_hour]
kind = "sql"
sql = "SELECT day, hour, sum(amount) AS amount FROM bronze.sales GROUP BY day, hour"
partitions = { use = "daily", column = "day" }
atomic_group = "sums"

[asset.gold.by_shop]
kind = "sql"
sql = "SELECT day, shop, sum(amount) AS amount FROM bronze.sales GROUP BY day, shop"
partitions = { use = "daily", column = "day" }
atomic_group = "sums"
checks = [{ range = { column = "amount", max = 100 } }]

[asset.gold.best_hour]
kind = "sql"
sql = "SELECT day, max(amount) AS amount FROM gold.by_hour GROUP BY day"
partitions = { use = "daily", column = "day" }
"#;

const FIRST: &str = "day,hour,shop,amount\n2026-01-01,9,a,5\n2026-01-02,9,a,6\n2026-01-03,9,b,7\n";

fn project() -> Project {
    Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("landing/1.csv", FIRST),
    ])
}

/// The sum of each day in a table.
fn sums(project: &Project, table: &str) -> BTreeMap<String, i64> {
    let sql = format!(
        "SELECT CAST(day AS VARCHAR) AS day, CAST(sum(amount) AS BIGINT) AS amount FROM gold.{table} GROUP BY day"
    );
    let rows = project.run(&["--json", "query", &sql]).expect(0).answers();
    let sum = |row: &Value| (row["day"].as_str().unwrap().to_owned(), row["amount"].as_i64().unwrap());
    rows.iter().map(sum).collect()
}

/// The assets that a run made something of.
fn assets(project: &Project, run: &str) -> Vec<String> {
    let shown = project.run(&["--json", "runs", run]).expect(0).answer();
    let assets = shown["run"]["assets"].as_array().expect("a run has assets").iter();
    assets
        .map(|asset| asset["asset"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_fails_a_check_keeps_back_what_is_published_with_it() {
    let project = project();
    project.run(&["materialize", "*"]).expect(0);
    assert_eq!(sums(&project, "by_hour"), sums(&project, "by_shop"));

    // On the second day a shop sells too much.
    project.write(
        "landing/2.csv",
        b"day,hour,shop,amount\n2026-01-01,10,b,1\n2026-01-02,10,b,1000\n",
    );
    let said = project.run(&["materialize", "*"]).expect(1);
    let expected = [("2026-01-01", 6), ("2026-01-02", 6), ("2026-01-03", 7)];
    let expected: BTreeMap<String, i64> = expected.map(|(day, sum)| (day.to_owned(), sum)).into();
    assert_eq!(sums(&project, "by_shop"), expected, "{said:#?}");
    assert_eq!(sums(&project, "by_hour"), expected, "{said:#?}");
    let why = project.run(&["why", "gold.by_hour@2026-01-02"]).expect(0);
    assert!(
        why.out.contains("skipped last") && why.out.contains("gold.by_shop@2026-01-02 was not made"),
        "it says what kept it back: {why:#?}"
    );

    // By hand only both can be published.
    let kept = project.run(&["--json", "staged", "list"]).expect(0).answers();
    let run = kept[0]["run"].as_str().unwrap();
    let refused = project
        .run(&["staged", "publish", run, "--note", "it is right"])
        .expect(1);
    assert!(
        refused
            .err
            .contains("gold.by_shop@2026-01-02 is published together with gold.by_hour@2026-01-02"),
        "{refused:#?}"
    );

    project.write("assets/a.toml", ASSETS.replace("max = 100 ", "max = 2000 ").as_bytes());
    project.run(&["materialize", "*"]).expect(0);
    assert_eq!(sums(&project, "by_shop")["2026-01-02"], 1006);
    assert_eq!(sums(&project, "by_hour"), sums(&project, "by_shop"));
    project.sound();
    project.run(&["fsck"]).expect(0);
}

#[test]
fn who_makes_one_makes_what_is_stale_of_the_others_too() {
    let project = project();
    project.run(&["materialize", "bronze.sales"]).expect(0);
    let plan = project.run(&["--json", "plan", "gold.by_hour"]).expect(0).answer();
    assert_eq!(plan["steps"].as_array().map(Vec::len), Some(6), "{plan:#}");
    project
        .run(&["materialize", "gold.by_hour", "--partition", "2026-01-02"])
        .expect(0);
    assert_eq!(sums(&project, "by_hour"), sums(&project, "by_shop"));
    assert_eq!(sums(&project, "by_shop").len(), 1);
    project.run(&["materialize", "gold.by_shop"]).expect(0);
    assert_eq!(sums(&project, "by_hour"), sums(&project, "by_shop"));
    assert_eq!(sums(&project, "by_shop").len(), 3);
    // A rollback is of one table, and says so.
    let told = project.run(&["rollback", "gold.by_shop", "-1"]).expect(0);
    assert!(
        told.out
            .contains("published together with it and not taken back: gold.by_hour"),
        "{told:#?}"
    );
    // What is fresh is not made again for another's sake.
    let answer = project
        .run(&["--json", "materialize", "gold.by_shop", "--force"])
        .expect(0)
        .answers();
    let run = answer
        .iter()
        .find_map(|said| said["run"].as_str())
        .expect("it says which run")
        .to_owned();
    assert_eq!(assets(&project, &run), ["gold.by_shop"]);
}

/// What reads tables while they are published, and after kills at any moment, never sees one without the other.
#[test]
fn readers_never_see_one_without_the_other() {
    let project = project();
    project.run(&["materialize", "*"]).expect(0);
    let both = "SELECT CAST(h.day AS VARCHAR) AS day FROM \
                (SELECT day, sum(amount) AS amount FROM gold.by_hour GROUP BY day) AS h FULL JOIN \
                (SELECT day, sum(amount) AS amount FROM gold.by_shop GROUP BY day) AS s \
                ON h.day = s.day WHERE h.amount IS DISTINCT FROM s.amount";
    let agree = |when: &str| {
        let rows = project.run(&["--json", "query", both]).expect(0).answers();
        assert_eq!(rows, Vec::<Value>::new(), "{when}");
    };
    for round in 0..12_u64 {
        let amount = 10 + round;
        project.write(
            "landing/2.csv",
            format!("day,hour,shop,amount\n2026-01-01,10,b,{amount}\n2026-01-02,11,c,{amount}\n").as_bytes(),
        );
        if round % 3 == 2 {
            project.run(&["materialize", "*"]).expect(0);
        } else {
            let run = project.begin(&["materialize", "*"]);
            std::thread::park_timeout(Duration::from_millis(60 + 45 * round));
            run.signal(Signal::SIGKILL);
            run.end();
        }
        agree(&format!("round {round}"));
    }
    project.run(&["materialize", "*"]).expect(0);
    agree("at the end");
    assert_eq!(sums(&project, "by_hour")["2026-01-02"], 6 + 21);
    project.sound();
    project.run(&["fsck"]).expect(0);
}

/// With room for one step in flight, the second still comes through.
#[test]
fn one_at_a_time_is_enough() {
    let project = project();
    project.run(&["materialize", "bronze.sales"]).expect(0);
    let daemon = Daemon::start(&project);
    let body = json!({ "selection": "gold.by_hour, gold.by_shop", "pace": { "max_in_flight": 1 } });
    let run = daemon.post("/api/v1/runs", &body).json();
    let run = run["run"].as_str().expect("it is accepted").to_owned();
    until("it is over", || {
        let shown = daemon.get(&format!("/api/v1/runs/{run}")).json();
        (shown["run"]["row"]["status"] == "succeeded").then_some(())
    });
    daemon.stop().expect(0);
    assert_eq!(sums(&project, "by_hour"), sums(&project, "by_shop"));
    assert_eq!(sums(&project, "by_hour").len(), 3);
}

/// One is made and waits for the other, whose program does not come to an end; both are said.
#[test]
fn what_is_made_says_what_it_waits_for_and_a_drain_does_not_wait_for_it() {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        (
            "assets/a.toml",
            "[asset.gold.quick]\nkind = \"sql\"\nsql = \"SELECT 1 AS id\"\natomic_group = \"pair\"\n\
             [asset.gold.slow]\nkind = \"command\"\ncommand = [\"sh\", \"slow.sh\"]\natomic_group = \"pair\"\npool = [\"one\"]\n\
             [asset.gold.other]\nkind = \"command\"\ncommand = [\"sh\", \"slow.sh\"]\npool = [\"one\"]\n",
        ),
        ("slow.sh", "read line < pipe\n"),
    ]);
    let toml = format!("{TOML}\n[pool.one]\nlimit = 1\n");
    project.write("millpond.toml", toml.as_bytes());
    let pipe = project.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let mut daemon = Daemon::start(&project);
    // The pool has its one place taken, so the slow one of the pair cannot begin.
    daemon
        .post("/api/v1/runs", &json!({ "selection": "gold.other" }))
        .json();
    let writer = std::fs::File::options().write(true).open(&pipe).unwrap();
    let run = daemon
        .post("/api/v1/runs", &json!({ "selection": "gold.quick, gold.slow" }))
        .json();
    let run = run["run"].as_str().expect("it is accepted").to_owned();
    until("the quick one is made and says what it waits for", || {
        let told = project.run(&["why", "gold.quick"]).expect(0).out;
        told.contains("is made, and waits for gold.slow, which is published together with it")
            .then_some(())
    });
    daemon.running().signal(Signal::SIGTERM);
    until("it is being stopped", || {
        (daemon.get("/readyz").status == 503).then_some(())
    });
    // Only the program that reads the pipe is waited for.
    drop(writer);
    let said = daemon.end().expect(0);
    assert!(!said.err.contains("the time to finish is over"), "{said:#?}");
    let shown = project.run(&["--json", "runs", &run]).expect(0).answer();
    assert_eq!(
        shown["run"]["row"]["status"], "running",
        "the next start goes on with it: {shown:#}"
    );
}
