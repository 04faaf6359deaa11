//! `[lakehouse]`: where tables are kept.

use std::time::Duration;

use super::secret_references::{SECRET_REFERENCE, read_secret};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Spanned;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};
use crate::warehouse::{S3Keys, S3Store, Warehouse};

/// The folder of the tables, where the project does not say.
const FOLDER: &str = "lake";

pub(super) static LAKEHOUSE: TableSpec = TableSpec {
    name: "lakehouse",
    doc: "Where tables are kept.",
    fields: &[
        FieldSpec::optional(
            "warehouse",
            FieldType::Text,
            "The folder of the tables, from the project's folder, or `s3://bucket/prefix`; `lake` if left out.",
        ),
        FieldSpec::optional(
            "s3",
            FieldType::Table(&S3),
            "How the store of an `s3://` warehouse is reached; AWS with the machine's role if left out.",
        ),
    ],
};

pub(super) static S3: TableSpec = TableSpec {
    name: "store of objects",
    doc: "How an S3-compatible store is reached: AWS, Garage, Ceph and the like.",
    fields: &[
        FieldSpec::optional(
            "endpoint",
            FieldType::Text,
            "The store's address, such as `http://127.0.0.1:3900`; AWS if left out.",
        ),
        FieldSpec::optional("region", FieldType::Text, "Its region; `us-east-1` if left out."),
        FieldSpec::optional(
            "path_style",
            FieldType::Boolean,
            "Whether the bucket is named in the path and not in the host; true if left out where there is an `endpoint`.",
        ),
        FieldSpec::optional(
            "access_key",
            SECRET_REFERENCE,
            "The id of the access key; a reference to a secret. The machine's role if both keys are left out.",
        ),
        FieldSpec::optional(
            "secret_key",
            SECRET_REFERENCE,
            "The secret key; a reference to a secret.",
        ),
        FieldSpec::optional(
            "session_token",
            SECRET_REFERENCE,
            "The token of a session, where the keys need one; a reference to a secret.",
        ),
        FieldSpec::optional(
            "timeout",
            FieldType::Duration,
            "How long one request may take; `30s` if left out.",
        ),
        FieldSpec::optional(
            "retry_within",
            FieldType::Duration,
            "How long a request that fails is tried again; `90s` if left out.",
        ),
    ],
};

/// Reads where tables are kept; what is absent or wrong (and reported) has its default.
pub(super) fn read_lakehouse(root: &TableReader<'_>) -> Warehouse {
    let Some(lakehouse) = root.table("lakehouse") else {
        return folder(FOLDER);
    };
    let s3 = lakehouse.table("s3");
    let declared = s3.as_ref().map(read_store);
    let Some(warehouse) = lakehouse.string("warehouse") else {
        if s3.is_some() && !lakehouse.has("warehouse") {
            let diagnostic = Diagnostic::new(
                Code::MissingKey,
                "a store is declared and no place in it",
                lakehouse.key_span("s3"),
            );
            root.report(diagnostic.help("name it: `warehouse = \"s3://bucket/prefix\"`"));
        }
        return folder(FOLDER);
    };
    match warehouse.value.split_once("://") {
        Some(("s3", place)) => {
            check_place(&lakehouse, warehouse, place);
            Warehouse {
                url: warehouse.value.trim_end_matches('/').to_owned(),
                s3: Some(declared.unwrap_or_default()),
            }
        }
        Some((scheme, _)) if scheme != "file" => {
            let message = format!("tables are kept in a folder or at `s3://`, not at `{scheme}://`");
            root.report(Diagnostic::new(Code::InvalidValue, message, warehouse.span).help(
                "name a folder, from the project's folder, or a place in an S3-compatible store: \
                 `warehouse = \"s3://bucket/prefix\"`",
            ));
            folder(FOLDER)
        }
        _ => {
            if s3.is_some() {
                let diagnostic = Diagnostic::new(
                    Code::InvalidValue,
                    "a store is declared, and tables are kept in a folder",
                    lakehouse.key_span("s3"),
                );
                root.report(
                    diagnostic
                        .help("leave out `s3`, or name a place in the store: `warehouse = \"s3://bucket/prefix\"`"),
                );
            }
            folder(warehouse.value)
        }
    }
}

/// Reads how the store of raw files is reached; `None` if the project does not say.
pub(super) fn read_sources(root: &TableReader<'_>) -> Option<S3Store> {
    root.table("s3").map(|s3| read_store(&s3))
}

fn folder(path: &str) -> Warehouse {
    Warehouse {
        url: path.to_owned(),
        s3: None,
    }
}

/// Reports a place that no store has: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>.
fn check_place(lakehouse: &TableReader<'_>, warehouse: Spanned<&str>, place: &str) {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let is_end = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let good = (3..=63).contains(&bucket.len())
        && bucket
            .chars()
            .all(|letter| is_end(letter) || matches!(letter, '-' | '.'))
        && bucket.starts_with(is_end)
        && bucket.ends_with(is_end);
    if !good {
        let message = format!("`{bucket}` cannot be the name of a bucket");
        lakehouse.report(Diagnostic::new(Code::InvalidValue, message, warehouse.span).help(
            "names of buckets have 3 to 63 lower-case letters, digits, `-` and `.`: `warehouse = \"s3://bucket/prefix\"`",
        ));
    }
    let prefix = prefix.trim_end_matches('/');
    let parts = || prefix.split('/');
    if !prefix.is_empty() && parts().any(|part| part.is_empty() || part == "." || part == "..") {
        let message = format!("`{prefix}` is not a place in a bucket");
        lakehouse.report(
            Diagnostic::new(Code::InvalidValue, message, warehouse.span)
                .help("its parts are neither empty nor `.` nor `..`"),
        );
    }
}

fn read_store(s3: &TableReader<'_>) -> S3Store {
    let text = |name| s3.string(name).map(|text| text.value.to_owned());
    let seconds = |name| {
        s3.duration(name)
            .map(|seconds| Duration::from_secs(seconds.value.max(1)))
    };
    if let Some(endpoint) = s3.string("endpoint") {
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| endpoint.value.strip_prefix(scheme));
        if rest.is_none_or(|rest| rest.is_empty() || rest.trim_end_matches('/').contains('/') || rest.contains('@')) {
            s3.report(
                Diagnostic::new(
                    Code::InvalidValue,
                    "`endpoint` is not the address of a store",
                    endpoint.span,
                )
                .help("write it without a path: `http://127.0.0.1:3900`"),
            );
        }
    }
    for (key, other) in [
        ("access_key", "secret_key"),
        ("secret_key", "access_key"),
        ("session_token", "access_key"),
    ] {
        if s3.has(key) && !s3.has(other) {
            s3.report(
                Diagnostic::new(Code::MissingKey, format!("`{key}` needs `{other}`"), s3.key_span(key))
                    .help(format!("say where it is found: `{other} = {{ env = \"NAME\" }}`")),
            );
        }
    }
    let (id, secret) = (read_secret(s3, "access_key"), read_secret(s3, "secret_key"));
    let session_token = read_secret(s3, "session_token");
    S3Store {
        endpoint: text("endpoint"),
        region: text("region"),
        path_style: s3.boolean("path_style"),
        timeout: seconds("timeout"),
        retry_within: seconds("retry_within"),
        keys: id.zip(secret).map(|(id, secret)| S3Keys {
            id,
            secret,
            session_token,
        }),
    }
}
