//! Replays of runs, asked for on a page.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::Command;

use super::busy_project::WAITING;
use super::daemon::{Answer, Daemon};
use super::project::has;

const TALLIES: &[(&str, &str)] = &[
    (
        "millpond.toml",
        "[project]\nname = \"pond\"\n[lakehouse]\nwarehouse = \"lake\"\n\
         [partitions.daily]\nevery = \"day\"\nstart = 2013-01-01\nend = 2013-01-03\n",
    ),
    (
        "assets/all.toml",
        r#"
[asset.bronze.days]
kind = "sql"
partitions = { use = "daily", column = "day" }
sql = "SELECT CAST($partition_key AS DATE) AS day, '<img src=x>' AS label, 7 AS amount"

[asset.gold.tallies]
kind = "sql"
sql = "SELECT label, sum(amount) AS amount FROM bronze.days GROUP BY label"
"#,
    ),
];

fn api(daemon: &Daemon, path: &str, body: &str) -> Answer {
    let origin = format!("http://{}", daemon.host);
    let bearer = format!("Bearer {}", daemon.login.split_once("token=").unwrap().1);
    let headers = [
        ("Origin", origin.as_str()),
        ("Authorization", &bearer),
        ("Content-Type", "application/json"),
    ];
    daemon.ask("POST", path, &headers, body)
}

#[test]
fn a_run_is_replayed_and_what_the_code_of_today_changes_is_shown() {
    let daemon = Daemon::with(TALLIES);
    let run = daemon.materialize();
    let path = format!("/runs/{run}/replay");
    assert!(
        has(&daemon.page(&format!("/runs/{run}")), &path),
        "the run's page leads there"
    );
    assert!(has(&daemon.page(&path), "was not replayed since"));

    assert_eq!(daemon.press(&path, ""), path);
    let replay = daemon.replayed(&run);
    assert_eq!(replay["partitions"], 4, "{replay}");
    assert_eq!(replay["counts"]["same"], 4, "{replay}");
    assert_eq!(replay["assets"]["bronze.days"]["same"], 3, "{replay}");
    let page = daemon.page(&path);
    assert!(has(&page, "4 of 4 partitions") && has(&page, "the code and the inputs of then"));
    assert!(!has(&page, "Not the same"));

    // The code of one asset is edited: it cannot be made again as it was, and with the code of today it comes out otherwise.
    let file = daemon.folder.path().join("assets/all.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("sum(amount)", "max(amount)")).unwrap();
    daemon.press(&path, "");
    let replay = daemon.replayed(&run);
    assert_eq!(replay["counts"]["not_made"], 1, "{replay}");
    assert!(has(&daemon.page(&path), "its code was changed since"));
    daemon.press(&path, "code=current");
    let replay = daemon.replayed(&run);
    assert_eq!(replay["counts"]["same"], 3, "{replay}");
    assert_eq!(replay["others"][0]["compared"]["only_then"], 1, "{replay}");
    let page = daemon.page(&path);
    assert!(
        has(&page, "1 only then, 1 only now") && has(&page, "&lt;img src=x&gt;"),
        "{page}"
    );
    assert!(has(&page, "the code of today, the inputs of then") && has(&page, "<td>21</td>"));
    // What is published is what it was.
    let rows = daemon.page("/assets/gold.tallies/rows");
    assert!(has(&rows, "21") && !has(&rows, "<td class=\"number\">7</td>"), "{rows}");
}

/// A daemon that has run what waits for lines of a pipe, that run, and the pipe.
fn waiting() -> (Daemon, String, PathBuf) {
    let daemon = Daemon::with(WAITING);
    let pipe = daemon.folder.path().join("more");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let run = daemon.begin("selection=reports.waiting");
    drop(File::options().write(true).open(&pipe).unwrap());
    daemon.ended(&run);
    (daemon, run, pipe)
}

/// Nobody reads the pipe any more: the program that did is gone.
fn assert_nobody_reads(mut writer: File) {
    assert_eq!(writer.write_all(b"line\n").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_daemon_that_stops_takes_a_replay_along_with_what_it_started() {
    let (daemon, run, pipe) = waiting();
    assert_eq!(api(&daemon, &format!("/api/v1/runs/{run}/replay"), "{}").status, 200);
    let writer = File::options().write(true).open(&pipe).unwrap();
    drop(daemon);
    assert_nobody_reads(writer);
}

#[test]
fn a_replay_is_stopped_with_what_it_started_and_one_goes_on_at_a_time() {
    let (daemon, run, pipe) = waiting();
    let path = format!("/api/v1/runs/{run}/replay");
    assert_eq!(api(&daemon, &path, "{\"current_cod\":true}").status, 422);
    assert_eq!(api(&daemon, &format!("{path}/cancel"), "").status, 409);
    assert_eq!(api(&daemon, &path.replace(&run, "run_000000000000"), "{}").status, 404);
    assert_eq!(api(&daemon, &path, "{}").status, 200);
    // Its program has opened the pipe, and waits for a line.
    let writer = File::options().write(true).open(&pipe).unwrap();
    let second = api(&daemon, &path, "{}");
    assert!(
        second.status == 409 && second.body.contains("is being replayed"),
        "{}",
        second.body
    );
    let page = daemon.page(&format!("/runs/{run}/replay"));
    assert!(has(&page, "under way") && has(&page, "data-open=\"true\"") && has(&page, "Cancel"));

    assert_eq!(api(&daemon, &format!("{path}/cancel"), "").status, 200);
    let replay = daemon.replayed(&run);
    assert_eq!(replay["stopped"], "it was canceled", "{replay}");
    assert_nobody_reads(writer);
    assert!(has(
        &daemon.page(&format!("/runs/{run}/replay")),
        "It ended before its time: it was canceled"
    ));
}
