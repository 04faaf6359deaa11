//! Sensors of the real program that watch other things than folders: addresses, what other programs tell of, programs, queries,
//! assets and runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use millpond_tests::program::{Project, Running, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sha2::Sha256;

const HEAD: &str = r#"
[project]
name = "toy"

[execution]
workers = 1
memory = "128 MB"

[partitions.port]
values = ["EWR", "JFK", "LGA"]
"#;

/// `gold.ports` is a part for each port that the clock of the test says is stale: its code has a parameter.
const ASSETS: &str = r#"
[asset.gold.one]
kind = "sql"
sql = "SELECT 1 AS one"

[asset.gold.ports]
kind = "sql"
sql = "SELECT $partition_key AS port"
partitions = { use = "port", column = "port" }

[asset.gold.two]
kind = "sql"
sql = "SELECT one + 1 AS two FROM gold.one"

[asset.gold.broken]
kind = "sql"
sql = "SELECT CAST('x' AS INT) AS n"
"#;

fn project(sensors: &str) -> Project {
    Project::new(&[
        ("millpond.toml", &format!("{HEAD}{sensors}")),
        ("assets/a.toml", ASSETS),
        ("secret", "whsec_c2VjcmV0IG9mIHRoZSBob29r\n"),
    ])
}

/// A daemon and where it serves.
struct Daemon(Running, String);

impl Daemon {
    fn start(project: &Project) -> Self {
        let mut running = project.begin(&["--json", "up", "--port", "0"]);
        let said = running.wait_for("http://127.0.0.1:");
        let said: Value = serde_json::from_str(&said).unwrap();
        let address = said["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
        Self(running, address)
    }

    fn stop(self) {
        self.0.signal(Signal::SIGTERM);
        self.0.end().expect(0);
    }

    /// Posts to a hook; the status and the body of the answer.
    fn post(&self, path: &str, headers: &[(&str, String)], body: &[u8]) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        let mut request = format!("POST {path} HTTP/1.1\r\nHost: hooks.example.com\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(request.as_bytes()).unwrap();
        // A body that is refused may not be read to its end.
        stream.write_all(body).ok();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let json = body
            .find('{')
            .and_then(|at| serde_json::from_str(body[at..].trim_end_matches(['0', '\r', '\n'])).ok());
        (status.unwrap_or(0), json.unwrap_or(Value::Null))
    }
}

fn ticks(project: &Project, sensor: &str) -> Vec<Value> {
    let said = project.run(&["--json", "sensor", "list", sensor]).expect(0).answer();
    said["sensors"][0]["ticks"].as_array().unwrap().clone()
}

/// Waits for the newest tick of a sensor to be such a one.
fn until_ticked(project: &Project, sensor: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    until(&format!("{sensor}: {what}"), || {
        ticks(project, sensor).first().filter(|tick| is_it(tick)).cloned()
    })
}

fn requested(tick: &Value) -> bool {
    tick["status"] == "requested"
}

/// Answers each request with what is there at the moment, and notes what it was asked.
struct Server {
    port: u16,
    answer: Arc<Mutex<String>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            answer: Arc::default(),
            asked: Arc::default(),
        };
        let (answer, asked) = (Arc::clone(&server.answer), Arc::clone(&server.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut head = String::new();
                let mut reader = BufReader::new(&stream);
                while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
                asked.lock().unwrap().push(head.to_lowercase());
                let text = answer.lock().unwrap().clone();
                // Who asked may have gone.
                (&stream).write_all(text.as_bytes()).ok();
            }
        });
        server
    }

    fn say(&self, head: &str, body: &str) {
        let text = format!(
            "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        *self.answer.lock().unwrap() = text;
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[test]
fn an_address_is_polled_and_what_is_answered_otherwise_is_an_event() {
    let server = Server::start();
    let url = format!("http://127.0.0.1:{}/feed?key=hidden", server.port);
    server.say(
        "200 OK\r\nETag: \"a\"",
        r#"{"version": 1, "at": 7, "ports": ["EWR", "JFK"]}"#,
    );
    let common = format!("kind = \"http\"\nurl = \"{url}\"\nselect = \"gold.ports\"\nevery = \"1s\"\n");
    let toy = project(&format!(
        "
[sensor.feed]
{common}pointer = \"/version\"
partition = \"/ports\"
allow_private = true
token = {{ file = \"secret\" }}

[sensor.private]
{common}
[sensor.rebound]
kind = \"http\"
url = \"http://localhost:{}/\"
select = \"gold.one\"
",
        server.port
    ));
    let daemon = Daemon::start(&toy);
    let first = until_ticked(&toy, "feed", "the first answer", requested);
    assert_eq!(first["examples"], json!(["/version is 1"]));
    toy.run(&["logs", "--follow", first["run"].as_str().unwrap()]).expect(0);
    assert_eq!(toy.row("SELECT count(*) AS n FROM gold.ports"), json!({ "n": 2 }));
    // Asked with what it was told, and the secret is sent and shown nowhere.
    server.say("304 Not Modified", "");
    let before = server.asked().len();
    until("it is asked again", || {
        (server.asked().len() > before + 1).then_some(())
    });
    let asked = server.asked();
    assert!(asked.last().unwrap().contains("if-none-match: \"a\""), "{asked:?}");
    assert!(asked[0].contains("authorization: bearer whsec_"), "{asked:?}");
    // Dressed otherwise, it is no news; another version is, and so is the old one when it comes back.
    server.say("200 OK\r\nETag: \"b\"", r#"{"ports": ["LGA"], "version": 1, "at": 8}"#);
    let quiet = until_ticked(&toy, "feed", "a new validator", |tick| tick["number"] == 2);
    assert_eq!(
        (&quiet["status"], &quiet["reason"]),
        (&json!("skipped"), &json!("nothing new"))
    );
    server.say("200 OK", r#"{"ports": "LGA", "version": 2}"#);
    until_ticked(&toy, "feed", "a new version", requested);
    server.say("200 OK", r#"{"ports": "LGA", "version": 1}"#);
    until_ticked(&toy, "feed", "the old version", |tick| tick["number"] == 4);
    // What is wrong is said, and tried again.
    server.say("503 Service Unavailable", "");
    let failed = until_ticked(&toy, "feed", "a failure", |tick| tick["status"] == "failed");
    assert_eq!(failed["reason"], "it answered 503 Service Unavailable");
    server.say("200 OK", r#"{"ports": "LGA"}"#);
    until_ticked(&toy, "feed", "nothing at the pointer", |tick| {
        tick["reason"]
            .as_str()
            .unwrap_or_default()
            .contains("nothing at `/version`")
    });
    server.say("302 Found\r\nLocation: http://169.254.169.254/latest/", "");
    for (sensor, said) in [
        ("private", "`127.0.0.1` leads to this machine"),
        ("rebound", "`localhost` leads to this machine"),
    ] {
        let failed = until_ticked(&toy, sensor, "it is refused", |tick| tick["status"] == "failed");
        assert!(failed["reason"].as_str().unwrap().contains(said), "{failed}");
    }
    let listed = toy.run(&["sensor", "list"]).expect(0);
    assert!(
        !listed.out.contains("hidden") && !listed.out.contains("whsec"),
        "{listed:#?}"
    );
    daemon.stop();
    let state = std::fs::read(toy.path().join(".millpond/state.db")).unwrap();
    let secret = b"c2VjcmV0IG9mIHRoZSBob29r";
    assert!(!state.windows(secret.len()).any(|window| window == secret));
}

/// The headers of a request that is signed as Standard Webhooks says.
fn signed(id: &str, seconds: i64, body: &[u8]) -> Vec<(&'static str, String)> {
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(b"secret of the hook").unwrap();
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,AAAA v1a,xx v1,{signature}")),
    ]
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[test]
fn a_webhook_is_taken_once_and_only_if_it_is_signed() {
    let toy = project(
        "
[sensor.orders]
kind = \"webhook\"
secret = { file = \"secret\" }
partition = \"/port\"
max_body = \"1 kB\"
per_minute = 4
select = \"gold.ports\"

[sensor.other]
kind = \"webhook\"
secret = { env = \"MILLPOND_NO_SUCH_SECRET\" }
select = \"gold.one\"
",
    );
    let daemon = Daemon::start(&toy);
    let body = br#"{"type": "order.made", "port": "JFK"}"#;
    let good = signed("msg_1", now(), body);
    let (status, answer) = daemon.post("/hooks/orders", &good, body);
    assert_eq!((status, &answer["status"]), (202, &json!("requested")), "{answer}");
    let tick = ticks(&toy, "orders")[0].clone();
    assert_eq!(tick["examples"], json!(["order.made msg_1"]));
    // The same again, and sent again later: known, with the same run.
    let run = answer["run"].clone();
    for again in [good.clone(), signed("msg_1", now() - 60, body)] {
        let (status, answer) = daemon.post("/hooks/orders", &again, body);
        assert_eq!((status, &answer["run"]), (200, &run), "{answer}");
    }
    // The same id for something else.
    let other = br#"{"port": "LGA"}"#;
    assert_eq!(
        daemon.post("/hooks/orders", &signed("msg_1", now(), other), other).0,
        409
    );
    // Nobody without the secret is let in, and nobody is told why.
    let signature = |value: &str| {
        let mut headers = signed("msg_2", now(), body);
        headers[2].1 = value.to_owned();
        headers
    };
    let right = signed("msg_2", now(), body)[2].1.clone();
    let digest = right.rsplit(',').next().unwrap();
    let wrong = [
        Vec::new(),
        signature(""),
        signature("v1,"),
        signature(&format!("v2,{digest}")),
        signature(&format!("v1,{}", &digest[..20])),
        signature(&digest.to_lowercase()),
        signed("msg_3", now() - 700, body),
        signed("msg_3", now() + 700, body),
        signed("msg.3", now(), body),
        [signed("msg_3", now(), body), signed("msg_3", now(), body)].concat(),
    ];
    for headers in wrong {
        let (status, answer) = daemon.post("/hooks/orders", &headers, body);
        assert_eq!(
            (status, &answer["error"]),
            (401, &json!("the request is not signed as it should be")),
            "{headers:?}"
        );
    }
    assert_eq!(
        daemon.post("/hooks/orders", &signed("msg_4", now(), b"other"), body).0,
        401
    );
    // A body without the partition, one that is no text, one that is too long.
    let nowhere = b"{}";
    assert_eq!(
        daemon
            .post("/hooks/orders", &signed("msg_5", now(), nowhere), nowhere)
            .0,
        422
    );
    let bytes = b"\xff\xfe\x00";
    assert_eq!(
        daemon.post("/hooks/orders", &signed("msg_6", now(), bytes), bytes).0,
        422
    );
    let long = vec![b' '; 5_000_000];
    assert_eq!(
        daemon.post("/hooks/orders", &signed("msg_7", now(), &long), &long).0,
        413
    );
    // No hook of that name; one whose secret is not there; a GET.
    assert_eq!(daemon.post("/hooks/nobody", &good, body).0, 404);
    assert_eq!(daemon.post("/hooks/other", &good, body).0, 503);
    // Three more events may come in this minute, and no more; another sensor is none the worse for it.
    let mut statuses = Vec::new();
    for number in 0..8 {
        let headers = signed(&format!("many_{number}"), now(), body);
        statuses.push(daemon.post("/hooks/orders", &headers, body).0);
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 202).count(),
        3,
        "{statuses:?}"
    );
    assert!(
        statuses.iter().all(|status| [202, 429].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(daemon.post("/hooks/other", &good, body).0, 503);
    // Paused, it takes nothing, and what is sent again later is taken then.
    toy.run(&["sensor", "pause", "orders"]).expect(0);
    assert_eq!(daemon.post("/hooks/orders", &signed("msg_8", now(), body), body).0, 503);
    daemon.stop();
    // After a restart the same event is still the same.
    let daemon = Daemon::start(&toy);
    toy.run(&["sensor", "resume", "orders"]).expect(0);
    let (status, answer) = daemon.post("/hooks/orders", &signed("msg_1", now(), body), body);
    assert_eq!((status, &answer["run"]), (200, &run), "{answer}");
    daemon.stop();
    assert_eq!(ticks(&toy, "orders").len(), 4);
}

#[test]
fn a_program_tells_of_events_and_what_it_leaves_behind_is_ended() {
    let toy = project(
        "
[sensor.count]
kind = \"command\"
command = [\"sh\", \"count.sh\"]
env = { MODE = \"plain\" }
select = \"gold.ports\"
every = \"1s\"
max_events = 2

[sensor.hangs]
kind = \"command\"
command = [\"sh\", \"hang.sh\"]
select = \"gold.one\"
every = \"1s\"
deadline = \"2s\"

[sensor.babbles]
kind = \"command\"
command = [\"sh\", \"-c\", \"echo loading; echo why >&2\"]
select = \"gold.one\"

[sensor.fails]
kind = \"command\"
command = [\"sh\", \"-c\", \"echo no such table >&2; exit 3\"]
select = \"gold.one\"
",
    );
    // Tells of the numbers after the cursor up to what is in the file, at most as many as one tick holds and one more.
    toy.write(
        "count.sh",
        br#"
n=${MILLPOND_CURSOR:-0}
most=$(cat most)
while [ "$n" -lt "$most" ]; do
    n=$((n + 1))
    case $n in 1) port=EWR;; 2) port=JFK;; *) port=LGA;; esac
    echo "{\"key\": \"$MODE $n\", \"what\": \"number $n\", \"partition\": \"$port\", \"cursor\": \"$n\"}"
done
"#,
    );
    toy.write("most", b"5");
    // A child that has left the group of the program.
    toy.write("hang.sh", b"setsid sleep 1000 &\nprintf $! > child\nsleep 1000\n");
    let daemon = Daemon::start(&toy);
    let newest = until_ticked(&toy, "count", "all five", |tick| tick["number"] == 3);
    let told: Vec<u64> = ticks(&toy, "count")
        .iter()
        .map(|tick| tick["events"].as_u64().unwrap())
        .collect();
    assert_eq!(told, [1, 2, 2]);
    assert_eq!((&newest["lag"], &newest["examples"]), (&json!(0), &json!(["number 5"])));
    let listed = toy.run(&["--json", "sensor", "list", "count"]).expect(0).answer();
    assert_eq!(listed["sensors"][0]["cursor"], "5");
    toy.write("most", b"6");
    until_ticked(&toy, "count", "the sixth", |tick| {
        tick["examples"] == json!(["number 6"])
    });
    // One that hangs is ended with all that it started, and holds up no other.
    let failed = until_ticked(&toy, "hangs", "it fails", |tick| tick["status"] == "failed");
    assert!(
        failed["reason"]
            .as_str()
            .unwrap()
            .contains("did not end within its deadline of 2 s"),
        "{failed}"
    );
    for (sensor, said) in [
        ("babbles", "line 1 is no JSON object"),
        ("fails", "exit code 3: no such table"),
    ] {
        let failed = until_ticked(&toy, sensor, "it fails", |tick| tick["status"] == "failed");
        assert!(failed["reason"].as_str().unwrap().contains(said), "{failed}");
    }
    daemon.stop();
    let child = std::fs::read_to_string(toy.path().join("child")).unwrap();
    let alive = std::fs::read_to_string(format!("/proc/{}/cmdline", child.trim())).unwrap_or_default();
    assert!(!alive.contains("sleep"), "{alive}");
}

#[test]
fn rows_assets_and_runs_are_events() {
    let toy = project(
        "
[sensor.rows]
kind = \"sql\"
sql = \"SELECT one, 'EWR' AS port FROM gold.one WHERE one > $cursor ORDER BY one\"
key = \"one\"
cursor = \"one\"
start = 0
partition = \"port\"
select = \"gold.ports\"
every = \"1s\"

[sensor.made]
kind = \"asset\"
asset = \"gold.one\"
select = \"gold.two\"

[sensor.failed]
kind = \"run\"
status = \"failed\"
of = \"gold.broken\"
select = \"gold.ports\"
paused = true
",
    );
    let daemon = Daemon::start(&toy);
    until_ticked(&toy, "made", "it begins", |tick| {
        tick["reason"].as_str().unwrap_or_default().contains("it begins here")
    });
    // The table is not there yet: the look fails, and is made again.
    let failed = until_ticked(&toy, "rows", "no table", |tick| tick["status"] == "failed");
    assert!(failed["reason"].as_str().unwrap().contains("gold.one"), "{failed}");
    toy.run(&["materialize", "gold.one"]).expect(0);
    let made = until_ticked(&toy, "made", "gold.one was made", requested);
    assert!(
        made["examples"][0].as_str().unwrap().starts_with("gold.one by run_"),
        "{made}"
    );
    toy.run(&["logs", "--follow", made["run"].as_str().unwrap()]).expect(0);
    assert_eq!(toy.row("SELECT two FROM gold.two"), json!({ "two": 2 }));
    // It waits out its failures; asked for, it looks now.
    toy.run(&["sensor", "tick", "rows"]).expect(0);
    let rows = until_ticked(&toy, "rows", "a row", |tick| tick["events"] == 1);
    assert_eq!(rows["status"], "requested", "{rows}");
    toy.run(&["logs", "--follow", rows["run"].as_str().unwrap()]).expect(0);
    assert_eq!(toy.row("SELECT port FROM gold.ports"), json!({ "port": "EWR" }));
    // A run that fails before the sensor first looks does not count; one after that does, of that asset alone.
    toy.run(&["materialize", "gold.broken"]).expect(1);
    toy.run(&["sensor", "resume", "failed"]).expect(0);
    until_ticked(&toy, "failed", "it begins", |tick| tick["number"] == 1);
    toy.run(&["materialize", "gold.broken"]).expect(1);
    let failed = until_ticked(&toy, "failed", "the run failed", requested);
    assert_eq!(failed["events"], 1);
    assert!(
        failed["examples"][0].as_str().unwrap().ends_with("failed: gold.broken"),
        "{failed}"
    );
    daemon.stop();
    toy.sound();
}

#[test]
fn another_projects_table_is_watched_through_its_state() {
    let upstream = project("");
    let toy = project(&format!(
        "
[sensor.upstream]
kind = \"asset\"
asset = \"gold.one\"
project = \"{}\"
select = \"gold.ports\"
every = \"1s\"

[sensor.nowhere]
kind = \"asset\"
asset = \"gold.one\"
project = \"no/such/folder\"
select = \"gold.ports\"
",
        upstream.path().display()
    ));
    upstream.run(&["materialize", "gold.one"]).expect(0);
    let daemon = Daemon::start(&toy);
    until_ticked(&toy, "upstream", "it begins", |tick| tick["number"] == 1);
    upstream.run(&["materialize", "gold.one", "--force"]).expect(0);
    let tick = until_ticked(&toy, "upstream", "a new version", requested);
    assert!(
        tick["examples"][0].as_str().unwrap().contains(".metadata.json"),
        "{tick}"
    );
    let failed = until_ticked(&toy, "nowhere", "it fails", |tick| tick["status"] == "failed");
    assert!(
        failed["reason"].as_str().unwrap().contains("no/such/folder"),
        "{failed}"
    );
    daemon.stop();
}
