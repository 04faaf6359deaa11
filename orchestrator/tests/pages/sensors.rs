//! The sensors page and its buttons.

use super::daemon::Daemon;
use super::project::has;

#[test]
fn sensors_are_tested_paused_resumed_and_ticked_by_buttons() {
    let daemon = Daemon::start();
    let press = |verb: &str| {
        let join = if verb.contains('?') { "&" } else { "?" };
        let path = format!("/sensors/landing/{verb}{join}form={}", daemon.form_token());
        let pressed = daemon.post(&path, "");
        assert_eq!(pressed.status, 303, "{verb}: {}", pressed.body);
        let place = pressed.head.lines().find_map(|line| line.strip_prefix("location: "));
        place.unwrap().to_owned()
    };
    assert_eq!(press("pause"), "/sensors");
    let page = daemon.page("/sensors");
    assert!(has(&page, "paused by page") && has(&page, "Resume"), "{page}");
    let twin = daemon.json("/api/v1/sensors?sensor=landing");
    assert_eq!(twin["sensors"][0]["paused_by"], "page");
    let tested = daemon.page(&press("tick?test=true"));
    assert!(
        has(&tested, "landing sees nothing new; nothing was started"),
        "{tested}"
    );
    let ticked = daemon.page(&press("tick"));
    assert!(
        has(&ticked, "landing skipped: nothing new") && has(&ticked, "asked for by page"),
        "{ticked}"
    );
    assert_eq!(press("resume"), "/sensors");
    let unknown = daemon.post(&format!("/sensors/landin/tick?form={}", daemon.form_token()), "");
    assert!(
        unknown.status == 404 && unknown.body.contains("landing"),
        "{}",
        unknown.body
    );
    assert_eq!(daemon.post("/sensors/landing/pause?form=0000", "").status, 403);
}
