//! Tables that are not like most: thousands of columns, rows within rows, exact decimals, no rows, no partition.

use millpond_tests::program::Project;
use serde_json::json;

const TOML: &str = r#"
[project]
name = "odd"
timezone = "UTC"

[execution]
workers = 1

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-03
"#;

fn project(assets: &str) -> Project {
    Project::new(&[("millpond.toml", TOML), ("assets/a.toml", assets)])
}

#[test]
fn a_table_of_five_thousand_columns_is_made_read_changed_and_compared() {
    let columns = |add: usize| {
        let all: Vec<String> = (0..5_000)
            .map(|at| format!("(x + {}) % 1000003 AS c{at:04}", at + add))
            .collect();
        all.join(", ")
    };
    let sql = |add: usize| format!("SELECT x AS id, {} FROM generate_series(1, 20) AS t(x)\n", columns(add));
    let project = project(
        "[asset.gold.wide]\nkind = \"sql\"\nsql = \"sql/wide.sql\"\nkey = [\"id\"]\nchecks = [{ unique = \"key\" }]\n\n\
         [asset.gold.reads]\nkind = \"sql\"\nsql = \"SELECT sum(c4999) AS last FROM gold.wide\"\n",
    );
    project.write("sql/wide.sql", sql(0).as_bytes());
    project.run(&["materialize"]).expect(0);
    assert_eq!(
        project.row("SELECT last FROM gold.reads"),
        json!({ "last": 210 + 20 * 4_999 })
    );
    project.write("sql/wide.sql", sql(1).as_bytes());
    project.run(&["materialize"]).expect(0);
    assert_eq!(
        project.row("SELECT last FROM gold.reads"),
        json!({ "last": 210 + 20 * 5_000 })
    );
    let told = project
        .run(&["--json", "diff", "gold.wide", "-1", "current"])
        .expect(0)
        .answer();
    assert_eq!(told["rows"]["changed"], 20, "{}", told["rows"]);
    project.run(&["show", "gold.wide"]).expect(0);
    project.sound();
}

#[test]
fn rows_within_rows_and_exact_decimals_go_through_every_way_of_writing() {
    let select = "SELECT x AS id, named_struct('name', 'n' || x, 'tags', [x, x + 1]) AS who, \
                  [named_struct('at', x, 'what', CAST(NULL AS VARCHAR))] AS trips, CAST(x AS DECIMAL(38, 10)) / 3 AS share, \
                  CAST('12345678901234567890.123456789' AS DECIMAL(38, 9)) AS exact FROM generate_series(1, 5) AS t(x)";
    let project = project(&format!(
        "[asset.silver.whole]\nkind = \"sql\"\nsql = \"{select}\"\n\n\
         [asset.silver.merged]\nkind = \"sql\"\nsql = \"SELECT * FROM silver.whole\"\nwrite = {{ mode = \"merge\", key = [\"id\"] }}\n\n\
         [asset.gold.read]\nkind = \"sql\"\nsql = \"SELECT id, who['name'] AS name, who['tags'][2] AS tag, trips[1]['at'] AS at, exact FROM silver.merged\"\n"
    ));
    project.run(&["materialize"]).expect(0);
    let read = "SELECT count(*) AS n, sum(tag) AS tags, sum(at) AS at, min(name) AS name, CAST(max(exact) AS VARCHAR) AS exact FROM gold.read";
    let expected = json!({ "n": 5, "tags": 20, "at": 15, "name": "n1", "exact": "12345678901234567890.123456789" });
    assert_eq!(project.row(read), expected);
    // A merge of rows that are there adds nothing, nested values and all.
    project.run(&["materialize", "silver.merged", "--force"]).expect(0);
    let history = project
        .run(&["--json", "show", "silver.merged", "--history"])
        .expect(0)
        .answer();
    let newest = &history["snapshots"][0];
    assert_eq!(
        (&newest["rows_added"], &newest["files"]),
        (&json!(0), &json!(1)),
        "{history:#}"
    );
    let wrong = "SELECT count(*) AS n FROM silver.whole AS a JOIN silver.merged AS b ON a.id = b.id WHERE a.who <> b.who OR a.share <> b.share";
    assert_eq!(project.row(wrong), json!({ "n": 0 }));
    project.sound();
}

#[test]
fn a_row_without_a_partition_is_refused_by_name_and_nothing_of_it_is_published() {
    let project = project(
        "[asset.bronze.days]\nkind = \"sql\"\npartitions = { use = \"daily\", column = \"day\" }\n\
         sql = \"SELECT x AS id, CASE WHEN x < 3 OR $partition_key <> '2026-01-02' THEN CAST($partition_key AS DATE) END AS day FROM generate_series(1, 3) AS t(x)\"\n",
    );
    let said = project.run(&["materialize"]).expect(1);
    assert!(
        said.err.contains("bronze.days@2026-01-02") && said.err.contains("`day`"),
        "{said:#?}"
    );
    assert_eq!(
        project.row("SELECT count(*) AS n, count(DISTINCT day) AS days FROM bronze.days"),
        json!({ "n": 6, "days": 2 })
    );
    project.sound();
}

#[test]
fn tables_without_rows_are_tables() {
    let project = project(
        "[asset.bronze.none]\nkind = \"sql\"\nsql = \"SELECT 1 AS id, 'a' AS name WHERE false\"\nkey = [\"id\"]\nchecks = [{ unique = \"key\" }]\n\n\
         [asset.silver.none]\nkind = \"sql\"\nsql = \"SELECT name, count(*) AS n FROM bronze.none GROUP BY name\"\n\n\
         [asset.gold.merged]\nkind = \"sql\"\nsql = \"SELECT id, name FROM bronze.none\"\nwrite = { mode = \"merge\", key = [\"id\"] }\n",
    );
    project.run(&["materialize"]).expect(0);
    for table in ["bronze.none", "silver.none", "gold.merged"] {
        let counted = project.row(&format!("SELECT count(*) AS n FROM {table}"));
        assert_eq!(counted, json!({ "n": 0 }), "{table}");
        project.run(&["show", table]).expect(0);
    }
    let fresh = project.run(&["--json", "plan"]).expect(0).answer();
    assert_eq!(fresh["steps"], json!([]), "{fresh:#}");
    project.sound();
}
