//! Pages of assets and their twins.

use serde_json::Value;

use super::daemon::Daemon;

#[test]
fn twins_of_the_pages_of_assets_tell_the_same() {
    let daemon = Daemon::start();
    daemon.materialize();
    let answers: serde_json::Map<String, Value> = [
        "/api/v1/assets?layer=bronze",
        "/api/v1/assets?limit=1&after=bronze.days",
        "/api/v1/assets/bronze.days/columns?column=label",
        "/api/v1/assets/bronze.days/rows?partition=2013-01-04",
        "/api/v1/assets/bronze.days/rows?partition=2013-01-04&skip=1",
        "/api/v1/assets/gold.labels/snapshots",
        "/api/v1/assets/bronze.days/checks",
        "/api/v1/graph?focus=gold.labels&up=0",
        "/api/v1/graph?fold=gold,bronze",
    ]
    .into_iter()
    .map(|path| {
        let mut answer = daemon.json(path);
        // Partitions are made beside each other and end in any order.
        if let Some(results) = answer
            .pointer_mut("/results/no fifth day")
            .and_then(Value::as_array_mut)
        {
            results.sort_by_key(|result| result["partition"].as_str().unwrap().to_owned());
        }
        (path.to_owned(), answer)
    })
    .collect();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"run_[0-9a-z]{12}", "run_…");
    settings.add_filter(r#""(\w*at|at)": \d{16}"#, r#""$1": "…""#);
    settings.add_filter(r#""(snapshot|current)": "\d+""#, r#""$1": "…""#);
    settings.add_filter(r#""(snapshot|bytes|last_seq|seq)": \d+"#, r#""$1": "…""#);
    settings.add_filter(r#""reason": "never made; [^"]*""#, r#""reason": "never made; …""#);
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!("twins_of_assets", serde_json::to_string_pretty(&answers).unwrap()));
}
