//! Looking secrets up where the declaration says. A value is used and forgotten: it has no way into a message, a log or the
//! store, since the type that holds it can be shown to nobody.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use assets::SecretReference;
use plugins::command::{ProcessEnd, ProcessOrder};

use super::environment;
use super::processes;

/// Most bytes of a secret.
const MOST_BYTES: usize = 64 * 1024;
/// How long a program may take to tell a secret.
const LONGEST: Duration = Duration::from_secs(10);

/// The value of a secret.
pub struct Secret(String);

impl Secret {
    /// The value, for whoever it is meant for.
    pub fn value(&self) -> &str {
        &self.0
    }
}

/// Why a secret could not be looked up. Says where it was looked for and nothing of the value.
#[derive(Debug, thiserror::Error)]
#[error("the {place} {problem}")]
pub struct SecretError {
    place: String,
    problem: String,
}

/// Looks a secret up. Paths and programs start from the project's folder.
pub async fn look_up(reference: &SecretReference, root: &Path) -> Result<Secret, SecretError> {
    let found = match reference {
        SecretReference::Env(name) => environment::variable(name).ok_or_else(|| "is not set".to_owned()),
        SecretReference::File(path) => read(&root.join(path)).await,
        SecretReference::Command(words) => ask(words, root).await,
    };
    let value = found.and_then(|text| {
        let value = text.strip_suffix('\n').unwrap_or(&text);
        let value = value.strip_suffix('\r').unwrap_or(value);
        match value.is_empty() {
            true => Err("holds nothing".to_owned()),
            false => Ok(Secret(value.to_owned())),
        }
    });
    value.map_err(|problem| SecretError {
        place: reference.to_string(),
        problem,
    })
}

async fn read(path: &Path) -> Result<String, String> {
    let bytes = tokio::fs::read(path)
        .await
        .map_err(|error| format!("cannot be read: {error}"))?;
    text(bytes)
}

async fn ask(words: &[String], root: &Path) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("has no name")?;
    let order = ProcessOrder {
        program: program.clone(),
        arguments: arguments.to_vec(),
        working_directory: root.to_owned(),
        environment: BTreeMap::new(),
        mark: format!("secret-{:016x}", environment::seed()),
    };
    let ended = processes::run(&order, Vec::new(), MOST_BYTES + 1, LONGEST)
        .await
        .map_err(|error| format!("cannot be run: {error}"))?;
    match ended.end {
        Some(ProcessEnd::Code(0)) => text(ended.output),
        Some(end) => Err(format!("ended with {end}")),
        None => Err(format!("did not end within {} seconds", LONGEST.as_secs())),
    }
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > MOST_BYTES {
        return Err(format!("holds more than {} KiB", MOST_BYTES / 1024));
    }
    String::from_utf8(bytes).map_err(|_| "holds what is not text".to_owned())
}

/// Takes the values of secrets out of a text that is to be shown. Very short values are left: they would tear up words, and are
/// no secrets.
pub fn hide(text: &str, secrets: &[&Secret]) -> String {
    secrets
        .iter()
        .filter(|secret| secret.0.len() >= 4)
        .fold(text.to_owned(), |text, secret| text.replace(&secret.0, "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> SecretReference {
        SecretReference::Command(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[tokio::test]
    async fn secrets_are_found_where_the_declaration_says() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "s3cret\n").unwrap();
        let found = async |reference: SecretReference| match look_up(&reference, folder.path()).await {
            Ok(secret) => secret.value().to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found(SecretReference::File("token".to_owned())).await, "s3cret");
        assert_eq!(found(words(&["sh", "-c", "cat token"])).await, "s3cret");
        assert_eq!(
            found(SecretReference::Env("MILLPOND_NO_SUCH".to_owned())).await,
            "the environment variable `MILLPOND_NO_SUCH` is not set"
        );
        assert!(
            found(SecretReference::File("gone".to_owned()))
                .await
                .starts_with("the file `gone` cannot be read: No such file")
        );
        // What a program says when it fails may hold the secret, so it is not told.
        assert_eq!(
            found(words(&["sh", "-c", "echo s3cret; echo s3cret >&2; exit 3"])).await,
            "the program `sh` ended with exit code 3"
        );
        assert_eq!(found(words(&["true"])).await, "the program `true` holds nothing");
        assert!(
            found(words(&["no-such-program"]))
                .await
                .starts_with("the program `no-such-program` cannot be run: ")
        );
    }

    #[test]
    fn a_secret_is_taken_out_of_what_is_shown() {
        let secret = Secret("https://hooks.example.com/T/B".to_owned());
        let shown = hide("failed to reach https://hooks.example.com/T/B/x: refused", &[&secret]);
        assert_eq!(shown, "failed to reach ***/x: refused");
    }
}
