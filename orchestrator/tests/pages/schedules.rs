//! The schedules page and its buttons.

use super::daemon::Daemon;
use super::project::has;

#[test]
fn schedules_are_paused_resumed_and_ticked_by_buttons() {
    let daemon = Daemon::start();
    let press = |verb: &str| {
        let path = format!("/schedules/leap_day/{verb}?form={}", daemon.form_token());
        let pressed = daemon.post(&path, "");
        assert_eq!(pressed.status, 303, "{verb}: {}", pressed.body);
        let place = pressed.head.lines().find_map(|line| line.strip_prefix("location: "));
        place.unwrap().to_owned()
    };
    assert_eq!(press("pause"), "/schedules");
    let page = daemon.page("/schedules");
    assert!(has(&page, "paused by page") && has(&page, "Resume"), "{page}");
    let twin = daemon.json("/api/v1/schedules?schedule=leap_day");
    assert_eq!(twin["schedules"][0]["paused_by"], "page");
    assert_eq!(twin["schedules"][0]["next"], serde_json::json!([]));
    assert_eq!(press("resume"), "/schedules");
    let run = press("tick");
    assert!(run.starts_with("/runs/run_"), "{run}");
    assert!(has(&daemon.page(&run), "schedule leap_day"));
    let page = daemon.page("/schedules?schedule=leap_day");
    assert!(
        has(&page, "asked for by page") && has(&page, "requested") && has(&page, &run),
        "{page}"
    );
    // A name that nobody declared, and a form that is not ours.
    let unknown = daemon.post(&format!("/schedules/leap/tick?form={}", daemon.form_token()), "");
    assert!(
        unknown.status == 404 && unknown.body.contains("leap_day"),
        "{}",
        unknown.body
    );
    let foreign = daemon.post("/schedules/leap_day/pause?form=0000", "");
    assert_eq!(foreign.status, 403);
}
