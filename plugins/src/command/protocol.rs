//! The Dagster Pipes protocol, version 0.1, from the side that starts the program.
//!
//! The program gets two environment variables, each the base64 of the zlib-compressed JSON of some parameters: where its
//! context is, and where its messages go. Both are files here. The context is one JSON object with all of its keys present
//! (<https://docs.dagster.io/guides/build/external-pipelines/dagster-pipes-details-and-customization>); messages are one JSON object per line,
//! `{"__dagster_pipes_version":"0.1","method":…,"params":…}`. The same text works with the published clients in Python, Rust, Java and TypeScript.

use std::collections::BTreeMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Tells the program where its context is.
pub(super) const CONTEXT_VARIABLE: &str = "DAGSTER_PIPES_CONTEXT";
/// Tells the program where its messages go.
pub(super) const MESSAGES_VARIABLE: &str = "DAGSTER_PIPES_MESSAGES";

/// What the program is told of its step. Every key is written, `null` where there is nothing to say: clients ask for all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PipesContext {
    pub(super) asset_keys: Option<Vec<String>>,
    pub(super) code_version_by_asset_key: Option<BTreeMap<String, Option<String>>>,
    pub(super) provenance_by_asset_key: Option<BTreeMap<String, Option<Value>>>,
    pub(super) partition_key: Option<String>,
    pub(super) partition_key_range: Option<TextRange>,
    pub(super) partition_time_window: Option<TextRange>,
    pub(super) run_id: String,
    pub(super) job_name: Option<String>,
    /// 0 for the first try.
    pub(super) retry_number: u32,
    pub(super) extras: Value,
}

/// Two ends, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct TextRange {
    pub(super) start: String,
    pub(super) end: String,
}

/// One line of the messages file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "method", content = "params", rename_all = "snake_case")]
pub(super) enum Message {
    Opened {},
    Log {
        message: String,
        level: String,
    },
    ReportAssetMaterialization {
        asset_key: String,
        data_version: Option<String>,
        metadata: Option<BTreeMap<String, MetadataValue>>,
    },
    ReportAssetCheck {
        asset_key: String,
        check_name: String,
        passed: bool,
        #[serde(default)]
        severity: PipesSeverity,
        metadata: Option<BTreeMap<String, MetadataValue>>,
    },
    ReportCustomMessage {
        payload: Value,
    },
    LogExternalStream {
        stream: String,
        text: String,
    },
    Closed {
        exception: Option<PipesException>,
    },
}

/// A value with the type that the program gave it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct MetadataValue {
    pub(super) raw_value: Value,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum PipesSeverity {
    Warn,
    #[default]
    Error,
}

/// An exception that ended the program's session.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct PipesException {
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) stack: Vec<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) cause: Option<Box<PipesException>>,
    #[serde(default)]
    pub(super) context: Option<Box<PipesException>>,
}

impl PipesException {
    /// `ValueError: boom`
    pub(super) fn headline(&self) -> String {
        let message = self
            .message
            .as_deref()
            .map(str::trim)
            .filter(|message| !message.is_empty());
        match (&self.name, message) {
            (Some(name), Some(message)) if !message.starts_with(name.as_str()) => format!("{name}: {message}"),
            (_, Some(message)) => message.to_owned(),
            (Some(name), None) => name.clone(),
            (None, None) => "an exception without a message".to_owned(),
        }
    }

    /// The stack as Python prints it, causes first.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(cause) = &self.cause {
            lines.extend(cause.lines());
            lines.push("The above exception was the direct cause of the following exception:".to_owned());
        } else if let Some(context) = &self.context {
            lines.extend(context.lines());
            lines.push("During handling of the above exception, another exception occurred:".to_owned());
        }
        lines.extend(
            self.stack
                .iter()
                .flat_map(|frame| frame.trim_end().lines())
                .map(str::to_owned),
        );
        lines.push(self.headline());
        lines
    }
}

/// Parameters in the form that the variables have.
pub(super) fn encoded(parameters: &Value) -> String {
    let bytes = parameters.to_string();
    if let Some(stored) = stored(bytes.as_bytes()) {
        return STANDARD.encode(stored);
    }
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(bytes.as_bytes())
        .expect("writing to memory does not fail");
    STANDARD.encode(zlib.finish().expect("writing to memory does not fail"))
}

/// A zlib stream (RFC 1950) of one block that is not compressed (RFC 1951, 3.2.4), for short texts: a compressor clears half a megabyte
/// of tables before it begins, which a small step notices.
fn stored(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(bytes.len()).ok().filter(|length| *length <= 4096)?;
    let (mut sum, mut of_sums) = (1_u32, 0_u32);
    for byte in bytes {
        sum = (sum + u32::from(*byte)) % 65_521;
        of_sums = (of_sums + sum) % 65_521;
    }
    let mut stream = vec![0x78, 0x01, 0x01];
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend(bytes);
    stream.extend((of_sums << 16 | sum).to_be_bytes());
    Some(stream)
}

/// Where a program finds its context.
pub(super) enum ContextPlace {
    /// In the variable itself.
    Here(Value),
    /// In a file.
    File(String),
}

/// The two variables that tell a program its context and where its messages go. The file of messages is the program's to make.
pub(super) fn variables(context: ContextPlace, messages: &str) -> [(String, String); 2] {
    let context = match context {
        ContextPlace::Here(context) => json!({ "data": context }),
        ContextPlace::File(path) => json!({ "path": path }),
    };
    [
        (CONTEXT_VARIABLE.to_owned(), encoded(&context)),
        (MESSAGES_VARIABLE.to_owned(), encoded(&json!({ "path": messages }))),
    ]
}

/// Reads one line. `None` for a message that this version does not know, which is to be let pass.
pub(super) fn message(line: &str) -> Result<Option<Message>, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if value.get("__dagster_pipes_version").is_none() {
        return Err("the key `__dagster_pipes_version` is missing".to_owned());
    }
    let known = [
        "opened",
        "log",
        "report_asset_materialization",
        "report_asset_check",
        "report_custom_message",
        "log_external_stream",
        "closed",
    ];
    let method = value
        .get("method")
        .and_then(Value::as_str)
        .ok_or("the key `method` is missing")?;
    if !known.contains(&method) {
        return Ok(None);
    }
    let with_params = json!({ "method": method, "params": value.get("params").cloned().unwrap_or_else(|| json!({})) });
    serde_json::from_value(with_params)
        .map(Some)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_variables_are_base64_of_zlib_of_json() {
        for (place, expected) in [
            (
                ContextPlace::File("/tmp/context.json".to_owned()),
                r#"{"path":"/tmp/context.json"}"#,
            ),
            (
                ContextPlace::Here(json!({ "run_id": "r" })),
                r#"{"data":{"run_id":"r"}}"#,
            ),
            // So long that it is worth compressing.
            (
                ContextPlace::Here(json!({ "run_id": "r".repeat(5000) })),
                &format!(r#"{{"data":{{"run_id":"{}"}}}}"#, "r".repeat(5000)),
            ),
        ] {
            let [(name, value), _] = variables(place, "/tmp/messages.jsonl");
            assert_eq!(name, "DAGSTER_PIPES_CONTEXT");
            let mut json = String::new();
            flate2::read::ZlibDecoder::new(&STANDARD.decode(value).unwrap()[..])
                .read_to_string(&mut json)
                .unwrap();
            assert_eq!(json, expected);
        }
    }

    /// Lines as the published Python client 1.x writes them.
    #[test]
    fn recorded_messages_are_read() {
        let lines = [
            r#"{"__dagster_pipes_version": "0.1", "method": "opened", "params": {"extras": {}}}"#,
            r#"{"__dagster_pipes_version": "0.1", "method": "log", "params": {"message": "hello", "level": "INFO"}}"#,
            r#"{"__dagster_pipes_version": "0.1", "method": "report_asset_materialization", "params": {"asset_key": "silver/orders", "data_version": "v1", "metadata": {"rows": {"raw_value": 5, "type": "__infer__"}}}}"#,
            r#"{"__dagster_pipes_version": "0.1", "method": "report_asset_check", "params": {"asset_key": "silver/orders", "check_name": "not_null", "passed": false, "metadata": {"n": {"raw_value": 3, "type": "__infer__"}}, "severity": "WARN"}}"#,
            r#"{"__dagster_pipes_version": "0.1", "method": "report_custom_message", "params": {"payload": {"any": "json"}}}"#,
            r#"{"__dagster_pipes_version": "0.1", "method": "closed", "params": {"exception": {"message": "ValueError: boom\n", "stack": ["  File \"child.py\", line 7, in <module>\n    raise ValueError(\"boom\")\n"], "name": "ValueError", "cause": null, "context": null}}}"#,
        ];
        let messages: Vec<Message> = lines.iter().map(|line| message(line).unwrap().unwrap()).collect();
        assert!(matches!(
            &messages[3],
            Message::ReportAssetCheck {
                severity: PipesSeverity::Warn,
                passed: false,
                ..
            }
        ));
        let Message::Closed {
            exception: Some(exception),
        } = &messages[5]
        else {
            panic!("{:?}", messages[5])
        };
        assert_eq!(exception.headline(), "ValueError: boom");
        assert_eq!(
            exception.lines(),
            [
                "  File \"child.py\", line 7, in <module>",
                "    raise ValueError(\"boom\")",
                "ValueError: boom"
            ]
        );
    }

    #[test]
    fn a_line_that_is_no_message_says_why_and_a_new_kind_passes() {
        assert!(message("{").is_err());
        assert_eq!(
            message(r#"{"method":"closed"}"#).unwrap_err(),
            "the key `__dagster_pipes_version` is missing"
        );
        assert_eq!(
            message(r#"{"__dagster_pipes_version":"0.1","method":"sing","params":{}}"#),
            Ok(None)
        );
        assert_eq!(
            message(r#"{"__dagster_pipes_version":"0.1","method":"closed"}"#),
            Ok(Some(Message::Closed { exception: None }))
        );
        assert!(message(r#"{"__dagster_pipes_version":"0.1","method":"log","params":{"level":"INFO"}}"#).is_err());
    }
}
