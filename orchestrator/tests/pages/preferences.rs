//! What a reader prefers, and the description of all twins.

use super::busy_project::FILES;
use super::daemon::Daemon;
use super::project::has;

#[test]
fn what_a_reader_prefers_is_kept_and_every_twin_is_described() {
    let daemon = Daemon::with(FILES);
    let dark = daemon.with_cookie("/", "millpond-theme=dark");
    assert!(
        dark.body.contains("<html lang=\"en\" data-theme=\"dark\">"),
        "{}",
        &dark.body[..200]
    );
    let own = daemon.with_cookie("/runs", "millpond-zone=Asia%2FKathmandu; millpond-times=own");
    assert!(has(&own.body, "Times are Asia/Kathmandu") && has(&own.body, "Show America/New_York"));
    let odd = daemon.with_cookie(
        "/",
        "millpond-theme=\"><script>alert(1)</script>; millpond-zone=../etc/passwd",
    );
    assert!(!odd.body.contains("<script>alert") && !odd.body.contains("data-theme"));
    let chosen = daemon.post(&format!("/preferences?form={}&theme=dark", daemon.form_token()), "");
    assert!(
        chosen.status == 303 && chosen.head.contains("set-cookie: millpond-theme=dark;"),
        "{}",
        chosen.head
    );

    let described = daemon.json("/api/v1/openapi.json");
    let mut asked = 0;
    for (path, operations) in described["paths"].as_object().unwrap() {
        if path.contains('{') || operations.get("get").is_none() {
            continue;
        }
        let path = match path.as_str() {
            "/api/v1/backfills/preview" => format!("{path}?selection=*"),
            path => path.to_owned(),
        };
        assert!(daemon.json(&path).is_object(), "{path}");
        asked += 1;
    }
    assert!(asked > 12, "{asked}");
}
