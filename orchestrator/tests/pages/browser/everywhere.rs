//! Every page: it says what it says without scripts, fits three widths in both themes, and runs nothing foreign.

use std::path::Path;

use serde_json::{Value, json};

use super::super::daemon::Daemon;
use super::super::project::{check_log, facts, has, log_page};
use super::super::whole_project::{made, pages};
use super::{Browser, THEMES, WIDTHS};

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn pages_say_the_same_in_a_browser() {
    let daemon = Daemon::start();
    let run = daemon.materialize();
    let mut browser = Browser::start();
    browser.open(&daemon.login);
    let mut open = |path: &str| {
        browser.open(&format!("http://{}{path}", daemon.host));
        let page = browser.value("document.documentElement.outerHTML");
        page.as_str().unwrap().to_owned()
    };
    for (path, wanted) in facts(&run) {
        let page = open(&path);
        for fact in wanted {
            assert!(has(&page, fact), "{path} does not say {fact:?}:\n{page}");
        }
        assert!(
            !page.contains("<b>one</b>") && !page.contains("<img src=\"x\">"),
            "{path}"
        );
    }
    let page = open(&log_page(&daemon, &run));
    check_log(&page);
    // The script ran: it counts the lines.
    assert!(page.contains(" lines</span>"), "{page}");
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn every_page_fits_three_widths_in_both_themes_and_runs_nothing_foreign() {
    let (daemon, run) = made();
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&shots).unwrap();
    let mut browser = Browser::start();
    browser.open(&daemon.login);
    for (name, path) in pages(&daemon, &run) {
        browser.open(&format!("http://{}{path}", daemon.host));
        // What one can open is opened, and what can be pointed at is pointed at.
        browser.value(
            "document.querySelectorAll('details').forEach((one) => { one.open = true; });
             document.querySelectorAll('*').forEach((one) => {
                 for (const kind of ['mouseover', 'mouseenter', 'focus', 'error', 'load']) {
                     if (one !== document.body && !/^(IMG|SCRIPT|LINK)$/.test(one.nodeName)) one.dispatchEvent(new Event(kind));
                 }
             }); true",
        );
        for theme in THEMES {
            browser.theme(theme);
            for width in WIDTHS {
                browser.width(width);
                let wide = browser.value("document.documentElement.scrollWidth");
                assert!(
                    wide.as_u64().unwrap() <= width.into(),
                    "{name} at {width} is {wide} wide"
                );
                let ground = browser.value("getComputedStyle(document.body).backgroundColor");
                let red = ground.as_str().unwrap().trim_start_matches("rgb(").split(',').next();
                let dark = red.unwrap().parse::<u8>().unwrap() < 128;
                assert_eq!(dark, theme == "dark", "{name}: {ground}");
                browser.screenshot(&shots.join(format!("{name}-{width}-{theme}.png")));
            }
        }
        assert_eq!(
            browser.value("window.alerted"),
            Value::Null,
            "{name} ran what it was given"
        );
        let foreign = "[...document.querySelectorAll('*')].filter((one) =>
            /^(IFRAME|OBJECT|EMBED|BASE)$/.test(one.nodeName)
            || (one.nodeName === 'IMG' && !one.src.startsWith(location.origin + '/static/'))
            || (one.nodeName === 'SCRIPT' && !one.src.startsWith(location.origin + '/static/'))
            || [...one.attributes].some(({ name, value }) => name.startsWith('on') || /^\\s*javascript:/i.test(value) && /^(href|src|action|formaction|xlink:href)$/.test(name)))
            .map((one) => one.outerHTML)";
        assert_eq!(browser.value(foreign), json!([]), "{name}");
        let twice = "(() => { const ids = [...document.querySelectorAll('[id]')].map((one) => one.id); return ids.filter((id, i) => ids.indexOf(id) !== i); })()";
        assert_eq!(browser.value(twice), json!([]), "{name} has a name twice");
    }
}
