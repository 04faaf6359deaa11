//! The log of an attempt: followed, paused, searched.

use std::fs::File;
use std::io::Write;
use std::process::Command;

use serde_json::Value;

use super::super::busy_project::WAITING;
use super::super::daemon::Daemon;
use super::Browser;

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn a_log_is_followed_paused_and_searched() {
    let daemon = Daemon::with(WAITING);
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
