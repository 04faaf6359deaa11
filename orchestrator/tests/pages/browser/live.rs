//! What changes is shown without losing what one does.

use serde_json::json;

use super::super::daemon::Daemon;
use super::Browser;

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
fn what_is_refreshed_is_still_for_those_with_a_script() {
    let daemon = Daemon::start();
    let mut browser = Browser::start();
    browser.open(&daemon.login);
    browser.open(&format!("http://{}/assets/bronze.days", daemon.host));
    let shown = "[...document.querySelectorAll('[data-with-script], [data-without-script]')].map((one) => one.hidden)";
    assert_eq!(browser.value(shown), json!([false, true]));
    daemon.materialize();
    browser.until("document.querySelector('#partitions').innerText.includes('9 fresh')");
    assert_eq!(browser.value(shown), json!([false, true]));
}
