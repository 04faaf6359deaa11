//! A table is taken back, and its snapshots are named, from the page of its snapshots.

use serde_json::Value;

use super::daemon::Daemon;
use super::project::has;

fn snapshots(daemon: &Daemon) -> Vec<Value> {
    let told = daemon.json("/api/v1/assets/gold.labels/snapshots");
    told["snapshots"].as_array().unwrap().clone()
}

#[test]
fn a_table_is_taken_back_with_a_reason_and_its_snapshots_are_named() {
    let daemon = Daemon::start();
    daemon.materialize_so("selection=gold.labels");
    daemon.materialize_so("selection=gold.labels&force=on");
    let all = snapshots(&daemon);
    assert_eq!(all.len(), 2);
    let old = all[1]["snapshot"].as_str().unwrap().to_owned();
    let page = daemon.page(&format!("/assets/gold.labels/snapshots?snapshot={old}"));
    for fact in [
        "Roll back to this snapshot",
        "Tag this snapshot",
        "These read it",
        "/assets/reports.log",
        "never materialized (page)",
    ] {
        assert!(has(&page, fact), "{fact:?}:\n{page}");
    }
    let now = daemon.page("/assets/gold.labels/snapshots?snapshot=current");
    assert!(!has(&now, "Roll back to this snapshot"), "{now}");

    let form = daemon.form_token();
    let fields = format!("snapshot={old}&note=%3Cb%3Ewrong+file%3C%2Fb%3E");
    assert_eq!(daemon.post("/assets/gold.labels/rollback", &fields).status, 403);
    let pressed = daemon.post(&format!("/assets/gold.labels/rollback?form={form}"), &fields);
    assert_eq!(pressed.status, 303, "{}", pressed.body);
    assert!(
        pressed.head.contains("location: /assets/gold.labels/snapshots"),
        "{}",
        pressed.head
    );
    let all = snapshots(&daemon);
    assert_eq!((all.len(), all[0]["rollback"]["by"].clone()), (3, Value::from("page")));
    let page = daemon.page("/assets/gold.labels/snapshots");
    let why = format!("rolled back to {old} by page: &lt;b&gt;wrong file&lt;/b&gt;");
    assert!(has(&page, &why), "{page}");
    let unknown = format!("/assets/gold.labels/rollback?form={form}");
    assert_eq!(daemon.post(&unknown, "snapshot=no-such-tag").status, 404);
    assert_eq!(daemon.post(&unknown, "snapshot=last+week").status, 404);

    let tag = format!("/assets/gold.labels/tag?form={form}");
    assert_eq!(daemon.post(&tag, &format!("snapshot={old}&tag=good")).status, 303);
    assert_eq!(daemon.post(&tag, &format!("snapshot={old}&tag=a+b")).status, 422);
    let page = daemon.page("/assets/gold.labels/snapshots?snapshot=good");
    assert!(
        has(&page, "<span class=\"tag\">good</span>") && has(&page, "Drop the tag good"),
        "{page}"
    );
    assert_eq!(
        daemon.post(&tag, &format!("snapshot={old}&tag=good&drop=yes")).status,
        303
    );
    let gone = daemon.ask(
        "GET",
        "/assets/gold.labels/snapshots?snapshot=good",
        &[("Cookie", daemon.cookie.as_str())],
        "",
    );
    assert_eq!(gone.status, 404);
}
