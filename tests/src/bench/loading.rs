//! Rows on their way into tables: a compressed CSV file, and a merge of a hundredth of ten million rows, each by the whole program,
//! against DuckDB doing the same from file to file; and a sort and a join of eight gigabytes in one of memory. Needs the Python package
//! `duckdb`.

use std::path::Path;

use serde_json::{Value, json};

use super::processes::{cost, millpond, seconds};
use super::{BenchError, Measured, Settings, median, peer};

const SCRIPT: &str = include_str!("loading.py");
const ROUNDS: usize = 3;
const CSV_ROWS: usize = 3_000_000;
const ROWS: usize = 10_000_000;
const FILES: usize = 10;
/// Rows of a sort of eight gigabytes: a number, the 64 characters of a hash, and what the engine keeps beside them.
const SORTED_ROWS: u64 = 100_000_000;
/// Rows of either side of the join.
const JOINED_ROWS: u64 = 50_000_000;
/// A gigabyte for the query, and the program with its writers beside it.
const MOST_MEGABYTES: f64 = 1_700.0;

fn ask(settings: &Settings, mut request: Value) -> Result<Value, BenchError> {
    request["threads"] = settings.threads.into();
    peer::ask(settings, SCRIPT, &request)
}

fn project(folder: &Path, memory: &str, assets: &str) -> Result<(), BenchError> {
    std::fs::create_dir_all(folder.join("assets"))?;
    std::fs::create_dir_all(folder.join("in"))?;
    let root = format!(
        "[project]\nname = \"loading\"\ntimezone = \"UTC\"\n\n[lakehouse]\nwarehouse = \"lake\"\n\n[execution]\nworkers = 1\nmemory = \"{memory}\"\n"
    );
    std::fs::write(folder.join("millpond.toml"), root)?;
    std::fs::write(folder.join("assets/a.toml"), assets)?;
    Ok(())
}

/// The only row of a query's answer.
fn row(folder: &Path, sql: &str) -> Result<Value, BenchError> {
    let mut command = millpond(folder, &["--json", "query", sql]);
    let output = command.stdout(std::process::Stdio::piped()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().ok_or_else(|| format!("no answer to {sql}"))?;
    Ok(serde_json::from_str(line)?)
}

fn agree(folder: &Path, sql: &str, peer: &Value) -> Result<(), BenchError> {
    let ours = row(folder, sql)?;
    if ours["rows"] != peer["rows"] || ours["sum"] != peer["sum"] {
        return Err(format!("the answers differ: {ours} and {peer}").into());
    }
    Ok(())
}

pub(super) fn csv_to_table(settings: &Settings) -> Result<Measured, BenchError> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let assets = "[asset.bronze.flights]\nkind = \"ingest\"\nfrom.files = { path = \"in/*.csv.gz\" }\n\
                  columns = { id = \"long\", carrier = \"string\", origin = \"string\", day = \"date\", at = \"timestamp\", delay = \"int\", \
                  distance = \"double\", note = \"string\" }\n";
    project(folder, "1 GB", assets)?;
    let (csv, parquet) = (folder.join("in/flights.csv.gz"), folder.join("out.parquet"));
    ask(
        settings,
        json!({ "work": "make_csv", "rows": CSV_ROWS / settings.divide, "path": csv }),
    )?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(seconds(millpond(folder, &["materialize", "--force"]))?);
        let answer = ask(settings, json!({ "work": "load_csv", "path": csv, "to": parquet }))?;
        peers.push(peer::number(&answer, "seconds")?);
        agree(
            folder,
            "SELECT count(*) AS rows, sum(delay) AS sum FROM bronze.flights",
            &answer,
        )?;
    }
    let megabytes = std::fs::metadata(&csv)?.len() as f64 / 1e6;
    Ok(Measured {
        ours: median(ours),
        peer: median(peers),
        remark: format!("{megabytes:.0} MB of gz"),
    })
}

pub(super) fn merge(settings: &Settings) -> Result<Measured, BenchError> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let assets = "[asset.silver.accounts]\nkind = \"ingest\"\nfrom.files = { path = \"in/*.parquet\" }\n\
                  write = { mode = \"merge\", key = [\"id\"] }\n";
    project(folder, "4 GB", assets)?;
    let rows = ROWS / settings.divide;
    ask(
        settings,
        json!({ "work": "make_base", "rows": rows, "files": FILES, "folder": folder.join("in") }),
    )?;
    seconds(millpond(folder, &["materialize"]))?;
    // The peer starts each time from what it made the time before.
    let mut base = folder.join("in/base_*.parquet");
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let updates = folder.join(format!("updates_{round}.parquet"));
        let request =
            json!({ "work": "make_updates", "rows": rows, "updates": rows / 100, "salt": round + 7, "path": updates });
        ask(settings, request)?;
        std::fs::copy(&updates, folder.join(format!("in/updates_{round}.parquet")))?;
        ours.push(seconds(millpond(folder, &["materialize"]))?);
        let to = folder.join(format!("out_{round}.parquet"));
        let answer = ask(
            settings,
            json!({ "work": "merge", "base": base, "updates": updates, "to": to }),
        )?;
        peers.push(peer::number(&answer, "seconds")?);
        base = to;
        agree(
            folder,
            "SELECT count(*) AS rows, sum(value) AS sum FROM silver.accounts",
            &answer,
        )?;
    }
    Ok(Measured {
        ours: median(ours),
        peer: median(peers),
        remark: String::new(),
    })
}

pub(super) fn large_sort(settings: &Settings) -> Result<Measured, BenchError> {
    let rows = SORTED_ROWS / settings.divide as u64;
    let sql = format!(
        "SELECT x, encode(sha256(CAST(x AS VARCHAR)), 'hex') AS h FROM generate_series(1, {rows}) AS t(x) ORDER BY h"
    );
    spilling(&sql, rows)
}

pub(super) fn large_join(settings: &Settings) -> Result<Measured, BenchError> {
    let rows = JOINED_ROWS / settings.divide as u64;
    let side =
        format!("(SELECT x, encode(sha256(CAST(x AS VARCHAR)), 'hex') AS h FROM generate_series(1, {rows}) AS t(x))");
    spilling(
        &format!("SELECT a.x, b.x AS y FROM {side} AS a JOIN {side} AS b ON a.h = b.h"),
        rows,
    )
}

/// A step that has a gigabyte of memory: what it takes at the most, and that it ends, with the right number of rows and nothing left.
fn spilling(sql: &str, rows: u64) -> Result<Measured, BenchError> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    project(
        folder,
        "1 GB",
        &format!("[asset.gold.large]\nkind = \"sql\"\nsql = \"{sql}\"\n"),
    )?;
    let taken = cost(millpond(folder, &["materialize"]))?;
    let made = row(folder, "SELECT count(*) AS rows FROM gold.large")?;
    if made["rows"] != rows {
        return Err(format!("{rows} rows were to be made: {made}").into());
    }
    let left: Vec<_> = std::fs::read_dir(folder.join(".millpond/scratch"))?.collect();
    if !left.is_empty() {
        return Err(format!("what spilled is still there: {left:?}").into());
    }
    Ok(Measured::against_limit(
        taken.peak_mb,
        MOST_MEGABYTES,
        format!("{rows} rows in {:.0} s", taken.seconds),
    ))
}
