//! A large project.

use assets::files::MemoryFiles;

use crate::cases::PLAIN;
use crate::kinds::TestKinds;

/// `number` assets in files of 100, each a query of five lines over the two before it.
fn large(number: usize) -> MemoryFiles {
    let mut files = MemoryFiles::new().with("millpond.toml", PLAIN);
    for file in 0..number.div_ceil(100) {
        let mut text = String::new();
        for at in file * 100..((file + 1) * 100).min(number) {
            text += &format!(
                "[asset.silver.table_{at:05}]\ndescription = \"Table number {at}\"\nkind = \"sql\"\nsql = \"sql/table_{at:05}.sql\"\n\
                 partitions = {{ use = \"daily\", column = \"flight_date\" }}\nkey = [\"id\"]\n\
                 checks = [{{ unique = \"key\" }}, {{ not_null = [\"id\", \"value\"] }}]\n\n",
            );
            let from = match at {
                0 => "(VALUES (1, 2)) AS t(id, value)".to_owned(),
                1 => "silver.table_00000 AS a".to_owned(),
                _ => format!(
                    "silver.table_{:05} AS a JOIN silver.table_{:05} AS b ON a.id = b.id",
                    at - 1,
                    at / 2
                ),
            };
            let query = format!(
                "-- Table number {at}\nSELECT id, sum(value) AS value, $late_minutes AS late\nFROM {from}\nWHERE value > {at} AND id IS NOT NULL\nGROUP BY id\n"
            );
            files.insert(format!("sql/table_{at:05}.sql"), query);
        }
        files.insert(format!("assets/silver_{file:03}.toml"), text);
    }
    files
}

#[test]
fn a_chain_of_a_thousand_assets() {
    let loaded = assets::load(&large(1_000), &TestKinds);
    assert_eq!(loaded.diagnostics.render(&loaded.sources, false), "");
    let graph = loaded.project.unwrap().graph;
    assert_eq!(graph.len(), 1_000);
    assert_eq!(graph.downstream(&"silver.table_00010".parse().unwrap()).len(), 3);
}

/// Run with `--release -- --ignored --nocapture` to see the figures.
#[test]
#[ignore = "a measurement: 10,000 assets, time and memory"]
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn ten_thousand_assets() {
    let files = large(10_000);
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap_or_default()
            .to_owned();
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse::<u64>().ok())
            .unwrap_or(0)
            / 1024
    };
    let before = resident();
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let loaded = assets::load(&files, &TestKinds);
        let took = start.elapsed();
        assert!(loaded.diagnostics.is_empty());
        assert_eq!(loaded.project.as_ref().unwrap().graph.len(), 10_000);
        println!(
            "10,000 assets in {took:?}, {} MiB more resident",
            resident().saturating_sub(before)
        );
    }
}
