//! A project with a little of everything, in which whatever can be markup is: names of partitions and checks, owners, tags,
//! descriptions, rows, lines of logs. None of it may ever be more than text.

use super::daemon::Daemon;

pub const FILES: &[(&str, &str)] = &[
    (
        "millpond.toml",
        r#"
[project]
name = "<img src=x onerror=alert(1)>"
timezone = "America/New_York"

[lakehouse]
warehouse = "lake"

[partitions.daily]
every = "day"
start = 2013-01-01
end = 2013-01-10

[partitions.odd]
values = ["<script>alert(1)</script>", "\"><svg onload=alert(1)>", "javascript:alert(1)", "plain"]

[schedule.leap_day]
cron = "0 6 29 2 *"
select = "gold.labels"
description = "<img src=x onerror=alert(1)>"

[sensor.landing]
kind = "files"
path = "landing/*.csv"
select = "gold.labels"
settle = "1s"
description = "\"><script>alert(1)</script>"

[alert.log]
command = ["sh", "-c", "echo '<script>alert(1)</script>' >&2; exit 1"]
group_wait = "1s"
description = "<script>alert(1)</script>"
"#,
    ),
    (
        "assets/all.toml",
        r#"
[asset.bronze.days]
description = "<script>alert(1)</script> \"><img src=x onerror=alert(1)>"
owner = "<img src=x onerror=alert(1)>"
tags = ["<script>alert(1)</script>", "\"onmouseover=\"alert(1)"]
kind = "sql"
key = ["day"]
partitions = { use = "daily", column = "day" }
sql = "SELECT CAST($partition_key AS DATE) AS day, '<img src=x onerror=alert(1)>' AS label, 1.5 AS \"<script>alert(1)</script>\""
checks = [{ name = "<svg onload=alert(1)> no fifth day", sql = "SELECT * FROM this WHERE date_part('day', day) = 5" }]

[asset.gold.labels]
description = "One row & no partitions"
kind = "sql"
sql = "SELECT 'a' AS label"
automation = "eager"

[asset.gold.odd]
kind = "sql"
partitions = { use = "odd", column = "name" }
sql = "SELECT $partition_key AS name"

[asset.reports.log]
kind = "command"
needs = ["gold.labels"]
command = ["sh", "report.sh"]
freshness = { within = "26h" }

[asset.gold.sample]
kind = "sql"
sql = "SELECT value AS id, value % 7 AS x, value % 7 + value % 3 > 4 AS y FROM generate_series(1, 400)"

[asset.models.tiny]
kind = "training"
from = "gold.sample"
target = "y"
features = ["x"]
trainer = { algorithm = "logistic_regression" }
split = { by = "id", test_share = 0.25 }

[asset.predictions.tiny]
kind = "inference"
model = "models.tiny@champion"
from = "gold.sample"
keep = ["id"]
"#,
    ),
    (
        "report.sh",
        r#"
echo '<script>alert(1)</script>'
echo '</span></div><img src=x onerror=alert(1)>'
echo '<a href="javascript:alert(1)" onclick="alert(1)">here</a> javascript:alert(1)'
echo 'http://localhost/"onmouseover="alert(1)'
echo '<iframe srcdoc="<script>parent.alert(1)</script>"></iframe>'
echo '&lt;script&gt;alert(1)&lt;/script&gt;'
printf '\033]8;;javascript:alert(1)\033\\a link\033]8;;\033\\ \033]0;a title\007\033[2J\033[31mred\033[0m\n'
printf '\342\200\256reversed\n'
printf '\377\376 no text\n'
exit 3
"#,
    ),
];

/// Makes all of it: two versions of a model with an alias that was moved twice, and the failures that the project is made for.
pub fn made() -> (Daemon, String) {
    let daemon = Daemon::with(FILES);
    let run = daemon.materialize_so("selection=*");
    let reason = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    daemon.press(
        "/models/models.tiny/promote",
        &format!("alias=champion&version=1&reason={reason}"),
    );
    daemon.materialize_so("selection=models.tiny&force=on");
    daemon.press("/models/models.tiny/promote", "alias=champion&version=2");
    daemon.materialize_so("selection=predictions.tiny");
    (daemon, run)
}

/// Every page of it: its name, and its address.
pub fn pages(daemon: &Daemon, run: &str) -> Vec<(&'static str, String)> {
    let key = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let backfill = daemon.begin("selection=gold.odd&trigger=backfill&force=on");
    daemon.ended(&backfill);
    // The inputs of today are not those of then, and some of it is not to be made again at all.
    daemon.press(&format!("/runs/{run}/replay"), "data=current");
    daemon.replayed(run);
    let facts = daemon.json(&format!("/api/v1/runs/{run}"));
    let attempts = facts["attempts"].as_array().unwrap();
    let attempt = attempts.iter().find(|attempt| attempt["asset"] == "reports.log");
    let attempt = attempt.unwrap()["attempt"].as_str().unwrap();
    vec![
        ("overview", "/".to_owned()),
        ("assets", "/assets".to_owned()),
        ("assets-none", "/assets?q=nothing-is-like-that".to_owned()),
        ("asset", "/assets/bronze.days?partition=2013-01-05".to_owned()),
        (
            "asset-stretch",
            "/assets/bronze.days?from=2013-01-02&to=2013-01-04".to_owned(),
        ),
        ("asset-whole", "/assets/gold.labels".to_owned()),
        ("asset-odd", format!("/assets/gold.odd?partition={key}")),
        ("asset-command", "/assets/reports.log".to_owned()),
        ("columns", "/assets/bronze.days/columns?column=label".to_owned()),
        ("rows", "/assets/bronze.days/rows?partition=2013-01-04".to_owned()),
        ("rows-odd", format!("/assets/gold.odd/rows?partition={key}")),
        ("snapshots", "/assets/bronze.days/snapshots".to_owned()),
        ("checks", "/assets/bronze.days/checks".to_owned()),
        ("graph", "/graph".to_owned()),
        ("graph-around", "/graph?focus=gold.labels&fold=reports".to_owned()),
        ("models", "/models".to_owned()),
        ("model", "/models/models.tiny?a=1&b=2".to_owned()),
        (
            "promote",
            "/models/models.tiny/promote?alias=champion&version=1".to_owned(),
        ),
        ("runs", "/runs".to_owned()),
        ("run", format!("/runs/{run}")),
        ("run-unfolded", format!("/runs/{run}?unfold=bronze.days")),
        ("run-log", format!("/runs/{run}?attempt={attempt}")),
        ("run-log-none", format!("/runs/{run}?attempt={attempt}&find=nothing")),
        ("replay", format!("/runs/{run}/replay")),
        ("replay-none", format!("/runs/{backfill}/replay")),
        ("backfills", "/backfills".to_owned()),
        ("backfill", format!("/backfills/{run}?partition=2013-01-05")),
        ("backfill-odd", format!("/backfills/{backfill}?partition={key}")),
        ("backfill-new", "/backfills/new?selection=bronze.days".to_owned()),
        (
            "backfill-new-odd",
            format!("/backfills/new?selection={key}&from={key}&to={key}"),
        ),
        ("schedules", "/schedules".to_owned()),
        ("schedule", "/schedules?schedule=leap_day".to_owned()),
        ("sensors", "/sensors".to_owned()),
        ("sensor", "/sensors?sensor=landing".to_owned()),
        ("automation", "/automation".to_owned()),
        ("alerts", "/alerts".to_owned()),
        ("alert", "/alerts?alert=log".to_owned()),
        ("query", "/query?sql=SELECT%201".to_owned()),
        ("query-odd", format!("/query?sql={key}&as_of={key}")),
        ("log", "/log".to_owned()),
        ("log-daemon", "/log/daemon".to_owned()),
        ("definitions", "/definitions".to_owned()),
        ("nothing", format!("/{key}")),
        ("notice", format!("/alerts?notice={key}")),
    ]
}

/// Every page of a project with nothing in it, and what one sees without a session.
pub const EMPTY: &[(&str, &str)] = &[("millpond.toml", "[project]\nname = \"empty\"\n")];

/// The pages of a project with nothing in it.
pub fn empty_pages() -> Vec<&'static str> {
    vec![
        "/",
        "/assets",
        "/graph",
        "/models",
        "/runs",
        "/backfills",
        "/backfills/new",
        "/schedules",
        "/sensors",
        "/automation",
        "/alerts",
        "/query",
        "/log",
        "/log/daemon",
        "/definitions",
    ]
}
