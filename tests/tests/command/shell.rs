//! Programs that know nothing of the protocol, and hostile ones.

use std::time::Duration;

use assets::outcome::FailureClass;
use plugins::step_run::execute;
use tokio::time::timeout;

use super::world::{World, outcome, processes_with};

/// Far longer than any of this takes, and far shorter than what the programs here would like to run.
const NEVER: Duration = Duration::from_secs(120);

fn world(script: &str) -> World {
    let assets = r#"
[asset.gold.command]
kind = "command"
command = ["sh", "run.sh", "an argument"]
env = { GREETING = "good morning" }
"#;
    World::new(assets, &[("run.sh", script)])
}

#[tokio::test(flavor = "multi_thread")]
async fn output_goes_to_the_log_and_no_file_is_an_asset_without_rows() {
    let mut world = world("echo \"$GREETING, $1\"; echo oops >&2; printf 'caf\\377 1%%\\r99%%'; pwd");
    let staged = world.execute("gold.command", None).await.unwrap();
    assert!(staged.tables.is_empty() && staged.checks.is_empty());
    let folder = std::fs::canonicalize(world.folder.path()).unwrap();
    assert_eq!(
        world.log("stdout"),
        [
            "good morning, an argument".to_owned(),
            format!("99%{}", folder.display())
        ],
        "what follows a carriage return replaces the line"
    );
    assert_eq!(world.log("stderr"), ["oops"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_or_is_missing_fails_the_step() {
    let mut failing = world("echo before; exit 3");
    let failure = failing.execute("gold.command", None).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (FailureClass::Command, "`sh` ended with exit code 3")
    );
    let mut killed = world("kill -9 $$");
    let failure = killed.execute("gold.command", None).await.unwrap_err();
    assert_eq!(failure.message, "`sh` ended with signal 9");
    let mut missing = World::new(
        "[asset.gold.command]\nkind = \"command\"\ncommand = [\"no-such-program\"]\n",
        &[],
    );
    let failure = missing.execute("gold.command", None).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Command);
    assert!(failure.help.unwrap().contains("in PATH"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_program_started_outlives_it() {
    let mark = format!("314.{}", std::process::id());
    let script =
        format!("sleep {mark} & setsid sleep {mark} & (setsid sh -c 'sleep {mark} & sleep {mark}' &) ; echo started");
    let mut world = world(&script);
    let ended = timeout(NEVER, world.execute("gold.command", None)).await;
    ended.expect("survivors do not hold its output open").unwrap();
    assert_eq!(world.log("stdout"), ["started"]);
    assert_eq!(processes_with(&mark), Vec::<u32>::new());
}

async fn cancel(script: &str) -> World {
    let mut world = world(script);
    let order = world.order("gold.command", None);
    let (environment, cancel, receiver) = world.environment();
    let running = tokio::spawn(execute(order, environment));
    while !world.path("ready").exists() {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    timeout(NEVER, running).await.expect("it ends in bounded time").unwrap();
    let failure = outcome(receiver).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Canceled);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_asked_to_stop_and_may_say_goodbye() {
    // No child of the shell: one that the interrupt meets between its start and its program may keep the shell from hearing of it.
    let world = cancel("trap 'echo goodbye; exit 0' INT; : > ready; while :; do :; done").await;
    assert_eq!(world.log("stdout"), ["goodbye"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ignores_every_request_is_killed_in_bounded_time() {
    let mark = format!("271.{}", std::process::id());
    let script = format!("trap '' INT TERM; setsid sleep {mark} & touch ready; while :; do sleep 0.05; done");
    cancel(&script).await;
    assert_eq!(processes_with(&mark), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_is_bounded() {
    let mut world = world(
        "head -c 30000000 /dev/zero | tr '\\0' 'x'; echo; head -c 2000000 /dev/urandom; echo; yes line | head -n 200000",
    );
    world.execute("gold.command", None).await.unwrap();
    let lines = world.log("stdout");
    assert!(lines[0].ends_with("more bytes)") && lines[0].len() < 20_000);
    assert_eq!(lines.iter().filter(|line| *line == "line").count(), 200_000);
}
