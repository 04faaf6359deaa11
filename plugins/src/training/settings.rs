//! The trainer of a declaration, with every mistake at its own place.

use std::collections::BTreeMap;

use assets::diagnostic::{Code, Diagnostic};
use assets::table::{TableReader, TableValue};

use crate::models::{ALGORITHMS, Setting, Trainer};

/// The trainer, and whether it has a seed of its own. `None` after a report.
pub(super) fn trainer(table: &TableReader<'_>) -> Option<(Trainer, bool)> {
    let written = table.map("trainer");
    if written.is_empty() && !table.has("trainer") {
        return None;
    }
    let known: Vec<&str> = ALGORITHMS.iter().map(|algorithm| algorithm.name).collect();
    let Some((_, algorithm)) = written.iter().find(|(key, _)| key.value == "algorithm") else {
        table.report(
            Diagnostic::new(Code::MissingKey, "trainer has no `algorithm`", table.span_of("trainer"))
                .help(format!("it is one of {}", known.join(", "))),
        );
        return None;
    };
    let Some(name) = algorithm.as_str() else {
        table.report(
            Diagnostic::new(Code::WrongType, "`algorithm` takes a string", algorithm.span())
                .help(format!("it is one of {}", known.join(", "))),
        );
        return None;
    };
    let settings: BTreeMap<String, Setting> = written
        .iter()
        .filter(|(key, _)| key.value != "algorithm")
        .map(|(key, value)| (key.value.to_owned(), setting(value)))
        .collect();
    match Trainer::from_settings(name.value, &settings) {
        Ok(trainer) => Some((trainer, settings.contains_key("seed"))),
        Err(problems) => {
            for problem in problems {
                let place = written.iter().find(|(key, _)| key.value == problem.key);
                let span = place.map_or(table.span_of("trainer"), |(_, value)| value.span());
                let diagnostic = Diagnostic::new(Code::InvalidValue, problem.message, span);
                table.report(match problem.suggestion {
                    Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
                    None => diagnostic,
                });
            }
            None
        }
    }
}

fn setting(value: &TableValue<'_>) -> Setting {
    if let Some(integer) = value.as_integer() {
        return Setting::Integer(integer.value);
    }
    match value.as_float() {
        Some(number) => Setting::Number(number.value),
        None => Setting::Other(
            value
                .to_json()
                .map_or_else(|| "this".to_owned(), |json| json.to_string()),
        ),
    }
}
