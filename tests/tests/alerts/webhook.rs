//! Messages by HTTP: told once, told again after a crash, and never in the way of anything else.

use millpond_tests::program::{Project, until};
use serde_json::{Value, json};

use super::http::{Answer, Http};
use super::world::{Daemon, project, put};

const ALERTS: &str = r#"
[alert.team]
on = ["run_failed", "check_failed", "recovered"]
webhook = { url = { env = "HOOK" }, token = { file = "secret/token" } }
group_wait = "1s"
"#;

/// What must be found nowhere but in the receiver's request.
const CANARY: &str = "canary-7f3a91c4e8";

/// Whether a text is in any file of the state folder.
fn rests(project: &Project, text: &str) -> bool {
    let files = project.files(".millpond");
    assert!(files.iter().any(|file| file == "state.db"), "{files:?}");
    files.iter().any(|file| {
        let bytes = std::fs::read(project.path().join(".millpond").join(file)).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn alerts(project: &Project, name: &str) -> Value {
    project.run(&["--json", "alert", "list", name]).expect(0).answer()["alerts"][0].clone()
}

/// The newest message of an alert, once it is in this state.
fn message(project: &Project, name: &str, status: &str) -> Value {
    until(&format!("a message of {name} is {status}"), || {
        let newest = alerts(project, name)["messages"][0].clone();
        (newest["status"] == status).then_some(newest)
    })
}

#[test]
fn what_fails_is_told_once_and_that_it_recovered_too() {
    let toy = project(ALERTS);
    toy.write("secret/token", CANARY.as_bytes());
    let http = Http::start(&[Answer::Take]);
    let hook = format!("http://{}/{CANARY}/hook", http.address);
    let daemon = Daemon::start(&toy, &[("HOOK", &hook)]);
    put(&toy, 0);
    let said = toy.run(&["--json", "materialize"]).expect(1);
    let run = said.answers().last().unwrap()["run"].clone();

    let got = http.next();
    assert_eq!(got.path, format!("/{CANARY}/hook"));
    assert_eq!(got.header("authorization"), format!("Bearer {CANARY}"));
    assert_eq!(got.header("idempotency-key"), got.body["message"]);
    assert_eq!(got.body["title"], "gold.quotient: failed");
    assert_eq!((&got.body["project"], &got.body["attempt"]), (&json!("toy"), &json!(1)));
    let line = &got.body["lines"][0];
    assert_eq!((&line["subject"], &line["run"]), (&json!("gold.quotient"), &run));
    assert!(
        line["text"].as_str().unwrap().to_lowercase().contains("divide by zero"),
        "{line}"
    );

    // It fails again, and is open already.
    toy.run(&["materialize"]).expect(1);
    let open = alerts(&toy, "team");
    assert_eq!(open["open"].as_array().unwrap().len(), 1, "{open}");
    let listed = toy.run(&["alert", "list", "team"]).expect(0);
    for fact in ["gold.quotient", "failed", "webhook", "delivered"] {
        assert!(listed.out.contains(fact), "{fact}: {listed:#?}");
    }

    put(&toy, 5);
    toy.run(&["materialize"]).expect(0);
    let got = http.next();
    assert_eq!(got.body["title"], "gold.quotient: recovered", "{:#}", got.body);
    message(&toy, "team", "delivered");
    assert_eq!(alerts(&toy, "team")["open"], json!([]));
    assert!(http.rest().is_empty());

    // A failed check is told of as such, and the check's name with it.
    put(&toy, 500);
    toy.run(&["materialize"]).expect(1);
    let got = http.next();
    assert_eq!(got.body["title"], "gold.checked: check failed", "{:#}", got.body);
    let text = got.body["lines"][0]["text"].as_str().unwrap();
    assert_eq!(text, "`not too large`: 1 row; nothing was published");

    let (_, page) = daemon.get("/api/v1/alerts", true);
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["counts"]["open"], 1, "{page:#}");
    let (_, html) = daemon.get("/alerts", true);
    assert!(
        html.contains("gold.checked") && html.contains("not too large"),
        "{html}"
    );
    let (_, overview) = daemon.get("/", true);
    assert!(overview.contains("1 open alert"), "{overview}");
    assert!(!html.contains(CANARY) && !page.to_string().contains(CANARY));
    daemon.stop();
    toy.sound();
    assert!(!rests(&toy, CANARY));
}

#[test]
fn a_message_that_was_on_its_way_when_the_daemon_died_is_sent_again_under_its_name() {
    let toy = project(ALERTS);
    toy.write("secret/token", b"t0ken");
    let http = Http::start(&[Answer::Hang]);
    let hook = format!("http://{}/hook", http.address);
    let daemon = Daemon::start(&toy, &[("HOOK", &hook)]);
    put(&toy, 0);
    toy.run(&["materialize"]).expect(1);
    let first = http.next();
    daemon.kill();

    http.now(&[Answer::Take]);
    let daemon = Daemon::start(&toy, &[("HOOK", &hook)]);
    let again = http.next();
    assert_eq!(first.header("idempotency-key"), again.header("idempotency-key"));
    assert_eq!(first.body["lines"], again.body["lines"]);
    message(&toy, "team", "delivered");
    daemon.stop();
    toy.sound();
}

#[test]
fn a_receiver_that_hangs_or_fails_holds_nothing_up() {
    let toy = project(&format!(
        "{ALERTS}
[alert.program]
on = [\"run_failed\"]
command = [\"sh\", \"-c\", \"cat >> told.jsonl\"]
group_wait = \"1s\"
"
    ));
    toy.write("secret/token", b"t0ken");
    let http = Http::start(&[Answer::Hang]);
    let hook = format!("http://{}/{CANARY}", http.address);
    let daemon = Daemon::start(&toy, &[("HOOK", &hook)]);
    put(&toy, 0);
    toy.run(&["materialize"]).expect(1);
    http.next();
    // While the receiver of `team` does not answer, another alert is told and runs go on.
    let told = until("the program is told", || {
        std::fs::read_to_string(toy.path().join("told.jsonl"))
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["alert"], &told["title"]),
        (&json!("program"), &json!("gold.quotient: failed"))
    );
    put(&toy, 5);
    toy.run(&["materialize"]).expect(0);
    daemon.kill();

    // A receiver that refuses is tried again, and what it said is kept without the address.
    http.now(&[Answer::Refuse(503), Answer::Redirect, Answer::Take]);
    let daemon = Daemon::start(&toy, &[("HOOK", &hook)]);
    let refused = until("the refusal is known", || {
        let messages = alerts(&toy, "team")["messages"].clone();
        let failed = messages
            .as_array()?
            .iter()
            .find(|message| !message["error"].is_null())?;
        Some(failed.clone())
    });
    let error = refused["error"].as_str().unwrap();
    assert!(
        error.starts_with("the receiver answered 503 Service Unavailable: nothing at "),
        "{error}"
    );
    assert!(!error.contains(CANARY), "{error}");
    assert!(refused["next_at"].as_i64().unwrap() > refused["at"].as_i64().unwrap());
    daemon.stop();
    assert!(!rests(&toy, CANARY));
}

#[test]
fn a_test_message_says_whether_it_arrived() {
    let toy = project(ALERTS);
    let http = Http::start(&[Answer::Take, Answer::Refuse(404), Answer::Take]);
    let hook = format!("http://{}/hook", http.address);
    // Without a daemon this command sends it: what it does not find is told.
    let missing = toy.run_with(&["alert", "test", "team"], &[]).expect(1);
    assert!(
        missing.err.contains("the environment variable `HOOK` is not set"),
        "{missing:#?}"
    );
    let missing = toy.run_with(&["alert", "test", "team"], &[("HOOK", &hook)]).expect(1);
    assert!(
        missing.err.contains("the file `secret/token` cannot be read"),
        "{missing:#?}"
    );
    toy.write("secret/token", b"t0ken");
    let taken = toy.run_with(&["alert", "test", "team"], &[("HOOK", &hook)]).expect(0);
    assert!(
        taken.err.contains("took the test message of this command"),
        "{taken:#?}"
    );
    assert_eq!(http.next().body["title"], "a test of alert team: nothing is wrong");
    let refused = toy
        .run_with(&["--json", "alert", "test", "team"], &[("HOOK", &hook)])
        .expect(1)
        .answer();
    assert_eq!(refused["delivered"], false);
    assert!(
        refused["error"].as_str().unwrap().contains("404 Not Found"),
        "{refused}"
    );
    http.next();
    // With one, its environment counts and not the command's.
    let daemon = Daemon::start(&toy, &[("HOOK", &hook)]);
    let taken = toy.run(&["alert", "test", "team"]).expect(0);
    assert!(taken.err.contains("took the test message of the daemon"), "{taken:#?}");
    http.next();
    let unknown = toy.run(&["alert", "test", "teem"]).expect(4);
    assert!(unknown.err.contains("did you mean `team`?"), "{unknown:#?}");
    daemon.stop();
    let state = toy.run(&["--json", "alert", "list"]).expect(0).answer();
    assert_eq!(state["alerts"][0]["messages"], json!([]));
}

#[test]
fn slack_and_teams_get_what_they_understand() {
    let toy = project(
        r#"
[alert.slack]
webhook = { url = { env = "HOOK" }, shape = "slack" }

[alert.teams]
webhook = { url = { env = "HOOK" }, shape = "teams" }
"#,
    );
    let http = Http::start(&[Answer::Take]);
    let hook = format!("http://{}/hook", http.address);
    let send = |name: &str| {
        toy.run_with(&["alert", "test", name], &[("HOOK", &hook)]).expect(0);
        http.next()
    };
    let slack = send("slack");
    assert_eq!(slack.body["text"], "toy: a test of alert slack: nothing is wrong");
    assert_eq!(slack.body["blocks"][0]["type"], "header");
    let teams = send("teams");
    assert_eq!(teams.header("content-type"), "application/json");
    assert_eq!(teams.body["attachments"][0]["content"]["type"], "AdaptiveCard");
}
