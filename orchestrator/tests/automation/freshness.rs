//! Freshness: told once when an asset becomes late and once when it recovers, and heard by automation.

use state::event::{Event, OwnerMode};
use state::fsck;

use crate::daemon::{Daemon, asset, at, automated, fresh_within};

/// The changes since this was asked last: `gold.a: on_time -> warning`.
fn changes(daemon: &mut Daemon) -> Vec<String> {
    let events = std::mem::take(&mut daemon.events);
    events
        .into_iter()
        .filter_map(|recorded| match recorded.event {
            Event::FreshnessChanged { change } => {
                let from = change.from.map_or("nothing", |from| from.as_str());
                Some(format!("{}: {from} -> {}", change.asset, change.to.as_str()))
            }
            Event::FreshnessRemoved { asset } => Some(format!("{asset} is not watched")),
            _ => None,
        })
        .collect()
}

#[test]
fn an_asset_that_becomes_late_is_told_once_and_again_when_it_recovers() {
    let gold = fresh_within(asset("gold.a", None, &[]), 26, Some(24));
    let mut daemon = Daemon::start(&[gold.clone()], "2024-03-09T12:00:00Z");
    assert_eq!(changes(&mut daemon), ["gold.a: nothing -> unknown"]);
    daemon.submit("gold.a", None);
    daemon.work();
    assert_eq!(changes(&mut daemon), ["gold.a: unknown -> on_time"]);
    let made = daemon.world.asset(&gold.key).unwrap().newest.unwrap();
    assert_eq!(daemon.world.next_alarm(), Some(made + 24 * 3_600_000_000));
    daemon.wake("2024-03-10T11:59:59Z");
    assert_eq!(changes(&mut daemon), Vec::<String>::new());
    daemon.wake("2024-03-10T12:01:00Z");
    assert_eq!(changes(&mut daemon), ["gold.a: on_time -> warning"]);
    // Nobody was there when it became late; the next start finds out, once.
    daemon.now = at("2024-03-12T00:00:00Z");
    daemon.restart(OwnerMode::Daemon);
    daemon.restart(OwnerMode::Daemon);
    assert_eq!(changes(&mut daemon), ["gold.a: warning -> late"]);
    assert_eq!(daemon.world.next_alarm(), None);
    daemon.update("gold.a", "two");
    daemon.work();
    assert_eq!(changes(&mut daemon), ["gold.a: late -> on_time"]);
    daemon.edit(&[asset("gold.a", None, &[])]);
    assert_eq!(changes(&mut daemon), ["gold.a is not watched"]);
    assert_eq!(fsck::check(&daemon.store).unwrap(), []);
}

#[test]
fn what_was_never_made_is_late_by_the_time_it_is_watched() {
    let gold = fresh_within(asset("gold.a", None, &[]), 2, None);
    let mut daemon = Daemon::start(&[gold], "2024-03-09T12:00:00Z");
    daemon.restart(OwnerMode::Foreground);
    daemon.wake("2024-03-09T18:00:00Z");
    assert_eq!(changes(&mut daemon), ["gold.a: nothing -> unknown"]);
    daemon.restart(OwnerMode::Daemon);
    assert_eq!(changes(&mut daemon), ["gold.a: unknown -> late"]);
}

#[test]
fn automation_hears_of_freshness() {
    let source = fresh_within(asset("bronze.a", None, &[]), 2, None);
    let gold = automated(
        asset("gold.b", None, &[&source]),
        "any(freshness_late) and code_changed",
    );
    let alone = automated(
        fresh_within(asset("gold.alone", None, &[&source]), 3, None),
        "freshness_late and upstream_updated",
    );
    let mut assets = [source, gold, alone];
    let mut daemon = Daemon::start(&assets, "2024-03-09T12:00:00Z");
    daemon.submit("*", None);
    daemon.work();
    daemon.update("bronze.a", "two");
    daemon.work();
    assets[1].fingerprint = assets::Fingerprint::of(["gold.b", "two"]);
    daemon.edit(&assets);
    assert_eq!(daemon.requested(), Vec::<String>::new());
    daemon.wake("2024-03-09T14:30:00Z");
    daemon.work();
    assert_eq!(daemon.requested(), ["gold.b"]);
    daemon.wake("2024-03-09T15:30:00Z");
    daemon.work();
    assert_eq!(daemon.requested(), ["gold.alone"]);
}
