//! A real browser, driven over its own pipe: what pages do with JavaScript, at three widths, in both themes.
//!
//! Second tier: `MILLPOND_CHROMIUM=chromium cargo test --workspace --test pages -- --ignored`. Screenshots of every page are left in
//! the temporary folder of the target folder (`target/tmp/pages`).

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};

use super::{Daemon, Pid, Signal, kill, running};

/// A browser with one tab; it ends with the value.
struct Browser {
    child: Child,
    orders: File,
    answers: BufReader<File>,
    last: u64,
    session: Option<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn start() -> Self {
        let program = std::env::var("MILLPOND_CHROMIUM").expect("MILLPOND_CHROMIUM names a Chromium");
        let profile = tempfile::tempdir().unwrap();
        let (orders, answers) = (profile.path().join("orders"), profile.path().join("answers"));
        for pipe in [&orders, &answers] {
            assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        }
        // The browser takes orders from its third pipe and answers on its fourth.
        let child = Command::new("sh")
            .args(["-c", "exec 3<\"$1\" 4>\"$2\"; shift 2; exec \"$@\"", "sh"])
            .args([&orders, &answers])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Each end waits for the other, in this order on both sides.
        let orders = File::options().write(true).open(orders).unwrap();
        let answers = BufReader::new(File::open(answers).unwrap());
        let mut browser = Self {
            child,
            orders,
            answers,
            last: 0,
            session: None,
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        browser.call("Page.enable", &json!({}));
        browser.call("Runtime.enable", &json!({}));
        let watch = "window.alert = (text) => { window.alerted = text || true; };";
        browser.call("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": watch }));
        browser
    }

    fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.last += 1;
        let mut order = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            order["sessionId"] = session.clone().into();
        }
        self.orders.write_all(order.to_string().as_bytes()).unwrap();
        self.orders.write_all(&[0]).unwrap();
        self.last
    }

    fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.answers.read_until(0, &mut bytes).unwrap();
        bytes.pop();
        serde_json::from_slice(&bytes).expect("the browser is there and speaks JSON")
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        let id = self.send(method, params);
        loop {
            let message = self.message();
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    fn open(&mut self, url: &str) {
        let id = self.send("Page.navigate", &json!({ "url": url }));
        let (mut answered, mut loaded) = (false, false);
        while !(answered && loaded) {
            let message = self.message();
            answered |= message["id"] == id;
            loaded |= message["method"] == "Page.loadEventFired";
        }
    }

    /// The value of an expression in the page.
    fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until something holds in the page.
    fn until(&mut self, condition: &str) {
        let watch = format!(
            "new Promise((done, fail) => {{
                const end = Date.now() + 30000;
                const look = () => ({condition}) ? done(true) : Date.now() > end ? fail(document.body.innerText) : setTimeout(look, 20);
                look();
            }})"
        );
        assert_eq!(self.value(&watch), true, "{condition}");
    }

    fn press(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        let code = json!({ "type": "keyDown", "key": key, "text": text });
        self.call("Input.dispatchKeyEvent", &code);
        self.call("Input.dispatchKeyEvent", &json!({ "type": "keyUp", "key": key }));
    }

    fn width(&mut self, width: u32) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    fn theme(&mut self, theme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.call("Emulation.setEmulatedMedia", &features);
    }

    fn screenshot(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(shot["data"].as_str().unwrap())
            .unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).ok();
        self.child.wait().ok();
    }
}

/// Every page of the project after a run.
fn pages(run: &str) -> Vec<(&'static str, String)> {
    vec![
        ("overview", "/".to_owned()),
        ("runs", "/runs".to_owned()),
        ("run", format!("/runs/{run}")),
        ("run-unfolded", format!("/runs/{run}?unfold=bronze.days")),
        ("backfills", "/backfills".to_owned()),
        ("backfill", format!("/backfills/{run}?partition=2013-01-05")),
        ("backfill-new", "/backfills/new?selection=bronze.days".to_owned()),
        ("schedules", "/schedules".to_owned()),
        ("schedule", "/schedules?schedule=leap_day".to_owned()),
        ("sensors", "/sensors".to_owned()),
        ("sensor", "/sensors?sensor=landing".to_owned()),
        ("automation", "/automation".to_owned()),
        ("alerts", "/alerts".to_owned()),
        ("query", "/query?sql=SELECT%201".to_owned()),
        ("log", "/log".to_owned()),
        ("definitions", "/definitions".to_owned()),
        ("nothing", "/nothing".to_owned()),
    ]
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn every_page_fits_three_widths_in_both_themes_and_runs_nothing_foreign() {
    let daemon = Daemon::start();
    let run = daemon.materialize();
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&shots).unwrap();
    let mut browser = Browser::start();
    browser.open(&daemon.login);
    for theme in ["light", "dark"] {
        browser.theme(theme);
        for width in [400, 900, 1280] {
            browser.width(width);
            for (name, path) in pages(&run) {
                browser.open(&format!("http://{}{path}", daemon.host));
                let wide = browser.value("document.documentElement.scrollWidth");
                assert!(
                    wide.as_u64().unwrap() <= width.into(),
                    "{name} at {width} is {wide} wide"
                );
                assert_eq!(browser.value("window.alerted"), Value::Null, "{name}");
                let ground = browser.value("getComputedStyle(document.body).backgroundColor");
                let dark = ground
                    .as_str()
                    .unwrap()
                    .trim_start_matches("rgb(")
                    .split(',')
                    .next()
                    .unwrap()
                    .parse::<u8>();
                assert_eq!(dark.unwrap() < 128, theme == "dark", "{name}: {ground}");
                browser.screenshot(&shots.join(format!("{name}-{width}-{theme}.png")));
            }
        }
    }
    // What every control is called, and that nothing has two names.
    browser.open(&format!("http://{}/runs/{run}", daemon.host));
    let nameless = "[...document.querySelectorAll('button, a[href], select, input:not([type=hidden]), textarea')]
        .filter((one) => !(one.innerText || one.ariaLabel || one.title || one.placeholder || one.closest('label') || one.querySelector('title, img, svg')))
        .map((one) => one.outerHTML)";
    assert_eq!(browser.value(nameless), json!([]));
    let twice = "(() => { const ids = [...document.querySelectorAll('[id]')].map((one) => one.id); return ids.filter((id, i) => ids.indexOf(id) !== i); })()";
    assert_eq!(browser.value(twice), json!([]));
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn keys_lead_to_pages_and_rows() {
    let daemon = Daemon::start();
    let run = daemon.materialize();
    let mut browser = Browser::start();
    browser.open(&daemon.login);
    browser.press("?");
    browser.until("document.querySelector('dialog.keys').innerText.includes('Backfills')");
    browser.press("?");
    browser.until("!document.querySelector('dialog.keys')");
    browser.press("g");
    browser.press("r");
    browser.until("location.pathname === '/runs' && document.readyState === 'complete'");
    browser.press("j");
    browser.until(&format!("document.activeElement.href.endsWith('/runs/{run}')"));
    browser.press("/");
    browser.until("document.activeElement.matches('[data-search]')");
    browser.press("r");
    assert_eq!(
        browser.value("document.activeElement.value"),
        "r",
        "a key in a field is text"
    );
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn what_changes_is_refreshed_and_what_one_does_is_left_alone() {
    let daemon = Daemon::start();
    let mut browser = Browser::start();
    browser.open(&daemon.login);
    browser.until("document.querySelector('#recent').innerText.includes('Nothing ran yet')");
    browser.value("window.same = true; document.querySelector('[data-search]').focus(); document.querySelector('[data-search]').value = 'typed'; scrollTo(0, 40); true");
    let run = daemon.materialize();
    browser.until(&format!(
        "document.querySelector('#recent').innerText.includes('{run}')"
    ));
    browser.until("document.querySelector('#failing').innerText.includes('no fifth day')");
    assert_eq!(browser.value("window.same"), true, "the page was not loaded again");
    assert_eq!(
        browser.value("[document.activeElement.value, scrollY]"),
        json!(["typed", 40]),
        "focus, text and place are kept"
    );
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn queries_run_complete_cancel_and_are_remembered() {
    let daemon = Daemon::start();
    daemon.materialize();
    let mut browser = Browser::start();
    browser.open(&daemon.login);
    browser.open(&format!("http://{}/query", daemon.host));
    browser.until("document.querySelector('[data-hint]').hidden === false");
    browser.value("document.querySelector('[data-sql]').focus()");
    for key in "SELECT label FROM bronze.da".chars() {
        browser.press(&key.to_string());
    }
    browser.until("!document.querySelector('.complete').hidden && document.querySelector('.complete').innerText.includes('bronze.days')");
    browser.press("Tab");
    assert_eq!(
        browser.value("document.querySelector('[data-sql]').value"),
        "SELECT label FROM bronze.days"
    );
    browser.value("document.querySelector('[data-query] .primary').click()");
    browser.until("document.querySelectorAll('[data-result] tbody tr').length === 9");
    assert_eq!(
        browser.value("document.querySelector('[data-result] td').innerText"),
        "<img src=x>"
    );
    assert_eq!(browser.value("window.alerted"), Value::Null);
    browser.until("document.querySelector('[data-history] li').innerText.includes('bronze.days')");
    // More queries that never end than there is room for: each that is given up makes room.
    let endless = (0..12)
        .map(|n| format!("bronze.days t{n}"))
        .collect::<Vec<_>>()
        .join(", ");
    for _ in 0..3 {
        let ask = format!(
            "document.querySelector('[data-sql]').value = 'SELECT count(*) FROM {endless} WHERE t0.label || t11.label > t5.label'"
        );
        browser.value(&ask);
        browser.value("document.querySelector('[data-query] .primary').click()");
        browser.until("!document.querySelector('[data-cancel]').hidden && document.querySelector('#result').innerText.includes('Running')");
        browser.value("document.querySelector('[data-cancel]').click()");
        browser.until("document.querySelector('#result').innerText.includes('Canceled')");
    }
    browser.value("document.querySelector('[data-sql]').value = 'SELECT 41 + 1 AS answer'");
    browser.value("document.querySelector('[data-query] .primary').click()");
    browser.until("document.querySelector('#result td') && document.querySelector('#result td').innerText === '42'");
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn a_log_is_followed_paused_and_searched() {
    let daemon = Daemon::with(running::WAITING);
    let pipe = daemon.folder.path().join("more");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let run = daemon.begin("selection=reports.waiting");
    let attempt = daemon.first_attempt(&run);
    let mut browser = Browser::start();
    browser.open(&daemon.login);
    browser.open(&format!("http://{}/runs/{run}", daemon.host));
    browser.until("document.querySelector('[data-log]').textContent.includes('first line')");
    let mut more = File::options().write(true).open(&pipe).unwrap();
    writeln!(more, "second <script>alert(1)</script>").unwrap();
    more.flush().unwrap();
    browser.until("document.querySelector('[data-log]').textContent.includes('second <script>')");
    browser.value("document.querySelector('[data-log-follow]').click()");
    browser.until("document.querySelector('[data-log-follow]').innerText === 'Follow'");
    writeln!(more, "third").unwrap();
    more.flush().unwrap();
    browser.until(&format!(
        "(window.known = window.known || '', fetch('/api/v1/runs/{run}/log?attempt={attempt}').then((a) => a.text()).then((t) => {{ window.known = t; }}), window.known.includes('third'))"
    ));
    assert_eq!(
        browser.value("document.querySelector('[data-log]').textContent.includes('third')"),
        false,
        "paused"
    );
    browser.value("document.querySelector('[data-log-follow]').click()");
    browser.until("document.querySelector('[data-log]').textContent.includes('third')");
    browser.value("(() => { const find = document.querySelector('[data-log-form]').elements.find; find.value = 'SECOND'; find.dispatchEvent(new Event('input')); })()");
    browser.until("[...document.querySelectorAll('[data-log] .line')].filter((line) => !line.hidden).length === 1");
    assert_eq!(browser.value("window.alerted"), Value::Null);
    drop(more);
    daemon.ended(&run);
    browser.until("document.querySelector('#head').innerText.includes('succeeded')");
}
