//! History, differences and tags, as commands tell them.

use millpond_tests::program::Project;
use serde_json::json;

const TOML: &str = r#"
[project]
name = "snapshots"
timezone = "UTC"

[execution]
workers = 1
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.bronze.prices]
kind = "ingest"
from.files = { path = "prices.csv" }
checks = [{ unique = ["id"] }]

[asset.silver.plain]
kind = "sql"
sql = "SELECT name, price FROM bronze.prices"
"#;

fn project() -> Project {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("prices.csv", "id,name,price\n1,tea,2.5\n2,milk,1.5\n3,salt,\n"),
    ]);
    project.run(&["materialize"]).expect(0);
    project.write(
        "prices.csv",
        b"id,name,price,origin\n1,tea,2.5,ceylon\n2,milk,1.75,\n4,rice,3.5,\n5,oats,,\n",
    );
    project.run(&["materialize"]).expect(0);
    project
}

#[test]
fn history_tells_when_by_which_run_and_why() {
    let project = project();
    let told = project
        .run(&["--json", "show", "silver.plain", "--history"])
        .expect(0)
        .answer();
    assert_eq!(
        (told["total"].clone(), told["snapshots"][0]["rows"].clone()),
        (json!(2), json!(4))
    );
    assert_eq!(told["current"], told["snapshots"][0]["snapshot"]);
    assert_eq!(told["snapshots"][1]["made"]["reason"], "never materialized");
    let said = project.run(&["show", "silver.plain", "--history"]).expect(0);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("snapshot"), "{said:#?}");
    assert!(
        lines[1].contains("current") && lines[1].ends_with("bronze.prices is materialized in this run (cli)"),
        "{said:#?}"
    );
    assert!(lines[2].ends_with("never materialized (cli)"), "{said:#?}");
    let one = project.run(&["show", "silver.plain", "--history", "-n", "1"]).expect(0);
    assert!(one.err.contains("the newest 1 of 2"), "{one:#?}");
}

#[test]
fn a_difference_by_key_shows_rows_columns_and_how_values_are_spread() {
    let project = project();
    let told = project.run(&["--json", "diff", "bronze.prices"]).expect(0).answer();
    assert_eq!(told["key"], json!(["id"]));
    assert_eq!(
        told["columns"],
        json!([{ "how": "added", "before": null, "after": { "id": 4, "name": "origin", "type": "string" } }])
    );
    let rows = &told["rows"];
    assert_eq!(
        (&rows["added"], &rows["removed"], &rows["changed"], &rows["same"]),
        (&json!(2), &json!(1), &json!(1), &json!(1))
    );
    assert_eq!(told["samples"]["changed"][0]["key"], json!([["id", "2"]]));
    assert_eq!(
        told["samples"]["changed"][0]["values"],
        json!([["price", "1.5", "1.75"]])
    );
    assert_eq!(told["samples"]["removed"]["rows"][0][1], "salt");
    let price = told["drift"]
        .as_array()
        .unwrap()
        .iter()
        .find(|column| column["name"] == "price")
        .unwrap();
    assert_eq!(
        (&price["before"]["mean"], &price["after"]["max"]),
        (&json!(2.0), &json!("3.5"))
    );
    assert_eq!(price["after"]["null_share"], 0.25);

    let said = project.run(&["diff", "bronze.prices", "-1", "current"]).expect(0);
    for words in [
        "rows 3 → 4",
        "column origin string: added",
        "by id: 2 added, 1 removed, 1 changed, 1 the same",
        "id 2  price: 1.5 → 1.75",
        "33.3 % → 25.0 %",
    ] {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    // The other way round, and of a snapshot with itself.
    let back = project
        .run(&["--json", "diff", "bronze.prices", "current", "-1"])
        .expect(0)
        .answer();
    assert_eq!(
        (&back["rows"]["added"], &back["rows"]["removed"]),
        (&json!(1), &json!(2))
    );
    let none = project.run(&["diff", "bronze.prices", "current", "current"]).expect(0);
    assert!(
        none.out.contains("0 added, 0 removed, 0 changed, 4 the same"),
        "{none:#?}"
    );
}

#[test]
fn without_a_key_rows_are_counted_by_their_values() {
    let project = project();
    let told = project.run(&["--json", "diff", "silver.plain"]).expect(0).answer();
    assert_eq!((&told["key"], &told["rows"]), (&json!([]), &json!(null)));
    assert_eq!(told["contents"], json!({ "added": 3, "removed": 2 }));
    let said = project.run(&["diff", "silver.plain"]).expect(0);
    assert!(
        said.out.contains("by their values: 3 rows added, 2 rows removed"),
        "{said:#?}"
    );
}

#[test]
fn what_names_no_snapshot_says_what_does() {
    let project = project();
    let said = project.run(&["diff", "bronze.prices", "-5"]).expect(4);
    assert!(
        said.err
            .contains("there are 2 snapshots, none 5 before the current one"),
        "{said:#?}"
    );
    let said = project.run(&["diff", "bronze.prices", "last week"]).expect(2);
    assert!(
        said.err.contains("`last week` names no snapshot") && said.err.contains("--history"),
        "{said:#?}"
    );
    let said = project.run(&["diff", "bronze.prices", "123456789012"]).expect(4);
    assert!(said.err.contains("has no snapshot 123456789012"), "{said:#?}");
    let said = project.run(&["diff", "bronze.prices", "before-the-fix"]).expect(4);
    assert!(said.err.contains("it has no tag `before-the-fix`"), "{said:#?}");
}

#[test]
fn a_tag_stands_wherever_a_snapshot_may() {
    let project = project();
    project.run(&["tag", "bronze.prices", "good", "-1"]).expect(0);
    project.run(&["tag", "bronze.prices", "newest"]).expect(0);
    let tags = project
        .run(&["--json", "tag", "bronze.prices", "--list"])
        .expect(0)
        .answers();
    assert_eq!(
        (tags.len(), &tags[0]["tag"], &tags[1]["tag"]),
        (2, &json!("good"), &json!("newest"))
    );
    let past = project
        .run(&[
            "--json",
            "query",
            "SELECT count(*) AS n FROM bronze.prices",
            "--as-of",
            "good",
        ])
        .expect(0)
        .answer();
    assert_eq!(past["n"], 3);
    let told = project
        .run(&["--json", "diff", "bronze.prices", "good", "newest"])
        .expect(0)
        .answer();
    assert_eq!(told["rows"]["added"], 2);
    let history = project
        .run(&["--json", "show", "bronze.prices", "--history"])
        .expect(0)
        .answer();
    assert_eq!(history["snapshots"][1]["tags"], json!(["good"]));
    let unknown = project
        .run(&["query", "SELECT 1 FROM silver.plain", "--as-of", "good"])
        .expect(1);
    assert!(
        unknown.err.contains("silver.plain: it has no tag `good`"),
        "{unknown:#?}"
    );

    // What is made later leaves tags where they are, and so does going back to one.
    project.write("prices.csv", b"id,name,price,origin\n1,tea,9.5,ceylon\n");
    project.run(&["materialize"]).expect(0);
    project.run(&["rollback", "bronze.prices", "good"]).expect(0);
    assert_eq!(project.row("SELECT count(*) AS n FROM bronze.prices")["n"], 3);
    project.run(&["tag", "bronze.prices", "good", "--drop"]).expect(0);
    let again = project.run(&["tag", "bronze.prices", "good", "--drop"]).expect(4);
    assert!(again.err.contains("its tags are newest"), "{again:#?}");
    let odd = project.run(&["tag", "bronze.prices", "2026-01-01"]).expect(2);
    assert!(odd.err.contains("cannot be the name of a tag"), "{odd:#?}");
    project.sound();
    project.run(&["fsck"]).expect(0);
}
