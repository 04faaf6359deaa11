//! The small project that most tests look at, and what its pages must say after a run, with or without JavaScript.

use super::daemon::Daemon;

pub const FILES: &[(&str, &str)] = &[
    (
        "millpond.toml",
        r#"
[project]
name = "pond"
timezone = "America/New_York"

[lakehouse]
warehouse = "lake"

[partitions.daily]
every = "day"
start = 2013-01-01
end = 2013-01-10

[schedule.leap_day]
cron = "0 6 29 2 *"
select = "gold.labels"
description = "Once in four years & <b>one</b> day"

[sensor.landing]
kind = "files"
path = "landing/*.csv"
select = "gold.labels"
settle = "1s"
description = "What lands & <b>one</b> folder"
"#,
    ),
    (
        "assets/all.toml",
        r#"
[asset.bronze.days]
description = "Ten days & <b>one</b> that fails"
kind = "sql"
partitions = { use = "daily", column = "day" }
sql = "SELECT CAST($partition_key AS DATE) AS day, '<img src=x>' AS label"
checks = [{ name = "no fifth day", sql = "SELECT * FROM this WHERE date_part('day', day) = 5" }]

[asset.gold.labels]
kind = "sql"
sql = "SELECT 'a' AS label"

[asset.reports.log]
kind = "command"
needs = ["gold.labels"]
command = ["sh", "report.sh"]
automation = { when = "freshness_late and not any(missing)" }
freshness = { within = "26h" }
"#,
    ),
    (
        "report.sh",
        "printf '<script>alert(1)</script>\\n\\033[31mred\\033[0m and plain\\n\\342\\200\\256reversed\\n'\nexit 3\n",
    ),
];

/// Pages and what each must say, with or without JavaScript.
pub fn facts(run: &str) -> Vec<(String, Vec<&'static str>)> {
    vec![
        (
            "/".to_owned(),
            vec!["bronze", "9 fresh, 1 failed", "/assets/reports.log", "Last runs"],
        ),
        (
            "/assets".to_owned(),
            vec!["Ten days &amp; &lt;b&gt;one&lt;/b&gt; that fails", "9 fresh, 1 failed"],
        ),
        (
            "/assets/bronze.days?partition=2013-01-05".to_owned(),
            vec![
                "2013-01-05 failed",
                "2013-01-04 fresh",
                "no fifth day",
                "&lt;img src=x&gt;",
                "1 failing row",
                "class=\"sql-word\">CAST</i>(",
                "?from=2013-01-05#partitions",
            ],
        ),
        (
            "/assets/gold.labels".to_owned(),
            vec!["/assets/reports.log", "class=\"sql-text\">'a'</i>"],
        ),
        (
            "/assets?layer=bronze&sort=rows&q=that+fails".to_owned(),
            vec!["1 of 3", "bronze.days", "layer=bronze&amp;sort=rows"],
        ),
        (
            "/assets/bronze.days?from=2013-01-02".to_owned(),
            vec![
                "choose the last one",
                "/assets/bronze.days?from=2013-01-02&amp;to=2013-01-04#backfill",
                "<form class=\"filters\" action=\"/backfills/new\">",
            ],
        ),
        (
            "/assets/bronze.days/columns?column=label".to_owned(),
            vec![
                "string",
                "2013-01-10",
                "'&lt;img src=x&gt;'",
                "Where <code>label</code> comes from",
            ],
        ),
        (
            "/assets/bronze.days/rows?partition=2013-01-04".to_owned(),
            vec!["&lt;img src=x&gt;", "rows 1 to 1", "2013-01-04"],
        ),
        ("/assets/reports.log/rows".to_owned(), vec!["The asset was never made."]),
        (
            "/assets/bronze.days/snapshots".to_owned(),
            vec!["now</span>", "Show what changed", "+"],
        ),
        (
            "/assets/bronze.days/checks?check=no+fifth+day".to_owned(),
            vec!["1 of 10 did not pass", "1 failing row", "partition=2013-01-05"],
        ),
        ("/runs".to_owned(), vec!["failed", "page"]),
        (
            format!("/runs/{run}?asset=bronze.days"),
            vec!["bronze.days@2013-01-05", "2013-01-10", "Assets and attempts", "exit"],
        ),
        (
            "/graph".to_owned(),
            vec!["href=\"/assets/gold.labels\"", "data-edge=", "/graph?fold=gold"],
        ),
        ("/models".to_owned(), vec!["No model yet"]),
        (
            "/automation".to_owned(),
            vec![
                "reports.log",
                "when freshness_late and not any(missing)",
                "Pause all",
                "Nothing was requested yet.",
            ],
        ),
        (
            "/assets/reports.log".to_owned(),
            vec![
                "never made; it has to be made within 26h",
                "not made yet",
                "the condition does not hold",
                "freshness_late",
            ],
        ),
        (
            "/schedules".to_owned(),
            vec![
                "leap_day",
                "0 6 29 2 *",
                "29 Feb 2028 06:00",
                "Pause",
                "No instant has come yet.",
            ],
        ),
        (
            "/sensors".to_owned(),
            vec!["landing/*.csv", "Test", "Tick now", "Nothing was seen yet."],
        ),
        (
            "/".to_owned(),
            vec![
                "Runs of the last 24 hours",
                "Checks that fail",
                "no fifth day",
                "checks fail",
            ],
        ),
        ("/backfills".to_owned(), vec!["No backfill yet", "millpond backfill"]),
        (
            format!("/backfills/{run}"),
            vec![
                "10 partitions, one square each",
                "2013-01-05: 1 failed",
                "Retry what is left (2 steps)",
            ],
        ),
        (
            format!("/backfills/{run}?partition=2013-01-05"),
            vec!["no fifth day", "bronze.days"],
        ),
        (
            "/backfills/new?selection=bronze.days&from=2013-01-04&to=2013-01-06".to_owned(),
            vec![
                "1 step of 1 asset; 2 partitions are fresh already",
                "It would take about",
                "--from 2013-01-04",
            ],
        ),
        (
            "/backfills/new?selection=nothing.here".to_owned(),
            vec!["nothing.here", "Start backfill"],
        ),
        (
            "/query?sql=SELECT%201".to_owned(),
            vec!["SELECT 1", "bronze.days", "Parquet", "1,000 rows are shown"],
        ),
        (
            "/log".to_owned(),
            vec!["page asked for *", "@2013-01-05 failed", "the run is over: failed"],
        ),
        ("/log?level=error&kind=step".to_owned(), vec!["@2013-01-05 failed"]),
    ]
}

/// The page with the log of the command.
pub fn log_page(daemon: &Daemon, run: &str) -> String {
    let facts = daemon.json(&format!("/api/v1/runs/{run}"));
    let attempts = facts["attempts"].as_array().unwrap();
    let attempt = attempts
        .iter()
        .find(|attempt| attempt["asset"] == "reports.log")
        .unwrap();
    format!("/runs/{run}?attempt={}", attempt["attempt"].as_str().unwrap())
}

pub fn check_log(page: &str) {
    let page = normal(page);
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "the line is shown as text"
    );
    assert!(!page.contains("<script>alert"), "and only as text");
    assert!(page.contains("<span class=\"f1\">red</span>"), "colours are classes");
    assert!(
        page.contains("⟨202E⟩") && !page.contains('\u{202e}'),
        "direction marks are seen"
    );
    assert!(!page.contains('\u{1b}'));
}

/// Servers and browsers write the same characters in different ways.
pub fn normal(page: &str) -> String {
    let pairs = [
        ("&#38;", "&amp;"),
        ("&#60;", "&lt;"),
        ("&#62;", "&gt;"),
        ("&#39;", "'"),
        ("&#34;", "&quot;"),
    ];
    pairs
        .into_iter()
        .fold(page.to_owned(), |page, (from, to)| page.replace(from, to))
}

pub fn has(page: &str, fact: &str) -> bool {
    normal(page).contains(fact)
}
