//! `kind = "command"`: a program that looks.

use super::Reading;
use crate::sensor::{CommandSource, SensorSource};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

pub(super) static COMMAND: TableSpec = TableSpec {
    name: "command sensor",
    doc: "A program that is run again and again and prints events, one JSON object a line.",
    fields: &[
        FieldSpec::required(
            "command",
            FieldType::StringList,
            "The program and its arguments, run in the project's folder: [\"python3\", \"poll.py\"].",
        ),
        FieldSpec::optional(
            "env",
            FieldType::Map(&FieldType::String),
            "Environment variables that it gets beside the daemon's own.",
        ),
    ],
};

pub(super) fn read(table: &TableReader<'_>, _: &Reading<'_>) -> Option<SensorSource> {
    let words: Vec<String> = table
        .strings("command")
        .into_iter()
        .map(|word| word.value.to_owned())
        .collect();
    if words.is_empty() {
        if table
            .value("command")
            .is_some_and(|command| command.as_list().is_some())
        {
            table.invalid("command", "`command` names no program");
        }
        return None;
    }
    let mut variables = Vec::new();
    for (name, value) in table.map("env") {
        if name.value.is_empty() || name.value.contains(['=', '\0']) {
            table.invalid("env", format!("`{}` cannot be the name of a variable", name.value));
            return None;
        }
        variables.push((name.value.to_owned(), value.as_str()?.value.to_owned()));
    }
    Some(SensorSource::Command(CommandSource { words, variables }))
}
