//! `kind = "files"`: files that land in a folder.

use super::{Reading, seconds};
use crate::diagnostic::{Code, Diagnostic};
use crate::pattern;
use crate::sensor::{FileIdentity, FilesSource, SensorSource};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

pub(super) static FILES: TableSpec = TableSpec {
    name: "files sensor",
    doc: "Files that land in a folder; each is told of once, when it is complete.",
    fields: &[
        FieldSpec::required(
            "path",
            FieldType::Text,
            "The files, from the project's folder or absolute, with `*`, `?`, `[a-z]`, `**` and one `{partition}`: \
             `landing/flights/*.csv.gz`.",
        ),
        FieldSpec::optional(
            "settle",
            FieldType::Duration,
            "A file is complete once it has not changed for so long; `5s` if left out.",
        ),
        FieldSpec::optional(
            "rescan",
            FieldType::Duration,
            "How often all files are looked at, in case the system did not tell of a change; `60s` if left out. On shares \
             that tell of nothing this is how soon a file is seen.",
        ),
        FieldSpec::optional(
            "identity",
            FieldType::Choice(&["stat", "content"]),
            "What makes a file another one: its path, inode, size and time of modification (\"stat\", the default), or its \
             bytes (\"content\"), whatever its name.",
        ),
    ],
};

pub(super) fn read(table: &TableReader<'_>, _: &Reading<'_>) -> Option<SensorSource> {
    let path = table.string("path")?;
    if let Some((scheme, _)) = path.value.split_once("://")
        && scheme != "s3"
    {
        table.report(
            Diagnostic::new(
                Code::NotRun,
                format!("this release does not watch `{scheme}://` yet, so the sensor is left out"),
                path.span,
            )
            .label("read and left out")
            .help("files of a folder can be watched, and objects of a store at `s3://bucket/…`"),
        );
        return None;
    }
    if let Err(reason) = pattern::check(path.value) {
        table.report(Diagnostic::new(
            Code::BadPattern,
            format!("the pattern cannot be used: {reason}"),
            path.span,
        ));
        return None;
    }
    let identity = match table.string("identity").map(|word| word.value) {
        Some("content") => FileIdentity::Content,
        Some(_) | None => FileIdentity::Stat,
    };
    Some(SensorSource::Files(FilesSource {
        path: path.value.to_owned(),
        settle_seconds: seconds(table, "settle", 5)?,
        rescan_seconds: seconds(table, "rescan", 60)?,
        identity,
    }))
}
