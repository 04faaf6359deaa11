//! What is published is made again from what it was made from: the same rows come out, whatever changed upstream since; and what
//! does not come out the same is told row for row.

use millpond_tests::program::{Daemon, Project};
use serde_json::Value;

const TOML: &str = r#"
[project]
name = "again"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-02

[execution]
workers = 1
memory = "128 MB"
"#;

/// `gold.luck` is what nobody should write: rows that depend on more than code and data.
const ASSETS: &str = r#"
[asset.bronze.orders]
kind = "ingest"
from = { files = { path = "raw/*.csv" } }

[asset.silver.days]
kind = "sql"
sql = "SELECT CAST($partition_key AS DATE) AS day, id, amount * 2 AS amount FROM bronze.orders"
partitions = { use = "daily", column = "day" }
inputs."bronze.orders" = "all"

[asset.gold.total]
kind = "sql"
sql = "SELECT day, sum(amount) AS amount, count(*) AS orders FROM silver.days GROUP BY day"

[asset.gold.luck]
kind = "sql"
sql = "SELECT id, random() AS luck FROM bronze.orders"
"#;

fn project() -> Project {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("raw/one.csv", "id,amount\n1,10\n2,20\n2,20\n3,\n"),
    ]);
    project.run(&["materialize", "*"]).expect(0);
    project
}

fn replay(project: &Project, arguments: &[&str], code: i32) -> Value {
    let arguments = [&["--json", "replay"], arguments].concat();
    project.run(&arguments).expect(code).answer()
}

#[test]
fn the_same_rows_come_out_of_what_they_were_made_from_whatever_changed_since() {
    let project = project();
    let run = project.run(&["--json", "runs", "--limit", "1"]).expect(0).answer()["run"]
        .as_str()
        .unwrap()
        .to_owned();
    let said = project.run(&["replay", "silver.days@2026-01-02"]).expect(0);
    assert!(said.out.contains("the same 4 rows"), "{}", said.out);
    let files = project.files("lake");
    let answer = replay(&project, &["gold.total"], 0);
    assert_eq!(answer["same"], 1, "{answer:#}");
    assert_eq!(project.files("lake"), files, "nothing stays behind");

    // A correction arrives upstream: what was made before is still what it says it was made from.
    project.write("raw/one.csv", b"id,amount\n1,10\n2,20\n2,25\n3,\n");
    project.run(&["materialize", "bronze.orders"]).expect(0);
    let answer = replay(&project, &["silver.days"], 0);
    assert_eq!(answer["same"], 2, "{answer:#}");
    let answer = replay(&project, &["silver.days@2026-01-01", "--with", "data=current"], 1);
    let compared = &answer["replayed"][0]["compared"];
    assert_eq!(
        (&compared["only_then"], &compared["only_now"]),
        (&1.into(), &1.into()),
        "{answer:#}"
    );
    let said = project
        .run(&["replay", "silver.days@2026-01-01", "--with", "data=current"])
        .expect(1);
    assert!(
        said.out.contains("1 only then, 1 only now, of 4 rows and 4"),
        "{}",
        said.out
    );
    assert!(said.out.contains("50"), "the corrected amount is shown: {}", said.out);

    // What the run published, whichever run published it since: all but the rows that luck made, and the corrected file.
    let answer = replay(&project, &[&run], 1);
    let of = |step: &str| {
        let all = answer["replayed"].as_array().unwrap();
        all.iter()
            .find(|one| one["step"].to_string().contains(step))
            .unwrap_or_else(|| panic!("{answer:#}"))
    };
    assert_eq!(of("gold.total")["same"], true);
    assert_eq!(of("bronze.orders")["same"], false);
    assert_eq!(of("gold.luck")["compared"]["only_now"], 4, "{answer:#}");
    project.sound();
}

#[test]
fn what_a_change_of_the_code_does_is_told_when_it_is_asked_for() {
    let project = project();
    project.write(
        "assets/a.toml",
        ASSETS
            .replace("amount * 2 AS amount", "amount * 3 AS amount")
            .as_bytes(),
    );
    let answer = replay(&project, &["silver.days@2026-01-01"], 1);
    let error = answer["replayed"][0]["error"].as_str().unwrap();
    assert!(error.contains("its code was changed since"), "{error}");
    let answer = replay(&project, &["silver.days@2026-01-01", "--with", "code=current"], 1);
    let compared = &answer["replayed"][0]["compared"];
    // The row without an amount is the same with either.
    assert_eq!(
        (&compared["only_then"], &compared["only_now"]),
        (&3.into(), &3.into()),
        "{answer:#}"
    );
    project.write(
        "assets/a.toml",
        ASSETS.replace("sum(amount) AS amount", "'x' AS amount").as_bytes(),
    );
    let said = project
        .run(&["replay", "gold.total", "--with", "code=current"])
        .expect(1);
    assert!(said.out.contains("other columns: amount: then"), "{}", said.out);
}

#[test]
fn it_goes_on_beside_a_daemon_and_says_what_is_gone() {
    let project = project();
    let daemon = Daemon::start(&project);
    replay(&project, &["gold.total"], 0);
    project.run(&["materialize", "bronze.orders+", "--force"]).expect(0);
    project.run(&["gc", "--keep", "0", "--keep-snapshots", "1"]).expect(0);
    replay(&project, &["gold.total"], 0);
    daemon.stop();
    let said = project.run(&["replay", "gold.nothing"]).expect(4);
    assert!(said.err.contains("there is no asset"), "{}", said.err);
    project.sound();
}
