//! OpenLineage events of the real program: to a file and to a server, across a crash.

use std::collections::{BTreeMap, BTreeSet};

use millpond_tests::program::{Project, until};
use serde_json::{Value, json};

use super::http::{Answer, Http};
use super::world::{Daemon, project, put};

/// The lines of the file, once they hold so many ends of runs of the job.
fn told(project: &Project, job: &str, ends: usize) -> Vec<Value> {
    until(&format!("{ends} runs of {job} are told"), || {
        let text = std::fs::read_to_string(project.path().join("out/lineage.jsonl")).ok()?;
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = lines.collect();
        (of(&lines, job)
            .iter()
            .filter(|event| event["eventType"] != "START")
            .count()
            >= ends)
            .then_some(lines)
    })
}

fn of<'e>(events: &'e [Value], job: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["job"]["name"] == job).collect()
}

/// What the specification asks of every event.
fn is_well_formed(event: &Value) {
    assert!(
        matches!(
            event["eventType"].as_str(),
            Some("START" | "COMPLETE" | "FAIL" | "ABORT")
        ),
        "{event}"
    );
    assert!(
        event["eventTime"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(),
        "{event}"
    );
    assert_eq!(
        event["schemaURL"],
        "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
    );
    assert!(event["producer"].as_str().unwrap().starts_with("urn:millpond:"));
    let id = event["run"]["runId"].as_str().unwrap();
    assert!(id.len() == 36 && id.as_bytes()[14] == b'8', "{id}");
    assert!(event["job"]["namespace"].is_string() && event["job"]["name"].is_string());
    let mut facets = vec![&event["run"]["facets"], &event["job"]["facets"]];
    for side in ["inputs", "outputs"] {
        for dataset in event[side].as_array().unwrap() {
            assert!(
                dataset["namespace"].is_string() && dataset["name"].is_string(),
                "{dataset}"
            );
            facets.extend(["facets", "inputFacets", "outputFacets"].map(|name| &dataset[name]));
        }
    }
    for (name, facet) in facets.into_iter().filter_map(Value::as_object).flatten() {
        assert!(facet["_producer"].is_string(), "{name}: {facet}");
        let schema = facet["_schemaURL"].as_str().unwrap();
        assert!(schema.starts_with("https://openlineage.io/spec/"), "{schema}");
    }
}

/// Every run begins once for each time that it ends, and its events bear the same id.
fn runs_are_whole(events: &[Value]) {
    let mut runs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in events {
        is_well_formed(event);
        let id = event["run"]["runId"].as_str().unwrap();
        runs.entry(id).or_default().push(event["eventType"].as_str().unwrap());
    }
    for (id, types) in runs {
        let types: BTreeSet<&str> = types.into_iter().collect();
        assert!(types.contains("START") && types.len() == 2, "{id}: {types:?}");
    }
}

#[test]
fn runs_steps_tables_and_checks_are_told_in_a_file() {
    let toy = project("[openlineage]\nfile = \"out/lineage.jsonl\"\nnamespace = \"toys\"\n");
    let daemon = Daemon::start(&toy, &[]);
    toy.run(&["materialize"]).expect(0);
    put(&toy, 500);
    toy.run(&["materialize"]).expect(1);
    let events = told(&toy, "materialize", 2);
    daemon.stop();
    runs_are_whole(&events);

    let runs = of(&events, "materialize");
    assert_eq!(
        runs.iter().map(|run| &run["eventType"]).collect::<Vec<_>>(),
        ["START", "COMPLETE", "START", "FAIL"]
    );
    assert_eq!(runs[0]["job"]["namespace"], "toys");

    let made = of(&events, "gold.quotient")
        .into_iter()
        .find(|event| event["eventType"] == "COMPLETE")
        .unwrap();
    assert_eq!(
        made["run"]["facets"]["parent"]["run"],
        runs[0]["run"]
            .as_object()
            .map(|run| json!({ "runId": run["runId"] }))
            .unwrap()
    );
    assert_eq!(
        made["job"]["facets"]["sql"]["query"],
        "SELECT 10 / x AS y FROM bronze.number"
    );
    let (input, output) = (&made["inputs"][0], &made["outputs"][0]);
    assert_eq!(
        (&input["name"], &output["name"]),
        (&json!("bronze.number"), &json!("gold.quotient"))
    );
    assert!(input["namespace"].as_str().unwrap().starts_with("file:///"), "{input}");
    assert!(
        input["facets"]["version"]["datasetVersion"]
            .as_str()
            .unwrap()
            .parse::<i64>()
            .is_ok()
    );
    assert_eq!(input["facets"]["schema"]["fields"][0]["name"], "x");
    assert_eq!(output["facets"]["schema"]["fields"][0]["name"], "y");
    assert_eq!(output["outputFacets"]["outputStatistics"]["rowCount"], 1);

    let read = of(&events, "bronze.number")
        .into_iter()
        .find(|event| event["eventType"] == "COMPLETE")
        .unwrap();
    let file = &read["inputs"][0];
    assert_eq!(file["namespace"], "file");
    assert!(file["name"].as_str().unwrap().ends_with("landing/x.csv"), "{file}");

    let failed = of(&events, "gold.checked")
        .into_iter()
        .find(|event| event["eventType"] == "FAIL")
        .unwrap();
    let message = failed["run"]["facets"]["errorMessage"]["message"].as_str().unwrap();
    assert!(message.contains("not too large"), "{message}");
    let checks = of(&events, "gold.checked.checks");
    let ends: Vec<&Value> = checks
        .into_iter()
        .filter(|event| event["eventType"] != "START")
        .collect();
    assert_eq!(
        ends.iter().map(|end| &end["eventType"]).collect::<Vec<_>>(),
        ["COMPLETE", "FAIL"]
    );
    let found = &ends[1]["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"][0];
    assert_eq!(
        (&found["assertion"], &found["success"]),
        (&json!("not too large"), &json!(false))
    );
}

#[test]
fn a_server_that_was_away_is_told_all_of_it_after_a_crash() {
    let http = Http::start(&[Answer::Refuse(503)]);
    let toy = project(&format!(
        "[openlineage]\nurl = \"http://{}/\"\ntoken = {{ env = \"TOKEN\" }}\n",
        http.address
    ));
    let daemon = Daemon::start(&toy, &[("TOKEN", "t0ken-of-lineage")]);
    toy.run(&["materialize"]).expect(0);
    let first = http.next();
    assert_eq!(first.path, "/api/v1/lineage");
    assert_eq!(first.header("authorization"), "Bearer t0ken-of-lineage");
    daemon.kill();

    // One event is called wrong and left out; all others arrive.
    http.now(&[Answer::Refuse(422), Answer::Take]);
    let daemon = Daemon::start(&toy, &[("TOKEN", "t0ken-of-lineage")]);
    let mut events = Vec::new();
    while events
        .iter()
        .all(|event: &Value| event["job"]["name"] != "materialize" || event["eventType"] == "START")
    {
        events.push(http.next().body);
    }
    assert_eq!(events[0], first.body);
    let jobs: BTreeSet<&str> = events
        .iter()
        .map(|event| event["job"]["name"].as_str().unwrap())
        .collect();
    for job in ["materialize", "bronze.number", "gold.quotient", "gold.checked"] {
        assert!(jobs.contains(job), "{jobs:?}");
    }
    events.iter().for_each(is_well_formed);
    daemon.stop();
    let files = toy.files(".millpond");
    assert!(files.iter().any(|file| file == "openlineage.json"), "{files:?}");
}

#[test]
#[ignore = "needs Python with openlineage-python: MILLPOND_PYTHON=…/bin/python"]
fn the_published_client_reads_what_is_told() {
    let python = std::env::var("MILLPOND_PYTHON").expect("MILLPOND_PYTHON names a Python with openlineage-python");
    let toy = project("[openlineage]\nfile = \"out/lineage.jsonl\"\n");
    let daemon = Daemon::start(&toy, &[]);
    toy.run(&["materialize"]).expect(0);
    put(&toy, 500);
    toy.run(&["materialize"]).expect(1);
    told(&toy, "materialize", 2);
    daemon.stop();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/openlineage_read.py");
    let output = std::process::Command::new(python)
        .arg(script)
        .arg(toy.path().join("out/lineage.jsonl"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", String::from_utf8_lossy(&output.stdout));
}
