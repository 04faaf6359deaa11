//! Backfills: chosen, watched, retried; wrong fields; partitions whose names are markup.

use super::busy_project::FILES;
use super::daemon::{Daemon, run_in};
use super::project::has;

#[test]
fn a_backfill_is_chosen_watched_and_retried_without_javascript() {
    let daemon = Daemon::with(FILES);
    let choice = "selection=bronze.days%2B&from=2013-01-04&to=2013-01-10";
    let preview = daemon.page(&format!("/backfills/new?{choice}"));
    assert!(has(&preview, "14 steps of 2 assets"), "{preview}");
    assert!(
        has(&preview, "None of it was ever made, so nobody knows how long it takes."),
        "{preview}"
    );
    let twin = daemon.json(&format!("/api/v1/backfills/preview?{choice}"));
    assert_eq!(
        (twin["steps"].as_u64(), &twin["estimate"]),
        (Some(14), &serde_json::Value::Null)
    );

    let place = daemon.press(
        "/runs",
        &format!("{choice}&trigger=backfill&only=missing&max_in_flight=2&newest_first=on"),
    );
    assert!(place.starts_with("/backfills/run_"), "{place}");
    let run = run_in(&place);
    daemon.ended(&run);
    let page = daemon.page(&place);
    for fact in [
        "12 succeeded, 1 failed, 1 skipped",
        "7 partitions, one square each",
        "2013-01-05: 1 failed, 1 skipped",
        "newest first, at most 2 in flight",
        "Retry what is left (2 steps)",
        "only those never materialized",
    ] {
        assert!(has(&page, fact), "{fact}:\n{page}");
    }
    let one = daemon.page(&format!("/backfills/{run}?partition=2013-01-05"));
    assert!(has(&one, "because bronze.days@2013-01-05 failed"), "{one}");
    let twin = daemon.json(&format!("/api/v1/backfills/{run}"));
    let cells = twin["grids"][0]["cells"].as_array().unwrap();
    let failed: Vec<&str> = cells
        .iter()
        .filter(|cell| cell["steps"]["failed"] == 1)
        .map(|cell| cell["from"].as_str().unwrap())
        .collect();
    assert_eq!((cells.len(), failed), (7, vec!["2013-01-05"]));
    assert_eq!(
        twin["grids"][0]["assets"],
        serde_json::json!(["bronze.days", "silver.days"])
    );
    let part = daemon.json(&format!("/api/v1/backfills/{run}?from=2013-01-06&to=2013-01-08"));
    assert_eq!(part["grids"][0]["cells"].as_array().unwrap().len(), 3);

    let again = run_in(&daemon.press(&format!("/runs/{run}/retry?back=backfills"), ""));
    daemon.ended(&again);
    assert!(has(
        &daemon.page(&format!("/backfills/{run}")),
        &format!("/backfills/{again}")
    ));
    assert!(has(&daemon.page(&format!("/runs/{again}")), &format!("/runs/{run}")));

    let list = daemon.page("/backfills");
    assert!(
        has(&list, &run) && has(&list, "bronze.days+") && has(&list, "100 %"),
        "{list}"
    );
    assert!(!has(&daemon.page("/backfills?state=open"), &run));
    // What was made tells how long more of it would take.
    let more = daemon.page("/backfills/new?selection=bronze.days&only=all&max_in_flight=1");
    assert!(
        has(&more, "with 1 worker") && has(&more, "90 steps of 1 asset"),
        "{more}"
    );
}

#[test]
fn wrong_fields_are_told_and_nothing_starts() {
    let daemon = Daemon::with(FILES);
    for (query, wanted) in [
        ("selection=bronze.dais", "did you mean"),
        (
            "selection=bronze.days&from=2013-01-04",
            "a range needs its last partition",
        ),
        ("selection=bronze.days&from=x&to=y", "`x`"),
        ("selection=bronze.days&max_in_flight=0", "give 1 or more"),
        ("selection=%3Cscript%3Ealert(1)%3C/script%3E", "&lt;script&gt;alert(1)"),
    ] {
        let page = daemon.page(&format!("/backfills/new?{query}"));
        assert!(
            has(&page, wanted) && !page.contains("<script>alert"),
            "{query} does not say {wanted}:\n{page}"
        );
    }
    assert!(has(&daemon.page("/backfills"), "No backfill yet"));
    let unknown = daemon.ask("GET", "/backfills/run_000000000000", &[("Cookie", &daemon.cookie)], "");
    assert!(unknown.status == 404 && unknown.body.contains("class=\"button\" href=\"/backfills\""));
}

#[test]
fn names_that_are_markup_stay_names() {
    let daemon = Daemon::with(FILES);
    let run = run_in(&daemon.press("/runs", "selection=gold.odd&trigger=backfill"));
    daemon.ended(&run);
    let key = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [
        format!("/backfills/{run}"),
        format!("/backfills/{run}?partition={key}"),
        format!("/runs/{run}?unfold=gold.odd"),
        "/log".to_owned(),
    ] {
        let page = daemon.page(&path);
        assert!(has(&page, "&lt;script&gt;alert(1)&lt;/script&gt;"), "{path}:\n{page}");
        assert!(!page.contains("<script>alert"), "{path}");
    }
}
