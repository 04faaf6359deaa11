//! `/metrics` of the real program, read as Prometheus reads it.

use std::collections::BTreeMap;

use super::world::{Daemon, project, put};

/// A sample's name with its labels, and its value; fails on what the text format does not allow.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = BTreeMap::new();
    let mut family = "";
    let is_name = |text: &str| {
        !text.is_empty()
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
    };
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap();
            assert!(help.len() > family.len() + 1, "{line}: no help");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family, "a type follows its help");
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(kinds.insert(name, kind).is_none(), "{name} is written twice");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            assert!(is_name(name), "{line}");
            let suffixes: &[&str] = if kinds[family] == "histogram" {
                &["_bucket", "_sum", "_count"]
            } else {
                &[""]
            };
            assert!(
                suffixes.iter().any(|suffix| name == format!("{family}{suffix}")),
                "{line} in {family}"
            );
            if let Some(labels) = labels.strip_suffix('}') {
                let (label, value) = labels.split_once('=').unwrap();
                assert!(
                    is_name(label) && value.starts_with('"') && value.ends_with('"'),
                    "{line}"
                );
            }
            assert!(
                found.insert(sample.to_owned(), value.parse().unwrap()).is_none(),
                "{line} comes twice"
            );
        }
    }
    for (name, kind) in kinds {
        if kind == "histogram" {
            let buckets: Vec<f64> = text
                .lines()
                .filter(|line| line.starts_with(&format!("{name}_bucket")))
                .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
                .collect();
            assert!(buckets.is_sorted(), "{name} {buckets:?}");
            assert_eq!(buckets.last(), found.get(&format!("{name}_count")));
        }
    }
    found
}

#[test]
fn prometheus_reads_what_happened() {
    let toy =
        project("[alert.program]\ncommand = [\"true\"]\n\n[schedule.nightly]\ncron = \"0 6 * * *\"\nselect = \"*\"\n");
    let daemon = Daemon::start(&toy, &[]);
    toy.run(&["materialize"]).expect(0);
    put(&toy, 0);
    toy.run(&["materialize"]).expect(1);
    let (head, _) = daemon.get("/metrics", false);
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
    let (head, text) = daemon.get("/metrics", true);
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let found = samples(&text);
    let value = |name: &str| *found.get(name).unwrap_or_else(|| panic!("no {name} in {text}"));
    assert_eq!(value("millpond_runs_submitted_total{trigger=\"api\"}"), 2.0);
    assert_eq!(value("millpond_runs_ended_total{status=\"succeeded\"}"), 1.0);
    assert_eq!(value("millpond_runs_ended_total{status=\"failed\"}"), 1.0);
    assert_eq!(value("millpond_runs_ended_total{status=\"canceled\"}"), 0.0);
    assert_eq!(value("millpond_steps_ended_total{status=\"failed\"}"), 1.0);
    assert_eq!(value("millpond_alerts_open{trouble=\"run_failed\"}"), 1.0);
    assert_eq!(value("millpond_runs{status=\"running\"}"), 0.0);
    assert_eq!(value("millpond_slots"), 1.0);
    assert_eq!(value("millpond_assets"), 3.0);
    assert_eq!(value("millpond_schedules"), 1.0);
    assert!(value("millpond_rows_published_total") >= 3.0);
    assert!(value("millpond_commits_total") >= 4.0);
    assert_eq!(
        value("millpond_commit_duration_seconds_count"),
        value("millpond_commits_total")
    );
    assert_eq!(value("millpond_run_duration_seconds_count"), 2.0);
    let stored = ["database", "write_ahead_log"].map(|part| value(&format!("millpond_store_bytes{{part=\"{part}\"}}")));
    assert!(stored.iter().sum::<f64>() > 8192.0, "{stored:?}");
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(found.len() < 500, "{} samples", found.len());
    daemon.stop();
}

#[test]
#[ignore = "needs promtool: MILLPOND_PROMTOOL=/usr/bin/promtool"]
fn promtool_has_nothing_to_say() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let promtool = std::env::var("MILLPOND_PROMTOOL").expect("MILLPOND_PROMTOOL names promtool");
    let check = |arguments: &[&str], input: &str| {
        let mut child = Command::new(&promtool)
            .arg("check")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stdout)
        );
        assert_eq!(said, "");
    };
    let toy = project("[alert.program]\ncommand = [\"true\"]\n");
    let daemon = Daemon::start(&toy, &[]);
    toy.run(&["materialize"]).expect(0);
    put(&toy, 0);
    toy.run(&["materialize"]).expect(1);
    let (_, text) = daemon.get("/metrics", true);
    daemon.stop();
    check(&["metrics"], &text);

    // What the documentation tells people to write, and that its rules speak of figures that there are.
    let guide = include_str!("../../../docs/metrics.md");
    let blocks: Vec<&str> = guide
        .split("```yaml\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    let path = toy.path().join("rules.yml");
    std::fs::write(&path, blocks[1]).unwrap();
    check(&["rules", path.to_str().unwrap()], "");
    let config = blocks[0].replace(
        "/srv/flights/.millpond/token",
        toy.path().join(".millpond/token").to_str().unwrap(),
    );
    let path = toy.path().join("prometheus.yml");
    std::fs::write(&path, config).unwrap();
    check(&["config", path.to_str().unwrap()], "");
    let named = |name: &str| text.contains(&format!("# TYPE {name} "));
    let words = blocks[1].split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    for name in words.filter(|word| word.starts_with("millpond_")) {
        assert!(named(name), "the rules speak of {name}");
    }
    for line in guide.lines().filter(|line| line.starts_with("| `millpond_")) {
        for name in line.split('`').filter(|word| word.starts_with("millpond_")) {
            assert!(named(name.split('{').next().unwrap()), "the guide speaks of {name}");
        }
    }
}
