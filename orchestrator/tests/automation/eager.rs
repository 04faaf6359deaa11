//! `eager` and `on_missing`: one run for all that follows from a change, nothing twice, nothing lost.

use assets::Fingerprint;
use assets::partition::{PartitionMapping, WindowEnd};
use orchestrator::core::{Answer, Input, explain};
use state::event::{Event, OwnerMode};

use crate::daemon::{Daemon, asset, automated, days, fixed};

const NOON: &str = "2024-03-06T17:00:00Z";

#[test]
fn what_follows_from_a_change_is_one_run_in_the_order_of_the_graph() {
    let source = asset("bronze.a", days(), &[]);
    let silver = automated(asset("silver.b", days(), &[&source]), "eager");
    let gold = automated(asset("gold.c", None, &[&silver]), "eager");
    let other = asset("gold.not_automated", days(), &[&silver]);
    let mut daemon = Daemon::start(&[source, silver, gold, other], NOON);
    assert_eq!(daemon.requested(), Vec::<String>::new());

    daemon.submit("bronze.a", None);
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b 2024-03-01..2024-03-05, gold.c"]);
    assert!(daemon.world.partition(&"gold.c".parse().unwrap(), None).is_some());
    assert!(daemon.world.asset(&"gold.not_automated".parse().unwrap()).is_none());

    // Made again with the same rows: nothing changed. With others: once more, and only that.
    daemon.update("bronze.a", "");
    daemon.versions.clear();
    daemon.work();
    daemon.requested();
    daemon.change("bronze.a", "two");
    daemon.submit("bronze.a", Some(("2024-03-04", "2024-03-04")));
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
}

#[test]
fn it_waits_for_the_rest_of_what_a_run_makes_and_not_for_other_runs() {
    let source = asset("bronze.a", fixed(10), &[]);
    let silver = automated(asset("silver.b", fixed(10), &[&source]), "eager");
    let mut daemon = Daemon::start(&[source, silver], NOON);
    daemon.submit("bronze.a", None);
    // Two of three batches are published: nothing is requested yet, for nothing of it.
    assert!(daemon.work_once() && daemon.work_once());
    assert_eq!(daemon.requested(), Vec::<String>::new());
    let told = explain(
        &daemon.world,
        daemon.now,
        &"silver.b".parse().unwrap(),
        Some(&assets::PartitionKey::new("p0000").unwrap()),
    )
    .unwrap();
    assert!(told.verdict().ends_with("is to make more of bronze.a"), "{told:?}");
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b p0000..p0009"]);

    // A paused run keeps nobody waiting: what it made counts.
    daemon.update("bronze.a", "two");
    assert!(daemon.work_once());
    let run = daemon.world.open_runs().next().unwrap().id.clone();
    let pause = |pause| Input::PauseRun {
        request: 0,
        run: run.clone(),
        pause,
    };
    daemon.take(pause(true));
    assert!(daemon.work_once());
    assert!(!daemon.requested().is_empty());
    daemon.work();
    daemon.take(pause(false));
    daemon.work();
    for key in daemon
        .world
        .asset(&"silver.b".parse().unwrap())
        .unwrap()
        .partitions
        .values()
    {
        assert!(key.materialization.is_some());
    }
    let stale = explain(&daemon.world, daemon.now, &"silver.b".parse().unwrap(), None).unwrap();
    assert_eq!(stale.evaluation.held.count, 0, "{stale:?}");
}

#[test]
fn what_changes_while_it_is_made_is_made_again_and_nothing_beside() {
    let source = asset("bronze.a", None, &[]);
    let silver = automated(asset("silver.b", None, &[&source]), "eager");
    let mut daemon = Daemon::start(&[source, silver], NOON);
    daemon.submit("bronze.a", None);
    daemon.work_once();
    assert_eq!(daemon.requested(), ["silver.b"]);
    // The run of silver.b is under way while bronze.a changes and is done.
    daemon.update("bronze.a", "two");
    let orders = daemon.world.attempts().count();
    assert_eq!(orders, 2);
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b"]);
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
}

#[test]
fn what_failed_is_left_alone_until_something_that_it_is_made_from_changes() {
    let source = asset("bronze.a", days(), &[]);
    let silver = automated(asset("silver.b", days(), &[&source]), "eager");
    let below = automated(asset("gold.c", days(), &[&silver]), "eager");
    let assets = [source, silver, below];
    let mut daemon = Daemon::start(&assets, NOON);
    let bad = assets::AssetPartition::new(
        "silver.b".parse().unwrap(),
        Some(assets::PartitionKey::new("2024-03-02").unwrap()),
    );
    daemon.failing.insert(bad.clone());
    daemon.submit("bronze.a", None);
    daemon.work();
    assert_eq!(
        daemon.requested(),
        ["silver.b 2024-03-01..2024-03-05, gold.c 2024-03-01..2024-03-05"]
    );
    // However often it is looked at, and after a restart.
    daemon.take(Input::DefinitionsLoaded(std::sync::Arc::clone(&daemon.definitions)));
    daemon.restart(OwnerMode::Daemon);
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
    let told = explain(&daemon.world, daemon.now, &bad.asset, bad.partition.as_ref()).unwrap();
    assert!(told.verdict().starts_with("it failed"), "{told:?}");

    // Its code changes: tried once more, with those that are stale for the same reason.
    let mut edited = assets.clone();
    edited[1].fingerprint = Fingerprint::of(["silver.b", "two"]);
    daemon.edit(&edited);
    daemon.work();
    let told = daemon.requested();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("silver.b 2024-03-01..2024-03-05"), "{told:?}");
    daemon.edit(&edited);
    assert_eq!(daemon.requested(), Vec::<String>::new());

    // Its input changes: tried once more, and then it succeeds.
    daemon.failing.clear();
    daemon.change("bronze.a", "two");
    daemon.take(Input::Submit {
        request: 0,
        run: state::event::RunRequest {
            selection: "bronze.a".to_owned(),
            partitions: Some(state::event::PartitionChoice::One(bad.partition.clone().unwrap())),
            force: true,
            only: None,
            pace: state::event::Pace::default(),
            owner: OwnerMode::Daemon,
            trigger: "test".to_owned(),
        },
    });
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b 2024-03-02, gold.c 2024-03-02"]);
    assert_eq!(daemon.world.automation().held.len(), 0);
}

#[test]
fn what_someone_canceled_stays_canceled() {
    let source = asset("bronze.a", None, &[]);
    let silver = automated(asset("silver.b", None, &[&source]), "eager");
    let mut daemon = Daemon::start(&[source, silver], NOON);
    daemon.submit("bronze.a", None);
    daemon.work_once();
    let run = daemon.world.open_runs().last().unwrap().id.clone();
    daemon.take(Input::CancelRun { request: 0, run });
    daemon.work();
    daemon.restart(OwnerMode::Daemon);
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b"]);
    daemon.update("bronze.a", "two");
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b"]);
    assert!(
        daemon
            .world
            .partition(&"silver.b".parse().unwrap(), None)
            .unwrap()
            .materialization
            .is_some()
    );
}

#[test]
fn on_missing_makes_each_partition_once_and_new_ones_as_they_come() {
    let source = asset("bronze.a", None, &[]);
    let silver = automated(asset("silver.b", days(), &[&source]), "on_missing");
    let mut daemon = Daemon::start(&[source, silver], NOON);
    assert_eq!(daemon.requested(), Vec::<String>::new());
    daemon.submit("bronze.a", None);
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b 2024-03-01..2024-03-05"]);
    // Stale is not missing.
    daemon.update("bronze.a", "two");
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
    // Midnight in New York.
    daemon.wake("2024-03-07T04:59:59Z");
    assert_eq!(daemon.requested(), Vec::<String>::new());
    assert_eq!(
        daemon.world.next_alarm(),
        Some(crate::daemon::at("2024-03-07T05:00:00Z"))
    );
    daemon.wake("2024-03-07T05:00:00Z");
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b 2024-03-06"]);
    // Three nights at once, one of them of 23 hours.
    daemon.wake("2024-03-11T04:00:00Z");
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b 2024-03-07..2024-03-10"]);
}

#[test]
fn a_pause_loses_nothing_and_a_command_in_the_foreground_starts_nothing() {
    let source = asset("bronze.a", None, &[]);
    let one = automated(asset("silver.one", None, &[&source]), "eager");
    let two = automated(asset("silver.two", None, &[&source]), "eager");
    let mut daemon = Daemon::start(&[source, one, two], NOON);
    let pause = |asset: Option<&str>, pause| Input::PauseAutomation {
        request: 0,
        asset: asset.map(|asset| asset.parse().unwrap()),
        pause,
        by: "someone".to_owned(),
    };
    daemon.take(pause(Some("silver.one"), true));
    daemon.take(pause(Some("silver.one"), true));
    daemon.submit("bronze.a", None);
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.two"]);
    daemon.take(pause(None, true));
    daemon.take(pause(Some("silver.one"), false));
    daemon.restart(OwnerMode::Daemon);
    daemon.update("bronze.a", "two");
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
    let told = explain(&daemon.world, daemon.now, &"silver.one".parse().unwrap(), None).unwrap();
    assert_eq!(told.verdict(), "automation is paused by someone");
    daemon.restart(OwnerMode::Foreground);
    daemon.take(pause(None, false));
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
    daemon.restart(OwnerMode::Daemon);
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.two, silver.one"]);
    daemon.take(pause(Some("bronze.a"), true));
    daemon.take(pause(Some("silver.tow"), true));
    let refused = |answer: &Answer| matches!(answer, Answer::Refused { reasons } if reasons[0].contains("silver.two") || reasons[0].contains("has no automation"));
    assert!(daemon.answers.iter().rev().take(2).all(refused), "{:?}", daemon.answers);
}

#[test]
fn what_is_paused_wakes_nobody_and_catches_up_when_it_goes_on() {
    let source = asset("bronze.a", None, &[]);
    let silver = automated(asset("silver.b", days(), &[&source]), "on_missing");
    let mut daemon = Daemon::start(&[source, silver], NOON);
    let pause = |pause| Input::PauseAutomation {
        request: 0,
        asset: None,
        pause,
        by: "someone".to_owned(),
    };
    daemon.submit("bronze.a", None);
    daemon.work();
    daemon.requested();
    daemon.take(pause(true));
    daemon.wake("2024-03-08T12:00:00Z");
    assert_eq!(daemon.world.next_alarm(), None);
    daemon.take(pause(false));
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b 2024-03-06..2024-03-07"]);
    assert!(daemon.world.next_alarm().is_some());
}

#[test]
fn a_crash_at_any_moment_loses_no_trigger() {
    let chain = || {
        let source = asset("bronze.a", fixed(6), &[]);
        let silver = automated(asset("silver.b", fixed(6), &[&source]), "eager");
        let gold = automated(asset("gold.c", None, &[&silver]), "eager");
        [source, silver, gold]
    };
    // However many attempts were done when the process died, the end is the same.
    for done in 0..10 {
        let mut daemon = Daemon::start(&chain(), NOON);
        daemon.submit("bronze.a", None);
        for _ in 0..done {
            daemon.work_once();
        }
        daemon.restart(OwnerMode::Daemon);
        daemon.work();
        let made: Vec<String> = daemon
            .events
            .iter()
            .filter_map(|recorded| match &recorded.event {
                Event::StepSucceeded { materialization, .. } => Some(materialization.step.to_string()),
                _ => None,
            })
            .collect();
        let of = |asset: &str| made.iter().filter(|step| step.starts_with(asset)).count();
        assert_eq!((of("bronze.a"), of("silver.b")), (6, 6), "{done}: {made:?}");
        assert!(of("gold.c") >= 1, "{done}: {made:?}");
        let told = explain(&daemon.world, daemon.now, &"gold.c".parse().unwrap(), None).unwrap();
        assert_eq!(told.evaluation.held.count, 0, "{done}: {told:?}");
    }
}

#[test]
fn a_change_of_many_partitions_below_which_are_many_assets_is_one_run() {
    let source = asset("layer.a00", fixed(200), &[]);
    let mut assets = vec![source];
    for number in 1..=12 {
        let name = format!("layer.a{number:02}");
        let above = &assets[number - 1];
        let next = automated(asset(&name, fixed(200), &[above]), "eager");
        assets.push(next);
    }
    let mut daemon = Daemon::start(&assets, NOON);
    daemon.submit("layer.a00", None);
    while daemon.world.open_runs().any(|run| run.request.trigger == "test") {
        assert!(daemon.work_once());
    }
    let told = daemon.requested();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].matches("p0000..p0199").count(), 12, "{told:?}");
    assert_eq!(
        daemon.world.open_runs().map(|run| run.steps.len()).collect::<Vec<_>>(),
        [2400]
    );
}

#[test]
fn a_window_before_the_first_day_waits_for_the_table_that_it_sees_nothing_of() {
    let source = asset("bronze.a", days(), &[]);
    let mut silver = automated(asset("silver.b", days(), &[&source]), "eager");
    silver.inputs[0].mapping = PartitionMapping::Window {
        length: "2 days".to_owned(),
        ending: WindowEnd::Before,
    };
    let mut daemon = Daemon::start(&[source, silver], NOON);
    assert_eq!(daemon.requested(), Vec::<String>::new());

    // One day is made: the day after sees it, and the first day, which sees no day, can read the table's columns.
    daemon.submit("bronze.a", Some(("2024-03-02", "2024-03-02")));
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b 2024-03-01 2024-03-03..2024-03-04"]);
}
