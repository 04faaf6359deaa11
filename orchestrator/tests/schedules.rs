//! Schedules in the core, without a daemon: what becomes of each instant, told by the events alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use assets::cron::{Cron, Repeated, Timetable};
use assets::partition::{Grain, Partitioning, TimePartitions};
use assets::schedule::{CatchUp, CatchUpPolicy, Overlap};
use assets::selection::Selection;
use assets::{Asset, AssetGraph, Fingerprint, Location, PartitionedBy, Schedule, WriteMode};
use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use orchestrator::core::{Answer, CoreSettings, Definitions, Effect, Input, World, check_same, turn};
use proptest::prelude::*;
use state::Store;
use state::event::{Event, Micros, OwnerMode};
use state::schedule::{Tick, TickStatus};

const ZONE: &str = "America/New_York";

fn at(text: &str) -> Micros {
    text.parse::<Timestamp>().unwrap().as_microsecond()
}

fn text(micros: Micros) -> String {
    Timestamp::from_microsecond(micros).unwrap().to_string()
}

fn place() -> Location {
    Location {
        file: "millpond.toml".to_owned(),
        line: 1,
        column: 1,
    }
}

fn asset(key: &str, partitioning: Option<Partitioning>) -> Asset {
    Asset {
        key: key.parse().unwrap(),
        kind: "sql".to_owned(),
        description: None,
        owner: None,
        tags: Vec::new(),
        partitions: partitioning.map(|partitioning| PartitionedBy {
            name: "set".to_owned(),
            column: "part".to_owned(),
            partitioning,
        }),
        key_columns: Vec::new(),
        sort_columns: Vec::new(),
        write: WriteMode::Replace,
        contract: assets::Contract::default(),
        inputs: Vec::new(),
        checks: Vec::new(),
        freshness: None,
        automation: None,
        rules: assets::StepRules::default(),
        fingerprint: Fingerprint::of([key]),
        config: serde_json::Value::Null,
        declared_at: place(),
    }
}

fn schedule(cron: &str) -> Schedule {
    Schedule {
        name: "nightly".to_owned(),
        description: None,
        timetable: Timetable::new(
            vec![Cron::parse(cron).unwrap()],
            TimeZone::get(ZONE).unwrap(),
            Repeated::First,
        ),
        zone: ZONE.to_owned(),
        selection: Selection::parse("gold.a").unwrap(),
        catch_up: CatchUp::default(),
        overlap: Overlap::Skip,
        jitter_seconds: 0,
        paused: false,
        location: place(),
    }
}

/// A world without workers: runs that are requested wait until they are canceled.
struct Daemon {
    world: World,
    store: Store,
    definitions: Arc<Definitions>,
    now: Micros,
    boots: u32,
    ticks: Vec<Tick>,
    answers: Vec<Answer>,
}

fn definitions(schedules: &[Schedule]) -> Arc<Definitions> {
    let days = Partitioning::Time(TimePartitions {
        grain: Grain::Day,
        start: date(2026, 3, 1).at(0, 0, 0, 0),
        end: None,
        zone: ZONE.to_owned(),
    });
    let graph = AssetGraph::new([asset("gold.a", None), asset("gold.days", Some(days))]).unwrap();
    let settings = CoreSettings {
        slots: 0,
        ..CoreSettings::default()
    };
    let schedules: BTreeMap<String, Schedule> = schedules.iter().map(|one| (one.name.clone(), one.clone())).collect();
    Arc::new(Definitions::new(graph, settings).with_schedules(schedules))
}

impl Daemon {
    fn start(schedules: &[Schedule], now: &str) -> Self {
        let mut daemon = Self {
            world: World::new(7),
            store: Store::in_memory().unwrap(),
            definitions: definitions(schedules),
            now: at(now),
            boots: 0,
            ticks: Vec::new(),
            answers: Vec::new(),
        };
        daemon.restart(now);
        daemon
    }

    fn take(&mut self, input: Input) {
        let turn = turn(&mut self.world, self.now, input).unwrap();
        self.store.commit(&turn.events).unwrap();
        for recorded in turn.events {
            if let Event::Ticked { tick } = recorded.event {
                self.ticks.push(tick);
            }
        }
        for effect in turn.effects {
            if let Effect::Reply { answer, .. } = effect {
                self.answers.push(answer);
            }
        }
    }

    /// The daemon died, and starts again at `now`.
    fn restart(&mut self, now: &str) {
        self.now = at(now);
        self.boots += 1;
        let loaded = self.store.load().unwrap();
        self.world = World::from_loaded(loaded, Arc::clone(&self.definitions), u64::from(self.boots));
        self.take(Input::DefinitionsLoaded(Arc::clone(&self.definitions)));
        self.take(Input::Recover {
            boot: self.boots.to_string(),
            mode: OwnerMode::Daemon,
        });
    }

    fn edit(&mut self, schedules: &[Schedule]) {
        self.definitions = definitions(schedules);
        self.take(Input::DefinitionsLoaded(Arc::clone(&self.definitions)));
    }

    /// What a daemon that wakes at `now` does: each of its schedules that is due is told so until none is.
    fn wake(&mut self, now: &str) -> Vec<String> {
        self.wake_at(at(now))
    }

    fn wake_at(&mut self, now: Micros) -> Vec<String> {
        self.now = now;
        let before = self.ticks.len();
        for _ in 0..1000 {
            let Some(schedule) = self.world.due_schedules(self.now, 1).pop() else {
                let loaded = self.store.load().unwrap();
                let again = World::from_loaded(loaded, Arc::clone(&self.definitions), 0);
                check_same(&self.world, &again).unwrap();
                return self.ticks[before..].iter().map(told).collect();
            };
            self.take(Input::ScheduleDue { schedule, unseen: None });
        }
        panic!("what is due is told so and stays due");
    }

    fn ask(&mut self, input: impl Fn(u64, String, String) -> Input) -> Answer {
        self.take(input(0, "nightly".to_owned(), "me".to_owned()));
        self.answers.pop().unwrap()
    }

    fn end_runs(&mut self) {
        let runs: Vec<_> = self.world.open_runs().map(|run| run.id.clone()).collect();
        for run in runs {
            self.take(Input::CancelRun { request: 0, run });
        }
        assert_eq!(self.world.open_runs().count(), 0);
    }
}

fn told(tick: &Tick) -> String {
    let stretch = match tick.count {
        1 => String::new(),
        count => format!(" to {} ({count})", text(tick.last)),
    };
    let reason = match &tick.reason {
        Some(reason) => format!(": {}", reason.split(" run_").next().unwrap()),
        None => String::new(),
    };
    let hand = if tick.by_hand { " by hand" } else { "" };
    format!("{}{stretch} {}{hand}{reason}", text(tick.instant), tick.status.as_str())
}

#[test]
fn an_instant_starts_one_run_when_it_comes_and_never_again() {
    let mut daemon = Daemon::start(&[schedule("0 6 * * *")], "2026-06-01T00:00:00Z");
    assert_eq!(
        daemon.world.next_wake().map(text).as_deref(),
        Some("2026-06-01T10:00:00Z")
    );
    assert!(daemon.wake("2026-06-01T09:59:59.999999Z").is_empty());
    assert_eq!(daemon.wake("2026-06-01T10:00:00Z"), ["2026-06-01T10:00:00Z requested"]);
    let run = daemon.world.open_runs().next().unwrap();
    assert_eq!(
        (run.request.trigger.as_str(), run.request.selection.as_str()),
        ("schedule nightly", "gold.a")
    );
    assert_eq!(daemon.ticks[0].run.as_ref(), Some(&run.id));
    assert_eq!(
        daemon.world.next_wake().map(text).as_deref(),
        Some("2026-06-02T10:00:00Z")
    );
    // Asked again, after a restart, and after the clock was set back by a day.
    daemon.take(Input::ScheduleDue {
        schedule: "nightly".to_owned(),
        unseen: None,
    });
    daemon.restart("2026-06-01T10:00:01Z");
    assert!(daemon.wake("2026-06-01T10:00:02Z").is_empty());
    daemon.restart("2026-05-31T10:00:01Z");
    assert!(daemon.wake("2026-05-31T10:00:02Z").is_empty());
    assert!(daemon.wake("2026-06-01T10:00:02Z").is_empty());
    assert_eq!(daemon.ticks.len(), 1);
}

#[test]
fn what_down_time_leaves_is_told_and_caught_up_as_declared() {
    let after = |policy, window_seconds, most, now: &str| {
        let mut nightly = schedule("0 * * * *");
        nightly.catch_up = CatchUp {
            policy,
            window_seconds,
            most,
        };
        let mut daemon = Daemon::start(&[nightly], "2026-06-01T00:30:00Z");
        daemon.restart(now);
        daemon.wake(now)
    };
    let day = 86_400;
    assert_eq!(
        after(CatchUpPolicy::Skip, day, 10, "2026-06-01T05:30:00Z"),
        ["2026-06-01T01:00:00Z to 2026-06-01T05:00:00Z (5) missed: nobody was there for it: `catch_up` is \"skip\""]
    );
    assert_eq!(
        after(CatchUpPolicy::Latest, day, 10, "2026-06-01T05:30:00Z"),
        [
            "2026-06-01T01:00:00Z to 2026-06-01T04:00:00Z (4) missed: nobody was there for it: a later instant runs",
            "2026-06-01T05:00:00Z requested: caught up 30 minutes late",
        ]
    );
    assert_eq!(
        after(CatchUpPolicy::All, day, 3, "2026-06-01T05:30:00Z"),
        [
            "2026-06-01T01:00:00Z to 2026-06-01T02:00:00Z (2) missed: nobody was there for it, and as many later instants run as `catch_up` allows",
            "2026-06-01T03:00:00Z requested: caught up 2 hours late",
            "2026-06-01T04:00:00Z requested: caught up 90 minutes late",
            "2026-06-01T05:00:00Z requested: caught up 30 minutes late",
        ]
    );
    // The window has passed for all of them.
    assert_eq!(
        after(CatchUpPolicy::Latest, 600, 10, "2026-06-01T02:30:00Z"),
        [
            "2026-06-01T01:00:00Z to 2026-06-01T02:00:00Z (2) missed: nobody was there for it within the window of `catch_up`"
        ]
    );
    // A start just after an instant is on time, whatever is declared; what is older is not.
    assert_eq!(
        after(CatchUpPolicy::Skip, day, 10, "2026-06-01T03:00:59Z"),
        [
            "2026-06-01T01:00:00Z to 2026-06-01T02:00:00Z (2) missed: nobody was there for it: `catch_up` is \"skip\"",
            "2026-06-01T03:00:00Z requested",
        ]
    );
    assert_eq!(
        after(CatchUpPolicy::Latest, day, 10, "2026-06-01T02:00:01Z"),
        [
            "2026-06-01T01:00:00Z missed: nobody was there for it: a later instant runs",
            "2026-06-01T02:00:00Z requested",
        ]
    );
}

#[test]
fn years_of_down_time_are_one_row() {
    let mut daemon = Daemon::start(&[schedule("* * * * *")], "2026-06-01T00:00:30Z");
    let told = daemon.wake("2027-06-01T00:00:30Z");
    assert_eq!(told.len(), 2);
    assert!(told[0].ends_with("(at least so many)"), "{told:?}");
    assert_eq!(daemon.ticks[0].last, at("2027-05-31T23:59:00Z"));
    assert_eq!(daemon.ticks[1].instant, at("2027-06-01T00:00:00Z"));
}

#[test]
fn what_overlaps_is_skipped_queued_or_takes_the_place() {
    let second = |overlap| {
        let mut nightly = schedule("0 * * * *");
        nightly.overlap = overlap;
        let mut daemon = Daemon::start(&[nightly], "2026-06-01T00:30:00Z");
        daemon.wake("2026-06-01T01:00:00Z");
        let told = daemon.wake("2026-06-01T02:00:00Z");
        let open: Vec<String> = daemon.world.open_runs().map(|run| text(run.submitted_at)).collect();
        (told, open, daemon)
    };
    let (told, open, mut daemon) = second(Overlap::Skip);
    assert_eq!(told, ["2026-06-01T02:00:00Z skipped: its earlier run"]);
    assert_eq!(open, ["2026-06-01T01:00:00Z"]);
    daemon.end_runs();
    assert_eq!(daemon.wake("2026-06-01T03:00:00Z"), ["2026-06-01T03:00:00Z requested"]);
    let (told, open, _) = second(Overlap::Queue);
    assert_eq!(told, ["2026-06-01T02:00:00Z requested"]);
    assert_eq!(open, ["2026-06-01T01:00:00Z", "2026-06-01T02:00:00Z"]);
    let (told, open, _) = second(Overlap::CancelPrevious);
    assert_eq!(told, ["2026-06-01T02:00:00Z requested"]);
    assert_eq!(open, ["2026-06-01T02:00:00Z"]);
}

#[test]
fn a_paused_schedule_is_quiet_and_tells_so_afterwards() {
    let mut daemon = Daemon::start(&[schedule("0 * * * *")], "2026-06-01T00:30:00Z");
    let pause = |request, schedule, by| Input::PauseSchedule { request, schedule, by };
    let resume = |request, schedule, by| Input::ResumeSchedule { request, schedule, by };
    assert_eq!(daemon.ask(pause), Answer::Schedule { paused: true });
    assert_eq!(daemon.ask(pause), Answer::Schedule { paused: true });
    assert_eq!(daemon.world.next_wake(), None);
    daemon.restart("2026-06-01T03:30:00Z");
    assert!(daemon.wake("2026-06-01T03:30:00Z").is_empty());
    assert_eq!(daemon.ask(resume), Answer::Schedule { paused: false });
    assert_eq!(
        daemon.ticks.iter().map(told).collect::<Vec<_>>(),
        ["2026-06-01T01:00:00Z to 2026-06-01T03:00:00Z (3) skipped: the schedule was paused by me"]
    );
    assert_eq!(daemon.wake("2026-06-01T04:00:00Z"), ["2026-06-01T04:00:00Z requested"]);
    let Answer::Refused { reasons } = ({
        daemon.take(Input::PauseSchedule {
            request: 0,
            schedule: "nightli".to_owned(),
            by: "me".to_owned(),
        });
        daemon.answers.pop().unwrap()
    }) else {
        panic!("there is no such schedule");
    };
    assert_eq!(reasons, ["there is no schedule `nightli`: did you mean `nightly`?"]);
    // Declared as paused, it waits from the first.
    let mut paused = schedule("0 * * * *");
    paused.paused = true;
    let mut daemon = Daemon::start(&[paused], "2026-06-01T00:30:00Z");
    assert!(daemon.wake("2026-06-01T09:00:00Z").is_empty());
    daemon.ask(resume);
    assert_eq!(daemon.wake("2026-06-01T10:00:00Z"), ["2026-06-01T10:00:00Z requested"]);
}

#[test]
fn an_edited_schedule_counts_from_its_edit() {
    let mut daemon = Daemon::start(&[schedule("0 6 * * *")], "2026-06-01T00:00:00Z");
    // A cron of every hour, put in while nobody was there, does not run for the hours before it was.
    daemon.definitions = definitions(&[schedule("0 * * * *")]);
    daemon.restart("2026-06-02T12:30:00Z");
    assert!(daemon.wake("2026-06-02T12:30:00Z").is_empty());
    assert_eq!(
        daemon.ticks.iter().map(told).collect::<Vec<_>>(),
        ["2026-06-01T10:00:00Z to 2026-06-02T10:00:00Z (2) missed: the schedule was changed before it ran"]
    );
    assert_eq!(daemon.wake("2026-06-02T13:00:00Z"), ["2026-06-02T13:00:00Z requested"]);
    daemon.end_runs();
    // Taken out and put back, it does not run for the time between.
    daemon.edit(&[]);
    assert!(daemon.wake("2026-06-02T20:30:00Z").is_empty());
    daemon.edit(&[schedule("0 * * * *")]);
    assert!(daemon.wake("2026-06-02T20:30:00Z").is_empty());
    assert_eq!(daemon.wake("2026-06-02T21:00:00Z"), ["2026-06-02T21:00:00Z requested"]);
    // Another description, jitter or selection is the same schedule.
    let mut same = schedule("0 * * * *");
    same.description = Some("said otherwise".to_owned());
    same.catch_up.policy = CatchUpPolicy::Skip;
    daemon.edit(&[same]);
    daemon.end_runs();
    assert_eq!(daemon.wake("2026-06-02T22:00:00Z"), ["2026-06-02T22:00:00Z requested"]);
}

#[test]
fn a_tick_that_is_caught_up_keeps_to_the_partitions_of_its_instant() {
    let mut nightly = schedule("0 6 * * *");
    nightly.selection = Selection::parse("gold.days").unwrap();
    nightly.catch_up.policy = CatchUpPolicy::All;
    nightly.catch_up.window_seconds = 30 * 86_400;
    let mut daemon = Daemon::start(&[nightly], "2026-03-02T12:00:00Z");
    daemon.wake("2026-03-05T12:00:00Z");
    let steps: Vec<usize> = daemon.world.open_runs().map(|run| run.steps.len()).collect();
    // On the mornings of the 3rd, 4th and 5th there were two, three and four days that had ended.
    assert_eq!(steps, [2, 3, 4]);
}

#[test]
fn someone_may_ask_for_a_tick() {
    let mut daemon = Daemon::start(&[schedule("0 6 * * *")], "2026-06-01T00:00:00Z");
    let tick = |request, schedule, by| Input::TickSchedule { request, schedule, by };
    for _ in 0..2 {
        let Answer::Ticked { tick } = daemon.ask(tick) else {
            panic!("it ticks");
        };
        assert_eq!((tick.status, tick.by_hand), (TickStatus::Requested, true));
        assert_eq!(tick.reason.as_deref(), Some("asked for by me"));
    }
    assert_eq!(daemon.world.open_runs().count(), 2);
    daemon.end_runs();
    assert_eq!(daemon.wake("2026-06-01T10:00:00Z"), ["2026-06-01T10:00:00Z requested"]);
}

#[test]
fn what_cannot_start_is_told_as_failed() {
    let mut daemon = Daemon::start(&[schedule("0 6 * * *")], "2026-06-01T00:00:00Z");
    daemon.now = at("2026-06-01T10:00:00Z");
    daemon.take(Input::ScheduleDue {
        schedule: "nightly".to_owned(),
        unseen: Some("the share does not answer".to_owned()),
    });
    assert_eq!(
        daemon.ticks.iter().map(told).collect::<Vec<_>>(),
        ["2026-06-01T10:00:00Z failed: the share does not answer"]
    );
    // A foreground command keeps no schedules.
    let mut daemon = Daemon::start(&[schedule("0 6 * * *")], "2026-06-01T00:00:00Z");
    daemon.take(Input::Recover {
        boot: "f".to_owned(),
        mode: OwnerMode::Foreground,
    });
    daemon.now = at("2026-06-01T10:00:00Z");
    daemon.take(Input::ScheduleDue {
        schedule: "nightly".to_owned(),
        unseen: None,
    });
    assert!(daemon.ticks.is_empty());
}

#[test]
fn jitter_puts_off_by_a_part_of_itself_that_stays_the_same() {
    let mut nightly = schedule("0 * * * *");
    nightly.jitter_seconds = 1800;
    nightly.overlap = Overlap::Queue;
    let mut daemon = Daemon::start(&[nightly], "2026-06-01T00:30:00Z");
    let mut delays = Vec::new();
    for _ in 0..50 {
        let wake = daemon.world.next_wake().unwrap();
        let due = daemon.world.due("nightly").unwrap();
        assert!((0..1_800_000_000).contains(&(wake - due.instant)));
        assert!(daemon.wake_at(wake - 1).is_empty());
        assert_eq!(daemon.wake_at(wake), [format!("{} requested", text(due.instant))]);
        delays.push((wake - due.instant) / 60_000_000);
    }
    let mean = delays.iter().sum::<i64>() / 50;
    assert!((10..20).contains(&mean), "{delays:?}");
}

/// What should become of the instants in `(accounted, now]`, as one would explain it: all listed, then judged one by one.
fn reference(schedule: &Schedule, accounted: Micros, now: Micros) -> BTreeMap<Micros, bool> {
    let after = Timestamp::from_microsecond(accounted).unwrap();
    let due: Vec<Micros> = schedule
        .timetable
        .after(after)
        .map(|tick| tick.at.as_microsecond())
        .take_while(|instant| *instant <= now)
        .collect();
    let on_time = |instant: Micros| now - instant <= 60_000_000;
    let window = schedule.catch_up.window_seconds as i64 * 1_000_000;
    let mut runs: BTreeMap<Micros, bool> = due.iter().map(|instant| (*instant, on_time(*instant))).collect();
    let late: Vec<Micros> = due.iter().rev().copied().filter(|instant| !on_time(*instant)).collect();
    let most = match schedule.catch_up.policy {
        CatchUpPolicy::Skip => 0,
        CatchUpPolicy::Latest => usize::from(due.iter().all(|instant| !on_time(*instant))),
        CatchUpPolicy::All => schedule.catch_up.most as usize,
    };
    for instant in late.into_iter().take(most).filter(|instant| now - instant <= window) {
        runs.insert(instant, true);
    }
    runs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_down_time_is_judged_as_one_would_explain_it(
        cron in prop::sample::select(vec!["* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "15 1 * * SUN", "0 6 1 * *"]),
        policy in prop::sample::select(vec![CatchUpPolicy::Skip, CatchUpPolicy::Latest, CatchUpPolicy::All]),
        window_seconds in prop::sample::select(vec![120_u64, 3600, 86_400, 10 * 86_400]),
        most in 1_u32..6,
        begin in 0_i64..86_400 * 300,
        minutes in 0_i64..3000,
        seconds in 0_i64..60,
    ) {
        let mut nightly = schedule(cron);
        nightly.catch_up = CatchUp { policy, window_seconds, most };
        nightly.overlap = Overlap::Queue;
        let begin = at("2026-01-15T00:00:00Z") + begin * 1_000_000;
        let now = begin + (minutes * 60 + seconds) * 1_000_000;
        let mut daemon = Daemon::start(std::slice::from_ref(&nightly), &text(begin));
        daemon.restart(&text(now));
        daemon.wake_at(now);
        let expected = reference(&nightly, begin, now);
        let mut found: BTreeMap<Micros, bool> = BTreeMap::new();
        for tick in &daemon.ticks {
            let stretch: Vec<Micros> = expected.range(tick.instant..=tick.last).map(|(instant, _)| *instant).collect();
            prop_assert_eq!(stretch.len() as u64, tick.count);
            for instant in stretch {
                let told_before = found.insert(instant, tick.status == TickStatus::Requested);
                prop_assert!(told_before.is_none());
            }
        }
        prop_assert_eq!(found, expected);
    }
}
