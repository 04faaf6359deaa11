//! `[openlineage]`: where lineage is told of what ran.

use super::secret_references::{SECRET_REFERENCE, read_secret};
use crate::diagnostic::{Code, Diagnostic};
use crate::openlineage::{LineageTarget, OpenLineage};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

pub(super) static OPENLINEAGE: TableSpec = TableSpec {
    name: "openlineage",
    doc: "Where OpenLineage events of runs and steps go: `url` or `file`.",
    fields: &[
        FieldSpec::optional(
            "url",
            FieldType::Text,
            "A server that takes OpenLineage events, such as Marquez: `http://localhost:5000`.",
        ),
        FieldSpec::optional(
            "file",
            FieldType::Text,
            "A file that grows by one line per event, from the project's folder.",
        ),
        FieldSpec::optional(
            "namespace",
            FieldType::Text,
            "The namespace of the project's jobs; its name if left out.",
        ),
        FieldSpec::optional(
            "token",
            SECRET_REFERENCE,
            "Sent to `url` as `Authorization: Bearer`; a reference to a secret.",
        ),
    ],
};

/// Reads the table of the project file, if there is one and nothing is wrong in it.
pub(super) fn read_openlineage(root: &TableReader<'_>, project: &str) -> Option<OpenLineage> {
    let table = root.table("openlineage")?;
    let namespace = table.string("namespace").map_or(project, |text| text.value).to_owned();
    let token = read_secret(&table, "token");
    let has_token = token.is_some();
    let to = match (table.string("url"), table.string("file")) {
        (Some(url), None) => {
            let rest = ["http://", "https://"]
                .iter()
                .find_map(|scheme| url.value.strip_prefix(scheme));
            if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
                table.report(
                    Diagnostic::new(Code::InvalidValue, "`url` is not an address of a server", url.span)
                        .help("write it as `http://localhost:5000`"),
                );
                return None;
            }
            LineageTarget::Url {
                url: url.value.trim_end_matches('/').to_owned(),
                token,
            }
        }
        (None, Some(file)) => {
            if has_token {
                table.report(Diagnostic::new(
                    Code::InvalidValue,
                    "`token` means nothing where events go to a file",
                    table.key_span("token"),
                ));
                return None;
            }
            LineageTarget::File(file.value.to_owned())
        }
        (None, None) if !table.has("url") && !table.has("file") => {
            table.report(
                Diagnostic::new(Code::MissingKey, "events go nowhere", table.span()).help("name a `url` or a `file`"),
            );
            return None;
        }
        (Some(_), Some(file)) => {
            table.report(
                Diagnostic::new(Code::InvalidValue, "events go to one place", file.span)
                    .help("leave out `url` or `file`"),
            );
            return None;
        }
        // Of the wrong type, and reported.
        (None, None) => return None,
    };
    // A token that is wrong is reported.
    (!table.has("token") || has_token).then_some(OpenLineage { namespace, to })
}
