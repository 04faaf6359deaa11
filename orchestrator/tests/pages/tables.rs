//! A table is taken back, and its snapshots are named, from the page of its snapshots.

use serde_json::Value;

use super::daemon::Daemon;
use super::project::has;

fn snapshots(daemon: &Daemon) -> Vec<Value> {
    snapshots_of(daemon, "gold.labels")
}

fn snapshots_of(daemon: &Daemon, asset: &str) -> Vec<Value> {
    let told = daemon.json(&format!("/api/v1/assets/{asset}/snapshots"));
    told["snapshots"].as_array().unwrap().clone()
}

#[test]
fn a_table_is_taken_back_with_a_reason_and_its_snapshots_are_named() {
    let daemon = Daemon::start();
    daemon.materialize_so("selection=gold.labels");
    daemon.materialize_so("selection=gold.labels&force=on");
    let all = snapshots(&daemon);
    assert_eq!(all.len(), 2);
    let old = all[1]["snapshot"].as_str().unwrap().to_owned();
    let page = daemon.page(&format!("/assets/gold.labels/snapshots?snapshot={old}"));
    for fact in [
        "Roll back to this snapshot",
        "Tag this snapshot",
        "These read it",
        "/assets/reports.log",
        "never materialized (page)",
    ] {
        assert!(has(&page, fact), "{fact:?}:\n{page}");
    }
    let now = daemon.page("/assets/gold.labels/snapshots?snapshot=current");
    assert!(!has(&now, "Roll back to this snapshot"), "{now}");

    let form = daemon.form_token();
    let fields = format!("snapshot={old}&note=%3Cb%3Ewrong+file%3C%2Fb%3E");
    assert_eq!(daemon.post("/assets/gold.labels/rollback", &fields).status, 403);
    let pressed = daemon.post(&format!("/assets/gold.labels/rollback?form={form}"), &fields);
    assert_eq!(pressed.status, 303, "{}", pressed.body);
    assert!(
        pressed.head.contains("location: /assets/gold.labels/snapshots"),
        "{}",
        pressed.head
    );
    let all = snapshots(&daemon);
    assert_eq!((all.len(), all[0]["rollback"]["by"].clone()), (3, Value::from("page")));
    let page = daemon.page("/assets/gold.labels/snapshots");
    let why = format!("rolled back to {old} by page: &lt;b&gt;wrong file&lt;/b&gt;");
    assert!(has(&page, &why), "{page}");
    let unknown = format!("/assets/gold.labels/rollback?form={form}");
    assert_eq!(daemon.post(&unknown, "snapshot=no-such-tag").status, 404);
    assert_eq!(daemon.post(&unknown, "snapshot=last+week").status, 404);

    let tag = format!("/assets/gold.labels/tag?form={form}");
    assert_eq!(daemon.post(&tag, &format!("snapshot={old}&tag=good")).status, 303);
    assert_eq!(daemon.post(&tag, &format!("snapshot={old}&tag=a+b")).status, 422);
    let page = daemon.page("/assets/gold.labels/snapshots?snapshot=good");
    assert!(
        has(&page, "<span class=\"tag\">good</span>") && has(&page, "Drop the tag good"),
        "{page}"
    );
    assert_eq!(
        daemon.post(&tag, &format!("snapshot={old}&tag=good&drop=yes")).status,
        303
    );
    let gone = daemon.ask(
        "GET",
        "/assets/gold.labels/snapshots?snapshot=good",
        &[("Cookie", daemon.cookie.as_str())],
        "",
    );
    assert_eq!(gone.status, 404);
}

const CUT: &str = r#"
[project]
name = "cut"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-30
end = 2026-02-02

[partitions.monthly]
every = "month"
start = 2026-01-01
end = 2026-02-01
"#;

const DAYS: &str = r#"
[asset.bronze.days]
kind = "sql"
partitions = { use = "daily", column = "day" }
sql = "SELECT CAST($partition_key AS DATE) AS day, 1 AS rows"

[asset.silver.days]
kind = "sql"
partitions = { use = "daily", column = "day" }
sql = "SELECT day, rows FROM bronze.days"
"#;

#[test]
fn a_table_whose_partitions_are_declared_otherwise_is_cut_by_a_button() {
    let daemon = Daemon::with(&[("millpond.toml", CUT), ("assets/all.toml", DAYS)]);
    daemon.materialize_so("selection=*");
    let page = "/assets/silver.days/snapshots";
    let offered = "Its partitions are not those that are declared";
    assert!(!has(&daemon.page(page), offered));
    assert_eq!(daemon.json(&format!("/api/v1{page}"))["cut_otherwise"], Value::Null);

    let declare = |silver: &str| {
        let (bronze, days) = DAYS.split_once("[asset.silver.days]").unwrap();
        let days = days.replace(r#"partitions = { use = "daily", column = "day" }"#, silver);
        let text = format!("{bronze}[asset.silver.days]{days}");
        std::fs::write(daemon.folder.path().join("assets/all.toml"), text).unwrap();
        daemon.post(&format!("/definitions/look?form={}", daemon.form_token()), "");
    };
    let monthly = r#"partitions = { use = "monthly", column = "day" }"#;
    declare(&format!("{monthly}\nwrite = \"append\""));
    let told = daemon.page(page);
    assert!(
        has(&told, offered) && has(&told, "adds the rows of each file once"),
        "{told}"
    );
    assert!(!has(&told, "Cut its rows into"), "{told}");

    // A step would replace it whole: there is nothing to cut.
    declare("");
    assert!(!has(&daemon.page(page), offered));

    declare(monthly);
    let told = daemon.page(page);
    for fact in [
        offered,
        "The table is cut by `day`, the asset by the month of `day`.",
        "4 rows in 4 files would be written anew",
        "Cut its rows into the declared partitions",
    ] {
        assert!(has(&told, fact), "{fact:?}:\n{told}");
    }
    let form = daemon.form_token();
    assert_eq!(daemon.post("/assets/silver.days/repartition", "").status, 403);
    let pressed = daemon.post(&format!("/assets/silver.days/repartition?form={form}"), "");
    assert_eq!(pressed.status, 303, "{}", pressed.body);
    let told = daemon.page(page);
    assert!(
        !has(&told, offered) && has(&told, "the same rows in other files"),
        "{told}"
    );
    assert_eq!(snapshots_of(&daemon, "silver.days")[0]["rows"], 4);
    // Rows that no step has made since are in the table, and not counted.
    let uncounted = "rows of partitions that were not made since the table was cut into these";
    assert!(has(&daemon.page("/assets/silver.days"), uncounted));
    daemon.materialize_so("selection=silver.days");
    let made = daemon.page("/assets/silver.days");
    assert!(!has(&made, uncounted), "{made}");
    let none = daemon.post(&format!("/assets/gold.none/repartition?form={form}"), "");
    assert_eq!(none.status, 404);
}
