//! The parameters that a query may use: `$partition_key`, `$partition_start`, `$partition_end` and the project's `[params]`.
//!
//! They are bound as values and never become part of the text.
//! - `$partition_key` is the key as text (null without partitions).
//! - `$partition_start` and `$partition_end` (exclusive) are instants: timestamps in the time zone of the partitions, null for
//!   partitions that are not by time. `CAST($partition_start AS DATE)` is the local date. Compared with a date or a timestamp
//!   without zone, they are local too (`query::local_time`).
//! - A parameter of the project is a text, a whole number, a number or a boolean, as it is written in TOML. Texts compare with dates and
//!   timestamps as SQL literals do.

use std::sync::Arc;

use assets::outcome::{Failure, FailureClass};
use assets::partition::Partitioning;
use assets::{Asset, PartitionedBy};
use datafusion::common::ScalarValue;

use crate::query::parameter;
use crate::step::{OrderedPartition, ProjectSettings};

/// Names and values for a query of this step. With several partitions the key is null and the bounds span all of them.
pub(super) fn parameters(
    asset: &Asset,
    partitions: &[OrderedPartition],
    project: &ProjectSettings,
) -> Result<Vec<(String, ScalarValue)>, Failure> {
    let key = match partitions {
        [one] => one.key.as_ref().map(|key| key.as_str().to_owned()),
        _ => None,
    };
    let zone: Option<Arc<str>> = asset.partitions.as_ref().and_then(zone_of).map(Into::into);
    let zone = zone.unwrap_or_else(|| "+00:00".into());
    let start = partitions
        .iter()
        .filter_map(|partition| partition.bounds)
        .map(|(start, _)| start)
        .min();
    let end = partitions
        .iter()
        .filter_map(|partition| partition.bounds)
        .map(|(_, end)| end)
        .max();
    let mut bound = vec![
        ("partition_key".to_owned(), ScalarValue::Utf8(key)),
        (
            "partition_start".to_owned(),
            ScalarValue::TimestampMicrosecond(start, Some(Arc::clone(&zone))),
        ),
        (
            "partition_end".to_owned(),
            ScalarValue::TimestampMicrosecond(end, Some(zone)),
        ),
    ];
    for (name, value) in &project.params {
        bound.push((name.clone(), parameter(value).ok_or_else(|| unusable(name))?));
    }
    Ok(bound)
}

/// The zone whose local time cuts the partitions, if they are by time.
fn zone_of(partitions: &PartitionedBy) -> Option<&str> {
    match &partitions.partitioning {
        Partitioning::Time(time) => Some(&time.zone),
        _ => None,
    }
}

fn unusable(name: &str) -> Failure {
    Failure::new(
        FailureClass::Declaration,
        format!("the parameter `{name}` is no text, number or boolean"),
    )
    .with_help("a query takes single values; write a list as several parameters")
}
