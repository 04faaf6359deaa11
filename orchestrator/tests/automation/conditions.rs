//! Crons and composed conditions.

use orchestrator::core::explain;

use crate::daemon::{Daemon, asset, automated, days, fixed};

#[test]
fn on_cron_comes_after_the_tick_once_what_it_reads_was_made_since() {
    let one = asset("bronze.one", None, &[]);
    let two = asset("bronze.two", None, &[]);
    // 02:30 in New York does not exist on the 10th: the tick is at 03:00, which is 07:00 UTC.
    let gold = automated(asset("gold.c", None, &[&one, &two]), "30 2 * * *");
    let mut daemon = Daemon::start(&[one, two, gold], "2024-03-09T08:00:00Z");
    assert_eq!(daemon.requested(), Vec::<String>::new());
    daemon.submit("bronze.one", None);
    daemon.submit("bronze.two", None);
    daemon.work();
    // Both were made since the tick of the 9th at 07:30 UTC.
    assert_eq!(daemon.requested(), ["gold.c"]);
    daemon.update("bronze.one", "two");
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
    assert_eq!(
        daemon.world.next_alarm(),
        Some(crate::daemon::at("2024-03-10T07:00:00Z"))
    );
    daemon.wake("2024-03-10T07:00:00Z");
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
    daemon.update("bronze.one", "three");
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
    daemon.update("bronze.two", "three");
    daemon.work();
    assert_eq!(daemon.requested(), ["gold.c"]);
    daemon.update("bronze.two", "four");
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
}

#[test]
fn what_failed_after_a_tick_is_tried_again_at_the_next() {
    let one = asset("bronze.one", None, &[]);
    let gold = automated(asset("gold.c", None, &[&one]), "0 6 * * *");
    let mut daemon = Daemon::start(&[one, gold], "2024-03-05T12:00:00Z");
    let failing = assets::AssetPartition::new("gold.c".parse().unwrap(), None);
    daemon.failing.insert(failing);
    daemon.change("bronze.one", "");
    daemon.submit("bronze.one", None);
    daemon.work();
    assert_eq!(daemon.requested(), ["gold.c"]);
    daemon.update("bronze.one", "");
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
    // The same rows, made after the next tick: worth another try.
    daemon.wake("2024-03-06T11:00:00Z");
    daemon.update("bronze.one", "");
    daemon.work();
    assert_eq!(daemon.requested(), ["gold.c"]);
}

#[test]
fn a_condition_is_asked_of_each_partition_and_told_part_by_part() {
    let source = asset("bronze.a", days(), &[]);
    let silver = automated(
        asset("silver.b", days(), &[&source]),
        "(missing or upstream_updated) and latest(2) and not any(check_failed)",
    );
    let mut daemon = Daemon::start(&[source, silver], "2024-03-06T17:00:00Z");
    daemon.submit("bronze.a", None);
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b 2024-03-04..2024-03-05"]);
    // The last try of an upstream partition was stopped by a check: its old rows are not built on.
    let bad = assets::AssetPartition::new(
        "bronze.a".parse().unwrap(),
        Some(assets::PartitionKey::new("2024-03-05").unwrap()),
    );
    daemon.failing.insert(bad);
    daemon.checks_fail = true;
    daemon.update("bronze.a", "two");
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b 2024-03-04"]);
    let key = assets::PartitionKey::new("2024-03-05").unwrap();
    let told = explain(&daemon.world, daemon.now, &"silver.b".parse().unwrap(), Some(&key)).unwrap();
    assert_eq!(told.verdict(), "the condition does not hold");
    let lines: Vec<String> = orchestrator::evaluation::lines(&told.evaluation)
        .into_iter()
        .map(|line| format!("{}{} {}", "  ".repeat(line.depth), line.text, line.result))
        .collect();
    assert_eq!(
        lines,
        [
            "all of no",
            "  any of no",
            "    missing no",
            "    upstream_updated no",
            "  latest(2) not asked",
            "  not not asked",
            "    any(check_failed) not asked",
        ]
    );
}

#[test]
fn since_compares_when_things_happened_last() {
    let source = asset("bronze.a", fixed(2), &[]);
    let silver = automated(
        asset("silver.b", fixed(2), &[&source]),
        "since(upstream_materialized, materialized) and since(cron('0 12 * * *'), upstream_materialized)",
    );
    let mut daemon = Daemon::start(&[source, silver], "2024-03-05T15:00:00Z");
    daemon.submit("bronze.a", None);
    daemon.work();
    assert_eq!(daemon.requested(), Vec::<String>::new());
    // Noon in New York comes after it was made.
    daemon.wake("2024-03-05T17:00:00Z");
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b p0000..p0001"]);
    daemon.wake("2024-03-06T17:00:00Z");
    assert_eq!(daemon.requested(), Vec::<String>::new());
}

#[test]
fn a_condition_that_names_assets_is_asked_of_no_others() {
    let flights = asset("bronze.flights", fixed(2), &[]);
    let weather = asset("bronze.weather", fixed(2), &[]);
    let silver = automated(
        asset("silver.b", fixed(2), &[&flights, &weather]),
        "missing or upstream_updated(bronze.flights)",
    );
    let gold = automated(
        asset("gold.c", fixed(2), &[&flights, &weather]),
        "missing or any(failed of bronze.weather) and stale",
    );
    let late = automated(
        asset("gold.d", fixed(2), &[&flights, &weather]),
        "missing or since(upstream_materialized(bronze.weather), materialized) and all(since(materialized, failed) of bronze.flights)",
    );
    let mut daemon = Daemon::start(&[flights, weather, silver, gold, late], "2024-03-05T12:00:00Z");
    daemon.submit("bronze.*", None);
    daemon.work();
    let all = "silver.b p0000..p0001, gold.d p0000..p0001, gold.c p0000..p0001";
    assert_eq!(daemon.requested(), [all]);
    // What it is not about changes, and makes it stale all the same.
    daemon.update("bronze.weather", "two");
    daemon.work();
    assert_eq!(daemon.requested(), ["gold.d p0000..p0001"]);
    daemon.update("bronze.flights", "two");
    daemon.work();
    assert_eq!(daemon.requested(), ["silver.b p0000..p0001"]);
    // A failure of one that is not named, and of the one that is.
    for (name, is_asked) in [("bronze.flights", false), ("bronze.weather", true)] {
        daemon.failing.insert(assets::AssetPartition::new(
            name.parse().unwrap(),
            Some(assets::PartitionKey::new("p0000").unwrap()),
        ));
        daemon.update(name, "three");
        daemon.work();
        let requested = daemon.requested();
        let asked = requested.iter().any(|decision| decision.contains("gold.c p0000"));
        assert_eq!(asked, is_asked, "{name}: {requested:?}");
        daemon.failing.clear();
    }
    let told = explain(
        &daemon.world,
        daemon.now,
        &"silver.b".parse().unwrap(),
        Some(&assets::PartitionKey::new("p0001").unwrap()),
    );
    assert_eq!(told.unwrap().rule, "when missing or upstream_updated(bronze.flights)");
}
