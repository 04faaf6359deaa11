//! `kind = "http"`: an address that is polled.

use super::Reading;
use crate::declaration::secret_references::{SECRET, read_secret};
use crate::diagnostic::{Code, Diagnostic};
use crate::sensor::{HttpSource, SensorSource};
use crate::span::Spanned;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

pub(super) static HTTP: TableSpec = TableSpec {
    name: "http sensor",
    doc: "An address that is asked again and again; an answer that differs from the one before is an event.",
    fields: &[
        FieldSpec::required("url", FieldType::Text, "The address: `https://example.com/feed.json`."),
        FieldSpec::optional(
            "pointer",
            FieldType::String,
            "What counts of a JSON answer, as a JSON pointer: `/version`. All of the answer if left out.",
        ),
        FieldSpec::optional(
            "partition",
            FieldType::String,
            "Where a JSON answer names the partition, or a list of them, as a JSON pointer: `/day`.",
        ),
        FieldSpec::optional(
            "token",
            FieldType::Table(&SECRET),
            "A reference to a token that is sent as `Authorization: Bearer`.",
        ),
        FieldSpec::optional(
            "headers",
            FieldType::Map(&FieldType::Text),
            "Headers that are sent, such as `Accept`.",
        ),
        FieldSpec::optional(
            "max_body",
            FieldType::ByteSize,
            "An answer that is longer has failed; `10 MB` if left out.",
        ),
        FieldSpec::optional(
            "allow_private",
            FieldType::Boolean,
            "Whether the address, or one that it leads to, may be on this machine or in a private network.",
        ),
    ],
};

pub(super) fn read(table: &TableReader<'_>, _: &Reading<'_>) -> Option<SensorSource> {
    let url = table.string("url")?;
    if !["http://", "https://"]
        .iter()
        .any(|scheme| url.value.starts_with(scheme))
    {
        table.report(
            Diagnostic::new(Code::InvalidValue, "`url` is no address of the web", url.span)
                .help("it begins with `https://` or `http://`"),
        );
        return None;
    }
    let pointer = read_pointer(table, "pointer");
    let partition = read_pointer(table, "partition");
    let token = match table.has("token") {
        true => Some(read_secret(table, "token")?),
        false => None,
    };
    let mut headers = Vec::new();
    for (name, value) in table.map("headers") {
        let name_is_plain =
            name.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !name.value.is_empty();
        let value = value.as_str()?;
        let value_is_plain = value.value.bytes().all(|b| (0x20..0x7f).contains(&b));
        if !name_is_plain || !value_is_plain {
            table.report(Diagnostic::new(
                Code::InvalidValue,
                format!("`{}` cannot be sent as a header", name.value),
                name.span,
            ));
            return None;
        }
        if ["authorization", "cookie"]
            .iter()
            .any(|secret| name.value.eq_ignore_ascii_case(secret))
        {
            table.report(
                Diagnostic::new(
                    Code::LiteralSecret,
                    format!("`{}` holds a secret", name.value),
                    name.span,
                )
                .help("refer to it: token = { env = \"NAME\" }"),
            );
            return None;
        }
        headers.push((name.value.to_owned(), value.value.to_owned()));
    }
    let max_body = match table.has("max_body") {
        true => table.byte_size("max_body")?.value,
        false => 10_000_000,
    };
    Some(SensorSource::Http(HttpSource {
        url: url.value.to_owned(),
        pointer: pointer?,
        partition: partition?,
        token,
        headers,
        max_body_bytes: max_body,
        allow_private: table.boolean("allow_private").unwrap_or(false),
    }))
}

/// A JSON pointer (RFC 6901), if one is written; `None` outside after a report.
#[expect(clippy::option_option, reason = "wrong, left out and there are three things")]
pub(super) fn read_pointer(table: &TableReader<'_>, key: &str) -> Option<Option<String>> {
    let Some(Spanned { value, span }) = table.string(key) else {
        return (!table.has(key)).then_some(None);
    };
    let bad_escape = value
        .match_indices('~')
        .any(|(at, _)| !matches!(value.as_bytes().get(at + 1), Some(b'0' | b'1')));
    if (!value.is_empty() && !value.starts_with('/')) || bad_escape {
        table.report(
            Diagnostic::new(Code::InvalidValue, format!("`{key}` is no JSON pointer"), span)
                .help("it begins with `/`, and names the way to a value: `/items/0/id`"),
        );
        return None;
    }
    Some(Some(value.to_owned()))
}
