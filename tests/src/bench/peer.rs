//! A peer: a Python script that is given a JSON line and prints one.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{BenchError, Settings};

/// Runs a script on a request; gives its answer. What it says on its error output is part of the error.
#[allow(clippy::disallowed_methods)]
pub(super) fn ask(settings: &Settings, script: &str, request: &Value) -> Result<Value, BenchError> {
    let mut child = Command::new(&settings.python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start {}: {error}", settings.python.display()))?;
    let mut input = child.stdin.take().ok_or("the child has no input")?;
    input.write_all(request.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("the peer failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A number of an answer.
pub(super) fn number(answer: &Value, key: &str) -> Result<f64, BenchError> {
    answer[key]
        .as_f64()
        .ok_or_else(|| format!("the peer's answer has no number {key:?}: {answer}").into())
}
