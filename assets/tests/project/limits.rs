//! Input that is made to exhaust something: each is told, none ends the process.

use assets::diagnostic::Code;
use assets::files::MemoryFiles;

use crate::cases::PLAIN;
use crate::kinds::TestKinds;

fn codes(files: &MemoryFiles) -> Vec<Code> {
    assets::load(files, &TestKinds)
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect()
}

fn with_asset_file(text: String) -> MemoryFiles {
    MemoryFiles::new()
        .with("millpond.toml", PLAIN)
        .with("assets/a.toml", text)
}

fn with_query(query: &str) -> MemoryFiles {
    with_asset_file("[asset.a.b]\nkind = \"sql\"\nsql = \"q.sql\"\n".to_owned()).with("q.sql", query)
}

#[test]
fn brackets_and_dots_without_end() {
    for text in [
        format!("x = {}", "[".repeat(20_000)),
        format!("x = {}", "{a=".repeat(20_000)),
        format!("x = {}1{}", "[".repeat(129), "]".repeat(129)),
        format!("{}a = 1", "a.".repeat(10_000)),
        format!("[{}a]\nb = 1", "a.".repeat(10_000)),
        format!("[[{}a]]\nb = 1", "a.".repeat(10_000)),
        format!("x = {}", "{ a.a.a.a.a.a.a.a = ".repeat(60)),
        format!("x = \"\\\"\"\ny = {}", "[".repeat(20_000)),
        format!("x = '''\n'''\ny = {}", "[".repeat(20_000)),
    ] {
        assert!(
            codes(&with_asset_file(text.clone())).contains(&Code::TooDeep),
            "{}",
            &text[..40]
        );
    }
}

#[test]
fn brackets_in_strings_and_comments_do_not_count() {
    let brackets = "[{.".repeat(500);
    let text = format!(
        "# {brackets}\n[asset.a.b]\nkind = \"ingest\"\ndescription = \"{brackets}\"\nowner = '''\n{brackets}'''\nfrom.files = {{ path = '{brackets}' }}\n"
    );
    assert_eq!(codes(&with_asset_file(text)), []);
}

#[test]
fn a_flood_of_mistakes_is_cut() {
    let loaded = assets::load(&with_asset_file("x = 1\n".repeat(100_000)), &TestKinds);
    assert!(loaded.diagnostics.len() <= 1000 && loaded.diagnostics.omitted() > 90_000);
    // Beyond 1 MiB the first mistake alone is told.
    assert_eq!(codes(&with_asset_file("x = 1\n".repeat(400_000))).len(), 1);
}

#[test]
fn queries_without_bottom() {
    for query in [
        format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT {}", "(".repeat(10_000)),
        format!("SELECT * FROM {}a.b{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT 1{}", " + 1".repeat(5_000)),
        format!("SELECT 1{}", "::int".repeat(5_000)),
        format!("SELECT {}1", "- ".repeat(5_000)),
        format!("SELECT {}true", "NOT ".repeat(5_000)),
        format!("SELECT a{} FROM x.y", "[1]".repeat(5_000)),
        format!("SELECT 1 WHERE true{}", " AND true".repeat(5_000)),
        format!("SELECT 1{}", " IS NULL".repeat(5_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(5_000)),
        format!("SELECT {}", "CASE WHEN true THEN ".repeat(5_000)),
        format!("SELECT {}", "CAST(".repeat(5_000)),
        format!("SELECT {}", "POSITION(".repeat(5_000)),
        format!("SELECT {}", "INTERVAL ".repeat(5_000)),
        format!("SELECT {}", "array[".repeat(5_000)),
        format!("{}SELECT 1", "WITH a AS (".repeat(5_000)),
    ] {
        let codes = codes(&with_query(&query));
        assert!(
            codes
                .iter()
                .all(|code| matches!(code, Code::QueryTooDeep | Code::SqlSyntax)),
            "{codes:?} {}",
            &query[..40]
        );
        assert!(!codes.is_empty(), "{}", &query[..40]);
    }
}

/// A file of one line, with more mistakes than are kept.
#[test]
fn one_long_line() {
    let keys: Vec<String> = (0..5_000).map(|at| format!("\"strängé_{at}\" = 1")).collect();
    let text = format!(
        "asset.a.b = {{ kind = \"ingest\", from = {{ files = {{ path = \"x\", {} }} }} }}",
        keys.join(", ")
    );
    let loaded = assets::load(&with_asset_file(text), &TestKinds);
    let told = loaded.diagnostics.render(&loaded.sources, false);
    assert_eq!(loaded.diagnostics.len(), 1_000);
    assert!(told.lines().all(|line| line.chars().count() < 400));
    assert!(told.ends_with("and 4000 more\n"));
}

#[test]
fn a_query_of_many_bytes() {
    let values = vec!["(1, 'é')"; 10_000].join(", ");
    assert_eq!(codes(&with_query(&format!("VALUES {values}"))), []);
    assert_eq!(
        codes(&with_query(&format!("VALUES {values} -- {}", "x".repeat(1 << 20)))),
        [Code::TooLarge]
    );
}

/// Just inside the limits: a small stack must do, to parse, to walk and to drop.
#[test]
fn the_deepest_queries_that_pass() {
    for query in [
        format!("SELECT 1{}", " + 1".repeat(1_400)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(1_400)),
        format!("SELECT a{}", " IS NULL".repeat(1_400)),
        format!("SELECT {}1", "- ".repeat(30)),
        format!("SELECT 1 WHERE true{}", " AND true".repeat(1_400)),
        format!("SELECT 1{}", "::int".repeat(700)),
        format!("SELECT {}", vec!["(1 + 2) * 3"; 5_000].join(", ")),
        format!("VALUES {}", vec!["(1, 2, 'x')"; 20_000].join(", ")),
        format!(
            "SELECT * FROM (VALUES (1)) AS t(x) WHERE x IN ({})",
            vec!["1"; 50_000].join(", ")
        ),
    ] {
        assert_eq!(codes(&with_query(&query)), [], "{}", &query[..40]);
    }
}

/// The parser tries some brackets both as a subquery and as a join; that must not take for ever.
#[test]
#[expect(clippy::disallowed_methods, reason = "the time is what is tested, generously")]
fn brackets_do_not_multiply_the_work() {
    for depth in [10, 20, 30, 40, 47] {
        for query in [
            format!("SELECT * FROM {}a.b{}", "(".repeat(depth), ")".repeat(depth)),
            format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth)),
            format!("SELECT * FROM {}", "(".repeat(depth)),
            format!("SELECT {}", "(".repeat(depth)),
            format!("SELECT {}", "f(".repeat(depth)),
            format!("SELECT {}", "(SELECT ".repeat(depth)),
            format!("SELECT * FROM {}", "(SELECT * FROM ".repeat(depth)),
            format!("SELECT {}", "CASE ".repeat(depth)),
            format!("SELECT {}", "CASE WHEN true THEN ".repeat(depth)),
            format!(
                "SELECT {}1{}",
                "CASE WHEN true THEN 1 ELSE ".repeat(depth),
                " END".repeat(depth)
            ),
            format!("SELECT {}", "CAST(".repeat(depth)),
            format!("SELECT {}", "POSITION(".repeat(depth)),
            format!("SELECT {}", "TRIM(".repeat(depth)),
            format!("SELECT {}", "CEIL(".repeat(depth)),
            format!("SELECT {}", "OVERLAY(".repeat(depth)),
            format!("SELECT {}", "EXTRACT(year FROM ".repeat(depth)),
            format!("SELECT {}", "CONVERT(".repeat(depth)),
            format!("SELECT {}", "INTERVAL ".repeat(depth)),
            format!("SELECT {}", "ARRAY[".repeat(depth)),
            format!("SELECT {}", "MAP {1: ".repeat(depth)),
            format!("SELECT {}", "STRUCT(".repeat(depth)),
            format!("SELECT {}", "EXISTS (SELECT ".repeat(depth)),
            format!("SELECT {}", "f(x -> ".repeat(depth)),
            format!("SELECT {}", "1 = ANY(".repeat(depth)),
            format!("SELECT {}", "LEFT(".repeat(depth)),
            format!("SELECT {}", "IF(".repeat(depth)),
            format!("SELECT {}", "MATCH (a) AGAINST (".repeat(depth)),
            format!("SELECT {}", "f(1) OVER (PARTITION BY ".repeat(depth)),
            format!("SELECT x::{}", "ARRAY<".repeat(depth)),
            format!("SELECT x::{}", "STRUCT<a ".repeat(depth)),
            format!(
                "SELECT * FROM {}a.b{}",
                "(".repeat(depth),
                ") JOIN c.d ON true".repeat(depth)
            ),
            format!("SELECT 1 GROUP BY {}", "ROLLUP (".repeat(depth)),
            format!("SELECT {}", "[".repeat(depth)),
            format!("SELECT {}", "{a: ".repeat(depth)),
            format!("SELECT {}", "ROW(".repeat(depth)),
            format!("SELECT x IN {}", "(".repeat(depth)),
        ] {
            let start = std::time::Instant::now();
            let _codes = codes(&with_query(&query));
            assert!(start.elapsed().as_secs() < 20, "{depth} deep: {}", &query[..30]);
        }
    }
}
