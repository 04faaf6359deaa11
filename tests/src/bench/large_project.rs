//! 10,000 assets, each a query in a file of its own with checks and two inputs: `millpond check --quiet`, all of the program
//! from its start to its exit. Against a limit of time and one of memory. Whoever works on a project checks it again and again, and
//! queries that were parsed before are not parsed again: the time is that of a later check, and that of the first stands beside it.

use std::fmt::Write;
use std::path::Path;

use super::processes::{self, cost, millpond};
use super::{BenchError, Measured, Settings, median};

const ASSETS: usize = 10_000;
const ROUNDS: usize = 5;

pub(super) fn seconds(settings: &Settings) -> Result<Measured, BenchError> {
    let (seconds, first, megabytes) = measure(settings)?;
    let note = format!("{first:.3} s when no query was parsed before; {megabytes:.0} MB");
    Ok(Measured::against_limit(seconds, 0.3, note))
}

pub(super) fn megabytes(settings: &Settings) -> Result<Measured, BenchError> {
    let (.., megabytes) = measure(settings)?;
    Ok(Measured::against_limit(megabytes, 100.0, String::new()))
}

/// Seconds of a later check and of a first one, and the most memory that any took.
fn measure(settings: &Settings) -> Result<(f64, f64, f64), BenchError> {
    let folder = tempfile::tempdir()?;
    write_project(folder.path(), ASSETS / settings.divide)?;
    let (mut first, mut later, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..ROUNDS {
        let check = || millpond(folder.path(), &["check", "--quiet"]);
        let cache = folder.path().join(".millpond/cache");
        if cache.exists() {
            std::fs::remove_dir_all(&cache)?;
        }
        first.push(processes::seconds(check())?);
        later.push(processes::seconds(check())?);
        peak = peak.max(cost(check())?.peak_mb);
        if cache.exists() {
            std::fs::remove_dir_all(&cache)?;
        }
        peak = peak.max(cost(check())?.peak_mb);
    }
    Ok((median(later), median(first), peak))
}

/// Files of 100 assets; asset n reads n - 1 and n / 2.
pub(super) fn write_project(folder: &Path, assets: usize) -> Result<(), BenchError> {
    std::fs::create_dir_all(folder.join("assets"))?;
    std::fs::create_dir_all(folder.join("sql"))?;
    let root =
        "[project]\nname = \"large\"\ntimezone = \"UTC\"\n\n[partitions.daily]\nevery = \"day\"\nstart = 2026-01-01\n";
    std::fs::write(folder.join("millpond.toml"), root)?;
    for file in 0..assets.div_ceil(100) {
        let mut text = String::new();
        for at in file * 100..((file + 1) * 100).min(assets) {
            write!(
                text,
                "[asset.silver.table_{at:05}]\ndescription = \"Table number {at}\"\nkind = \"sql\"\nsql = \"sql/table_{at:05}.sql\"\n\
                 partitions = {{ use = \"daily\", column = \"day\" }}\nkey = [\"id\"]\n\
                 checks = [{{ unique = \"key\" }}, {{ not_null = [\"id\", \"value\"] }}]\n\n",
            )?;
            let from = match at {
                0 => "(VALUES (1, 2, DATE '2026-01-01')) AS a(id, value, day)".to_owned(),
                1 => "silver.table_00000 AS a".to_owned(),
                _ => format!(
                    "silver.table_{:05} AS a JOIN silver.table_{:05} AS b ON a.id = b.id",
                    at - 1,
                    at / 2
                ),
            };
            let query = format!(
                "-- Table number {at}\nSELECT a.day, a.id, sum(a.value) AS value\nFROM {from}\nWHERE a.value > {at} AND a.id IS NOT NULL\nGROUP BY a.day, a.id\n"
            );
            std::fs::write(folder.join(format!("sql/table_{at:05}.sql")), query)?;
        }
        std::fs::write(folder.join(format!("assets/silver_{file:03}.toml")), text)?;
    }
    Ok(())
}
