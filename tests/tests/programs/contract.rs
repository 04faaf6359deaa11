//! `columns` and `schema`: what an asset promises of its columns is kept before readers see them.

use millpond_tests::program::Project;

const TOML: &str =
    "[project]\nname = \"contract\"\ntimezone = \"UTC\"\n\n[execution]\nworkers = 1\nmemory = \"128 MB\"\n";

fn project(sql: &str, more: &str) -> Project {
    let project = Project::new(&[("millpond.toml", TOML)]);
    declare(&project, sql, more);
    project
}

fn declare(project: &Project, sql: &str, more: &str) {
    let text = format!("[asset.gold.items]\nkind = \"sql\"\nsql = \"{sql}\"\n{more}\n");
    project.write("assets/a.toml", text.as_bytes());
}

const COLUMNS: &str = r#"
[asset.gold.items.columns]
id = { type = "long", required = true, description = "What the till calls it", tags = ["key"] }
name = "string"
"#;

#[test]
fn declared_columns_are_enforced_and_told() {
    let project = project("SELECT CAST(1 AS BIGINT) AS id, 'tea' AS name", COLUMNS);
    project.run(&["materialize"]).expect(0);
    let shown = project.run(&["show", "gold.items"]).expect(0);
    assert!(
        shown.out.contains("id long required #key  What the till calls it"),
        "{shown:#?}"
    );
    assert!(shown.out.contains("not_null(id)"), "{shown:#?}");

    declare(&project, "SELECT 'x' AS id, 2 AS extra", COLUMNS);
    let said = project.run(&["materialize"]).expect(1);
    assert!(
        said.err.contains(
            "publish gold.items: its columns are not as declared: `id` is declared long and is string; `name` is missing"
        ),
        "{said:#?}"
    );
    assert_eq!(
        project.row("SELECT id FROM gold.items")["id"],
        1,
        "readers see the last good rows"
    );

    declare(&project, "SELECT CAST(NULL AS BIGINT) AS id, 'tea' AS name", COLUMNS);
    let said = project.run(&["materialize"]).expect(1);
    assert!(said.err.contains("not_null(id)"), "{said:#?}");
}

#[test]
fn a_policy_says_what_may_change() {
    let strict = "schema = \"fail\"";
    let project = project("SELECT CAST(1 AS INT) AS id", strict);
    project.run(&["materialize"]).expect(0);
    let wider = "SELECT CAST(1 AS BIGINT) AS id, 'tea' AS name";
    declare(&project, wider, strict);
    let said = project.run(&["materialize"]).expect(1);
    assert!(
        said.err.contains("`id` was int, is long; `name` (string) is new"),
        "{said:#?}"
    );
    assert!(said.err.contains("schema = \"evolve\""), "{said:#?}");
    let evolve = "schema = \"evolve\"";
    declare(&project, wider, evolve);
    project.run(&["materialize"]).expect(0);
    declare(&project, "SELECT 1.5 AS id", evolve);
    let said = project.run(&["materialize"]).expect(1);
    assert!(
        said.err
            .contains("`id` was long, is double; `name` was string, is missing"),
        "{said:#?}"
    );
    declare(&project, "SELECT 1.5 AS id", "schema = \"ignore\"");
    project.run(&["materialize"]).expect(0);
    declare(
        &project,
        "SELECT 1.5 AS id, 2 AS other",
        &format!("schema = \"fail\"{COLUMNS}"),
    );
    let said = project.run(&["materialize"]).expect(1);
    assert!(said.err.contains("`other` (long) is not declared"), "{said:#?}");
}

#[test]
fn mistakes_are_placed() {
    let project = project("SELECT 1 AS id", "[asset.gold.items.columns]\nid = \"text\"");
    let said = project.run(&["check"]).expect(3);
    let all = format!("{}{}", said.out, said.err);
    assert!(
        all.contains("`text` is not a type of a column") && all.contains("assets/a.toml:5:6"),
        "{all}"
    );
}
