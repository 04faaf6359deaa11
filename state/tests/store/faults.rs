//! What must be refused, and what a refusal leaves behind.

use assets::outcome::TablePointer;
use state::event::Recorded;
use state::event::{Event, OwnerMode};
use state::{CommitError, OpenMode, StateError, Store, fsck};

use crate::words::{
    asset, attempt, check, materialization, pointer, recorded, run, staged_model, started, step, submitted,
};

fn two_steps_staged() -> (Store, Vec<Recorded>) {
    let mut store = Store::in_memory().unwrap();
    let steps = [step("silver.flights@a"), step("silver.flights@b")];
    let (run, attempt) = (run(1), attempt(1));
    let events = [
        submitted(&run, &steps),
        started(&run, &attempt, &steps, 1),
        Event::StepStaged {
            attempt: attempt.clone(),
            step: steps[0].clone(),
            rows: 5,
        },
        Event::PointerMoved {
            table: asset("silver.flights"),
            from: None,
            to: pointer(1),
        },
    ];
    store.commit(&events.map(|event| recorded(1, event))).unwrap();
    let publish = vec![
        recorded(
            2,
            Event::StepSucceeded {
                run: run.clone(),
                attempt,
                materialization: materialization(&steps[0], 5, vec![check("a", true)]),
            },
        ),
        recorded(
            2,
            Event::PointerMoved {
                table: asset("silver.flights"),
                from: Some(pointer(1)),
                to: pointer(2),
            },
        ),
    ];
    (store, publish)
}

fn everything(store: &Store) -> String {
    format!(
        "{:?} {:?}",
        store.load().unwrap(),
        store.catalog_tables(None, 10).unwrap()
    )
}

#[test]
fn a_lost_compare_and_set_leaves_nothing() {
    let (mut store, publish) = two_steps_staged();
    let before = everything(&store);
    for (from, expected) in [(Some(pointer(7)), Some(pointer(7).metadata_location)), (None, None)] {
        let mut lost = publish.clone();
        lost[1].event = Event::PointerMoved {
            table: asset("silver.flights"),
            from,
            to: pointer(8),
        };
        match store.commit(&lost).unwrap_err() {
            CommitError::PointerConflict {
                table,
                expected: says,
                found,
            } => {
                assert_eq!(table, asset("silver.flights"));
                assert_eq!(says, expected);
                assert_eq!(found, Some(pointer(1).metadata_location));
            }
            other => panic!("{other}"),
        }
        assert_eq!(everything(&store), before);
    }
    let absent = Event::PointerMoved {
        table: asset("gold.new"),
        from: Some(pointer(1)),
        to: pointer(2),
    };
    let error = store.commit(&[recorded(1, absent)]).unwrap_err();
    assert!(
        matches!(error, CommitError::PointerConflict { found: None, .. }),
        "{error}"
    );
    // The refusal is not the end: the same commit on the right base goes through.
    assert_eq!(store.commit(&publish).unwrap().first_seq, 5);
    assert_eq!(store.pointer(&asset("silver.flights")).unwrap(), Some(pointer(2)));
    assert_eq!(fsck::check(&store).unwrap(), vec![]);
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut store = Store::open(&path, OpenMode::Writer).unwrap();
    store.limit_pages(Some(0)).unwrap();
    let many: Vec<_> = (0..2_000)
        .map(|key| step(&format!("silver.flights@{key:05}")))
        .collect();
    let large = [recorded(1, submitted(&run(1), &many))];
    let small = [recorded(1, submitted(&run(2), &many[..1]))];
    assert!(matches!(store.commit(&large).unwrap_err(), CommitError::DiskFull));
    assert_eq!(store.poisoned(), None);
    assert_eq!(store.load().unwrap().runs.len(), 0);
    store.limit_pages(None).unwrap();
    store.commit(&small).unwrap();
    store.commit(&large).unwrap();
    assert_eq!(fsck::check(&store).unwrap(), vec![]);
    assert_eq!(store.last_seq(), 2);
}

#[test]
fn a_newer_file_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    Store::open(&path, OpenMode::Writer).unwrap().close().unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    for mode in [OpenMode::Writer, OpenMode::Reader] {
        let error = Store::open(&path, mode).unwrap_err();
        assert!(matches!(error, StateError::Newer { found: 99, .. }), "{error}");
        assert!(error.to_string().contains("use the release that wrote it"));
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn files_of_other_programs_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (text, other, absent) = (
        folder.path().join("text"),
        folder.path().join("other.db"),
        folder.path().join("absent.db"),
    );
    std::fs::write(&text, "this is a letter, and a long one, to nobody. ".repeat(40)).unwrap();
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    for path in [&text, &other] {
        let before = std::fs::read(path).unwrap();
        for mode in [OpenMode::Writer, OpenMode::Reader] {
            let error = Store::open(path, mode).unwrap_err();
            assert!(matches!(error, StateError::Foreign(_)), "{error}");
        }
        assert_eq!(std::fs::read(path).unwrap(), before);
    }
    assert!(matches!(
        Store::open_reader(&absent).unwrap_err(),
        StateError::Missing(_)
    ));
    assert!(!absent.exists());
}

#[test]
fn a_damaged_file_is_found_after_an_unclean_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut store = Store::open(&path, OpenMode::Writer).unwrap();
    let many: Vec<_> = (0..2_000)
        .map(|key| step(&format!("silver.flights@{key:05}")))
        .collect();
    store.commit(&[recorded(1, submitted(&run(1), &many))]).unwrap();
    store.checkpoint().unwrap();
    drop(store);
    // Not closed: checked, and found in order.
    drop(Store::open(&path, OpenMode::Writer).unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xAB);
    std::fs::write(&path, bytes).unwrap();
    let error = Store::open(&path, OpenMode::Writer).unwrap_err();
    assert!(matches!(error, StateError::Corrupt { .. }), "{error}");
}

#[test]
fn a_reader_reads_and_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut store = Store::open(&path, OpenMode::Writer).unwrap();
    let mut reader = Store::open_reader(&path).unwrap();
    store
        .commit(&[recorded(1, submitted(&run(1), &[step("gold.whole")]))])
        .unwrap();
    assert_eq!(reader.load().unwrap().runs.len(), 1);
    let error = reader.commit(&[recorded(1, submitted(&run(2), &[]))]).unwrap_err();
    assert!(matches!(error, CommitError::ReadOnly));
    store.remember_project("flights").unwrap();
    assert_eq!(reader.project().unwrap().as_deref(), Some("flights"));
    assert!(reader.remember_project("other").is_err());
}

#[test]
fn another_program_that_moves_a_table_is_noticed_and_can_be_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut store = Store::open(&path, OpenMode::Writer).unwrap();
    let table = asset("silver.flights");
    let moved = |from: Option<TablePointer>, to| {
        [recorded(
            1,
            Event::PointerMoved {
                table: asset("silver.flights"),
                from,
                to,
            },
        )]
    };
    store.commit(&moved(None, pointer(1))).unwrap();
    // As PyIceberg's SqlCatalog commits.
    let other = rusqlite::Connection::open(&path).unwrap();
    let changed = other
        .execute(
            "UPDATE iceberg_tables SET metadata_location = ?1, previous_metadata_location = ?2
             WHERE catalog_name = 'millpond' AND table_namespace = 'silver' AND table_name = 'flights'
               AND metadata_location = ?2",
            [pointer(2).metadata_location, pointer(1).metadata_location],
        )
        .unwrap();
    assert_eq!(changed, 1);
    let loaded = store.load().unwrap();
    assert_eq!(loaded.moved_outside.get(&table), Some(&pointer(2).metadata_location));
    assert!(store.catalog_tables(None, 1).unwrap()[0].moved_outside());
    assert_eq!(
        fsck::check(&store).unwrap()[0].rule,
        fsck::Rule::PointersAreNamedByEvents
    );

    assert!(matches!(
        store.commit(&moved(Some(pointer(1)), pointer(3))).unwrap_err(),
        CommitError::PointerConflict { .. }
    ));
    store.commit(&moved(Some(pointer(1)), pointer(2))).unwrap();
    store.commit(&moved(Some(pointer(2)), pointer(3))).unwrap();
    assert_eq!(fsck::check(&store).unwrap(), vec![]);
}

#[test]
fn a_locked_database_is_busy_not_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut store = Store::open(&path, OpenMode::Writer).unwrap();
    store.wait_for_locks(std::time::Duration::ZERO).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let event = [recorded(
        1,
        Event::Started {
            boot: "b".into(),
            mode: OwnerMode::Daemon,
        },
    )];
    assert!(matches!(store.commit(&event).unwrap_err(), CommitError::Busy));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.commit(&event).unwrap().last_seq, 1);
}

#[test]
fn a_metric_that_is_not_a_number_does_not_make_the_events_unreadable() {
    let mut store = Store::in_memory().unwrap();
    let mut staged = staged_model(0.75);
    staged.metrics.insert("brier".into(), f64::NAN);
    let registered = Event::ModelRegistered {
        model: asset("models.delay"),
        version: 1,
        run: run(1),
        staged,
        fingerprint: assets::Fingerprint::of(["x"]),
        inputs: vec![],
    };
    store.commit(&[recorded(1, registered)]).unwrap();
    let metrics = store.load().unwrap().models[&asset("models.delay")].versions[&1]
        .metrics
        .clone();
    assert_eq!(metrics.into_iter().collect::<Vec<_>>(), [("auc".to_owned(), 0.75)]);
    assert_eq!(fsck::check(&store).unwrap(), vec![]);
}

#[test]
fn fsck_names_what_was_changed_behind_its_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = 0;
    let mut tamper = |sql: &str| {
        let (_, publish) = two_steps_staged();
        let path = folder.path().join(format!("{files}.db"));
        files += 1;
        let mut store = Store::open(&path, OpenMode::Writer).unwrap();
        let steps = [step("silver.flights@a"), step("silver.flights@b")];
        let before = [
            submitted(&run(1), &steps),
            started(&run(1), &attempt(1), &steps, 1),
            Event::PointerMoved {
                table: asset("silver.flights"),
                from: None,
                to: pointer(1),
            },
        ];
        store.commit(&before.map(|event| recorded(1, event))).unwrap();
        store.commit(&publish).unwrap();
        assert_eq!(fsck::check(&store).unwrap(), vec![]);
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        fsck::check(&store)
            .unwrap()
            .into_iter()
            .map(|violation| violation.rule)
            .collect::<Vec<_>>()
    };
    use fsck::Rule::{
        CurrentIsNewest, EndedRunsHaveEndedSteps, EventsAreNumbered, EventsCanBeApplied, OpenAttemptsBelongToOpenRuns,
        PointersAreNamedByEvents, SumsAreRight, TablesFollowFromEvents,
    };
    let rules = tamper("UPDATE run SET status = 'failed', ended_at = 5");
    assert!(
        rules.contains(&EndedRunsHaveEndedSteps) && rules.contains(&OpenAttemptsBelongToOpenRuns),
        "{rules:?}"
    );
    assert_eq!(
        tamper("UPDATE step SET reason = 'because' WHERE status = 'succeeded'"),
        [TablesFollowFromEvents]
    );
    assert_eq!(
        tamper("UPDATE asset_partition SET seq = 1, at = 3"),
        [TablesFollowFromEvents, CurrentIsNewest]
    );
    assert!(tamper("UPDATE asset_summary SET rows = 6").contains(&SumsAreRight));
    assert!(tamper("UPDATE run_asset SET waiting = waiting + 1").contains(&SumsAreRight));
    assert!(tamper("DELETE FROM iceberg_tables").contains(&PointersAreNamedByEvents));
    assert!(tamper("UPDATE iceberg_tables SET metadata_location = 'x'").contains(&PointersAreNamedByEvents));
    assert_eq!(
        tamper("DELETE FROM event WHERE seq = 3  "),
        [EventsAreNumbered, PointersAreNamedByEvents][..1]
    );
    assert!(tamper("UPDATE event SET json = '{}' WHERE seq = 2").contains(&EventsCanBeApplied));
}
