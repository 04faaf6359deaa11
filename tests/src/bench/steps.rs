//! What a step costs beside its work, in syncs of this disk: `millpond materialize` of many small assets, less the same command
//! with nothing to do, divided by the steps.
//!
//! A no-op step is the program `true`: it writes no rows, and its run, step, attempt and materialization are as durable as any.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::processes::{SLOWER, millpond, on_a_slow_disk, one_fsync, one_program, seconds};
use super::{BenchError, Measured, Settings, median};

const CHAIN: usize = 200;
const ROUNDS: usize = 3;
/// Steps on a slow disk.
const SLOW_CHAIN: usize = 60;

/// Whose syncs.
#[derive(Clone, Copy)]
enum Disk {
    /// This machine's.
    Own,
    /// This machine's, made so much slower.
    Slowed(Duration),
}

/// Steps that each wait for the one before.
pub(super) fn no_op_chain(settings: &Settings) -> Result<Measured, BenchError> {
    against_fsync(CHAIN / settings.divide, chain_of_no_ops)
}

/// The same where syncs take milliseconds. Needs `strace`.
pub(super) fn no_op_chain_slow_disk(_: &Settings) -> Result<Measured, BenchError> {
    against_slow_fsync(SLOW_CHAIN, chain_of_no_ops)
}

fn chain_of_no_ops(folder: &Path, steps: usize) -> Result<(), BenchError> {
    write_project(folder, steps, |at| no_op(at, at.checked_sub(1)))
}

/// Sixteen at a time, layer after layer.
pub(super) fn no_op_wide(settings: &Settings) -> Result<Measured, BenchError> {
    let steps = 16 * 40 / settings.divide;
    let folder = tempfile::tempdir()?;
    let project = |folder: &Path, steps| {
        write_project(folder, steps, |at| {
            no_op(at, (at >= 16).then(|| at / 16 * 16 - 16 + at % 16))
        })?;
        let path = folder.join("millpond.toml");
        let text = std::fs::read_to_string(&path)? + "\n[execution]\nworkers = 16\n";
        Ok(std::fs::write(path, text)?)
    };
    let fsync = one_fsync(folder.path())?;
    let each = per_step(steps, project, Disk::Own)?;
    let program = one_program(steps, 16)?;
    let remark = format!(
        "fsync {:.2} ms, starting the program alone {:.2} ms",
        fsync * 1e3,
        program * 1e3
    );
    Ok(Measured::against_limit(each * 1e3, 0.5, remark))
}

/// A chain of tables of one row: files, snapshot, pointer and state, all synced.
pub(super) fn small_table_chain(settings: &Settings) -> Result<Measured, BenchError> {
    against_fsync(CHAIN / settings.divide, chain_of_tables)
}

/// The same where syncs take milliseconds. Needs `strace`.
pub(super) fn small_table_chain_slow_disk(_: &Settings) -> Result<Measured, BenchError> {
    against_slow_fsync(SLOW_CHAIN, chain_of_tables)
}

fn chain_of_tables(folder: &Path, steps: usize) -> Result<(), BenchError> {
    write_project(folder, steps, |at| match at.checked_sub(1) {
        None => "kind = \"sql\"\nsql = \"SELECT 1 AS id, 2.5 AS value\"\n".to_owned(),
        Some(before) => {
            format!("kind = \"sql\"\nsql = \"SELECT id, value + 1 AS value FROM chain.a{before:04}\"\n")
        }
    })
}

fn no_op(_: usize, after: Option<usize>) -> String {
    let after = after
        .map(|before| format!("needs = [\"chain.a{before:04}\"]\n"))
        .unwrap_or_default();
    format!("kind = \"command\"\ncommand = [\"true\"]\n{after}")
}

fn write_project(folder: &Path, steps: usize, asset: impl Fn(usize) -> String) -> Result<(), BenchError> {
    std::fs::create_dir_all(folder.join("assets"))?;
    std::fs::write(
        folder.join("millpond.toml"),
        "[project]\nname = \"steps\"\ntimezone = \"UTC\"\n",
    )?;
    let mut text = String::new();
    for at in 0..steps {
        write!(text, "[asset.chain.a{at:04}]\n{}\n", asset(at))?;
    }
    Ok(std::fs::write(folder.join("assets/chain.toml"), text)?)
}

fn against_fsync(
    steps: usize,
    project: impl Fn(&Path, usize) -> Result<(), BenchError>,
) -> Result<Measured, BenchError> {
    let folder = tempfile::tempdir()?;
    let fsync = one_fsync(folder.path())?;
    let each = per_step(steps, project, Disk::Own)?;
    Ok(Measured {
        ours: each * 1e3,
        peer: fsync * 1e3,
        remark: String::new(),
    })
}

/// What a step would take on a disk whose syncs take [`SLOWER`] more: what it takes on this one, and what the slower syncs add.
fn against_slow_fsync(
    steps: usize,
    project: impl Fn(&Path, usize) -> Result<(), BenchError>,
) -> Result<Measured, BenchError> {
    let folder = tempfile::tempdir()?;
    let fsync = one_fsync(folder.path())?;
    let own = per_step(steps, &project, Disk::Own)?;
    let hardly = per_step(steps, &project, Disk::Slowed(Duration::from_micros(1)))?;
    let slow = per_step(steps, &project, Disk::Slowed(SLOWER))?;
    let added = (slow - hardly).max(0.0);
    let syncs = added / SLOWER.as_secs_f64();
    Ok(Measured {
        ours: (own + added) * 1e3,
        peer: (fsync + SLOWER.as_secs_f64()) * 1e3,
        remark: format!("{syncs:.2} syncs one after the other, {:.2} ms for the rest", own * 1e3),
    })
}

/// Median seconds of a step.
fn per_step(
    steps: usize,
    project: impl Fn(&Path, usize) -> Result<(), BenchError>,
    disk: Disk,
) -> Result<f64, BenchError> {
    let mut each = Vec::new();
    // All stay until the end: some file systems are slow to make files while those of a removed folder are still remembered.
    let folders = (0..ROUNDS)
        .map(|_| tempfile::tempdir())
        .collect::<Result<Vec<_>, _>>()?;
    for folder in &folders {
        project(folder.path(), steps)?;
        // The first of them makes the state.
        seconds(millpond(folder.path(), &["materialize", "chain.a0000"]))?;
        let materialize = || {
            let command = millpond(folder.path(), &["materialize", "*"]);
            match disk {
                Disk::Own => command,
                Disk::Slowed(longer) => on_a_slow_disk(&command, longer),
            }
        };
        let first = seconds(materialize())?;
        let nothing = seconds(materialize())?;
        each.push((first - nothing).max(0.0) / (steps - 1) as f64);
    }
    Ok(median(each))
}
