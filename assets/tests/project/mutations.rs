//! A good project with random damage: whatever comes of it, it is told, and every rendering is well-formed.

use assets::files::MemoryFiles;
use proptest::prelude::*;

use crate::cases::PLAIN;
use crate::kinds::TestKinds;

const ASSETS: &str = r#"
[asset.bronze.flights]
description = "Abflüge, wie veröffentlicht 出発"
kind        = "ingest"
from.files  = { path = "landing/*.csv.gz", null = "NA" }
derive      = { flight_date = "make_date(year, month, day)" }
partitions  = { use = "daily", column = "flight_date" }
checks      = [{ not_null = ["carrier", "flight"] }, { row_count = { min = 1, max = 9 } }]

[asset.silver.flights]
kind       = "sql"
sql        = "sql/flights.sql"
partitions = { use = "daily", column = "flight_date" }
key        = ["flight_date", "carrier"]
inputs."bronze.flights" = { window = "7 days", ending = "before" }
checks     = [
  { unique = "key" },
  { accepted = { column = "origin", values = ["EWR", 1, 2.5, true, 2013-01-01] } },
  { range = { column = "distance", min = 1.5 } },
  { null_share = { column = "tailnum", max = 0.05 }, severity = "warn" },
  { foreign_key = { columns = ["a", "b"], references = "bronze.airports", referenced_columns = ["c", "d"] } },
  { name = "no time", sql = """
     SELECT * FROM this WHERE "x" < 'Ü' """ },
]
freshness  = { within = "26h" }
automation = { when = "since(cron('0 6 * * *'), materialized) and any(stale)", latest = 3 }

[asset.bronze.airports]
kind = "ingest"
from.files = { path = "x" }
"#;

const QUERY: &str = "-- Überblick\nWITH a AS (SELECT * FROM bronze.flights), b(x) AS (VALUES (1), (2))\n\
    SELECT a.*, count(*) FILTER (WHERE x > $late_minutes) OVER (PARTITION BY carrier ORDER BY y), CASE WHEN x IN (1, 2) THEN 'é' END\n\
    FROM a JOIN b ON a.id = b.x LEFT JOIN (SELECT 1 AS z) AS c ON true, LATERAL (SELECT a.q) AS d\n\
    WHERE $partition_start <= t AND t < $partition_end AND NOT EXISTS (SELECT 1 FROM bronze.airports)\n\
    UNION ALL SELECT x::int, y[1], -z, interval '1 day' FROM generate_series(1, 3) AS g\n";

#[derive(Debug, Clone)]
struct Damage {
    file: usize,
    at: prop::sample::Index,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Delete(usize),
    Insert(&'static str),
    Repeat(usize),
    Byte(u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    let pieces = prop::sample::select(vec![
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "\"",
        "'",
        "\"\"\"",
        "'''",
        "=",
        ".",
        ",",
        "\n",
        "\r\n",
        "\\",
        "#",
        "--",
        "/*",
        "*/",
        ";",
        "$",
        "$x",
        "ü",
        "日本",
        "\t",
        "\u{202e}",
        "\0",
        "select",
        "from",
        "where",
        "null",
        "1e999",
        "99999999999999999999",
        "nan",
        "true",
        "2013-02-30",
        "0x",
        "key",
        "kind = \"sql\"\n",
        "[asset.silver.flights]\n",
        "password = \"x\"\n",
        "inputs.\"a.b\" = \"all\"\n",
        "checks = [{}]\n",
        "asset = 1\n",
        "[[asset.a.b]]\n",
        "a.b.c = {}\n",
        "{ env = \"X\" }",
        "silver.flights",
        "::",
        "->",
        "[1:2]",
    ]);
    let what = prop_oneof![
        (1usize..40).prop_map(What::Delete),
        pieces.prop_map(What::Insert),
        (1usize..60).prop_map(What::Repeat),
        any::<u8>().prop_map(What::Byte),
    ];
    (0usize..3, any::<prop::sample::Index>(), what).prop_map(|(file, at, what)| Damage { file, at, what })
}

fn apply(text: &mut Vec<u8>, damage: &Damage) {
    let at = damage.at.index(text.len() + 1);
    match damage.what {
        What::Delete(count) => drop(text.drain(at..(at + count).min(text.len()))),
        What::Insert(piece) => drop(text.splice(at..at, piece.bytes())),
        What::Repeat(count) => {
            let piece = text[at..(at + count).min(text.len())].to_vec();
            text.splice(at..at, piece);
        }
        What::Byte(byte) => text.insert(at, byte),
    }
}

fn project(damages: &[Damage]) -> MemoryFiles {
    let mut texts = [PLAIN, ASSETS, QUERY].map(|text| text.as_bytes().to_vec());
    for damage in damages {
        apply(&mut texts[damage.file], damage);
    }
    let [root, assets, query] = texts;
    MemoryFiles::new()
        .with("millpond.toml", root)
        .with("assets/a.toml", assets)
        .with("sql/flights.sql", query)
}

#[test]
fn undamaged_it_is_good() {
    let loaded = assets::load(&project(&[]), &TestKinds);
    assert_eq!(loaded.diagnostics.render(&loaded.sources, false), "");
    assert!(loaded.project.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_told_and_never_panics(damages in prop::collection::vec(damage(), 1..6)) {
        let loaded = assets::load(&project(&damages), &TestKinds);
        prop_assert_eq!(loaded.project.is_some(), !loaded.diagnostics.has_errors());
        let told = loaded.diagnostics.render(&loaded.sources, false);
        // What is told stays within its lines: no control characters reach a terminal.
        prop_assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{}", told);
        let _coloured = loaded.diagnostics.render(&loaded.sources, true);
        let json = loaded.diagnostics.to_json(&loaded.sources);
        prop_assert_eq!(json.as_array().map(Vec::len), Some(loaded.diagnostics.len()));
    }

    #[test]
    fn secrets_are_never_shown(damages in prop::collection::vec(damage(), 0..4)) {
        let mut files = project(&damages);
        files.insert("assets/b.toml", "[asset.bronze.secret]\nkind = \"ingest\"\nfrom.files = { path = \"x\", pasword = 1, password = \"hunter2\", x = 1 }\nshedule = 1\n");
        let loaded = assets::load(&files, &TestKinds);
        let told = loaded.diagnostics.render(&loaded.sources, false);
        prop_assert!(!told.contains("hunter2"), "{}", told);
        prop_assert!(!loaded.diagnostics.to_json(&loaded.sources).to_string().contains("hunter2"));
    }
}
