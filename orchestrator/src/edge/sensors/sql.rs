//! Rows of a query over the project's tables. The query runs in a process of its own (`millpond query`), as the queries of steps
//! do: one that is too large, or never ends, ends that process and fails the look.

use std::time::Duration;

use assets::sensor::SqlSource;
use plugins::command::{ProcessEnd, ProcessOrder};
use serde_json::{Map, Value};
use state::sensor::SensorEvent;

use super::super::engine::EngineHandle;
use super::super::{environment, processes};
use super::http::partitions_at;
use super::look::{Sight, shown, told_before};
use super::task::Known;
use crate::core::SensorSight;

/// Most bytes of rows.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// How much of why a query failed is told.
const LAST_WORDS: usize = 600;

/// Asks; each row that was not told of is an event.
pub(super) async fn look(known: &Known, source: &SqlSource, engine: &EngineHandle) -> Result<Sight, String> {
    let program = environment::own_program().map_err(|error| format!("this program cannot be found: {error}"))?;
    let root = engine.settings().root.clone();
    let mut arguments: Vec<String> = ["-C", &root, "query", "--format", "json"].map(str::to_owned).to_vec();
    if source.cursor.is_some() {
        let start = source.start.as_ref().map(Value::to_string);
        let cursor = known.cursor.clone().or(start).unwrap_or_else(|| "null".to_owned());
        arguments.extend(["--param".to_owned(), format!("cursor={cursor}")]);
    }
    arguments.extend(["--".to_owned(), source.sql.clone()]);
    let order = ProcessOrder {
        program: program.to_string_lossy().into_owned(),
        arguments,
        working_directory: root.into(),
        environment: [("NO_COLOR".to_owned(), "1".to_owned())].into(),
        mark: format!("sensor-{}-{:016x}", known.sensor.name, environment::seed()),
    };
    let deadline = Duration::from_secs(known.sensor.deadline_seconds);
    let ran = processes::run(&order, Vec::new(), MOST_BYTES + 1, deadline)
        .await
        .map_err(|error| format!("the query cannot be run: {error}"))?;
    match ran.end {
        Some(ProcessEnd::Code(0)) => {}
        Some(_) => {
            let said: String = String::from_utf8_lossy(&ran.errors)
                .trim()
                .chars()
                .take(LAST_WORDS)
                .collect();
            return Err(format!("the query failed: {said}"));
        }
        None => {
            return Err(format!(
                "the query did not end within its deadline of {} s",
                deadline.as_secs()
            ));
        }
    }
    if ran.output.len() > MOST_BYTES {
        return Err(format!(
            "the query gives more than {} MiB: let it read on with `$cursor`, or end with LIMIT",
            MOST_BYTES >> 20
        ));
    }
    let rows = rows(&ran.output, source)?;
    let told = told_before(
        engine,
        &known.sensor.name,
        rows.iter().map(|row| row.event.key.clone()).collect(),
    )
    .await?;
    let shown = shown(known, rows.iter().map(|row| row.event.key.as_str()));
    let sight = cut(rows, &told, known.cursor.clone(), known.sensor.most_events as usize);
    Ok(Sight {
        sight: SensorSight { shown, ..sight },
        ..Sight::default()
    })
}

/// One row.
struct Row {
    event: SensorEvent,
    /// Its value of the cursor's column, as JSON.
    cursor: Option<String>,
}

fn rows(output: &[u8], source: &SqlSource) -> Result<Vec<Row>, String> {
    let text = std::str::from_utf8(output).map_err(|_| "the query gives what is not text".to_owned())?;
    let mut rows = Vec::new();
    for line in text.lines() {
        let row: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| format!("a row of the query cannot be read: {error}"))?;
        let column = |name: &str| {
            let known = || {
                row.keys()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            row.get(name)
                .ok_or_else(|| format!("the query gives no column `{name}`; it gives {}", known()))
        };
        let plain = |name: &str| match column(name)? {
            Value::String(text) => Ok(text.clone()),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                Err(format!("`{name}` of some row is neither a text nor a number"))
            }
            other => Ok(other.to_string()),
        };
        let key = plain(&source.key)?;
        let partitions = match &source.partition {
            Some(name) => match column(name)? {
                Value::Null => Vec::new(),
                partition => partitions_at(partition, "")?,
            },
            None => Vec::new(),
        };
        let cursor = match &source.cursor {
            Some(name) => {
                plain(name)?;
                Some(column(name)?.to_string())
            }
            None => None,
        };
        let what = match &source.what {
            Some(name) => match column(name)? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
            None => format!("{} {key}", source.key),
        };
        rows.push(Row {
            event: SensorEvent {
                key,
                what,
                partitions,
                payload: None,
            },
            cursor,
        });
    }
    Ok(rows)
}

/// What one tick takes of the rows: as many that were not told of as it may hold, and the cursor of the last row before the
/// first that is left out. Rows that share the cursor of one that is left out are asked for again.
fn cut(rows: Vec<Row>, told: &[bool], cursor: Option<String>, most: usize) -> SensorSight {
    let mut sight = SensorSight {
        cursor,
        ..SensorSight::default()
    };
    let mut told = told.iter();
    let mut taken: Vec<Option<String>> = Vec::new();
    let mut first_left: Option<Option<String>> = None;
    for row in rows {
        let is_told = told.next().copied().unwrap_or(false);
        if !is_told && sight.events.len() == most {
            sight.lag += 1;
            first_left.get_or_insert(row.cursor);
            continue;
        }
        if first_left.is_none() {
            taken.push(row.cursor);
        }
        if !is_told {
            sight.events.push(row.event);
        }
    }
    let safe = taken.into_iter().rev().flatten().find(|cursor| match &first_left {
        Some(left) => Some(cursor) != left.as_ref(),
        None => true,
    });
    sight.cursor = safe.or(sight.cursor);
    sight
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SqlSource {
        SqlSource {
            sql: String::new(),
            code: String::new(),
            tables: Vec::new(),
            key: "id".to_owned(),
            cursor: Some("at".to_owned()),
            start: Some(Value::from(0)),
            what: None,
            partition: Some("day".to_owned()),
        }
    }

    #[test]
    fn a_tick_takes_what_it_may_and_reads_on_from_there() {
        let text = "{\"id\": 1, \"at\": 10, \"day\": \"x\"}\n{\"id\": 2, \"at\": 20, \"day\": null}\n{\"id\": 3, \"at\": 20, \"day\": null}\n";
        let cut = |told: &[bool], most: usize| {
            let sight = cut(
                rows(text.as_bytes(), &source()).unwrap(),
                told,
                Some("5".to_owned()),
                most,
            );
            let keys: Vec<String> = sight.events.into_iter().map(|event| event.key).collect();
            (keys.join(" "), sight.lag, sight.cursor.unwrap())
        };
        assert_eq!(cut(&[false; 3], 10), ("1 2 3".to_owned(), 0, "20".to_owned()));
        // The third shares its cursor with the second, so the next look asks for both.
        assert_eq!(cut(&[false; 3], 2), ("1 2".to_owned(), 1, "10".to_owned()));
        assert_eq!(cut(&[true, true, false], 1), ("3".to_owned(), 0, "20".to_owned()));
        assert_eq!(cut(&[false; 3], 1), ("1".to_owned(), 2, "10".to_owned()));
    }

    #[test]
    fn a_column_that_is_not_there_is_named() {
        let error = |text: &str| rows(text.as_bytes(), &source()).err().unwrap();
        assert!(error("{\"id\": 1, \"day\": \"x\"}").contains("no column `at`; it gives `day`, `id`"));
        assert!(error("{\"id\": null, \"at\": 1, \"day\": \"x\"}").contains("`id` of some row"));
        assert!(error("{\"id\": 1, \"at\": 1, \"day\": {}}").contains("no partition"));
    }
}
