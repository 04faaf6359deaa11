//! `write = { mode = "merge" }`: rows replace those with the same key, once, whatever happens between.

use std::time::Duration;

use millpond_tests::program::Project;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "merge"
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
[asset.bronze.updates]
kind = "ingest"
from.files = { path = "updates.csv" }

[asset.silver.customers]
kind = "sql"
sql = "SELECT id, name, city FROM bronze.updates"
write = { mode = "merge", key = ["id"] }
checks = [{ unique = "key" }, { row_count = { min = 2 } }]

[asset.bronze.orders]
kind = "ingest"
from.files = { path = "orders/*.csv" }
partitions = { use = "daily", column = "day" }
key = ["id"]
write = "merge"
"#;

fn project() -> Project {
    Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("updates.csv", "id,name,city\n1,ann,oslo\n2,bob,rome\n3,cem,lima\n"),
        (
            "orders/1.csv",
            "id,day,state\n1,2026-01-01,open\n2,2026-01-01,open\n3,2026-01-02,open\n",
        ),
    ])
}

fn customers(project: &Project) -> Vec<Value> {
    let sql = "SELECT id, city FROM silver.customers ORDER BY id";
    let rows = project.run(&["--json", "query", sql]).expect(0).answers();
    rows.iter().map(|row| json!([row["id"], row["city"]])).collect()
}

fn orders(project: &Project) -> Vec<Value> {
    let sql = "SELECT id, state FROM bronze.orders ORDER BY id";
    let rows = project.run(&["--json", "query", sql]).expect(0).answers();
    rows.iter().map(|row| json!([row["id"], row["state"]])).collect()
}

fn files(project: &Project, layer: &str) -> usize {
    let all = project.files(&format!("lake/{layer}"));
    all.iter().filter(|path| path.ends_with(".parquet")).count()
}

#[test]
fn a_query_updates_what_it_names_and_leaves_the_rest() {
    let project = project();
    project.run(&["materialize", "+silver.customers"]).expect(0);
    project.write("updates.csv", b"id,name,city\n2,bob,paris\n9,ida,kyiv\n");
    project.run(&["materialize", "+silver.customers"]).expect(0);
    let expected = [
        json!([1, "oslo"]),
        json!([2, "paris"]),
        json!([3, "lima"]),
        json!([9, "kyiv"]),
    ];
    assert_eq!(customers(&project), expected);
    let told = project.run(&["--json", "show", "silver.customers"]).expect(0).answer();
    assert_eq!(told["sums"]["rows"], 4, "it says how many rows there are");
    // By force, and from the same rows, nothing is written.
    let before = files(&project, "silver");
    project.run(&["materialize", "silver.customers", "--force"]).expect(0);
    assert_eq!(
        (customers(&project), files(&project, "silver")),
        (expected.to_vec(), before)
    );
    project.sound();
    project.run(&["fsck"]).expect(0);
}

#[test]
fn each_file_is_merged_once_into_its_partitions() {
    let project = project();
    project.run(&["materialize", "bronze.orders"]).expect(0);
    project.write("orders/2.csv", b"id,day,state\n2,2026-01-01,paid\n4,2026-01-02,open\n");
    project.run(&["materialize", "bronze.orders"]).expect(0);
    let expected = [
        json!([1, "open"]),
        json!([2, "paid"]),
        json!([3, "open"]),
        json!([4, "open"]),
    ];
    assert_eq!(orders(&project), expected);
    // The first file is not merged again over the second one.
    project.run(&["materialize", "bronze.orders", "--force"]).expect(0);
    assert_eq!(orders(&project), expected);
    let quiet = project
        .run(&["--json", "materialize", "bronze.orders"])
        .expect(0)
        .answer();
    assert_eq!(quiet["run"], Value::Null);
    project.sound();
    project.run(&["fsck"]).expect(0);
}

#[test]
fn keys_that_come_twice_or_not_at_all_are_refused_by_name() {
    let project = project();
    project.run(&["materialize"]).expect(0);
    project.write("updates.csv", b"id,name,city\n7,eva,bonn\n7,eva,bern\n");
    let said = project.run(&["materialize", "+silver.customers"]).expect(1);
    let words = "merge into silver.customers: one key comes more than once in the rows to merge: id 7";
    assert!(
        said.err.contains(words) && said.err.contains("row_number()"),
        "{said:#?}"
    );
    project.write("updates.csv", b"id,name,city\n,eva,bonn\n8,kim,bern\n");
    let said = project.run(&["materialize", "+silver.customers"]).expect(1);
    assert!(said.err.contains("1 row has no value in `id`"), "{said:#?}");
    assert_eq!(customers(&project).len(), 3, "nothing was published");
}

#[test]
fn checks_see_the_partition_as_it_will_be() {
    let project = project();
    project.run(&["materialize", "+silver.customers"]).expect(0);
    // One row alone would be less than the check asks for.
    project.write("updates.csv", b"id,name,city\n1,ann,york\n");
    project.run(&["materialize", "+silver.customers"]).expect(0);
    assert_eq!(customers(&project)[0], json!([1, "york"]));
    let assets = ASSETS.replace("{ min = 2 }", "{ min = 4 }");
    project.write("assets/a.toml", assets.as_bytes());
    project.write("updates.csv", b"id,name,city\n1,ann,rio\n");
    let said = project.run(&["materialize", "+silver.customers"]).expect(1);
    assert!(said.err.contains("row_count"), "{said:#?}");
    assert_eq!(customers(&project)[0], json!([1, "york"]));
}

#[test]
fn runs_that_are_killed_anywhere_merge_nothing_twice() {
    let project = project();
    project.run(&["materialize", "bronze.orders"]).expect(0);
    for round in 0..10_u64 {
        project.write(
            &format!("orders/round{round}.csv"),
            format!(
                "id,day,state\n1,2026-01-01,round{round}\n{},2026-01-02,new\n",
                100 + round
            )
            .as_bytes(),
        );
        let run = project.begin(&["materialize", "bronze.orders"]);
        std::thread::park_timeout(Duration::from_millis(40 * round));
        run.signal(Signal::SIGKILL);
        run.end();
        // Whatever became of it: the next file has the same key again.
        project.run(&["materialize", "bronze.orders"]).expect(0);
    }
    let found = orders(&project);
    let mut expected = vec![json!([1, "round9"]), json!([2, "open"]), json!([3, "open"])];
    expected.extend((0..10).map(|round| json!([100 + round, "new"])));
    assert_eq!(found, expected);
    project.sound();
    project.run(&["fsck"]).expect(0);
}

#[test]
fn a_merge_says_what_it_needs() {
    let project = project();
    project.write("assets/a.toml", ASSETS.replace(", key = [\"id\"]", "").as_bytes());
    let said = project.run(&["check"]).expect(3);
    assert!(
        said.out.contains("a merge needs a key") || said.err.contains("a merge needs a key"),
        "{said:#?}"
    );
}

#[test]
fn a_merged_table_is_rolled_back_and_goes_on() {
    let project = project();
    project.run(&["materialize", "+silver.customers"]).expect(0);
    project.write("updates.csv", b"id,name,city\n1,ann,wrong\n2,bob,wrong\n");
    project.run(&["materialize", "+silver.customers"]).expect(0);
    project.run(&["rollback", "silver.customers", "-1"]).expect(0);
    assert_eq!(customers(&project)[0], json!([1, "oslo"]));
    let quiet = project
        .run(&["--json", "materialize", "+silver.customers"])
        .expect(0)
        .answer();
    assert_eq!(quiet["run"], Value::Null, "{quiet:#}");
    project.write("updates.csv", b"id,name,city\n1,ann,right\n");
    project.run(&["materialize", "+silver.customers"]).expect(0);
    assert_eq!(
        customers(&project),
        [json!([1, "right"]), json!([2, "rome"]), json!([3, "lima"])]
    );
    project.sound();
    project.run(&["fsck"]).expect(0);
}
