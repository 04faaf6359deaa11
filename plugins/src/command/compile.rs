//! From the table of a `command` asset to its configuration.

use std::collections::BTreeMap;

use assets::asset::InputRole;
use assets::files::project_path;
use assets::kind::{CompileContext, CompiledKind, DeclaredInput};
use assets::span::Spanned;
use assets::table::TableReader;
use serde::{Deserialize, Serialize};

/// What a `command` asset keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandConfig {
    /// The program and its arguments; the program is there.
    pub command: Vec<String>,
    /// Environment variables to set.
    pub env: BTreeMap<String, String>,
    /// Where it runs, by its path from the project's folder; `None` is that folder.
    pub working_directory: Option<String>,
}

/// Endings of files that are code: an argument that names one of these in the project belongs to the asset's code.
const CODE_FILES: [&str; 12] = [
    ".py", ".sh", ".bash", ".js", ".mjs", ".ts", ".R", ".r", ".jl", ".rb", ".pl", ".sql",
];

pub(super) fn compile(table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind> {
    let command = table.strings("command");
    if command.first().is_some_and(|program| program.value.trim().is_empty()) || command.is_empty() {
        table.invalid("command", "`command` names no program");
    }
    let mut env = BTreeMap::new();
    for (name, value) in table.map("env") {
        if name.value.is_empty() || name.value.contains(['=', '\0']) {
            table.invalid(
                "env",
                format!("`{}` cannot be the name of an environment variable", name.value),
            );
        } else if let Some(value) = value.as_str() {
            env.insert(name.value.to_owned(), value.value.to_owned());
        }
    }
    let working_directory = table.string("working_directory").and_then(|written| {
        // The project's folder itself may be written as a dot.
        if matches!(written.value, "." | "./") {
            return None;
        }
        project_path("", written.value)
            .map_err(|error| table.invalid("working_directory", format!("`working_directory`: {error}")))
            .ok()
    });
    let inputs = needs(table);
    let mut code: Vec<String> = Vec::new();
    for argument in &command {
        code.push(argument.value.to_owned());
        code.extend(code_file(*argument, working_directory.as_deref(), context));
    }
    code.extend(env.iter().map(|(name, value)| format!("{name}={value}")));
    code.extend(working_directory.clone());
    if command.is_empty() {
        return None;
    }
    let config = CommandConfig {
        command: command.into_iter().map(|part| part.value.to_owned()).collect(),
        env,
        working_directory,
    };
    let config = serde_json::to_value(config).expect("texts have a JSON form");
    Some(CompiledKind { config, code, inputs })
}

fn needs(table: &TableReader<'_>) -> Vec<DeclaredInput> {
    let keys = table.list("needs");
    keys.into_iter()
        .filter_map(|value| {
            let text = value.as_str()?;
            let asset = text.value.parse().ok()?;
            Some(DeclaredInput {
                asset,
                role: InputRole::Rows,
                span: text.span,
                default_mapping: None,
            })
        })
        .collect()
}

/// The text of a file of code that an argument names, so that an edit of the program makes its asset stale.
fn code_file(argument: Spanned<&str>, folder: Option<&str>, context: &mut CompileContext<'_>) -> Option<String> {
    let written = argument.value;
    if written.starts_with('/') || !CODE_FILES.iter().any(|ending| written.ends_with(ending)) {
        return None;
    }
    let path = match folder {
        Some(folder) => format!("{folder}/{written}"),
        None => written.to_owned(),
    };
    context
        .read_text(Spanned::new(&path, argument.span))
        .map(|file| file.text.to_string())
}
