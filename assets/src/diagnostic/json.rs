//! Diagnostics as JSON, for editors and scripts.

use serde_json::{Value, json};

use super::{Diagnostic, Diagnostics, Level};
use crate::span::{Sources, Span};

impl Diagnostics {
    /// A list of objects: `code`, `level`, `message`, `file`, `line`, `column`, `end_line`, `end_column` (from 1, in
    /// characters; null without a place), `label`, `help`, `notes`.
    pub fn to_json(&self, sources: &Sources) -> Value {
        self.iter().map(|diagnostic| diagnostic.to_json(sources)).collect()
    }
}

impl Diagnostic {
    /// See [`Diagnostics::to_json`].
    pub fn to_json(&self, sources: &Sources) -> Value {
        let mut object = place(self.span, sources);
        object["code"] = json!(self.code.as_str());
        object["level"] = json!(match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        });
        object["message"] = json!(self.message);
        object["label"] = json!(self.label);
        object["help"] = json!(self.help);
        object["notes"] = self
            .notes
            .iter()
            .map(|note| {
                let mut object = place(note.span, sources);
                object["message"] = json!(note.message);
                object
            })
            .collect();
        object
    }
}

fn place(span: Option<Span>, sources: &Sources) -> Value {
    match span {
        Some(span) => {
            let (line, column) = sources.line_column(span.source, span.start as usize);
            let (end_line, end_column) = sources.line_column(span.source, span.end as usize);
            json!({
                "file": sources.name(span.source), "line": line, "column": column,
                "end_line": end_line, "end_column": end_column,
            })
        }
        None => json!({ "file": null, "line": null, "column": null, "end_line": null, "end_column": null }),
    }
}
