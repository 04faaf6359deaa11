//! What a program said over the Pipes protocol, gathered while it runs.

use std::collections::BTreeMap;

use assets::outcome::{CheckResult, Severity};
use serde_json::{Value, json};

use super::protocol::{self, Message, MetadataValue, PipesException, PipesSeverity};
use crate::step_run::{Level, LogStream, StepLog};

/// The state of one program's session.
pub(super) struct Session {
    /// The only asset the program may report: `layer/name`.
    asset: String,
    log: StepLog,
    /// Numbers and texts of the reported materialization.
    pub(super) metadata: BTreeMap<String, Value>,
    /// The reported data version.
    pub(super) data_version: Option<String>,
    /// The reported checks, in the order of their first report.
    pub(super) checks: Vec<CheckResult>,
    /// The exception with which the program closed its session.
    pub(super) exception: Option<PipesException>,
    /// It said `opened`.
    pub(super) opened: bool,
    /// It said `closed`.
    pub(super) closed: bool,
}

impl Session {
    pub(super) fn new(asset: String, log: StepLog) -> Self {
        Self {
            asset,
            log,
            metadata: BTreeMap::new(),
            data_version: None,
            checks: Vec::new(),
            exception: None,
            opened: false,
            closed: false,
        }
    }

    /// Takes in one line of the messages file. A line that makes no sense is logged, and the step goes on.
    pub(super) fn take(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        match protocol::message(line) {
            Ok(Some(message)) => {
                if self.closed {
                    self.log
                        .warn("the program reported something after it had closed its session");
                }
                self.apply(message);
            }
            Ok(None) => self
                .log
                .write(Level::Debug, format!("let a message of an unknown kind pass: {line}")),
            Err(error) => self
                .log
                .warn(format!("failed to read a message of the program: {error}")),
        }
    }

    /// A line that was too long to be read.
    pub(super) fn skip(&self, bytes: usize) {
        self.log.warn(format!(
            "left out a message of the program: it has more than {bytes} bytes"
        ));
    }

    fn apply(&mut self, message: Message) {
        match message {
            Message::Opened { .. } => self.opened = true,
            Message::Log { message, level } => self.log.write(level_of(&level), message),
            Message::ReportAssetMaterialization {
                asset_key,
                data_version,
                metadata,
            } => {
                if self.is_ours(&asset_key) {
                    self.data_version = data_version.or(self.data_version.take());
                    self.metadata.extend(plain(metadata));
                }
            }
            Message::ReportAssetCheck {
                asset_key,
                check_name,
                passed,
                severity,
                metadata,
            } => {
                if self.is_ours(&asset_key) {
                    self.check(check_name, passed, severity, &plain(metadata));
                }
            }
            Message::ReportCustomMessage { payload } => self.log.info(format!("message of the program: {payload}")),
            Message::LogExternalStream { stream, text } => {
                let stream = if stream == "stderr" {
                    LogStream::Stderr
                } else {
                    LogStream::Stdout
                };
                self.log.write_as(stream, Level::Info, text.lines());
            }
            Message::Closed { exception } => {
                self.closed = true;
                if let Some(exception) = exception {
                    self.log.error(exception.lines().join("\n"));
                    self.exception = Some(exception);
                }
            }
        }
    }

    fn is_ours(&self, asset: &str) -> bool {
        // Dagster's own programs write `layer/name`; people write the key as they know it.
        let ours = asset.replace('.', "/") == self.asset;
        if !ours {
            self.log.warn(format!(
                "let a report on `{asset}` pass: this step makes `{}` alone",
                self.asset
            ));
        }
        ours
    }

    fn check(&mut self, name: String, passed: bool, severity: PipesSeverity, metadata: &BTreeMap<String, Value>) {
        let said: Vec<String> = metadata
            .iter()
            .map(|(name, value)| format!("{name} = {}", as_text(value)))
            .collect();
        let result = CheckResult {
            name,
            check: "command".to_owned(),
            severity: match severity {
                PipesSeverity::Warn => Severity::Warn,
                PipesSeverity::Error => Severity::Error,
            },
            passed,
            figure: metadata.values().find_map(Value::as_f64),
            expected: if said.is_empty() {
                "what the program asks for".to_owned()
            } else {
                format!("what the program asks for ({})", said.join(", "))
            },
            failing_rows: None,
            sample: None,
            error: None,
        };
        // A check that is reported twice counts once: the last word stands.
        match self.checks.iter_mut().find(|check| check.name == result.name) {
            Some(earlier) => *earlier = result,
            None => self.checks.push(result),
        }
    }
}

/// Metadata as it is stored: plain values as they are, special ones (a link, Markdown, a path, …) with their type.
fn plain(metadata: Option<BTreeMap<String, MetadataValue>>) -> BTreeMap<String, Value> {
    metadata
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| {
            let stored = match value.kind.as_str() {
                "__infer__" | "text" | "json" | "float" | "int" | "bool" | "null" => value.raw_value,
                special => json!({ "type": special, "raw_value": value.raw_value }),
            };
            (name, stored)
        })
        .collect()
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Python's names of levels.
fn level_of(name: &str) -> Level {
    match name.to_ascii_uppercase().as_str() {
        "DEBUG" | "NOTSET" => Level::Debug,
        "WARNING" | "WARN" => Level::Warn,
        "ERROR" | "CRITICAL" | "FATAL" => Level::Error,
        _ => Level::Info,
    }
}
