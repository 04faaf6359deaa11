//! Every page in both themes and three widths, held against the rules of WCAG 2.2 A and AA by axe-core.

use serde_json::{Value, json};

use super::super::daemon::Daemon;
use super::super::whole_project::{EMPTY, empty_pages, made, pages};
use super::{Browser, THEMES, WIDTHS};

/// What axe-core finds wrong on the page that is open: the rule, what it says, and the elements.
fn violations(browser: &mut Browser) -> Value {
    browser.value(
        "axe.run(document, {
            runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa'] },
            resultTypes: ['violations'],
        }).then((found) => found.violations.map((one) => ({
            rule: one.id,
            help: one.help,
            elements: one.nodes.slice(0, 5).map((node) => node.html.slice(0, 200) + ' — ' + node.any.concat(node.all, node.none).map((check) => check.message).join('; ')),
        })))",
    )
}

/// A browser in which every document has axe-core. It comes over the browser's own pipe, not from the page, whose policy allows no
/// script but ours.
fn start() -> Browser {
    let path = std::env::var("MILLPOND_AXE").expect("MILLPOND_AXE names axe.min.js");
    let source = std::fs::read_to_string(&path).unwrap();
    let mut browser = Browser::start();
    browser.call("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": source }));
    // A colour on its way from one theme to the other is neither.
    browser.still();
    browser
}

/// Looks at an open page in every theme and width.
fn look(browser: &mut Browser, name: &str, found: &mut Vec<String>) {
    // What is folded away or not drawn yet is looked at too.
    browser.value(
        "document.querySelectorAll('details').forEach((one) => { one.open = true; });
         document.querySelectorAll('.console .line').forEach((one) => { one.style.contentVisibility = 'visible'; }); true",
    );
    for theme in THEMES {
        browser.theme(theme);
        for width in WIDTHS {
            browser.width(width);
            for violation in violations(browser).as_array().unwrap() {
                found.push(format!("{name}, {theme}, {width} wide: {violation:#}"));
            }
        }
    }
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM and MILLPOND_AXE"]
fn every_page_can_be_read_and_used_by_everybody() {
    let (daemon, run) = made();
    let mut browser = start();
    let mut found = Vec::new();
    browser.open(&format!("http://{}/", daemon.host));
    look(&mut browser, "without a session", &mut found);
    browser.open(&daemon.login);
    for (name, path) in pages(&daemon, &run) {
        browser.open(&format!("http://{}{path}", daemon.host));
        look(&mut browser, name, &mut found);
    }
    // The result of a query, and the keys.
    browser.open(&format!(
        "http://{}/query?sql=SELECT%20*%20FROM%20bronze.days",
        daemon.host
    ));
    browser.value("document.querySelector('[data-query] .primary').click()");
    browser.until("document.querySelectorAll('#result tbody tr').length > 0");
    look(&mut browser, "result of a query", &mut found);
    browser.value("document.activeElement.blur()");
    browser.press("?");
    browser.until("document.querySelector('dialog.keys')");
    look(&mut browser, "keys", &mut found);
    // A mistake in the files is told on every page.
    std::fs::write(
        daemon.folder.path().join("assets/bad.toml"),
        "[asset.gold.bad]\nkind = \"sqll\"\n",
    )
    .unwrap();
    let looked = format!("/definitions/look?form={}", daemon.form_token());
    daemon.post(&looked, "");
    for path in ["/", "/definitions"] {
        browser.open(&format!("http://{}{path}", daemon.host));
        browser.until("document.querySelector('#trouble [role=alert]')");
        look(&mut browser, &format!("{path} with a mistake"), &mut found);
    }
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM and MILLPOND_AXE"]
fn every_empty_page_can_be_read_and_used_by_everybody() {
    let daemon = Daemon::with(EMPTY);
    let mut browser = start();
    let mut found = Vec::new();
    browser.open(&daemon.login);
    for path in empty_pages() {
        browser.open(&format!("http://{}{path}", daemon.host));
        look(&mut browser, path, &mut found);
    }
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM and MILLPOND_AXE"]
fn a_field_without_a_name_is_found() {
    let daemon = Daemon::with(EMPTY);
    let mut browser = start();
    browser.open(&daemon.login);
    browser.value("document.querySelector('[data-search]').removeAttribute('aria-label'); document.querySelector('[data-search]').removeAttribute('placeholder'); true");
    let found = violations(&mut browser);
    assert_eq!(found[0]["rule"], "label", "{found:#}");
}
