//! Are the tables still what the events say? Run at the end of every fault test, and by `millpond fsck`.
//!
//! The events are applied again, by the same code, to an empty state in memory, and every table is compared row by row: that
//! finds a row that was changed, lost or added by anything but `commit` (and `retire`, which removes what is too old together
//! with its events). The rules below it hold whatever the code does.

use rusqlite::Connection;
use rusqlite::types::Value;
use serde::Serialize;

use super::error::StateError;
use super::open::Store;
use super::retention::retained_to;
use crate::event::{Event, Recorded};

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// Which rule is broken.
    pub rule: Rule,
    /// Where and how, for people.
    pub detail: String,
}

/// The rules, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// SQLite's own check of the file passes.
    FileIsSound,
    /// Events are numbered without gaps.
    EventsAreNumbered,
    /// Events can be read, and each can follow from those before it.
    EventsCanBeApplied,
    /// Every table holds what the events give.
    TablesFollowFromEvents,
    /// A run that is over has no step that is not, and says when it ended.
    EndedRunsHaveEndedSteps,
    /// An attempt that is open belongs to a run that is open.
    OpenAttemptsBelongToOpenRuns,
    /// A step that is running or publishing belongs to a run that is open.
    OpenStepsBelongToOpenRuns,
    /// What the catalog says of a table is what a `PointerMoved` says.
    PointersAreNamedByEvents,
    /// A partition's current materialization is its newest.
    CurrentIsNewest,
    /// Stored sums are the sums.
    SumsAreRight,
    /// An alias points to a version of its model.
    AliasesPointToVersions,
    /// The instants of a schedule are told once each, up to where it says that they are accounted for.
    InstantsAreToldOnce,
    /// The newest tick of a sensor has the number that the sensor says, and each tells of as many events as it says, or of
    /// none once it is forgotten.
    SensorTicksAreWhole,
}

/// Each query gives one text per violation.
const RULES: &[(Rule, &str)] = &[
    (
        Rule::EndedRunsHaveEndedSteps,
        "SELECT DISTINCT r.id || ' is ' || r.status || ', but `' || s.asset || '@' || s.partition || '` is ' || s.status
         FROM run r JOIN step s ON s.run = r.id
         WHERE r.status IN ('succeeded', 'failed', 'canceled') AND s.ended_at IS NULL",
    ),
    (
        Rule::EndedRunsHaveEndedSteps,
        "SELECT id || ' is over but does not say when' FROM run
         WHERE status IN ('succeeded', 'failed', 'canceled') AND ended_at IS NULL",
    ),
    (
        Rule::OpenAttemptsBelongToOpenRuns,
        "SELECT a.id || ' is open, but ' || r.id || ' is ' || r.status FROM attempt a JOIN run r ON r.id = a.run
         WHERE a.ended_at IS NULL AND r.status NOT IN ('queued', 'running', 'canceling')",
    ),
    (
        Rule::OpenStepsBelongToOpenRuns,
        "SELECT r.id || ' is queued, but `' || s.asset || '@' || s.partition || '` is ' || s.status
         FROM run r JOIN step s ON s.run = r.id
         WHERE r.status = 'queued' AND s.status IN ('running', 'publishing')",
    ),
    (
        Rule::PointersAreNamedByEvents,
        "SELECT i.table_namespace || '.' || i.table_name || ' is at ' || coalesce(i.metadata_location, 'nothing')
                || ', and the events say ' || coalesce(p.metadata_location, 'nothing')
         FROM iceberg_tables i LEFT JOIN table_pointer p ON p.asset = i.table_namespace || '.' || i.table_name
         WHERE i.catalog_name = 'millpond' AND i.metadata_location IS NOT p.metadata_location",
    ),
    (
        Rule::PointersAreNamedByEvents,
        "SELECT p.asset || ' is not in the catalog' FROM table_pointer p
         WHERE NOT EXISTS (SELECT 1 FROM iceberg_tables i WHERE i.catalog_name = 'millpond'
                           AND i.table_namespace || '.' || i.table_name = p.asset)",
    ),
    (
        Rule::PointersAreNamedByEvents,
        "SELECT p.asset || ' is at ' || p.metadata_location || ', which event ' || p.seq || ' does not say'
         FROM table_pointer p LEFT JOIN event e ON e.seq = p.seq
         WHERE e.type IS NOT 'pointer_moved' OR json_extract(e.json, '$.table') IS NOT p.asset
            OR json_extract(e.json, '$.to.metadata_location') IS NOT p.metadata_location",
    ),
    (
        Rule::CurrentIsNewest,
        "SELECT p.asset || '@' || p.partition || ' shows ' || coalesce(p.seq, 'nothing') || ', the newest is '
                || coalesce(m.newest, 'nothing')
         FROM asset_partition p
         LEFT JOIN (SELECT asset, partition, max(seq) newest FROM materialization GROUP BY asset, partition) m
              ON m.asset = p.asset AND m.partition = p.partition
         WHERE p.seq IS NOT m.newest
           AND NOT EXISTS (SELECT 1 FROM partition_rollback b WHERE b.asset = p.asset AND b.partition = p.partition
                           AND b.removed = 1 AND p.seq IS NULL AND b.seq > m.newest)
           AND NOT EXISTS (SELECT 1 FROM partition_cut c WHERE c.asset = p.asset AND c.partition = p.partition
                           AND p.seq IS NULL AND c.seq > m.newest)",
    ),
    (
        Rule::CurrentIsNewest,
        "SELECT DISTINCT m.asset || '@' || m.partition || ' was materialized and is not known' FROM materialization m
         WHERE NOT EXISTS (SELECT 1 FROM asset_partition p WHERE p.asset = m.asset AND p.partition = m.partition)
           AND NOT EXISTS (SELECT 1 FROM partition_rollback b WHERE b.asset = m.asset AND b.partition = m.partition
                           AND b.removed = 1 AND b.seq > m.seq)
           AND NOT EXISTS (SELECT 1 FROM partition_cut c WHERE c.asset = m.asset AND c.partition = m.partition
                           AND c.seq > m.seq)",
    ),
    (
        Rule::SumsAreRight,
        "SELECT s.asset || ' says ' || s.materialized || ' partitions, ' || s.failed || ' failed, ' || s.rows || ' rows'
         FROM asset_summary s
         JOIN (SELECT asset, count(seq) materialized, sum(failed) failed, coalesce(sum(rows), 0) rows,
                      coalesce(sum(bytes), 0) bytes FROM asset_partition GROUP BY asset) p ON p.asset = s.asset
         WHERE (s.materialized, s.failed, s.rows, s.bytes) IS NOT (p.materialized, p.failed, p.rows, p.bytes)",
    ),
    (
        Rule::SumsAreRight,
        "SELECT a.run || ' counts ' || a.asset || ' wrongly' FROM run_asset a
         JOIN (SELECT run, asset, sum(status = 'waiting') waiting, sum(status = 'running') running,
                      sum(status = 'publishing') publishing, sum(status = 'succeeded') succeeded,
                      sum(status = 'failed') failed, sum(status = 'skipped') skipped, sum(status = 'canceled') canceled
               FROM step GROUP BY run, asset) s ON s.run = a.run AND s.asset = a.asset
         WHERE (a.waiting, a.running, a.publishing, a.succeeded, a.failed, a.skipped, a.canceled)
               IS NOT (s.waiting, s.running, s.publishing, s.succeeded, s.failed, s.skipped, s.canceled)",
    ),
    (
        Rule::AliasesPointToVersions,
        "SELECT a.model || '@' || a.alias || ' points to version ' || a.version || ', which is not there'
         FROM model_alias a WHERE NOT EXISTS
              (SELECT 1 FROM model_version v WHERE v.model = a.model AND v.version = a.version)",
    ),
    (
        Rule::InstantsAreToldOnce,
        "SELECT a.schedule || ' has ticks at ' || a.instant || ' and ' || b.instant || ' that overlap'
         FROM (SELECT schedule, instant, last, lead(instant) OVER (PARTITION BY schedule ORDER BY instant) AS following
               FROM tick WHERE by_hand = 0) a
         JOIN tick b ON b.schedule = a.schedule AND b.instant = a.following
         WHERE a.last >= a.following",
    ),
    (
        Rule::InstantsAreToldOnce,
        "SELECT t.schedule || ' ticked at ' || t.last || ' and is accounted for up to ' || s.accounted
         FROM tick t JOIN schedule s ON s.name = t.schedule
         WHERE t.by_hand = 0 AND t.last > s.accounted",
    ),
    (
        Rule::SensorTicksAreWhole,
        "SELECT s.name || ' says ' || s.ticks || ' ticks, and has up to ' || coalesce(max(t.number), 0)
         FROM sensor s LEFT JOIN sensor_tick t ON t.sensor = s.name
         GROUP BY s.name HAVING s.ticks <> coalesce(max(t.number), 0)",
    ),
    (
        Rule::SensorTicksAreWhole,
        "SELECT e.sensor || ' forgot what it told of in tick ' || e.tick || ', and ' || e.key || ' is kept'
         FROM sensor_event e JOIN sensor_tick t ON t.sensor = e.sensor AND t.number = e.tick
         WHERE t.forgotten IS NOT NULL",
    ),
    (
        Rule::SensorTicksAreWhole,
        "SELECT t.sensor || ' tells of ' || t.events || ' events in tick ' || t.number || ', and ' || count(e.key) || ' are kept'
         FROM sensor_tick t LEFT JOIN sensor_event e ON e.sensor = t.sensor AND e.tick = t.number
         WHERE t.forgotten IS NULL GROUP BY t.sensor, t.number HAVING t.events <> count(e.key)",
    ),
];

/// What is compared with the replay: each table's columns in the order of its key.
const TABLES: &[(&str, &str)] = &[
    ("run", "SELECT * FROM run ORDER BY id"),
    ("run_asset", "SELECT * FROM run_asset ORDER BY run, asset"),
    ("step", "SELECT * FROM step ORDER BY run, asset, partition"),
    ("attempt", "SELECT * FROM attempt ORDER BY id"),
    (
        "attempt_step",
        "SELECT * FROM attempt_step ORDER BY asset, partition, seq",
    ),
    (
        "asset_partition",
        "SELECT * FROM asset_partition ORDER BY asset, partition",
    ),
    ("asset_summary", "SELECT * FROM asset_summary ORDER BY asset"),
    ("materialization", "SELECT * FROM materialization ORDER BY seq"),
    ("rollback", "SELECT * FROM rollback ORDER BY asset, seq"),
    (
        "partition_rollback",
        "SELECT * FROM partition_rollback ORDER BY asset, partition",
    ),
    ("check_result", "SELECT * FROM check_result ORDER BY seq, ordinal"),
    ("source", "SELECT * FROM source ORDER BY asset"),
    ("source_file", "SELECT * FROM source_file ORDER BY asset, path"),
    ("model_version", "SELECT * FROM model_version ORDER BY model, version"),
    ("model_alias", "SELECT * FROM model_alias ORDER BY model, alias"),
    ("model_alias_move", "SELECT * FROM model_alias_move ORDER BY model, seq"),
    ("table_pointer", "SELECT * FROM table_pointer ORDER BY asset"),
    ("schedule", "SELECT * FROM schedule ORDER BY name"),
    ("tick", "SELECT * FROM tick ORDER BY schedule, instant"),
    ("freshness", "SELECT * FROM freshness ORDER BY asset"),
    ("freshness_change", "SELECT * FROM freshness_change ORDER BY asset, seq"),
    ("automation_pause", "SELECT * FROM automation_pause ORDER BY asset"),
    (
        "automation_hold",
        "SELECT * FROM automation_hold ORDER BY asset, partition",
    ),
    (
        "automation_request",
        "SELECT * FROM automation_request ORDER BY asset, seq",
    ),
    ("alert", "SELECT * FROM alert ORDER BY seq"),
    ("alert_line", "SELECT * FROM alert_line ORDER BY seq"),
    ("alert_message", "SELECT * FROM alert_message ORDER BY seq"),
    ("sensor", "SELECT * FROM sensor ORDER BY name"),
    ("sensor_tick", "SELECT * FROM sensor_tick ORDER BY sensor, number"),
    ("sensor_event", "SELECT * FROM sensor_event ORDER BY sensor, key"),
    ("event", "SELECT seq, at, type, run FROM event ORDER BY seq"),
];

/// At most this many violations per rule or table: one cause can show in a million rows.
const MOST: usize = 20;

/// Everything that is wrong; empty if all is well.
pub fn check(store: &Store) -> Result<Vec<Violation>, StateError> {
    // One moment, even while the writer goes on.
    let moment = store.connection.unchecked_transaction()?;
    let mut violations = Vec::new();
    let mut found = |rule, detail| violations.push(Violation { rule, detail });

    for detail in texts(&moment, "SELECT * FROM pragma_integrity_check")?
        .into_iter()
        .filter(|text| text != "ok")
    {
        found(Rule::FileIsSound, detail);
    }
    for (rule, sql) in RULES {
        for detail in texts(&moment, sql)? {
            found(*rule, detail);
        }
    }
    // Up to here retention may have removed some.
    let retained_to = retained_to(&moment)?;
    let (first, last, count): (i64, i64, i64) = moment.query_row(
        "SELECT coalesce(min(seq), ?1 + 1), coalesce(max(seq), ?1), count(*) FROM event WHERE seq > ?1",
        [retained_to],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    if (first, last) != (retained_to + 1, retained_to + count) {
        found(
            Rule::EventsAreNumbered,
            format!("{count} events are numbered from {first} to {last}"),
        );
    } else {
        match replay(&moment, retained_to)? {
            Ok(replayed) => {
                for (table, sql) in TABLES {
                    compare(table, sql, &moment, &replayed.connection, &mut |detail| {
                        found(Rule::TablesFollowFromEvents, detail);
                    })?;
                }
            }
            Err(detail) => found(Rule::EventsCanBeApplied, detail),
        }
    }
    violations.sort();
    Ok(violations)
}

fn texts(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare(sql)?
        .query_map([], |row| row.get(0))?
        .take(MOST)
        .collect()
}

/// A state in memory made from the same events; or which event cannot be applied.
fn replay(connection: &Connection, retained_to: i64) -> Result<Result<Store, String>, StateError> {
    let mut replayed = Store::in_memory()?;
    let mut statement = connection.prepare("SELECT seq, at, json FROM event ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut waiting: Vec<(i64, Recorded)> = Vec::new();
    loop {
        let row = rows.next()?;
        if waiting.len() >= 1_000 || row.is_none() {
            if let Err(error) = replayed.commit_numbered(&waiting, retained_to) {
                return Ok(Err(format!("after event {}: {error}", replayed.last_seq())));
            }
            waiting.clear();
        }
        let Some(row) = row else { return Ok(Ok(replayed)) };
        let json = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        match serde_json::from_str::<Event>(json) {
            Ok(event) => waiting.push((row.get(0)?, Recorded { at: row.get(1)?, event })),
            Err(error) => return Ok(Err(format!("event {} cannot be read: {error}", row.get::<_, i64>(0)?))),
        }
    }
}

/// Walks two ordered results of one query side by side.
fn compare(
    table: &str,
    sql: &str,
    stored: &Connection,
    replayed: &Connection,
    found: &mut impl FnMut(String),
) -> rusqlite::Result<()> {
    let (mut stored, mut replayed) = (stored.prepare(sql)?, replayed.prepare(sql)?);
    let columns: Vec<String> = stored.column_names().map(str::to_owned).collect();
    let (mut stored, mut replayed) = (stored.query([])?, replayed.query([])?);
    let values = |row: Option<&rusqlite::Row<'_>>| -> rusqlite::Result<Option<Vec<Value>>> {
        row.map(|row| (0..columns.len()).map(|column| row.get(column)).collect())
            .transpose()
    };
    for _ in 0..MOST {
        loop {
            match (values(stored.next()?)?, values(replayed.next()?)?) {
                (None, None) => return Ok(()),
                (Some(stored), Some(replayed)) if stored == replayed => {}
                (Some(stored), Some(replayed)) => {
                    let differs = columns
                        .iter()
                        .zip(stored.iter().zip(&replayed))
                        .find(|(_, (a, b))| a != b);
                    let (column, (stored_value, replayed_value)) = differs.expect("the rows differ");
                    found(format!(
                        "{table} {:?}: `{column}` is {stored_value:?}, the events give {replayed_value:?}",
                        &stored[..columns.len().min(3)]
                    ));
                    break;
                }
                (stored, replayed) => {
                    found(match (stored, replayed) {
                        (Some(row), _) => format!("{table}: the events do not give {row:?}"),
                        (_, row) => format!("{table}: lacks {:?}", row.unwrap_or_default()),
                    });
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
