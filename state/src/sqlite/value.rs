//! Between column values and the types of the crate. Text that does not fit is an error that names the column.

use std::fmt::Display;
use std::str::FromStr;

use assets::alert::Trouble;
use assets::{AssetKey, AssetPartition, Fingerprint, PartitionKey};
use serde::de::value::{Error as ValueError, StringDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Serialize};

use super::error::StateError;
use crate::alert::{AlertEnd, MessageStatus};
use crate::automation::HoldReason;
use crate::freshness::FreshnessState;
use crate::schedule::TickStatus;
use crate::status::{RunStatus, StepStatus};

/// The column value of a partition: `''` for an asset without partitions.
pub(super) fn partition_text(partition: Option<&PartitionKey>) -> &str {
    partition.map_or("", PartitionKey::as_str)
}

/// SQLite has no unsigned integers; no count of rows or bytes comes near the limit.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A stored count.
pub(super) fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn wrong(column: &'static str, text: &str, expected: &'static str) -> StateError {
    StateError::Value {
        column,
        text: text.chars().take(200).collect(),
        expected,
    }
}

pub(super) fn partition(column: &'static str, text: &str) -> Result<Option<PartitionKey>, StateError> {
    match text {
        "" => Ok(None),
        text => PartitionKey::new(text)
            .map(Some)
            .map_err(|_| wrong(column, text, "a partition key")),
    }
}

/// Anything that reads itself from text: keys and ids.
pub(super) fn parsed<T: FromStr<Err: Display>>(column: &'static str, text: &str) -> Result<T, StateError> {
    text.parse()
        .map_err(|_| wrong(column, text, "a key or id of this column"))
}

pub(super) fn asset_partition(
    columns: [&'static str; 2],
    asset: &str,
    partition_key: &str,
) -> Result<AssetPartition, StateError> {
    Ok(AssetPartition::new(
        parsed::<AssetKey>(columns[0], asset)?,
        partition(columns[1], partition_key)?,
    ))
}

pub(super) fn fingerprint(text: String) -> Fingerprint {
    let text: StringDeserializer<ValueError> = text.into_deserializer();
    Fingerprint::deserialize(text).expect("a fingerprint reads any text")
}

/// JSON columns.
pub(super) fn json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StateError> {
    serde_json::from_str(text).map_err(|_| wrong(column, text, "JSON of its type"))
}

pub(super) fn optional_json<T: DeserializeOwned>(
    column: &'static str,
    text: Option<String>,
) -> Result<Option<T>, StateError> {
    text.map(|text| json(column, &text)).transpose()
}

pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("our records have text keys and no failing serializers")
}

pub(super) fn run_status(text: &str) -> Result<RunStatus, StateError> {
    RunStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| wrong("run.status", text, "a run status"))
}

pub(super) fn step_status(text: &str) -> Result<StepStatus, StateError> {
    StepStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| wrong("step.status", text, "a step status"))
}

pub(super) fn tick_status(text: &str) -> Result<TickStatus, StateError> {
    TickStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| wrong("tick.status", text, "a tick status"))
}

pub(super) fn freshness_state(text: &str) -> Result<FreshnessState, StateError> {
    FreshnessState::ALL
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| wrong("freshness.state", text, "a state of freshness"))
}

pub(super) fn hold_reason(text: &str) -> Result<HoldReason, StateError> {
    HoldReason::ALL
        .into_iter()
        .find(|reason| reason.as_str() == text)
        .ok_or_else(|| wrong("automation_hold.because", text, "why a partition is left alone"))
}

pub(super) fn trouble(text: &str) -> Result<Trouble, StateError> {
    Trouble::of(text).ok_or_else(|| wrong("alert.trouble", text, "a trouble"))
}

pub(super) fn alert_end(text: &str) -> Result<AlertEnd, StateError> {
    AlertEnd::ALL
        .into_iter()
        .find(|end| end.as_str() == text)
        .ok_or_else(|| wrong("alert.ended", text, "an end"))
}

pub(super) fn message_status(text: &str) -> Result<MessageStatus, StateError> {
    MessageStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| wrong("alert_message.status", text, "a message status"))
}
