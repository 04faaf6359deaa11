//! What a good project comes to: inputs, mappings, checks, fingerprints.

use std::sync::Arc;

use assets::asset::{Asset, InputRole, ModelReference};
use assets::check::CheckRule;
use assets::cron::Repeated;
use assets::files::MemoryFiles;
use assets::outcome::Severity;
use assets::partition::{Grain, PartitionMapping, Partitioning};
use assets::schedule::{CatchUp, CatchUpPolicy, Overlap};

use crate::cases::PLAIN;
use crate::kinds::TestKinds;

fn load(assets: &str) -> assets::Project {
    load_with(PLAIN, assets)
}

fn load_with(root: &str, assets: &str) -> assets::Project {
    let files = MemoryFiles::new()
        .with("millpond.toml", root)
        .with("assets/a.toml", assets);
    let loaded = assets::load(&files, &TestKinds);
    assert_eq!(loaded.diagnostics.render(&loaded.sources, false), "");
    loaded.project.unwrap()
}

fn asset(project: &assets::Project, key: &str) -> Arc<Asset> {
    Arc::clone(project.graph.get(&key.parse().unwrap()).unwrap())
}

const SOURCES: &str = r#"
[asset.bronze.days]
kind = "ingest"
from.files = { path = "x" }
partitions = { use = "daily", column = "day" }
[asset.bronze.hours]
kind = "ingest"
from.files = { path = "x" }
partitions = { use = "hourly", column = "hour" }
[asset.bronze.whole]
kind = "ingest"
from.files = { path = "x" }
"#;

#[test]
fn inputs_and_mappings_follow_from_the_query_and_the_partitions() {
    let project = load(&format!(
        "{SOURCES}\n[asset.silver.a]\nkind = \"sql\"\npartitions = {{ use = \"daily\", column = \"day\" }}\n\
         sql = \"SELECT * FROM bronze.days JOIN bronze.hours ON true JOIN Bronze.WHOLE AS w ON true JOIN bronze.days AS again ON true\"\n\
         [asset.silver.b]\nkind = \"sql\"\nsql = \"SELECT * FROM bronze.days\"\n\
         [asset.silver.c]\nkind = \"sql\"\npartitions = {{ use = \"daily\", column = \"day\" }}\nsql = \"SELECT * FROM bronze.days\"\n\
         inputs.\"bronze.days\" = \"latest\"\ninputs.\"bronze.hours\" = \"all\"\n\
         checks = [{{ foreign_key = {{ column = \"x\", references = \"bronze.whole.y\" }} }}, {{ sql = \"SELECT * FROM this JOIN silver.b USING (x)\" }}]\n"
    ));
    let inputs = |key: &str| -> Vec<(String, PartitionMapping, bool)> {
        let asset = asset(&project, key);
        asset
            .inputs
            .iter()
            .map(|input| (input.asset.to_string(), input.mapping.clone(), input.declared))
            .collect()
    };
    assert_eq!(
        inputs("silver.a"),
        [
            ("bronze.days".to_owned(), PartitionMapping::Same, false),
            ("bronze.hours".to_owned(), PartitionMapping::Covering, false),
            ("bronze.whole".to_owned(), PartitionMapping::All, false),
        ]
    );
    assert_eq!(
        inputs("silver.b"),
        [("bronze.days".to_owned(), PartitionMapping::All, false)]
    );
    assert_eq!(
        inputs("silver.c"),
        [
            ("bronze.days".to_owned(), PartitionMapping::Latest, true),
            ("bronze.hours".to_owned(), PartitionMapping::All, true),
            ("bronze.whole".to_owned(), PartitionMapping::All, false),
            ("silver.b".to_owned(), PartitionMapping::All, false),
        ]
    );
}

#[test]
fn with_names_hide_tables_only_where_they_are_seen() {
    for (query, expected) in [
        (
            "WITH days AS (SELECT * FROM bronze.days) SELECT * FROM days",
            vec!["bronze.days"],
        ),
        (
            "WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM (SELECT * FROM b) AS c",
            vec![],
        ),
        (
            "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n",
            vec![],
        ),
        (
            "SELECT (SELECT max(x) FROM bronze.whole) FROM bronze.days WHERE EXISTS (SELECT 1 FROM bronze.hours)",
            vec!["bronze.whole", "bronze.days", "bronze.hours"],
        ),
        (
            "SELECT * FROM generate_series(1, 2) UNION ALL SELECT * FROM unnest([1]) UNION ALL SELECT * FROM range(1, 2)",
            vec![],
        ),
        (
            "WITH a AS (WITH a AS (SELECT * FROM bronze.whole) SELECT * FROM a) SELECT * FROM a",
            vec!["bronze.whole"],
        ),
        (
            "SELECT * FROM \"bronze\".\"days\" ORDER BY 1 LIMIT 1",
            vec!["bronze.days"],
        ),
        ("VALUES (1, 2)", vec![]),
        (
            "(SELECT * FROM bronze.days EXCEPT SELECT * FROM bronze.whole);",
            vec!["bronze.days", "bronze.whole"],
        ),
    ] {
        let query = query.replace('"', "\\\"");
        let project = load(&format!(
            "{SOURCES}\n[asset.silver.a]\nkind = \"sql\"\nsql = \"{query}\"\n"
        ));
        let asset = asset(&project, "silver.a");
        let mut found: Vec<&str> = asset.inputs.iter().map(|input| input.asset.as_str()).collect();
        let mut expected = expected.clone();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
}

#[test]
fn a_model_is_an_input_of_its_own() {
    let project = load(&format!(
        "{SOURCES}\n[asset.models.m]\nkind = \"training\"\nfrom = \"bronze.whole\"\ntarget = \"y\"\ntrainer = {{ algorithm = \"linear\" }}\n\
         [asset.gold.p]\nkind = \"inference\"\nmodel = \"models.m@best\"\nfrom = \"bronze.days\"\n"
    ));
    let inputs = &asset(&project, "gold.p").inputs;
    assert_eq!(
        inputs[0].role,
        InputRole::Model(ModelReference::Alias("best".to_owned()))
    );
    assert_eq!(inputs[1].role, InputRole::Rows);
}

#[test]
fn checks_have_names_and_rules() {
    let project = load(
        r#"[asset.a.b]
kind = "ingest"
from.files = { path = "x" }
key = ["x", "y"]
checks = [
  { not_null = ["x", "y"] },
  { not_null = "z", severity = "warn" },
  { unique = "key" },
  { unique = "z", name = "no z twice" },
  { accepted = { column = "c", values = ["a", 1, 2.5, true, 2013-01-01] } },
  { range = { column = "d", max = 3 } },
  { row_count = { min = 1 } },
  { null_share = { column = "e", max = 0.5 } },
  { sql = "SELECT * FROM this WHERE x < 0" },
]
"#,
    );
    let asset = asset(&project, "a.b");
    let names: Vec<&str> = asset.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "not_null(x)",
            "not_null(y)",
            "not_null(z)",
            "unique(x, y)",
            "no z twice",
            "accepted(c)",
            "range(d)",
            "row_count",
            "null_share(e)",
            "sql(SELECT * FROM this WHERE x < 0)",
        ]
    );
    assert_eq!(asset.checks[2].severity, Severity::Warn);
    assert_eq!(
        asset.checks[3].rule,
        CheckRule::Unique {
            columns: vec!["x".to_owned(), "y".to_owned()]
        }
    );
    let values = ["a", "1", "2.5", "true", "2013-01-01"].map(str::to_owned).to_vec();
    assert_eq!(
        asset.checks[5].rule,
        CheckRule::Accepted {
            column: "c".to_owned(),
            values
        }
    );
    assert_eq!(
        asset.checks[6].rule,
        CheckRule::Range {
            column: "d".to_owned(),
            min: None,
            max: Some(3.0)
        }
    );
}

/// What a change of the text does to the fingerprint of `silver.a`.
#[test]
fn a_fingerprint_changes_with_what_is_computed_and_with_nothing_else() {
    let text = format!(
        "{SOURCES}\n[asset.silver.a]\nkind = \"sql\"\nsql = \"SELECT x FROM bronze.days WHERE y = 'A' AND z > $late_minutes\"\n\
         partitions = {{ use = \"daily\", column = \"day\" }}\nkey = [\"x\"]\n"
    );
    let of = |root: &str, text: &str| asset(&load_with(root, text), "silver.a").fingerprint.clone();
    let plain = of(PLAIN, &text);
    for (from, to) in [
        ("SELECT x FROM", "select  X -- the x\\n /* of */ from"),
        ("$late_minutes\"", "$late_minutes ;\""),
        (
            "key = [\"x\"]",
            "key = [\"x\"]\ndescription = \"d\"\nowner = \"o\"\ntags = [\"t\"]\nchecks = [{ unique = \"x\" }]\nfreshness = { within = \"1h\" }\nautomation = \"eager\"",
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        assert_eq!(of(PLAIN, &changed), plain, "{to}");
    }
    for (from, to) in [
        ("'A'", "'a'"),
        ("SELECT x", "SELECT \\\"X\\\""),
        ("z >", "z >="),
        ("key = [\"x\"]", "key = [\"y\"]"),
        ("key = [\"x\"]", "key = [\"x\"]\nwrite = \"append\""),
        ("key = [\"x\"]", "key = [\"x\"]\ninputs.\"bronze.days\" = \"all\""),
        ("key = [\"x\"]", "key = [\"x\"]\ninputs.\"bronze.whole\" = \"all\""),
        ("daily\", column = \"day\" }\nkey", "daily\", column = \"date\" }\nkey"),
        ("daily\", column = \"day\" }\nkey", "hourly\", column = \"day\" }\nkey"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert_ne!(of(PLAIN, &changed), plain, "{to}");
    }
    assert_ne!(
        of(&PLAIN.replace("late_minutes = 15", "late_minutes = 20"), &text),
        plain
    );
    assert_eq!(
        of(
            &PLAIN.replace("late_minutes = 15", "late_minutes = 15\nother = 1"),
            &text
        ),
        plain
    );
    assert_eq!(of(&PLAIN.replace("end = 2013-12-31", "end = 2014-12-31"), &text), plain);
}

#[test]
fn a_project_has_its_settings() {
    let project = load_with(
        "[project]\nname = \"x\"\n[lakehouse]\nwarehouse = \"w\"\n[execution]\nworkers = 3\nmemory = \"1 GiB\"\n\
         [params]\na = 2013-01-01\nb = 1.5\n[partitions.m]\nevery = \"month\"\nstart = \"2013-01-01\"\nend = 2013-12-31\n\
         [partitions.h]\nevery = \"hour\"\nstart = 2013-01-01T05:00:00\nend = 2013-01-02\ntimezone = \"Europe/Zurich\"\n\
         [partitions.f]\nvalues = [\"EWR\", 7]\n",
        "",
    );
    assert_eq!(
        (
            project.name.as_str(),
            project.timezone.as_str(),
            project.warehouse.url.as_str()
        ),
        ("x", "UTC", "w")
    );
    assert_eq!(
        (project.execution.workers, project.execution.memory_bytes),
        (Some(3), Some(1 << 30))
    );
    assert_eq!(project.params["a"], "2013-01-01");
    let Partitioning::Time(month) = &project.partitions["m"] else {
        panic!("by time")
    };
    assert_eq!(
        (month.grain, month.end.unwrap().to_string().as_str()),
        (Grain::Month, "2013-12-01T00:00:00")
    );
    let Partitioning::Time(hour) = &project.partitions["h"] else {
        panic!("by time")
    };
    assert_eq!(
        (hour.zone.as_str(), hour.end.unwrap().to_string().as_str()),
        ("Europe/Zurich", "2013-01-02T23:00:00")
    );
    let Partitioning::Fixed(keys) = &project.partitions["f"] else {
        panic!("fixed")
    };
    assert_eq!(
        keys.iter().map(assets::PartitionKey::as_str).collect::<Vec<_>>(),
        ["EWR", "7"]
    );
}

#[test]
fn a_file_may_begin_with_a_mark_and_end_its_lines_as_windows_does() {
    let text = format!("{SOURCES}\n[asset.silver.a]\nkind = \"sql\"\nsql = \"\"\"\nSELECT *\nFROM bronze.days\"\"\"\n");
    let plain = asset(&load(&text), "silver.a").fingerprint.clone();
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let project = load(&windows);
    assert_eq!(asset(&project, "silver.a").fingerprint, plain);
    assert_eq!(asset(&project, "silver.a").declared_at.line, 14);
}

#[test]
fn a_schedule_has_what_it_declares_and_defaults() {
    let text = r#"
[asset.bronze.flights]
kind = "ingest"
from.files = { path = "x" }

[schedule.plain]
cron = "0 6 * * *"
select = "bronze.flights"

[schedule.full]
cron = ["0 6 * * MON-FRI", "@monthly"]
timezone = "Europe/Zurich"
select = "+bronze.flights"
description = "Every working day"
catch_up = { policy = "all", window = "7 days", max = 3 }
overlap = "cancel_previous"
jitter = "5m"
repeated = "both"
paused = true
"#;
    let project = load(text);
    let plain = &project.schedules["plain"];
    assert_eq!(plain.crons(), ["0 6 * * *"]);
    assert_eq!(plain.zone, "America/New_York");
    assert_eq!(plain.catch_up, CatchUp::default());
    assert_eq!((plain.overlap, plain.repeated()), (Overlap::Skip, Repeated::First));
    assert_eq!((plain.jitter_seconds, plain.paused), (0, false));
    let full = &project.schedules["full"];
    assert_eq!(full.crons(), ["0 6 * * MON-FRI", "@monthly"]);
    assert_eq!(full.zone, "Europe/Zurich");
    let catch_up = CatchUp {
        policy: CatchUpPolicy::All,
        window_seconds: 7 * 86_400,
        most: 3,
    };
    assert_eq!(full.catch_up, catch_up);
    assert_eq!(
        (full.overlap, full.repeated()),
        (Overlap::CancelPrevious, Repeated::Both)
    );
    assert_eq!((full.jitter_seconds, full.paused), (300, true));
    assert_eq!(full.selection.as_str(), "+bronze.flights");
    assert_eq!(full.description.as_deref(), Some("Every working day"));
    let tick = full.timetable.next("2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
    // 06:00 in Zurich on a Thursday; the first of the month was an hour before.
    assert_eq!(tick.at.to_string(), "2026-01-01T05:00:00Z");
}
