//! The schema as an append-only list of steps; `PRAGMA user_version` says how many of them a file has had.
//!
//! Rules:
//! - A step that has landed is never edited, not even a comment in it; the test `landed_steps_are_pinned` holds its
//!   fingerprint. A change is a new step at the end.
//! - Each step is one transaction that also sets `user_version`, so a kill leaves a file before the step or after it, and
//!   running again is always right.
//! - Steps go forward only. Before the first step on a file that has had earlier ones, a copy is made beside it.
//! - A file with more steps than we know is refused before anything is written (`open`).

use std::path::Path;

use rusqlite::Connection;

use super::error::StateError;

/// One step.
pub(super) struct Migration {
    /// What it does, for people.
    pub(super) name: &'static str,
    /// The statements.
    pub(super) sql: &'static str,
}

/// Every step, oldest first.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "first",
        sql: include_str!("migrations/0001_first.sql"),
    },
    Migration {
        name: "schedules",
        sql: include_str!("migrations/0002_schedules.sql"),
    },
    Migration {
        name: "pause",
        sql: include_str!("migrations/0003_pause.sql"),
    },
    Migration {
        name: "sensors",
        sql: include_str!("migrations/0004_sensors.sql"),
    },
    Migration {
        name: "alerts",
        sql: include_str!("migrations/0005_alerts.sql"),
    },
    Migration {
        name: "automation",
        sql: include_str!("migrations/0006_automation.sql"),
    },
    Migration {
        name: "retries",
        sql: include_str!("migrations/0007_retries.sql"),
    },
    Migration {
        name: "forgetting",
        sql: include_str!("migrations/0008_forgetting.sql"),
    },
    Migration {
        name: "definitions",
        sql: include_str!("migrations/0009_definitions.sql"),
    },
    Migration {
        name: "pages",
        sql: include_str!("migrations/0010_pages.sql"),
    },
    Migration {
        name: "rollbacks",
        sql: include_str!("migrations/0011_rollbacks.sql"),
    },
    Migration {
        name: "rollbacks tried",
        sql: include_str!("migrations/0012_rollbacks_tried.sql"),
    },
    Migration {
        name: "forgotten",
        sql: include_str!("migrations/0013_forgotten.sql"),
    },
    Migration {
        name: "together",
        sql: include_str!("migrations/0014_together.sql"),
    },
    Migration {
        name: "cut",
        sql: include_str!("migrations/0015_cut.sql"),
    },
];

/// `MLPD`, in the header of the file: this database is ours.
pub(super) const APPLICATION_ID: i64 = 0x4d4c_5044;

pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings the file to the end of `migrations`. `path` is `None` for a database in memory.
pub(super) fn migrate(
    connection: &mut Connection,
    path: Option<&Path>,
    migrations: &[Migration],
) -> Result<(), StateError> {
    let found = version(connection)?;
    if let Some(path) = path.filter(|_| found > 0 && (found as usize) < migrations.len()) {
        keep_copy(connection, path, found)?;
    }
    for (index, migration) in migrations.iter().enumerate().skip(found as usize) {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration.sql)?;
        // Both pragmas write the header page, which is part of the transaction.
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
        transaction
            .execute(
                "INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', ?1)",
                [migration.name],
            )
            .map_err(StateError::from)?;
        transaction.commit()?;
    }
    Ok(())
}

/// `state.db.version-1`: what a downgrade needs. A copy that is there already is from a migration that was interrupted,
/// and shows the same content, so it is kept.
fn keep_copy(connection: &Connection, path: &Path, version: i64) -> Result<(), StateError> {
    let copy = suffixed(path, &format!(".version-{version}"));
    let unfinished = suffixed(path, &format!(".version-{version}.unfinished"));
    if copy.exists() {
        return Ok(());
    }
    let io = |action| {
        let path = copy.clone();
        move |source| StateError::Io { action, path, source }
    };
    if unfinished.exists() {
        std::fs::remove_file(&unfinished).map_err(io("replace"))?;
    }
    let target = unfinished
        .to_str()
        .ok_or_else(|| io("name")(std::io::ErrorKind::InvalidFilename.into()))?;
    connection.execute("VACUUM INTO ?1", [target])?;
    std::fs::File::open(&unfinished)
        .and_then(|file| file.sync_all())
        .map_err(io("sync"))?;
    std::fs::rename(&unfinished, &copy).map_err(io("name"))
}

fn suffixed(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    text.into()
}

#[cfg(test)]
mod tests {
    use assets::Fingerprint;
    use assets::alert::Trouble;
    use assets::outcome::Severity;

    use super::*;
    use crate::alert::{AlertEnd, MessageStatus};
    use crate::automation::HoldReason;
    use crate::event::OwnerMode;
    use crate::freshness::FreshnessState;
    use crate::schedule::TickStatus;
    use crate::status::{RunStatus, StepStatus};

    /// Never change a line of this list; add one for a new step.
    const LANDED: &[&str] = &[
        "a44c467b42dc46943a07841a09f1ec67",
        "51ba009a34fd6e7ec8520663dca9ff35",
        "31002e1d052aa83a38b1366730f2e1fe",
        "3a47a4136c70268a32ce99a9bdd199ec",
        "307e06aa5b561490047f99772ab82f43",
        "6fe4d764bba3aa6c8f9fa53e5129a285",
        "617dd033191223506c61ef76c4fe82bf",
        "2cebb70629b3cd46e0d6d3076aa0697f",
        "4251b7f336e76ac6ea2b3c4590fbe0bb",
        "1100372e9e2ce5ab2747d7b831bcc728",
        "b9df05841a826912803b7535f117024e",
        "998692e9a858a43934e79abc6ab72b6a",
        "8f9a157ee0372c4c2e8997b418fd1daa",
        "2a4766f824da8c6fffa0feffe29f7c6a",
        "fcba8f0527c93cbe6ea42c022a8c7eac",
    ];

    #[test]
    fn landed_steps_are_pinned() {
        let found: Vec<_> = MIGRATIONS
            .iter()
            .map(|step| Fingerprint::of([step.name, step.sql]).to_string())
            .collect();
        assert_eq!(
            found, LANDED,
            "a landed step was edited: put the change into a new step"
        );
    }

    fn fresh() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, None, MIGRATIONS).unwrap();
        connection
    }

    /// The texts inside `CONSTRAINT name CHECK (… IN ('a', 'b'))`.
    fn constraint_texts(name: &str) -> Vec<String> {
        let sql: String = MIGRATIONS.iter().map(|step| step.sql).collect();
        // A table may have been made anew: its last form counts.
        let (_, rest) = sql.rsplit_once(&format!("CONSTRAINT {name} CHECK")).unwrap();
        let (_, list) = rest.split_once("IN").unwrap();
        let (list, _) = list.split_once(')').unwrap();
        list.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn constraints_list_what_the_enums_list() {
        fn texts<T: serde::Serialize>(all: &[T]) -> Vec<String> {
            all.iter()
                .map(|one| serde_json::to_value(one).unwrap().as_str().unwrap().to_owned())
                .collect()
        }
        assert_eq!(constraint_texts("run_status"), RunStatus::ALL.map(RunStatus::as_str));
        assert_eq!(constraint_texts("step_status"), StepStatus::ALL.map(StepStatus::as_str));
        assert_eq!(constraint_texts("run_status"), texts(&RunStatus::ALL));
        assert_eq!(constraint_texts("step_status"), texts(&StepStatus::ALL));
        let ended: Vec<_> = RunStatus::ALL
            .iter()
            .filter(|one| one.is_terminal())
            .map(|one| one.as_str())
            .collect();
        assert_eq!(constraint_texts("run_ended"), ended);
        let ended: Vec<_> = StepStatus::ALL
            .iter()
            .filter(|one| one.is_terminal())
            .map(|one| one.as_str())
            .collect();
        assert_eq!(constraint_texts("step_ended"), ended);
        assert_eq!(
            constraint_texts("run_owner"),
            texts(&[OwnerMode::Daemon, OwnerMode::Foreground])
        );
        assert_eq!(constraint_texts("tick_status"), TickStatus::ALL.map(TickStatus::as_str));
        assert_eq!(constraint_texts("tick_status"), texts(&TickStatus::ALL));
        assert_eq!(constraint_texts("freshness_state"), texts(&FreshnessState::ALL));
        assert_eq!(
            constraint_texts("freshness_state"),
            FreshnessState::ALL.map(FreshnessState::as_str)
        );
        assert_eq!(constraint_texts("automation_hold_because"), texts(&HoldReason::ALL));
        assert_eq!(
            constraint_texts("automation_hold_because"),
            HoldReason::ALL.map(HoldReason::as_str)
        );
        assert_eq!(constraint_texts("alert_trouble"), Trouble::ALL.map(Trouble::as_str));
        assert_eq!(constraint_texts("alert_trouble"), texts(&Trouble::ALL));
        assert_eq!(constraint_texts("alert_end"), AlertEnd::ALL.map(AlertEnd::as_str));
        assert_eq!(constraint_texts("alert_end"), texts(&AlertEnd::ALL));
        assert_eq!(
            constraint_texts("alert_message_status"),
            MessageStatus::ALL.map(MessageStatus::as_str)
        );
        assert_eq!(constraint_texts("alert_message_status"), texts(&MessageStatus::ALL));
        assert_eq!(
            constraint_texts("check_result_severity"),
            texts(&[Severity::Warn, Severity::Error])
        );
    }

    #[test]
    fn every_table_of_ours_is_strict() {
        let connection = fresh();
        let mut lax = connection
            .prepare(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0
                 AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'iceberg_%'",
            )
            .unwrap();
        let lax: Vec<String> = lax
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(lax, Vec::<String>::new());
    }

    #[test]
    fn the_catalog_tables_are_those_of_the_iceberg_sql_catalog() {
        let connection = fresh();
        let columns = |table: &str| -> Vec<String> {
            connection
                .prepare("SELECT name || ' ' || type || ' ' || \"notnull\" || ' ' || pk FROM pragma_table_info(?1)")
                .unwrap()
                .query_map([table], |row| row.get(0))
                .unwrap()
                .map(Result::unwrap)
                .collect()
        };
        assert_eq!(
            columns("iceberg_tables"),
            [
                "catalog_name VARCHAR(255) 1 1",
                "table_namespace VARCHAR(255) 1 2",
                "table_name VARCHAR(255) 1 3",
                "metadata_location VARCHAR(1000) 0 0",
                "previous_metadata_location VARCHAR(1000) 0 0",
                "iceberg_type VARCHAR(5) 0 0",
            ]
        );
        assert_eq!(
            columns("iceberg_namespace_properties"),
            [
                "catalog_name VARCHAR(255) 1 1",
                "namespace VARCHAR(255) 1 2",
                "property_key VARCHAR(255) 1 3",
                "property_value VARCHAR(1000) 1 0",
            ]
        );
    }

    /// A state as a release with so many steps left it, with `rows` in it, brought to the end.
    fn brought_on(steps: usize, rows: &str) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, None, &MIGRATIONS[..steps]).unwrap();
        connection.execute_batch(rows).unwrap();
        migrate(&mut connection, None, MIGRATIONS).unwrap();
        connection
    }

    fn rows(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let found = statement.query_map([], |row| row.get(0)).unwrap();
        found.map(Result::unwrap).collect()
    }

    #[test]
    fn what_retention_had_removed_is_known_as_far_as_it_can_be() {
        // Something of every partition that is known was forgotten up to there, for all that is known.
        let connection = brought_on(
            12,
            "PRAGMA foreign_keys = OFF;
             INSERT INTO meta (key, value) VALUES ('retention_to', '40');
             INSERT INTO materialization (seq, asset, partition, run, attempt, fingerprint, data_version, inputs, rows, bytes, metadata, at)
             VALUES (41, 'silver.a', '2026-01-01', 'run_1', 'att_1', 'f', 'd', '{}', 1, 1, '{}', 1),
                    (42, 'silver.a', '2026-01-01', 'run_2', 'att_2', 'f', 'd', '{}', 1, 1, '{}', 2),
                    (43, 'silver.b', '', 'run_3', 'att_3', 'f', 'd', '{}', 1, 1, '{}', 3);",
        );
        let known = "SELECT asset || '@' || partition || ' ' || seq FROM forgotten_materialization ORDER BY 1";
        assert_eq!(rows(&connection, known), ["silver.a@2026-01-01 40", "silver.b@ 40"]);
        let never = brought_on(12, "");
        assert_eq!(rows(&never, known), Vec::<String>::new());
    }

    #[test]
    fn what_automation_left_alone_stays_so() {
        let connection = brought_on(
            13,
            "INSERT INTO automation_hold (asset, partition, seq, at, version, because)
             VALUES ('silver.a', '2026-01-01', 7, 8, 'v', 'failed'), ('silver.b', '', 9, 10, 'w', 'still_stale');",
        );
        let held = "SELECT asset || '@' || partition || ' ' || seq || ' ' || at || ' ' || version || ' ' || because
                    FROM automation_hold ORDER BY 1";
        let before = ["silver.a@2026-01-01 7 8 v failed", "silver.b@ 9 10 w still_stale"];
        assert_eq!(rows(&connection, held), before);
        let insert =
            "INSERT INTO automation_hold (asset, partition, seq, at, version, because) VALUES (?2, '', 1, 1, 'v', ?1)";
        connection.execute(insert, ["together", "silver.c"]).unwrap();
        assert!(connection.execute(insert, ["for no reason", "silver.d"]).is_err());
    }

    #[test]
    fn a_step_that_fails_half_way_leaves_nothing_and_runs_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, Some(&path), MIGRATIONS).unwrap();
        let landed = MIGRATIONS.len() as i64;
        let and = |last: Migration| -> Vec<Migration> {
            let again = MIGRATIONS.iter().map(|step| Migration {
                name: step.name,
                sql: step.sql,
            });
            again.chain([last]).collect()
        };
        let good = Migration {
            name: "note",
            sql: "CREATE TABLE note (text TEXT) STRICT; ALTER TABLE run ADD note TEXT;",
        };
        let bad = Migration {
            name: "note",
            sql: "CREATE TABLE note (text TEXT) STRICT; ALTER TABLE nothing ADD note TEXT;",
        };

        assert!(migrate(&mut connection, Some(&path), &and(bad)).is_err());
        assert_eq!(version(&connection).unwrap(), landed);
        assert!(connection.prepare("SELECT * FROM note").is_err());
        let copy = folder.path().join(format!("state.db.version-{landed}"));
        assert_eq!(version(&Connection::open(copy).unwrap()).unwrap(), landed);

        migrate(&mut connection, Some(&path), &and(good)).unwrap();
        assert_eq!(version(&connection).unwrap(), landed + 1);
        connection.prepare("SELECT note FROM run").unwrap();
    }
}
