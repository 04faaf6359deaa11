//! The log of all that happens.

use super::busy_project::FILES;
use super::daemon::{Daemon, run_in};
use super::project::has;

#[test]
fn all_that_happens_is_one_list_with_a_stable_cursor() {
    let daemon = Daemon::with(FILES);
    let run = run_in(&daemon.press("/runs", "selection=bronze.days&from=2013-01-04&to=2013-01-06"));
    daemon.ended(&run);
    let all = |query: &str| {
        let (mut seqs, mut before) = (Vec::new(), String::new());
        loop {
            let part = daemon.json(&format!("/api/v1/log?{query}{before}"));
            let events = part["events"].as_array().unwrap();
            seqs.extend(events.iter().map(|event| event["seq"].as_i64().unwrap()));
            match part["next"].as_i64() {
                Some(next) => before = format!("&before={next}"),
                None => return seqs,
            }
        }
    };
    let seqs = all("");
    assert!(
        seqs.windows(2).all(|pair| pair[0] > pair[1]),
        "newest first, each once: {seqs:?}"
    );
    let of_run = all(&format!("run={run}"));
    assert!(!of_run.is_empty() && of_run.len() < seqs.len());
    let errors = daemon.json("/api/v1/log?level=error");
    assert!(
        errors["events"]
            .as_array()
            .unwrap()
            .iter()
            .all(|event| event["level"] == "error"),
        "{errors}"
    );
    assert!(all("asset=gold.odd").is_empty());
    assert!(!all("asset=bronze.days&kind=step").is_empty());
    let odd = daemon.ask("GET", "/log?level=loud", &[("Cookie", &daemon.cookie)], "");
    assert!(
        odd.status == 400 && odd.body.contains("debug, info, warn, error"),
        "{}",
        odd.body
    );
}

#[test]
fn the_daemons_own_lines_are_shown_as_text() {
    let daemon = Daemon::with(FILES);
    std::fs::write(
        daemon.folder.path().join("assets/bad.toml"),
        "[asset.gold.bad]\nkind = \"<script>alert(1)</script>\"\n",
    )
    .unwrap();
    daemon.post(&format!("/definitions/look?form={}", daemon.form_token()), "");
    let page = daemon.page("/log/daemon?level=warn");
    assert!(
        has(&page, "the last good ones stay in force") && has(&page, "&lt;script&gt;alert(1)"),
        "{page}"
    );
    assert!(!page.contains("<script>alert"));
    let twin = daemon.json("/api/v1/log/daemon?level=warn");
    let line = &twin["lines"][0];
    assert!(
        line["text"].as_str().unwrap().contains("<script>alert(1)") && line["number"].as_u64() >= Some(1),
        "{twin}"
    );
    assert_eq!(
        daemon.json("/api/v1/log/daemon?before=1")["lines"],
        serde_json::json!([])
    );
    let odd = daemon.ask("GET", "/log/daemon?level=loud", &[("Cookie", &daemon.cookie)], "");
    assert_eq!(odd.status, 400);
}
