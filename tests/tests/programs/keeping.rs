//! What is kept and what is not: backups under load, restores, and what is older than `[retention]` says.

use millpond_tests::program::{Daemon, Project, until};
use serde_json::{Value, json};
use state::Store;

const TOML: &str = r#"
[project]
name = "kept"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-06

[execution]
workers = 1
memory = "128 MB"

[schedule.nightly]
cron = "0 0 * * *"
select = "gold.days"
"#;

const ASSETS: &str = r#"
[asset.gold.days]
kind = "sql"
sql = "SELECT CAST($partition_key AS DATE) AS day, 1 AS n"
partitions = { use = "daily", column = "day" }
"#;

const EAGER: &str = r#"
[asset.gold.total]
kind = "sql"
sql = "SELECT sum(n) AS n FROM gold.days"
automation = "eager"
"#;

fn project() -> Project {
    Project::new(&[("millpond.toml", TOML), ("assets/a.toml", ASSETS)])
}

fn sum(project: &Project) -> Value {
    project.row("SELECT count(*) AS days, sum(n) AS n FROM gold.days")
}

#[test]
fn a_backup_under_load_is_sound_and_what_is_restored_waits_for_a_word() {
    let project = project();
    let daemon = Daemon::start(&project);
    project.run(&["materialize"]).expect(0);
    let before = sum(&project);
    let file = project.path().join("backup.tar");
    let file = file.to_str().unwrap();
    // Runs are asked for and done all the while.
    let client = daemon.client().clone();
    let written = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // More than these would keep the test waiting for their end.
            for _ in 0..60 {
                if written.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                let body = json!({ "selection": "gold.days", "force": true });
                let reply = client
                    .request("POST", "/api/v1/runs", &body.to_string())
                    .expect("it answers");
                assert_eq!(reply.status, 200);
            }
        });
        let said = project.run(&["--json", "backup", file]).expect(0).answer();
        written.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(said["manifest"]["project"], "kept", "{said:#}");
        assert!(
            said["manifest"]["tables"]["gold.days"]["metadata_location"].is_string(),
            "{said:#}"
        );
    });
    let again = project.run(&["backup", file]).expect(2);
    assert!(again.err.contains("exists already"), "{again:#?}");
    // A daemon owns the state: it cannot be replaced under its feet.
    project.run(&["restore", file, "--replace"]).expect(5);
    until("all runs are over", || {
        let open = daemon.get("/api/v1/overview").json()["open"].as_array()?.len();
        (open == 0).then_some(())
    });
    // A day later, so to say.
    project.write("assets/a.toml", ASSETS.replace("1 AS n", "2 AS n").as_bytes());
    project.run(&["materialize"]).expect(0);
    assert_ne!(sum(&project), before);
    assert_eq!(daemon.stop().code, Some(0));

    project.run(&["restore", file]).expect(2);
    let said = project
        .run(&["--json", "restore", file, "--replace"])
        .expect(0)
        .answer();
    assert_eq!(said["paused_schedules"], json!(["nightly"]), "{said:#}");
    assert_eq!(said["paused_automation"], true, "{said:#}");
    assert_eq!(said["newer"][0]["table"], "gold.days", "{said:#}");
    let kept = said["before"].as_str().unwrap();
    assert!(std::path::Path::new(kept).join("state.db").exists(), "{kept}");
    project.run(&["fsck"]).expect(0);
    assert_eq!(sum(&project), before);

    // Two days later nothing of the schedule's instants is made up for, and no run goes on by itself.
    let daemon = Daemon::start_with(&project, &[], &[("MILLPOND_CLOCK_OFFSET", "172800")]);
    let found = daemon.get("/api/v1/schedules").json();
    assert_eq!(found["schedules"][0]["paused_by"], "restore", "{found:#}");
    assert_eq!(found["ticks"], json!([]), "{found:#}");
    let runs = project.run(&["--json", "runs"]).expect(0).answers();
    for run in &runs {
        let status = run["status"].as_str().unwrap();
        assert!(run["paused"] == json!(true) || status == "succeeded", "{run:#}");
    }
    // An asset that looks after itself does not begin to before someone says so.
    project.write("assets/more.toml", EAGER.as_bytes());
    let paused = |asset: &str| {
        let found = project.run(&["--json", "automation", "list"]).expect(0).answer();
        let listed = found["automation"].as_array()?;
        listed.iter().find(|row| row["asset"] == asset)?;
        Some(found["paused_by"].clone())
    };
    assert_eq!(paused("gold.total"), Some(json!("restore")));
    project.run(&["automation", "resume"]).expect(0);
    until("the new asset is made", || {
        let asked = project.run(&["query", "SELECT n FROM gold.total"]);
        (asked.code == Some(0)).then_some(())
    });
    project.run(&["schedule", "resume", "nightly"]).expect(0);
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn what_is_no_backup_or_a_damaged_one_is_refused_and_nothing_is_touched() {
    let project = project();
    project.run(&["materialize"]).expect(0);
    let before = sum(&project);
    project.write("notes.txt", b"not a backup");
    let path = project.path().join("notes.txt");
    let said = project.run(&["restore", path.to_str().unwrap(), "--replace"]).expect(2);
    assert!(said.err.contains("is no backup"), "{said:#?}");
    let file = project.path().join("b.tar");
    project.run(&["backup", file.to_str().unwrap()]).expect(0);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let said = project.run(&["restore", file.to_str().unwrap(), "--replace"]).expect(6);
    assert!(said.err.contains("is damaged"), "{said:#?}");
    assert_eq!(sum(&project), before);
    let left: Vec<String> = std::fs::read_dir(project.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".millpond."))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    project.sound();
}

#[test]
fn what_is_older_than_retention_says_is_removed_and_the_tables_stay() {
    let project = project();
    project.write(
        "millpond.toml",
        format!("{TOML}\n[retention]\ndays = 30\nkeep_runs = 2\n").as_bytes(),
    );
    for _ in 0..6 {
        project.run(&["materialize", "--force"]).expect(0);
    }
    let before = sum(&project);
    let listed = || project.run(&["--json", "runs"]).expect(0).answers();
    let old = listed();
    assert_eq!(old.len(), 6);
    assert_eq!(
        project
            .files(".millpond/logs")
            .iter()
            .filter(|file| file.contains("run_"))
            .count(),
        6
    );
    let events = |project: &Project| {
        let said = project.run(&["--json", "fsck"]).expect(0).answer();
        assert_eq!(said["sound"], true, "{said:#}");
    };
    events(&project);

    // Forty days later.
    let mut daemon = Daemon::start_with(&project, &[], &[("MILLPOND_CLOCK_OFFSET", "3456000")]);
    daemon
        .running()
        .wait_for("what was older than [retention] says was removed");
    let left = listed();
    // The newest ones, and whatever the schedule has asked for meanwhile.
    let gone: Vec<&Value> = old
        .iter()
        .filter(|run| !left.iter().any(|other| other["run"] == run["run"]))
        .collect();
    assert!(gone.len() >= 4, "{left:#?}");
    let run = gone.last().unwrap()["run"].as_str().unwrap();
    project.run(&["runs", run]).expect(4);
    assert!(!project.files(".millpond/logs").iter().any(|file| file.contains(run)));
    assert_eq!(sum(&project), before);
    for page in ["/", "/runs", "/assets/gold.days", "/schedules"] {
        assert_eq!(daemon.get(page).status, 200, "{page}");
    }
    for (page, back) in [("runs", "/runs"), ("backfills", "/backfills")] {
        let told = daemon.get(&format!("/{page}/{run}"));
        let back = format!("href=\"{back}\"");
        assert!(
            told.status == 404 && told.body.contains("[retention]") && told.body.contains(&back),
            "{}",
            told.body
        );
    }
    events(&project);
    assert_eq!(daemon.stop().code, Some(0));
    project.sound();
    // It goes on from there.
    project.run(&["materialize", "--force"]).expect(0);
    project.sound();
}

#[test]
fn a_sensor_remembers_what_is_still_there_and_forgets_what_is_long_gone() {
    let project = project();
    let sensor = r#"
[sensor.landing]
kind = "files"
path = "landing/*.txt"
identity = "content"
settle = "1s"
remember = "10 days"
select = "gold.days"

[retention]
days = 30
keep_runs = 1
"#;
    project.write("millpond.toml", format!("{TOML}{sensor}").as_bytes());
    let told = || {
        let store = Store::open_reader(&project.path().join(".millpond/state.db")).unwrap();
        let sensor = store.load().unwrap().sensors.get("landing").cloned();
        sensor.map_or(0, |sensor| sensor.told.len())
    };
    let daemon = Daemon::start(&project);
    for (count, name) in [(1, "stays"), (2, "goes")] {
        project.write(&format!("landing/{name}.txt"), name.as_bytes());
        until("the file is told of", || (told() == count).then_some(()));
    }
    until("its run is over", || {
        let open = daemon.get("/api/v1/overview").json()["open"].as_array()?.len();
        (open == 0).then_some(())
    });
    let runs = project.run(&["--json", "runs"]).expect(0).answers();
    let run = runs[0]["run"].as_str().unwrap().to_owned();
    assert_eq!(daemon.stop().code, Some(0));
    std::fs::remove_file(project.path().join("landing/goes.txt")).unwrap();
    project.run(&["materialize", "--force"]).expect(0);

    // Forty days later: the run of the sensor goes, and the key of the file that is gone.
    let mut daemon = Daemon::start_with(&project, &[], &[("MILLPOND_CLOCK_OFFSET", "3456000")]);
    daemon
        .running()
        .wait_for("what was older than [retention] says was removed");
    project.run(&["runs", &run]).expect(4);
    // Its tick is kept; it says what became of the run, and so does whoever has the old address.
    let ticks = daemon.get("/sensors").body;
    assert!(
        ticks.contains(&run) && ticks.contains("removed since") && !ticks.contains(&format!("/runs/{run}")),
        "{ticks}"
    );
    let page = daemon.get(&format!("/runs/{run}"));
    assert_eq!(page.status, 404);
    for fact in [
        "was removed",
        "the sensor landing still has the tick",
        "href=\"/sensors?sensor=landing\"",
    ] {
        assert!(page.body.contains(fact), "{fact}: {}", page.body);
    }
    until("a key is forgotten", || (told() == 1).then_some(()));
    project.run(&["fsck"]).expect(0);
    // The same bytes under another name: of the file that is still there nothing is told, of the other as if it were new.
    project.write("landing/stays_too.txt", b"stays");
    project.write("landing/comes_again.txt", b"goes");
    until("what was forgotten is told of", || (told() == 2).then_some(()));
    let listed = project.run(&["--json", "sensor", "list", "landing"]).expect(0).answer();
    let newest = &listed["sensors"][0]["ticks"][0];
    assert_eq!(newest["examples"], json!(["landing/comes_again.txt"]), "{newest:#}");
    assert_eq!(daemon.stop().code, Some(0));
    project.run(&["fsck"]).expect(0);
}
