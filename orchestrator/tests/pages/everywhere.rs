//! Every page says what is the case, in plain HTTP as a browser without JavaScript sees it.

use super::daemon::Daemon;
use super::project::{check_log, facts, has, log_page};

#[test]
fn pages_say_what_is_the_case_without_javascript() {
    let daemon = Daemon::start();
    let run = daemon.materialize();
    for (path, wanted) in facts(&run) {
        let page = daemon.page(&path);
        for fact in wanted {
            assert!(has(&page, fact), "{path} does not say {fact:?}:\n{page}");
        }
        assert!(!page.contains("<b>one</b>") && !page.contains("<img src=x>"), "{path}");
    }
    check_log(&daemon.page(&log_page(&daemon, &run)));
    let style = daemon
        .page("/")
        .split("stylesheet\" href=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let style = daemon.ask("GET", &style, &[], "");
    assert!(
        style.status == 200 && style.head.contains("immutable"),
        "{}",
        style.head
    );
    // What the button of the asset's page sends: only the partition that failed is not fresh.
    let again = daemon.post(
        &format!("/runs?form={}", daemon.form_token()),
        "selection=gold.labels&partition=&back=%2Fassets%2Fgold.labels",
    );
    assert!(
        again.head.contains("location: /assets/gold.labels?notice="),
        "{}",
        again.head
    );
    for (path, status) in [
        ("/assets/gold.lables", 404),
        ("/assets/gold.lables/columns", 404),
        ("/assets/gold.labels/columns?column=lable", 404),
        ("/assets/gold.labels/rows?snapshot=1", 404),
        ("/assets/gold.labels/snapshots?snapshot=1", 404),
        ("/assets/bronze.days/rows?partition=2014-01-01", 404),
        ("/assets?sort=odd", 400),
        ("/graph?focus=gold.lables", 404),
        ("/runs/run_000000000000", 404),
        ("/schedules?schedule=leap_days", 404),
        ("/sensors?sensor=landings", 404),
        ("/runs?status=odd", 400),
        ("/nothing", 404),
    ] {
        let answer = daemon.ask("GET", path, &[("Cookie", &daemon.cookie)], "");
        assert_eq!(answer.status, status, "{path}");
        assert!(
            answer.body.contains("class=\"button\" href=\"/"),
            "{path} has a way back"
        );
    }
}

/// One page is made for all who look at the same moment: whoever was told that something is done sees it done all the same.
#[test]
fn a_page_that_is_shared_is_never_older_than_an_answer() {
    let daemon = Daemon::start();
    for _ in 0..5 {
        let before = daemon.page("/runs");
        let run = daemon.materialize_so("selection=gold.labels&force=on");
        let place = format!("/runs/{}", run.rsplit('/').next().unwrap());
        assert!(!before.contains(&place));
        let after = daemon.page("/runs");
        assert!(after.contains(&place), "{place} is missing:\n{after}");
        let dark = daemon.with_cookie("/runs", "millpond-theme=dark").body;
        assert!(
            dark.contains("dark") && dark != after,
            "what one prefers is not another's"
        );
    }
}
