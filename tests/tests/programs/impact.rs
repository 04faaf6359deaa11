//! `millpond impact`: what was built on a partition, as the mappings and the published results say.

use std::collections::BTreeMap;

use millpond_tests::program::Project;
use serde_json::Value;

const TOML: &str = r#"
[project]
name = "impact"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-10

[execution]
workers = 1
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.bronze.days]
kind = "sql"
sql = "SELECT CAST($partition_key AS DATE) AS day, 1 AS n"
partitions = { use = "daily", column = "day" }

[asset.silver.days]
kind = "sql"
sql = "SELECT day, n FROM bronze.days"
partitions = { use = "daily", column = "day" }

[asset.gold.week]
kind = "sql"
sql = "SELECT CAST($partition_key AS DATE) AS day, sum(n) AS n FROM silver.days"
partitions = { use = "daily", column = "day" }
inputs."silver.days" = { window = "3 days", ending = "before" }

[asset.gold.whole]
kind = "sql"
sql = "SELECT count(*) AS n FROM gold.week"

[asset.gold.other]
kind = "sql"
sql = "SELECT 1 AS n"
"#;

/// Of each asset below, the partitions that are told.
fn below(project: &Project, step: &str) -> BTreeMap<String, Vec<String>> {
    let told = project.run(&["--json", "impact", step]).expect(0).answer();
    let keys = |asset: &Value| {
        let keys = asset["partitions"].as_array().expect("partitions").iter();
        keys.map(|key| key.as_str().unwrap_or("the whole").to_owned()).collect()
    };
    let assets = told["assets"].as_array().expect("assets").iter();
    assets
        .map(|asset| (asset["asset"].as_str().expect("a key").to_owned(), keys(asset)))
        .collect()
}

#[test]
fn it_follows_the_mappings_to_what_is_published() {
    let project = Project::new(&[("millpond.toml", TOML), ("assets/a.toml", ASSETS)]);
    project.run(&["impact", "bronze.days@2026-01-03"]).expect(4);
    // The last two days of the window are not made.
    project.run(&["backfill", "bronze.days or silver.days"]).expect(0);
    project
        .run(&["backfill", "gold.week", "--from", "2026-01-02", "--to", "2026-01-05"])
        .expect(0);
    project.run(&["materialize", "gold.other"]).expect(0);

    let third = below(&project, "bronze.days@2026-01-03");
    assert_eq!(third["silver.days"], ["2026-01-03"]);
    // Windows of the three days before: those of the 4th, 5th and 6th hold the 3rd, and the 6th was not made.
    assert_eq!(third["gold.week"], ["2026-01-04", "2026-01-05"]);
    assert!(!third.contains_key("gold.other"), "{third:?}");

    // Nothing that is made reads the last day.
    let last = below(&project, "bronze.days@2026-01-10");
    assert_eq!(last.keys().collect::<Vec<_>>(), ["silver.days"]);

    // Of the whole asset everything below.
    let all = below(&project, "bronze.days");
    assert_eq!(all["silver.days"].len(), 10);
    assert_eq!(all["gold.week"].len(), 4);

    // In words, with what repairs it.
    let said = project.run(&["impact", "bronze.days@2026-01-03"]).expect(0).out;
    assert!(said.contains("gold.week"), "{said}");
    assert!(
        said.contains("millpond materialize bronze.days --partition 2026-01-03 --force"),
        "{said}"
    );
    project.run(&["impact", "bronze.days@2027-01-01"]).expect(4);
}
