//! The dashboard of the real program: pages over plain HTTP as a browser without JavaScript sees them, who may ask, and (second
//! tier) the same pages in a real browser.
//!
//! The second tier: `MILLPOND_CHROMIUM=chromium cargo test --workspace --test pages -- --ignored`.

#![allow(clippy::disallowed_methods, missing_docs)]

mod browser;
mod running;
mod tables;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const FILES: &[(&str, &str)] = &[
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

/// A daemon on a project of its own; it ends with the value.
struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
    host: String,
    login: String,
    cookie: String,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Daemon {
    fn start() -> Self {
        Self::with(FILES)
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_millpond"))
            .args([
                "--project",
                folder.path().to_str().unwrap(),
                "--json",
                "up",
                "--port",
                "0",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        let host = text("url").trim_start_matches("http://").to_owned();
        let mut daemon = Self {
            child,
            folder,
            host,
            login: text("login"),
            cookie: String::new(),
        };
        let path = daemon.login.split_once(&daemon.host).unwrap().1.to_owned();
        let logged_in = daemon.ask("GET", &path, &[], "");
        assert_eq!(logged_in.status, 303);
        let cookie = logged_in
            .head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "))
            .unwrap();
        daemon.cookie = cookie.split(';').next().unwrap().to_owned();
        daemon
    }

    /// One request; `Host` is the daemon's unless it is given.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|(name, _)| *name == "Host") {
            text += &format!("Host: {}\r\n", self.host);
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        write!(stream, "{text}\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.replace("\r\n", "\n"),
            body: body.to_owned(),
        }
    }

    fn page(&self, path: &str) -> String {
        let answer = self.ask("GET", path, &[("Cookie", &self.cookie)], "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.head.contains("script-src 'self'"), "{path}: {}", answer.head);
        answer.body
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.page(path)).unwrap()
    }

    fn form_token(&self) -> String {
        self.page("/")
            .split("/runs?form=")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        let origin = format!("http://{}", self.host);
        let headers = [
            ("Cookie", self.cookie.as_str()),
            ("Origin", &origin),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        self.ask("POST", path, &headers, body)
    }

    /// Presses the button of the overview and waits for the run to end.
    fn materialize(&self) -> String {
        self.materialize_so("selection=*")
    }

    /// The same with other fields of the form.
    fn materialize_so(&self, fields: &str) -> String {
        let pressed = self.post(&format!("/runs?form={}", self.form_token()), fields);
        assert_eq!(pressed.status, 303, "{}", pressed.body);
        let place = pressed
            .head
            .lines()
            .find_map(|line| line.strip_prefix("location: "))
            .unwrap();
        let run = place.trim_start_matches("/runs/").split('?').next().unwrap().to_owned();
        self.ended(&run);
        run
    }

    /// Waits for a run to end.
    fn ended(&self, run: &str) {
        let mut after = 0;
        for _ in 0..200 {
            let status = self.json(&format!("/api/v1/runs/{run}"))["run"]["row"]["status"].clone();
            if ["succeeded", "failed", "canceled"].contains(&status.as_str().unwrap()) {
                return;
            }
            let events = self.json(&format!("/api/v1/events?after={after}&wait=5"));
            after = events["rows"]
                .as_array()
                .unwrap()
                .last()
                .map_or(after, |row| row["seq"].as_i64().unwrap());
        }
        panic!("the run does not end");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).ok();
        self.child.wait().ok();
    }
}

/// Pages and what each must say, with or without JavaScript.
fn facts(run: &str) -> Vec<(String, Vec<&'static str>)> {
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
    ]
}

/// The page with the log of the command.
fn log_page(daemon: &Daemon, run: &str) -> String {
    let facts = daemon.json(&format!("/api/v1/runs/{run}"));
    let attempts = facts["attempts"].as_array().unwrap();
    let attempt = attempts
        .iter()
        .find(|attempt| attempt["asset"] == "reports.log")
        .unwrap();
    format!("/runs/{run}?attempt={}", attempt["attempt"].as_str().unwrap())
}

fn check_log(page: &str) {
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
fn normal(page: &str) -> String {
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

fn has(page: &str, fact: &str) -> bool {
    normal(page).contains(fact)
}

#[test]
fn pages_say_what_is_the_case_without_javascript() {
    let daemon = Daemon::start();
    let run = daemon.materialize();
    for (path, wanted) in facts(&run).into_iter().chain(running::facts(&run)) {
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
        assert!(answer.body.contains("href=\"/\""), "{path} has a way back");
    }
}

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

const MODEL_FILES: &[(&str, &str)] = &[
    (
        "millpond.toml",
        "[project]\nname = \"models\"\n\n[lakehouse]\nwarehouse = \"lake\"\n",
    ),
    (
        "assets/all.toml",
        r#"
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
];

#[test]
fn models_are_compared_promoted_and_rolled_back() {
    let daemon = Daemon::with(MODEL_FILES);
    daemon.materialize_so("selection=%2Bmodels.tiny");
    let page = daemon.page("/models/models.tiny");
    for fact in [
        "the last 25 % test",
        "Importance of features",
        "class=\"calibration\"",
        "predictions.tiny",
        "by champion",
    ] {
        assert!(has(&page, fact), "{fact:?}:\n{page}");
    }
    let ask = daemon.page("/models/models.tiny/promote?version=1");
    assert!(
        has(&ask, "champion</b> points nowhere yet.") && has(&ask, "predictions.tiny"),
        "{ask}"
    );
    let promote = |body: &str| {
        let path = format!("/models/models.tiny/promote?form={}", daemon.form_token());
        daemon.post(&path, body)
    };
    let moved = promote("alias=champion&version=1&reason=%3Cb%3Egood%3C%2Fb%3E");
    assert!(
        moved.head.contains("location: /models/models.tiny#moves"),
        "{}",
        moved.head
    );
    daemon.materialize_so("selection=models.tiny&force=on");
    assert_eq!(promote("alias=champion&version=2").status, 303);
    assert_eq!(promote("alias=champion&version=3").status, 422);
    assert_eq!(promote("version=1").status, 422);
    let page = daemon.page("/models/models.tiny?a=1&b=2");
    for fact in [
        "roll back to 1",
        "page: &lt;b&gt;good&lt;/b&gt;",
        "Version 2 beside version 1",
        "/models/models.tiny/promote?alias=champion&amp;version=1",
    ] {
        assert!(has(&page, fact), "{fact:?}:\n{page}");
    }
    let ask = daemon.page("/models/models.tiny/promote?alias=champion&version=1");
    assert!(
        has(&ask, "<h1>Roll back</h1>") && has(&ask, "Version 1 beside version 2"),
        "{ask}"
    );
    let back = Command::new(env!("CARGO_BIN_EXE_millpond"))
        .args(["--project", daemon.folder.path().to_str().unwrap(), "promote"])
        .args(["models.tiny", "previous", "champion", "--reason", "worse on Sundays"])
        .output()
        .unwrap();
    assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    let twin = daemon.json("/api/v1/models/models.tiny");
    let reasons: Vec<&str> = twin["alias_moves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|moved| moved["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["api: worse on Sundays", "page", "page: <b>good</b>"]);
    assert_eq!(twin["alias_moves"][0]["to"], 1);
    // What it predicts is told by the version that predicted it.
    daemon.materialize_so("selection=predictions.tiny");
    let twin = daemon.json("/api/v1/models/models.tiny");
    assert_eq!(twin["predictions"][0]["versions"][0]["version"], 1);
    assert_eq!(twin["predictions"][0]["versions"][0]["rows"], 400);
}

#[test]
fn automation_is_paused_and_resumed_by_buttons() {
    let daemon = Daemon::start();
    let press = |path: &str, body: &str| {
        let pressed = daemon.post(&format!("{path}?form={}", daemon.form_token()), body);
        assert_eq!(pressed.status, 303, "{path}: {}", pressed.body);
        let place = pressed.head.lines().find_map(|line| line.strip_prefix("location: "));
        place.unwrap().to_owned()
    };
    assert_eq!(
        press("/automation/reports.log/pause", "back=asset"),
        "/assets/reports.log#automation"
    );
    let page = daemon.page("/assets/reports.log");
    assert!(
        has(&page, "automation is paused by page") && has(&page, "Resume"),
        "{page}"
    );
    let twin = daemon.json("/api/v1/assets/reports.log");
    assert_eq!(twin["automation"]["paused"][1], "page");
    assert_eq!(twin["freshness"]["state"], "unknown");
    assert_eq!(press("/automation/reports.log/resume", ""), "/automation");
    assert_eq!(press("/automation/pause", ""), "/automation");
    assert!(has(&daemon.page("/automation"), "All automation is paused by page"));
    assert_eq!(daemon.json("/api/v1/automation")["paused_by"], "page");
    assert_eq!(press("/automation/resume", ""), "/automation");
    let unknown = daemon.post(
        &format!("/automation/reports.lgo/pause?form={}", daemon.form_token()),
        "",
    );
    assert!(
        unknown.status == 404 && unknown.body.contains("reports.log"),
        "{}",
        unknown.body
    );
    let foreign = daemon.post("/automation/pause?form=0000", "");
    assert_eq!(foreign.status, 403);
}

#[test]
fn schedules_are_paused_resumed_and_ticked_by_buttons() {
    let daemon = Daemon::start();
    let press = |verb: &str| {
        let path = format!("/schedules/leap_day/{verb}?form={}", daemon.form_token());
        let pressed = daemon.post(&path, "");
        assert_eq!(pressed.status, 303, "{verb}: {}", pressed.body);
        let place = pressed.head.lines().find_map(|line| line.strip_prefix("location: "));
        place.unwrap().to_owned()
    };
    assert_eq!(press("pause"), "/schedules");
    let page = daemon.page("/schedules");
    assert!(has(&page, "paused by page") && has(&page, "Resume"), "{page}");
    let twin = daemon.json("/api/v1/schedules?schedule=leap_day");
    assert_eq!(twin["schedules"][0]["paused_by"], "page");
    assert_eq!(twin["schedules"][0]["next"], serde_json::json!([]));
    assert_eq!(press("resume"), "/schedules");
    let run = press("tick");
    assert!(run.starts_with("/runs/run_"), "{run}");
    assert!(has(&daemon.page(&run), "schedule leap_day"));
    let page = daemon.page("/schedules?schedule=leap_day");
    assert!(
        has(&page, "asked for by page") && has(&page, "requested") && has(&page, &run),
        "{page}"
    );
    // A name that nobody declared, and a form that is not ours.
    let unknown = daemon.post(&format!("/schedules/leap/tick?form={}", daemon.form_token()), "");
    assert!(
        unknown.status == 404 && unknown.body.contains("leap_day"),
        "{}",
        unknown.body
    );
    let foreign = daemon.post("/schedules/leap_day/pause?form=0000", "");
    assert_eq!(foreign.status, 403);
}

#[test]
fn sensors_are_tested_paused_resumed_and_ticked_by_buttons() {
    let daemon = Daemon::start();
    let press = |verb: &str| {
        let join = if verb.contains('?') { "&" } else { "?" };
        let path = format!("/sensors/landing/{verb}{join}form={}", daemon.form_token());
        let pressed = daemon.post(&path, "");
        assert_eq!(pressed.status, 303, "{verb}: {}", pressed.body);
        let place = pressed.head.lines().find_map(|line| line.strip_prefix("location: "));
        place.unwrap().to_owned()
    };
    assert_eq!(press("pause"), "/sensors");
    let page = daemon.page("/sensors");
    assert!(has(&page, "paused by page") && has(&page, "Resume"), "{page}");
    let twin = daemon.json("/api/v1/sensors?sensor=landing");
    assert_eq!(twin["sensors"][0]["paused_by"], "page");
    let tested = daemon.page(&press("tick?test=true"));
    assert!(
        has(&tested, "landing sees nothing new; nothing was started"),
        "{tested}"
    );
    let ticked = daemon.page(&press("tick"));
    assert!(
        has(&ticked, "landing skipped: nothing new") && has(&ticked, "asked for by page"),
        "{ticked}"
    );
    assert_eq!(press("resume"), "/sensors");
    let unknown = daemon.post(&format!("/sensors/landin/tick?form={}", daemon.form_token()), "");
    assert!(
        unknown.status == 404 && unknown.body.contains("landing"),
        "{}",
        unknown.body
    );
    assert_eq!(daemon.post("/sensors/landing/pause?form=0000", "").status, 403);
}

#[test]
fn only_those_who_may_are_answered() {
    let daemon = Daemon::start();
    let cookie = ("Cookie", daemon.cookie.as_str());
    let own = format!("http://{}", daemon.host);
    let form = daemon.form_token();
    let cases: &[(&str, &str, &[(&str, &str)], u16)] = &[
        ("GET", "/", &[cookie], 200),
        ("GET", "/", &[], 401),
        ("GET", "/live", &[], 401),
        ("GET", "/api/v1/assets", &[], 401),
        ("GET", "/login?token=wrong", &[], 401),
        ("GET", "/healthz", &[], 200),
        ("GET", "/", &[cookie, ("Host", "evil.example")], 421),
        ("GET", "/healthz", &[("Host", "127.0.0.1.evil.example")], 421),
        ("GET", "/", &[cookie, ("Origin", "http://evil.example")], 403),
        ("POST", "/runs", &[cookie, ("Origin", &own)], 403),
        ("POST", "/runs?form=0000", &[cookie, ("Origin", &own)], 403),
        ("POST", "/api/v1/runs", &[cookie, ("Origin", &own)], 403),
        ("POST", "/runs", &[cookie, ("Origin", "null")], 403),
        ("GET", "/schedules", &[], 401),
        ("POST", "/api/v1/schedules/leap_day/pause", &[], 401),
        ("GET", "/sensors", &[], 401),
        ("POST", "/api/v1/sensors/landing/tick", &[], 401),
        // No sensor takes events under this name; that its requests need no token gives nothing away.
        ("POST", "/hooks/landing", &[], 404),
        ("GET", "/hooks/landing", &[cookie], 405),
        ("GET", "/backfills", &[], 401),
        ("GET", "/query", &[], 401),
        ("GET", "/log", &[], 401),
        ("GET", "/api/v1/openapi.json", &[], 401),
        ("GET", "/log", &[cookie, ("Host", "rebound.example")], 421),
        (
            "GET",
            "/api/v1/backfills",
            &[cookie, ("Host", "rebound.example:80")],
            421,
        ),
        ("POST", "/query", &[cookie, ("Origin", &own)], 403),
        ("POST", "/query/csv", &[cookie, ("Origin", &own)], 403),
        ("POST", "/api/v1/query", &[cookie, ("Origin", &own)], 403),
        ("POST", "/preferences?theme=dark", &[cookie, ("Origin", &own)], 403),
        (
            "POST",
            "/query?form=0000",
            &[cookie, ("Origin", "http://rebound.example")],
            403,
        ),
    ];
    for (method, path, headers, status) in cases {
        assert_eq!(
            daemon.ask(method, path, headers, "").status,
            *status,
            "{method} {path} {headers:?}"
        );
    }
    let foreign = format!("/runs?form={form}");
    let answer = daemon.ask(
        "POST",
        &foreign,
        &[cookie, ("Origin", "http://evil.example")],
        "selection=*",
    );
    assert_eq!(answer.status, 403, "the form's token does not excuse a foreign page");
}

#[test]
#[ignore = "second tier: needs MILLPOND_CHROMIUM"]
fn pages_say_the_same_in_a_browser() {
    let daemon = Daemon::start();
    let run = daemon.materialize();
    let profile = daemon.folder.path().join("profile");
    browse(&profile, &daemon.login);
    let open = |path: &str| browse(&profile, &format!("http://{}{path}", daemon.host));
    for (path, wanted) in facts(&run).into_iter().chain(running::facts(&run)) {
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

/// The document of a page after its scripts ran.
fn browse(profile: &Path, url: &str) -> String {
    let program = std::env::var("MILLPOND_CHROMIUM").expect("MILLPOND_CHROMIUM names a Chromium");
    let output = Command::new(program)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--dump-dom",
            "--timeout=10000",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}
