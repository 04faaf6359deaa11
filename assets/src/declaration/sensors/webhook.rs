//! `kind = "webhook"`: another program tells of its events.

use super::http::read_pointer;
use super::{Reading, seconds};
use crate::declaration::secret_references::{SECRET, read_secret};
use crate::sensor::{SensorSource, WebhookSource};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

pub(super) static WEBHOOK: TableSpec = TableSpec {
    name: "webhook sensor",
    doc: "Another program posts its events to `/hooks/NAME`, signed as Standard Webhooks says.",
    fields: &[
        FieldSpec::required(
            "secret",
            FieldType::Table(&SECRET),
            "A reference to the secret that both sides know: { env = \"NAME\" }.",
        ),
        FieldSpec::optional(
            "partition",
            FieldType::String,
            "Where the JSON of an event names its partition, or a list of them, as a JSON pointer: `/day`.",
        ),
        FieldSpec::optional(
            "tolerance",
            FieldType::Duration,
            "By how much the time of a request may differ from ours; `5m` if left out.",
        ),
        FieldSpec::optional(
            "per_minute",
            FieldType::IntegerWithin(1, 60_000),
            "Most events in a minute; 60 if left out. What is beyond is answered with 429 and sent again by its sender.",
        ),
        FieldSpec::optional(
            "max_body",
            FieldType::ByteSize,
            "A longer request is refused; `1 MB` if left out, and never more than `2 MB`.",
        ),
    ],
};

/// No request of anyone is longer than this, in bytes.
const LONGEST: u64 = 2_000_000;

pub(super) fn read(table: &TableReader<'_>, _: &Reading<'_>) -> Option<SensorSource> {
    let secret = read_secret(table, "secret");
    let partition = read_pointer(table, "partition");
    let tolerance_seconds = seconds(table, "tolerance", 300);
    let max_body = match table.has("max_body") {
        true => table.byte_size("max_body")?.value,
        false => 1_000_000,
    };
    if max_body > LONGEST {
        table.invalid("max_body", "`max_body` is more than `2 MB`");
        return None;
    }
    let per_minute = match table.has("per_minute") {
        true => u32::try_from(table.integer("per_minute")?.value).ok()?,
        false => 60,
    };
    Some(SensorSource::Webhook(WebhookSource {
        secret: secret?,
        partition: partition?,
        tolerance_seconds: tolerance_seconds?,
        per_minute,
        max_body_bytes: max_body,
    }))
}
