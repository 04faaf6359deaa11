//! The automation page and its buttons.

use super::daemon::Daemon;
use super::project::has;

#[test]
fn automation_is_paused_and_resumed_by_buttons() {
    let daemon = Daemon::start();
    let press = |path: &str, body: &str| {
        let pressed = daemon.post(&format!("{path}?form={}", daemon.form_token()), body);
        assert_eq!(pressed.status, 303, "{path}: {}", pressed.body);
        let place = pressed.head.lines().find_map(|line| line.strip_prefix("location: "));
        place.unwrap().to_owned()
    };
    assert_eq!(
        press("/automation/reports.log/pause", "back=asset"),
        "/assets/reports.log#automation"
    );
    let page = daemon.page("/assets/reports.log");
    assert!(
        has(&page, "automation is paused by page") && has(&page, "Resume"),
        "{page}"
    );
    let twin = daemon.json("/api/v1/assets/reports.log");
    assert_eq!(twin["automation"]["paused"][1], "page");
    assert_eq!(twin["freshness"]["state"], "unknown");
    assert_eq!(press("/automation/reports.log/resume", ""), "/automation");
    assert_eq!(press("/automation/pause", ""), "/automation");
    assert!(has(&daemon.page("/automation"), "All automation is paused by page"));
    assert_eq!(daemon.json("/api/v1/automation")["paused_by"], "page");
    assert_eq!(press("/automation/resume", ""), "/automation");
    let unknown = daemon.post(
        &format!("/automation/reports.lgo/pause?form={}", daemon.form_token()),
        "",
    );
    assert!(
        unknown.status == 404 && unknown.body.contains("reports.log"),
        "{}",
        unknown.body
    );
    let foreign = daemon.post("/automation/pause?form=0000", "");
    assert_eq!(foreign.status, 403);
}
