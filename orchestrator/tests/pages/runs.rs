//! Pages of runs and the logs of their attempts.

use std::fs::File;
use std::process::Command;

use super::busy_project::{FILES, WAITING};
use super::daemon::{Daemon, run_in};
use super::project::has;

#[test]
fn a_long_log_opens_at_its_end_and_every_line_has_a_link() {
    let daemon = Daemon::with(FILES);
    let run = run_in(&daemon.press("/runs", "selection=reports.long"));
    daemon.ended(&run);
    let page = daemon.page(&format!("/runs/{run}"));
    assert!(
        has(&page, "<span class=\"f1\">red</span>") && has(&page, "From the start"),
        "the end is shown"
    );
    assert!(!has(&page, "line 0 ") && !page.contains("<script>alert"));
    let facts = daemon.json(&format!("/api/v1/runs/{run}"));
    let attempt = facts["attempts"][0]["attempt"].as_str().unwrap();
    let log = |query: &str| daemon.json(&format!("/api/v1/runs/{run}/log?attempt={attempt}&{query}"));
    let found = log("find=line%204321%20");
    let begin = found["lines"][0]["begin"].as_u64().unwrap();
    assert_eq!(found["lines"].as_array().unwrap().len(), 1);
    let linked = daemon.page(&format!("/runs/{run}?attempt={attempt}&line={begin}"));
    assert!(
        has(&linked, &format!("id=\"L{begin}\"")) && has(&linked, "line 4321 "),
        "{linked}"
    );
    assert_eq!(log("stream=stderr")["lines"].as_array().unwrap().len(), 1);
    assert_eq!(
        log("level=error&find=line%204321")["lines"].as_array().unwrap().len(),
        0
    );
    for beyond in [
        "offset=68802932131590",
        "offset=18446744073709551615",
        "line=18446744073709551615",
    ] {
        let part = log(beyond);
        assert_eq!(part["complete"], true, "{beyond}");
        assert!(part["next_offset"].as_u64() <= part["size"].as_u64(), "{part}");
    }
    // Part by part, every line once, and the whole of it as a file.
    let (mut offset, mut lines) = (0, 0);
    loop {
        let part = log(&format!("offset={offset}"));
        lines += part["lines"].as_array().unwrap().len();
        offset = part["next_offset"].as_u64().unwrap();
        if part["complete"] == true {
            break;
        }
    }
    let whole = daemon.ask(
        "GET",
        &format!("/runs/{run}/log/{attempt}"),
        &[("Cookie", &daemon.cookie)],
        "",
    );
    assert!(whole.head.contains("attachment; filename="), "{}", whole.head);
    assert!(lines > 9_000 && whole.body.contains("line 8999 "));
    let other = daemon.ask(
        "GET",
        &format!("/runs/{run}/log/att_000000000000"),
        &[("Cookie", &daemon.cookie)],
        "",
    );
    assert_eq!(other.status, 404);
    // The attempts of the asset one by one, and what the run read and wrote.
    assert!(has(
        &daemon.page(&format!("/runs/{run}?unfold=reports.long")),
        "Attempts of reports.long"
    ));
}

#[test]
fn a_run_that_found_all_of_it_fresh_says_so() {
    let daemon = Daemon::with(WAITING);
    let pipe = daemon.folder.path().join("more");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let first = daemon.begin("selection=reports.waiting");
    daemon.first_attempt(&first);
    // Asked for while the other is at it, it waits for that, and has nothing left to do.
    let second = daemon.begin("selection=reports.waiting");
    drop(File::options().write(true).open(&pipe).unwrap());
    daemon.ended(&first);
    daemon.ended(&second);
    let page = daemon.page(&format!("/runs/{second}"));
    assert!(
        has(&page, "every step was fresh when its turn came") && !page.contains("class=\"gantt\""),
        "{page}"
    );
    assert!(!has(
        &daemon.page(&format!("/runs/{first}")),
        "fresh when its turn came"
    ));
}
