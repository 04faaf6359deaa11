//! Pages of what is under way: backfills, runs and their logs, queries, and the log of all that happens.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Answer, Daemon, has};

/// A set of partitions whose names are markup, and a program that writes a long log.
const FILES: &[(&str, &str)] = &[
    (
        "millpond.toml",
        r#"
[project]
name = "pond"
timezone = "America/New_York"

[partitions.daily]
every = "day"
start = 2013-01-01
end = 2013-03-31

[partitions.odd]
values = ["<script>alert(1)</script>", "plain"]
"#,
    ),
    (
        "assets/all.toml",
        r#"
[asset.bronze.days]
kind = "sql"
partitions = { use = "daily", column = "day" }
sql = "SELECT CAST($partition_key AS DATE) AS day, '<img src=x onerror=alert(1)>' AS label, 1.5 AS amount"
checks = [{ name = "no fifth day", sql = "SELECT * FROM this WHERE date_part('day', day) = 5" }]

[asset.silver.days]
kind = "sql"
partitions = { use = "daily", column = "day" }
sql = "SELECT day, amount FROM bronze.days"

[asset.gold.odd]
kind = "sql"
partitions = { use = "odd", column = "name" }
sql = "SELECT $partition_key AS name"

[asset.reports.long]
kind = "command"
command = ["sh", "long.sh"]
"#,
    ),
    (
        "long.sh",
        "i=0\nwhile [ $i -lt 9000 ]; do echo \"line $i <script>alert($i)</script>\"; i=$((i+1)); done\n\
         echo beside it >&2\nprintf '\\033[31mred\\033[0m at the end\\n'\nexit 3\n",
    ),
];

/// A program that writes what it is told, line by line, until it is told nothing more.
pub const WAITING: &[(&str, &str)] = &[
    ("millpond.toml", "[project]\nname = \"pond\"\n"),
    (
        "assets/all.toml",
        "[asset.reports.waiting]\nkind = \"command\"\ncommand = [\"sh\", \"waiting.sh\"]\n",
    ),
    (
        "waiting.sh",
        "echo first line\nwhile read line; do echo \"$line\"; done < more\n",
    ),
];

/// Pages of the small project and what each must say, with or without JavaScript.
pub fn facts(run: &str) -> Vec<(String, Vec<&'static str>)> {
    vec![
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

impl Daemon {
    /// Presses a button that leads to another page, and follows it.
    fn press(&self, path: &str, body: &str) -> String {
        let join = if path.contains('?') { '&' } else { '?' };
        let pressed = self.post(&format!("{path}{join}form={}", self.form_token()), body);
        assert_eq!(pressed.status, 303, "{path}: {}", pressed.body);
        let place = pressed.head.lines().find_map(|line| line.strip_prefix("location: "));
        place.unwrap().to_owned()
    }

    /// Asks for a run and does not wait for its end.
    pub fn begin(&self, body: &str) -> String {
        run_in(&self.press("/runs", body))
    }

    /// Waits for the first attempt of a run.
    pub fn first_attempt(&self, run: &str) -> String {
        let mut after = 0;
        for _ in 0..100 {
            let facts = self.json(&format!("/api/v1/runs/{run}"));
            if let Some(attempt) = facts["attempts"][0]["attempt"].as_str() {
                return attempt.to_owned();
            }
            let events = self.json(&format!("/api/v1/events?after={after}&wait=5"));
            let last = events["rows"].as_array().unwrap().last();
            after = last.map_or(after, |row| row["seq"].as_i64().unwrap());
        }
        panic!("the run does not begin");
    }

    /// An answer whose body need not be text: its head and its bytes.
    fn bytes(&self, path: &str, body: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        write!(
            stream,
            "POST {path}?form={} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.form_token(),
            self.cookie,
            body.len(),
            host = self.host,
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        (head, answer[end + 4..].to_vec())
    }

    fn with_cookie(&self, path: &str, more: &str) -> Answer {
        let cookie = format!("{}; {more}", self.cookie);
        self.ask("GET", path, &[("Cookie", &cookie)], "")
    }
}

/// The run in the address of its page.
fn run_in(place: &str) -> String {
    let run = place.split('/').nth(2).unwrap();
    run.split('?').next().unwrap().to_owned()
}

#[test]
fn a_backfill_is_chosen_watched_and_retried_without_javascript() {
    let daemon = Daemon::with(FILES);
    let choice = "selection=bronze.days%2B&from=2013-01-04&to=2013-01-10";
    let preview = daemon.page(&format!("/backfills/new?{choice}"));
    assert!(has(&preview, "14 steps of 2 assets"), "{preview}");
    assert!(
        has(&preview, "None of it was ever made, so nobody knows how long it takes."),
        "{preview}"
    );
    let twin = daemon.json(&format!("/api/v1/backfills/preview?{choice}"));
    assert_eq!(
        (twin["steps"].as_u64(), &twin["estimate"]),
        (Some(14), &serde_json::Value::Null)
    );

    let place = daemon.press(
        "/runs",
        &format!("{choice}&trigger=backfill&only=missing&max_in_flight=2&newest_first=on"),
    );
    assert!(place.starts_with("/backfills/run_"), "{place}");
    let run = run_in(&place);
    daemon.ended(&run);
    let page = daemon.page(&place);
    for fact in [
        "12 succeeded, 1 failed, 1 skipped",
        "7 partitions, one square each",
        "2013-01-05: 1 failed, 1 skipped",
        "newest first, at most 2 in flight",
        "Retry what is left (2 steps)",
        "only those never materialized",
    ] {
        assert!(has(&page, fact), "{fact}:\n{page}");
    }
    let one = daemon.page(&format!("/backfills/{run}?partition=2013-01-05"));
    assert!(has(&one, "because bronze.days@2013-01-05 failed"), "{one}");
    let twin = daemon.json(&format!("/api/v1/backfills/{run}"));
    let cells = twin["grids"][0]["cells"].as_array().unwrap();
    let failed: Vec<&str> = cells
        .iter()
        .filter(|cell| cell["steps"]["failed"] == 1)
        .map(|cell| cell["from"].as_str().unwrap())
        .collect();
    assert_eq!((cells.len(), failed), (7, vec!["2013-01-05"]));
    assert_eq!(
        twin["grids"][0]["assets"],
        serde_json::json!(["bronze.days", "silver.days"])
    );
    let part = daemon.json(&format!("/api/v1/backfills/{run}?from=2013-01-06&to=2013-01-08"));
    assert_eq!(part["grids"][0]["cells"].as_array().unwrap().len(), 3);

    let again = run_in(&daemon.press(&format!("/runs/{run}/retry?back=backfills"), ""));
    daemon.ended(&again);
    assert!(has(
        &daemon.page(&format!("/backfills/{run}")),
        &format!("/backfills/{again}")
    ));
    assert!(has(&daemon.page(&format!("/runs/{again}")), &format!("/runs/{run}")));

    let list = daemon.page("/backfills");
    assert!(
        has(&list, &run) && has(&list, "bronze.days+") && has(&list, "100 %"),
        "{list}"
    );
    assert!(!has(&daemon.page("/backfills?state=open"), &run));
    // What was made tells how long more of it would take.
    let more = daemon.page("/backfills/new?selection=bronze.days&only=all&max_in_flight=1");
    assert!(
        has(&more, "with 1 worker") && has(&more, "90 steps of 1 asset"),
        "{more}"
    );
}

#[test]
fn wrong_fields_are_told_and_nothing_starts() {
    let daemon = Daemon::with(FILES);
    for (query, wanted) in [
        ("selection=bronze.dais", "did you mean"),
        (
            "selection=bronze.days&from=2013-01-04",
            "a range needs its last partition",
        ),
        ("selection=bronze.days&from=x&to=y", "`x`"),
        ("selection=bronze.days&max_in_flight=0", "give 1 or more"),
        ("selection=%3Cscript%3Ealert(1)%3C/script%3E", "&lt;script&gt;alert(1)"),
    ] {
        let page = daemon.page(&format!("/backfills/new?{query}"));
        assert!(
            has(&page, wanted) && !page.contains("<script>alert"),
            "{query} does not say {wanted}:\n{page}"
        );
    }
    assert!(has(&daemon.page("/backfills"), "No backfill yet"));
    let unknown = daemon.ask("GET", "/backfills/run_000000000000", &[("Cookie", &daemon.cookie)], "");
    assert!(unknown.status == 404 && unknown.body.contains("href=\"/\""));
}

#[test]
fn names_that_are_markup_stay_names() {
    let daemon = Daemon::with(FILES);
    let run = run_in(&daemon.press("/runs", "selection=gold.odd&trigger=backfill"));
    daemon.ended(&run);
    let key = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [
        format!("/backfills/{run}"),
        format!("/backfills/{run}?partition={key}"),
        format!("/runs/{run}?unfold=gold.odd"),
        "/log".to_owned(),
    ] {
        let page = daemon.page(&path);
        assert!(has(&page, "&lt;script&gt;alert(1)&lt;/script&gt;"), "{path}:\n{page}");
        assert!(!page.contains("<script>alert"), "{path}");
    }
}

#[test]
fn a_long_log_opens_at_its_end_and_every_line_has_a_link() {
    let daemon = Daemon::with(FILES);
    let run = run_in(&daemon.press("/runs", "selection=reports.long"));
    daemon.ended(&run);
    let page = daemon.page(&format!("/runs/{run}"));
    assert!(
        has(&page, "<span class=\"f1\">red</span>") && has(&page, "From the start"),
        "the end is shown"
    );
    assert!(!has(&page, "line 0 ") && !page.contains("<script>alert"));
    let facts = daemon.json(&format!("/api/v1/runs/{run}"));
    let attempt = facts["attempts"][0]["attempt"].as_str().unwrap();
    let log = |query: &str| daemon.json(&format!("/api/v1/runs/{run}/log?attempt={attempt}&{query}"));
    let found = log("find=line%204321%20");
    let begin = found["lines"][0]["begin"].as_u64().unwrap();
    assert_eq!(found["lines"].as_array().unwrap().len(), 1);
    let linked = daemon.page(&format!("/runs/{run}?attempt={attempt}&line={begin}"));
    assert!(
        has(&linked, &format!("id=\"L{begin}\"")) && has(&linked, "line 4321 "),
        "{linked}"
    );
    assert_eq!(log("stream=stderr")["lines"].as_array().unwrap().len(), 1);
    assert_eq!(
        log("level=error&find=line%204321")["lines"].as_array().unwrap().len(),
        0
    );
    // Part by part, every line once, and the whole of it as a file.
    let (mut offset, mut lines) = (0, 0);
    loop {
        let part = log(&format!("offset={offset}"));
        lines += part["lines"].as_array().unwrap().len();
        offset = part["next_offset"].as_u64().unwrap();
        if part["complete"] == true {
            break;
        }
    }
    let whole = daemon.ask(
        "GET",
        &format!("/runs/{run}/log/{attempt}"),
        &[("Cookie", &daemon.cookie)],
        "",
    );
    assert!(whole.head.contains("attachment; filename="), "{}", whole.head);
    assert!(lines > 9_000 && whole.body.contains("line 8999 "));
    let other = daemon.ask(
        "GET",
        &format!("/runs/{run}/log/att_000000000000"),
        &[("Cookie", &daemon.cookie)],
        "",
    );
    assert_eq!(other.status, 404);
    // The attempts of the asset one by one, and what the run read and wrote.
    assert!(has(
        &daemon.page(&format!("/runs/{run}?unfold=reports.long")),
        "Attempts of reports.long"
    ));
}

#[test]
fn queries_answer_as_tables_drawings_and_files_and_change_nothing() {
    let daemon = Daemon::with(FILES);
    let run = run_in(&daemon.press(
        "/runs",
        "selection=silver.days+or+bronze.days&from=2013-01-01&to=2013-01-04",
    ));
    daemon.ended(&run);
    let form = daemon.form_token();
    let ask = |sql: &str| daemon.post(&format!("/query?form={form}"), &format!("sql={sql}"));
    let rows = ask("SELECT+day,+label,+amount+FROM+bronze.days+ORDER+BY+day");
    assert_eq!(rows.status, 200, "{}", rows.body);
    for fact in [
        "4 rows in",
        "2013-01-04",
        "&lt;img src=x onerror=alert(1)&gt;",
        "class=\"chart\"",
        "<td class=\"number\">1.5",
    ] {
        assert!(has(&rows.body, fact), "{fact}:\n{}", rows.body);
    }
    assert!(!rows.body.contains("<img src=x"));
    let cases = [
        ("SELECT+x%0AFROM+bronze.days", "x\n"),
        ("SELECT+amout+FROM+bronze.days", "did you mean"),
        ("SELECT+*+FROM+bronze.dais", "there is no table"),
        ("DROP+TABLE+bronze.days", "a query may only read"),
        ("", "there is no query"),
    ];
    for (sql, wanted) in cases {
        let answer = ask(sql);
        assert!(
            answer.status == 200 && has(&answer.body, wanted),
            "{sql} does not say {wanted}:\n{}",
            answer.body
        );
    }
    let past = daemon.post(&format!("/query?form={form}"), "sql=SELECT+1&as_of=last+week");
    assert!(
        has(&past.body, "neither a time, nor a snapshot id, nor a tag"),
        "{}",
        past.body
    );
    let past = daemon.post(
        &format!("/query?form={form}"),
        "sql=SELECT+count(*)+FROM+bronze.days&as_of=2001-01-01",
    );
    assert!(
        has(&past.body, "class=\"fault\""),
        "no version is so old: {}",
        past.body
    );

    let (head, csv) = daemon.bytes("/query/csv", "sql=SELECT+day,+amount+FROM+silver.days+ORDER+BY+day");
    let csv = String::from_utf8(csv).unwrap();
    assert!(head.contains("attachment; filename=\"result.csv\""), "{head}");
    assert!(csv.contains("day,amount") && csv.contains("2013-01-01,1.5"), "{csv}");
    let (head, parquet) = daemon.bytes("/query/parquet", "sql=SELECT+day+FROM+silver.days");
    assert!(
        head.contains("result.parquet") && parquet.windows(4).filter(|part| part == b"PAR1").count() == 2,
        "{head}"
    );
    let (head, wrong) = daemon.bytes("/query/csv", "sql=SELECT+nothing+FROM+silver.days");
    assert!(
        head.starts_with("HTTP/1.1 422") && String::from_utf8_lossy(&wrong).contains("nothing"),
        "{head}"
    );

    let names = daemon.json("/api/v1/query/names");
    assert!(
        names["tables"].as_array().unwrap().contains(&"silver.days".into()),
        "{names}"
    );
    let columns = daemon.json("/api/v1/query/names?table=silver.days");
    assert_eq!(columns["columns"]["day"], "Date32", "{columns}");
}

#[test]
fn all_that_happens_is_one_list_with_a_stable_cursor() {
    let daemon = Daemon::with(FILES);
    let run = run_in(&daemon.press("/runs", "selection=bronze.days&from=2013-01-04&to=2013-01-06"));
    daemon.ended(&run);
    let all = |query: &str| {
        let (mut seqs, mut before) = (Vec::new(), String::new());
        loop {
            let part = daemon.json(&format!("/api/v1/log?{query}{before}"));
            let events = part["events"].as_array().unwrap();
            seqs.extend(events.iter().map(|event| event["seq"].as_i64().unwrap()));
            match part["next"].as_i64() {
                Some(next) => before = format!("&before={next}"),
                None => return seqs,
            }
        }
    };
    let seqs = all("");
    assert!(
        seqs.windows(2).all(|pair| pair[0] > pair[1]),
        "newest first, each once: {seqs:?}"
    );
    let of_run = all(&format!("run={run}"));
    assert!(!of_run.is_empty() && of_run.len() < seqs.len());
    let errors = daemon.json("/api/v1/log?level=error");
    assert!(
        errors["events"]
            .as_array()
            .unwrap()
            .iter()
            .all(|event| event["level"] == "error"),
        "{errors}"
    );
    assert!(all("asset=gold.odd").is_empty());
    assert!(!all("asset=bronze.days&kind=step").is_empty());
    let odd = daemon.ask("GET", "/log?level=loud", &[("Cookie", &daemon.cookie)], "");
    assert!(
        odd.status == 400 && odd.body.contains("debug, info, warn, error"),
        "{}",
        odd.body
    );
}

#[test]
fn what_a_reader_prefers_is_kept_and_every_twin_is_described() {
    let daemon = Daemon::with(FILES);
    let dark = daemon.with_cookie("/", "millpond-theme=dark");
    assert!(
        dark.body.contains("<html lang=\"en\" data-theme=\"dark\">"),
        "{}",
        &dark.body[..200]
    );
    let own = daemon.with_cookie("/runs", "millpond-zone=Asia%2FKathmandu; millpond-times=own");
    assert!(has(&own.body, "Times are Asia/Kathmandu") && has(&own.body, "Show America/New_York"));
    let odd = daemon.with_cookie(
        "/",
        "millpond-theme=\"><script>alert(1)</script>; millpond-zone=../etc/passwd",
    );
    assert!(!odd.body.contains("<script>alert") && !odd.body.contains("data-theme"));
    let chosen = daemon.post(&format!("/preferences?form={}&theme=dark", daemon.form_token()), "");
    assert!(
        chosen.status == 303 && chosen.head.contains("set-cookie: millpond-theme=dark;"),
        "{}",
        chosen.head
    );

    let described = daemon.json("/api/v1/openapi.json");
    let mut asked = 0;
    for (path, operations) in described["paths"].as_object().unwrap() {
        if path.contains('{') || operations.get("get").is_none() {
            continue;
        }
        let path = match path.as_str() {
            "/api/v1/backfills/preview" => format!("{path}?selection=*"),
            path => path.to_owned(),
        };
        assert!(daemon.json(&path).is_object(), "{path}");
        asked += 1;
    }
    assert!(asked > 12, "{asked}");
}
