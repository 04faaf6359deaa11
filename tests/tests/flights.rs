//! The flights example, whole: its figures, and what kills in the middle of it leave behind.
#![expect(
    clippy::disallowed_methods,
    reason = "a kill comes at a time, and the figures are in a file"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use millpond_tests::program::Project;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use state::sqlite::{OpenMode, Store, fsck};

/// How often the run is killed before it may finish.
const KILLS: usize = 50;

#[test]
fn killed_fifty_times_the_year_of_flights_still_comes_out_right() {
    let seed = 20130101;
    let mut dice = SmallRng::seed_from_u64(seed);
    let flights = Project::example("flights");
    let mut kills = 0;
    for kill in 0..KILLS {
        let mut run = flights.start(&["materialize"]);
        // From before the state is opened to well into the work.
        let patience = Duration::from_millis(dice.random_range(5..2500));
        let started = Instant::now();
        while started.elapsed() < patience && run.try_wait().unwrap().is_none() {
            std::thread::park_timeout(Duration::from_millis(2));
        }
        if run.try_wait().unwrap().is_none() {
            kills += 1;
        }
        run.kill().unwrap();
        run.wait().unwrap();
        if kill % 10 == 0 {
            after_a_kill(&flights, kill);
        }
    }
    assert!(kills > KILLS / 2, "only {kills} kills met a run (seed {seed})");
    flights.run(&["materialize"]).expect(0);
    figures(&flights);
    sound(&flights.path());
    let fresh = flights.run(&["--json", "materialize"]).expect(0).answer();
    assert_eq!(fresh["run"], serde_json::Value::Null, "a second run has nothing to do");
}

/// Every table that has a pointer can be read, and the next start settles every run.
fn after_a_kill(flights: &Project, kill: usize) {
    let state = flights.path().join(".millpond/state.db");
    if !state.exists() {
        return;
    }
    let tables: Vec<String> = {
        let store = Store::open(&state, OpenMode::Writer).unwrap();
        let violations = fsck::check(&store).unwrap();
        assert!(violations.is_empty(), "after kill {kill}: {violations:#?}");
        store
            .catalog_tables(None, 1000)
            .unwrap()
            .iter()
            .map(|table| table.asset.to_string())
            .collect()
    };
    for table in tables {
        flights.row(&format!("SELECT count(*) AS n FROM {table}"));
    }
}

/// The state agrees with itself, and no run is left open.
fn sound(root: &Path) {
    let store = Store::open(&root.join(".millpond/state.db"), OpenMode::Writer).unwrap();
    let violations = fsck::check(&store).unwrap();
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(store.load().unwrap().runs.is_empty(), "no run is open");
}

/// The figures of `examples/flights/expected.toml`.
fn figures(flights: &Project) {
    let text = std::fs::read_to_string(flights.path().join("expected.toml")).unwrap();
    let expected: toml::Table = text.parse().unwrap();
    for (table, figures) in expected["table"].as_table().unwrap() {
        let mut columns = vec!["count(*) AS \"rows\"".to_owned()];
        let mut wanted = vec![figures["rows"].as_integer().unwrap()];
        for (kind, sql) in [
            ("sums", "CAST(sum(COL) AS BIGINT)"),
            ("nulls", "count(*) - count(COL)"),
            ("trues", "count(*) FILTER (WHERE COL)"),
        ] {
            for (column, value) in figures.get(kind).and_then(|v| v.as_table()).into_iter().flatten() {
                let Some(value) = value.as_integer() else { continue };
                columns.push(format!(
                    "{} AS \"{kind}_{column}\"",
                    sql.replace("COL", &format!("\"{column}\""))
                ));
                wanted.push(value);
            }
        }
        let row = flights.row(&format!("SELECT {} FROM {table}", columns.join(", ")));
        let found: Vec<i64> = row
            .as_object()
            .unwrap()
            .values()
            .map(|value| value.as_i64().unwrap_or_else(|| panic!("{table}: {row}")))
            .collect();
        // The keys of a JSON object come sorted; so do these.
        let mut pairs: Vec<(String, i64)> = columns
            .iter()
            .map(|column| column.rsplit('"').nth(1).unwrap().to_owned())
            .zip(wanted)
            .collect();
        pairs.sort();
        assert_eq!(
            found,
            pairs.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            "{table}: {pairs:?}"
        );
    }
    let utc = flights.row("SELECT count(*) AS n FROM silver.flights WHERE CAST(sched_dep_at AS DATE) <> flight_date");
    assert_eq!(utc["n"], 38_444, "flights that leave on another UTC date");
}
