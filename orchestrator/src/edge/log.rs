//! The program's own log: lines on standard error, for people or for programs, with a level that can be changed while it runs.
//!
//! The newest lines are kept for the dashboard, see `kept_lines`. Lines of steps are elsewhere: a file per attempt in the state folder.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::kept_lines::Keep;
use super::{clock, environment};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line: `at`, `level`, `target`, `message`, and the fields of the line.
    Json,
}

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Begins to log. `MILLPOND_LOG` says what is worth a line (`debug`, `orchestrator=trace`), `default` if it is not set.
pub fn start(default: &str, format: LogFormat) {
    let filter = environment::variable("MILLPOND_LOG").unwrap_or_else(|| default.to_owned());
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(default));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Text => registry.with(lines).with(Keep).try_init(),
        LogFormat::Json => registry.with(lines.event_format(Json)).with(Keep).try_init(),
    };
    // A second subscriber is refused, and the first one serves.
    if started.is_ok() {
        FILTER.set(handle).ok();
    }
}

/// What is worth a line now.
pub fn level() -> String {
    let known = FILTER
        .get()
        .and_then(|filter| filter.with_current(ToString::to_string).ok());
    known.unwrap_or_else(|| "off".to_owned())
}

/// Changes what is worth a line: `debug`, or more finely `info,orchestrator::edge=trace`.
///
/// # Errors
/// Why the text says nothing.
pub fn set_level(text: &str) -> Result<(), String> {
    let filter = EnvFilter::builder()
        .parse(text)
        .map_err(|error| format!("`{text}` is no level: {error}; `error`, `warn`, `info`, `debug` and `trace` are"))?;
    // A bare word that is no level is taken for the name of a module.
    let words = ["error", "warn", "info", "debug", "trace", "off"];
    if !text.contains(['=', ':'])
        && !text
            .split(',')
            .all(|word| words.contains(&word.trim().to_ascii_lowercase().as_str()))
    {
        return Err(format!("`{text}` is no level; {} are", words.join(", ")));
    }
    match FILTER.get() {
        Some(handle) => handle
            .reload(filter)
            .map_err(|error| format!("the level cannot be changed: {error}")),
        None => Err("this process does not log".to_owned()),
    }
}

/// Lines for programs.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        // After the line's own fields: none of them stands for these.
        fields
            .0
            .insert("at".to_owned(), Value::String(clock::timestamp().to_string()));
        let level = metadata.level().as_str().to_ascii_lowercase();
        fields.0.insert("level".to_owned(), Value::String(level));
        fields.0.insert("target".to_owned(), metadata.target().into());
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

/// What a line says, by name; `message` is what it says in words.
#[derive(Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// The message, and after it the other fields.
    pub(super) fn line(mut self) -> String {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let mut line = self.0.remove("message").map(text).unwrap_or_default();
        let others: BTreeMap<String, Value> = self.0.into_iter().collect();
        for (name, value) in others {
            if !line.is_empty() {
                line.push(' ');
            }
            line += &format!("{name}={}", text(value));
        }
        line
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .insert(field.name().to_owned(), Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
