//! The query console: completion, results, cancel, history.

use serde_json::Value;

use super::super::daemon::Daemon;
use super::Browser;

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
