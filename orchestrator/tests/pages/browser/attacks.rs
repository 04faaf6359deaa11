//! What a page of another site can make a reader's browser do to a daemon on the reader's machine: nothing.
//!
//! The other site is on another port of the same machine, once under the daemon's own address (the same site for a browser, so that
//! the session's cookie is sent), once under a name of its own (another site), once under a name that was made to point to this
//! machine (a rebound one).

use serde_json::{Value, json};

use super::super::daemon::Daemon;
use super::Browser;
use super::foreign::Foreign;

/// A page that waits to be told what to do.
const BLANK: &str = "<!doctype html><title>evil</title><p>evil</p>";

/// What was committed so far.
fn newest(daemon: &Daemon) -> Value {
    daemon.json("/api/v1/events?newest=true")["rows"].clone()
}

/// Everything that a foreign page can try with a request; each says what came of it.
fn tries(daemon: &Daemon) -> String {
    let target = format!("http://{}", daemon.host);
    let form = daemon.form_token();
    format!(
        r#"(async () => {{
            const target = "{target}";
            const read = async (name, path, options) => {{
                try {{
                    const answer = await fetch(target + path, {{ credentials: "include", ...options }});
                    return [name, answer.type, answer.status, (await answer.text()).length];
                }} catch (error) {{
                    return [name, "refused"];
                }}
            }};
            const tag = (name, node, path) => new Promise((done) => {{
                const made = document.createElement(node);
                made.onload = () => done([name, "loaded"]);
                made.onerror = () => done([name, "refused"]);
                if (node === "link") made.rel = "stylesheet";
                made[node === "link" ? "href" : "src"] = target + path;
                document.body.append(made);
            }});
            const stream = (name) => new Promise((done) => {{
                const source = new EventSource(target + "/live", {{ withCredentials: true }});
                source.onopen = () => done([name, "loaded"]);
                source.onerror = () => done([name, "refused"]);
            }});
            const body = "selection=*";
            const post = {{ method: "POST", body }};
            return [
                await read("read a page", "/"),
                await read("read a twin", "/api/v1/assets"),
                await read("read the metrics", "/metrics"),
                await read("read the token's page", "/login?token=0"),
                await read("json", "/api/v1/runs", {{ ...post, body: '{{"selection":"*"}}', headers: {{ "content-type": "application/json" }} }}),
                await read("json as text", "/api/v1/runs", {{ ...post, body: '{{"selection":"*"}}', headers: {{ "content-type": "text/plain" }} }}),
                await read("json blindly", "/api/v1/runs", {{ ...post, mode: "no-cors", body: '{{"selection":"*"}}' }}),
                await read("form blindly", "/runs", {{ ...post, mode: "no-cors" }}),
                await read("form with a stolen token", "/runs?form={form}", {{ ...post, mode: "no-cors", body: new URLSearchParams(body) }}),
                await read("token in a header", "/api/v1/runs", {{ ...post, headers: {{ "x-millpond-form": "{form}" }} }}),
                await read("pause", "/automation/pause?form={form}", {{ ...post, mode: "no-cors" }}),
                await read("beacon", "/runs?form={form}", {{ ...post, mode: "no-cors", keepalive: true }}),
                await tag("script of a twin", "script", "/api/v1/assets"),
                await tag("script of ours", "script", "/static/app.js"),
                await tag("picture", "img", "/static/icon.svg"),
                await tag("style", "link", "/api/v1/assets"),
                await stream("stream"),
                await new Promise((done) => {{
                    const frame = document.createElement("iframe");
                    frame.onload = () => {{
                        let seen = "nothing";
                        try {{ seen = frame.contentDocument.body.innerText; }} catch {{ seen = "hidden"; }}
                        done(["frame", seen === "hidden" ? "refused" : seen]);
                    }};
                    frame.src = target + "/";
                    document.body.append(frame);
                }}),
                navigator.sendBeacon(target + "/runs?form={form}", new URLSearchParams(body)) ? ["beacon queued", "refused"] : ["beacon queued", "refused"],
            ];
        }})()"#
    )
}

/// None of the answers may be readable, and nothing may have been committed.
fn nothing_came_of_it(found: &Value) {
    for one in found.as_array().unwrap() {
        let what = one[1].as_str().unwrap();
        let harmless = what == "refused" || (what == "opaque" && one[3] == 0);
        assert!(harmless, "another site can: {one}\n{found:#}");
    }
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn another_site_can_neither_read_nor_change_anything() {
    let daemon = Daemon::start();
    let foreign = Foreign::serve(BLANK.to_owned());
    let mut browser = Browser::with(&["--host-resolver-rules=MAP evil.example 127.0.0.1"]);
    browser.open(&daemon.login);
    let before = newest(&daemon);
    for host in ["127.0.0.1", "localhost", "evil.example"] {
        browser.open(&format!("http://{host}:{}/", foreign.port));
        nothing_came_of_it(&browser.value(&tries(&daemon)));
        assert_eq!(newest(&daemon), before, "{host} changed something");
    }
    // The session is still good: it is the origin that is refused, not the reader.
    browser.open(&format!("http://{}/runs", daemon.host));
    browser.until("document.querySelector('h1').innerText === 'Runs'");
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn a_form_of_another_site_is_refused_where_it_lands() {
    let daemon = Daemon::start();
    let form = daemon.form_token();
    let before = newest(&daemon);
    let attacks = [
        (
            "application/x-www-form-urlencoded",
            format!("/runs?form={form}"),
            "selection",
            "*",
        ),
        (
            "application/x-www-form-urlencoded",
            "/runs".to_owned(),
            "selection",
            "*",
        ),
        (
            "application/x-www-form-urlencoded",
            format!("/automation/pause?form={form}"),
            "back",
            "x",
        ),
        ("multipart/form-data", format!("/runs?form={form}"), "selection", "*"),
        // A body that is JSON to whoever does not ask for its type.
        (
            "text/plain",
            "/api/v1/runs".to_owned(),
            r#"{"selection":"*","trigger":""#,
            r#""}"#,
        ),
    ];
    for host in ["127.0.0.1", "localhost"] {
        for (kind, path, name, value) in &attacks {
            let attack = format!(
                "<!doctype html><form method=post enctype=\"{kind}\" action=\"http://{}{path}\"><input name='{name}' value='{value}'></form>",
                daemon.host
            );
            let foreign = Foreign::serve(attack);
            let mut browser = Browser::start();
            browser.open(&daemon.login);
            browser.open(&format!("http://{host}:{}/", foreign.port));
            browser.value("setTimeout(() => document.forms[0].submit(), 0)");
            browser.until(&format!(
                "location.host === '{}' && document.readyState === 'complete'",
                daemon.host
            ));
            let text = browser.value("document.body.innerText");
            let text = text.as_str().unwrap();
            assert!(
                text.contains("requests from other origins are refused"),
                "{host} {kind} {path}: {text}"
            );
            assert_eq!(newest(&daemon), before, "{host} {kind} {path}");
        }
    }
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn a_name_that_is_rebound_to_this_machine_sees_nothing() {
    let daemon = Daemon::start();
    let port = daemon.host.rsplit(':').next().unwrap();
    let mut browser = Browser::with(&["--host-resolver-rules=MAP * 127.0.0.1"]);
    browser.open(&daemon.login);
    let token = daemon.login.split("token=").nth(1).unwrap().to_owned();
    let before = newest(&daemon);
    for host in ["rebound.example", "127.0.0.1.nip.io", "localhost.rebound.example"] {
        browser.open(&format!("http://{host}:{port}/"));
        let found = browser.value(&format!(
            "(async () => {{
                const found = [document.body.innerText.includes('bronze')];
                for (const [path, options] of [
                    ['/', {{}}], ['/api/v1/assets', {{}}], ['/metrics', {{}}], ['/healthz', {{}}], ['/live', {{}}], ['/login?token={token}', {{}}],
                    ['/runs?form={form}', {{ method: 'POST', body: new URLSearchParams('selection=*') }}],
                    ['/api/v1/runs', {{ method: 'POST', body: '{{\"selection\":\"*\"}}', headers: {{ 'content-type': 'application/json', authorization: 'Bearer {token}' }} }}],
                ]) found.push((await fetch(path, options)).status);
                return found;
            }})()",
            form = daemon.form_token(),
        ));
        assert_eq!(found, json!([false, 421, 421, 421, 421, 421, 421, 421, 421]), "{host}");
        assert_eq!(newest(&daemon), before, "{host}");
    }
}
