//! The keyboard.

use serde_json::Value;

use super::super::daemon::Daemon;
use super::Browser;

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn keys_lead_to_pages_and_rows() {
    let daemon = Daemon::start();
    let run = daemon.materialize();
    let mut browser = Browser::start();
    browser.open(&daemon.login);
    // However young the page is, the first key of two is no second one.
    browser.value(
        "performance.now = () => 5; navigation.onnavigate = (event) => { window.leapt = event.destination.url; }; true",
    );
    browser.press("g");
    assert_eq!(browser.value("window.leapt"), Value::Null);
    // Nor is one after a key between.
    browser.press("x");
    browser.press("r");
    assert_eq!(browser.value("window.leapt"), Value::Null);
    browser.value("delete performance.now; true");
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
