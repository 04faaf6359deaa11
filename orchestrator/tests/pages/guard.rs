//! Who is answered: hosts, origins, tokens of the session and of forms.

use super::daemon::Daemon;

#[test]
fn only_those_who_may_are_answered() {
    let daemon = Daemon::start();
    let cookie = ("Cookie", daemon.cookie.as_str());
    let own = format!("http://{}", daemon.host);
    let form = daemon.form_token();
    let cases: &[(&str, &str, &[(&str, &str)], u16)] = &[
        ("GET", "/", &[cookie], 200),
        ("GET", "/", &[], 401),
        ("GET", "/live", &[], 401),
        ("GET", "/api/v1/assets", &[], 401),
        ("GET", "/login?token=wrong", &[], 401),
        ("GET", "/healthz", &[], 200),
        ("GET", "/", &[cookie, ("Host", "evil.example")], 421),
        ("GET", "/healthz", &[("Host", "127.0.0.1.evil.example")], 421),
        ("GET", "/", &[cookie, ("Origin", "http://evil.example")], 403),
        ("POST", "/runs", &[cookie, ("Origin", &own)], 403),
        ("POST", "/runs?form=0000", &[cookie, ("Origin", &own)], 403),
        ("POST", "/api/v1/runs", &[cookie, ("Origin", &own)], 403),
        ("POST", "/runs", &[cookie, ("Origin", "null")], 403),
        ("GET", "/schedules", &[], 401),
        ("POST", "/api/v1/schedules/leap_day/pause", &[], 401),
        ("GET", "/sensors", &[], 401),
        ("POST", "/api/v1/sensors/landing/tick", &[], 401),
        // No sensor takes events under this name; that its requests need no token gives nothing away.
        ("POST", "/hooks/landing", &[], 404),
        ("GET", "/hooks/landing", &[cookie], 405),
        ("GET", "/backfills", &[], 401),
        ("GET", "/query", &[], 401),
        ("GET", "/log", &[], 401),
        ("GET", "/api/v1/openapi.json", &[], 401),
        ("GET", "/log", &[cookie, ("Host", "rebound.example")], 421),
        (
            "GET",
            "/api/v1/backfills",
            &[cookie, ("Host", "rebound.example:80")],
            421,
        ),
        ("POST", "/query", &[cookie, ("Origin", &own)], 403),
        ("POST", "/query/csv", &[cookie, ("Origin", &own)], 403),
        ("POST", "/api/v1/query", &[cookie, ("Origin", &own)], 403),
        ("POST", "/preferences?theme=dark", &[cookie, ("Origin", &own)], 403),
        (
            "POST",
            "/query?form=0000",
            &[cookie, ("Origin", "http://rebound.example")],
            403,
        ),
    ];
    for (method, path, headers, status) in cases {
        assert_eq!(
            daemon.ask(method, path, headers, "").status,
            *status,
            "{method} {path} {headers:?}"
        );
    }
    let foreign = format!("/runs?form={form}");
    let answer = daemon.ask(
        "POST",
        &foreign,
        &[cookie, ("Origin", "http://evil.example")],
        "selection=*",
    );
    assert_eq!(answer.status, 403, "the form's token does not excuse a foreign page");
}

/// Every path of the list of routes, with its methods; parts of a path are filled in.
fn routes() -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for rest in include_str!("../../src/web/routes.rs").split(".route(").skip(1) {
        let (path, rest) = rest.split_once('"').unwrap().1.split_once('"').unwrap();
        let parts: Vec<&str> = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect();
        for (method, word) in [("GET", "get("), ("POST", "post(")] {
            if rest.contains(word) {
                found.push((method, parts.join("/")));
            }
        }
    }
    found
}

#[test]
fn every_route_needs_the_token_and_every_change_a_form_of_ours() {
    let daemon = Daemon::start();
    let routes = routes();
    assert!(
        routes.len() > 90 && routes.contains(&("POST", "/runs/x/cancel".to_owned())),
        "{routes:?}"
    );
    let own = format!("http://{}", daemon.host);
    for (method, path) in routes {
        let open = ["/static/x/x", "/healthz", "/readyz", "/hooks/x"].contains(&path.as_str());
        let answer = daemon.ask(method, &path, &[], "");
        assert_eq!(answer.status != 401, open, "{method} {path}: {}", answer.status);
        let json = answer.head.contains("content-type: application/json");
        assert!(
            open || json == path.starts_with("/api/"),
            "{method} {path}: {}",
            answer.head
        );
        if method == "POST" && !open {
            let headers = [("Cookie", daemon.cookie.as_str()), ("Origin", own.as_str())];
            let status = daemon.ask(method, &path, &headers, "").status;
            assert_eq!(status, 403, "{method} {path}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_request_is_told_as_whoever_asks_can_read_it() {
    let daemon = Daemon::start();
    let form = daemon.form_token();
    let form = [
        ("Cookie", daemon.cookie.as_str()),
        ("X-Millpond-Form", form.as_str()),
        ("Content-Type", "application/json"),
    ];
    for (method, path, body, status, wanted) in [
        ("GET", "/api/v1/runs?before=abc", "", 400, "invalid digit"),
        ("GET", "/api/v1/nothing", "", 404, "there is nothing at /api/v1/nothing"),
        ("GET", "/api/v1/runs/run_x/cancel", "", 405, "Method Not Allowed"),
        ("POST", "/api/v1/runs", "{", 400, "EOF while parsing"),
        ("POST", "/api/v1/runs", "{\"selektion\":\"*\"}", 422, "selektion"),
        ("GET", "/runs?before=abc", "", 400, "invalid digit"),
        ("GET", "/runs/run_x/cancel", "", 405, "Method Not Allowed"),
    ] {
        let answer = daemon.ask(method, path, &form, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(answer.body.contains(wanted), "{method} {path}: {}", answer.body);
        match path.starts_with("/api/") {
            true => {
                let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
                assert!(told["error"].is_string(), "{told}");
            }
            false => assert!(answer.body.contains("href=\"/\""), "{path} has a way back"),
        }
    }
}
