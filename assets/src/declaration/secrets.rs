//! Secrets that stand in a file. They are references only; what is literal is reported and never shown.

use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Code, Diagnostic, DiagnosticSink};
use crate::span::{SourceId, Sources, Span};

/// Keys whose values are secrets.
const NAMES: [&str; 18] = [
    "pass",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "secret_key",
    "secret_access_key",
    "client_secret",
    "token",
    "access_token",
    "auth_token",
    "session_token",
    "access_key",
    "api_key",
    "apikey",
    "private_key",
    "credentials",
];

/// Keys of a reference to a secret.
const REFERENCES: [&str; 3] = ["env", "file", "command"];

/// Endings of keys whose values are secrets.
const ENDINGS: [&str; 6] = [
    "_password",
    "_secret",
    "_token",
    "_api_key",
    "_secret_key",
    "_private_key",
];

/// Reports every literal secret and hides its characters in all that is shown of the file.
pub(crate) fn mask_secrets(table: &DeTable<'_>, source: SourceId, sources: &mut Sources, sink: &DiagnosticSink) {
    mask_below(None, table, source, sources, sink);
}

fn mask_below(
    parent: Option<&str>,
    table: &DeTable<'_>,
    source: SourceId,
    sources: &mut Sources,
    sink: &DiagnosticSink,
) {
    for (key, value) in table {
        let span = Span::new(source, value.span());
        // A table of credentials holds names and places beside the secrets.
        let holder = key.get_ref() == "credentials" && matches!(value.get_ref(), DeValue::Table(_));
        // Whoever knows the address of a webhook can write to it.
        let address = parent == Some("webhook") && key.get_ref() == "url";
        if (is_secret(key.get_ref()) || address) && !holder {
            mask_literals(key.get_ref(), value.get_ref(), span, sources, sink);
            continue;
        }
        match value.get_ref() {
            DeValue::Table(inner) => mask_below(Some(key.get_ref()), inner, source, sources, sink),
            DeValue::Array(values) => {
                for value in values {
                    if let DeValue::Table(inner) = value.get_ref() {
                        mask_below(Some(key.get_ref()), inner, source, sources, sink);
                    }
                }
            }
            DeValue::String(text) if has_password(text) => report(key.get_ref(), span, sources, sink),
            _ => {}
        }
    }
}

fn is_secret(key: &str) -> bool {
    // Most keys have nothing of a secret's name in them, and none has capitals or hyphens: they are not copied.
    let plain = |key: &str| NAMES.contains(&key) || ENDINGS.iter().any(|ending| key.ends_with(ending));
    if key.contains(|c: char| c == '-' || c.is_ascii_uppercase()) {
        plain(&key.to_ascii_lowercase().replace('-', "_"))
    } else {
        plain(key)
    }
}

/// Whether a text is an address with a password in it: `scheme://user:password@host`.
fn has_password(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-');
    scheme.chars().all(plain)
        && authority
            .rsplit_once('@')
            .and_then(|(user, _)| user.split_once(':'))
            .is_some_and(|(_, password)| !password.is_empty())
}

/// Everything literal below a secret key, except inside a reference `{ env = … }`, `{ file = … }`, `{ command = … }`.
fn mask_literals(key: &str, value: &DeValue<'_>, span: Span, sources: &mut Sources, sink: &DiagnosticSink) {
    match value {
        DeValue::Table(inner)
            if !inner.is_empty() && inner.keys().all(|key| REFERENCES.contains(&key.get_ref().as_ref())) => {}
        DeValue::Table(inner) => {
            for (key, value) in inner {
                mask_literals(
                    key.get_ref(),
                    value.get_ref(),
                    Span::new(span.source, value.span()),
                    sources,
                    sink,
                );
            }
        }
        DeValue::Array(values) => {
            for value in values {
                mask_literals(
                    key,
                    value.get_ref(),
                    Span::new(span.source, value.span()),
                    sources,
                    sink,
                );
            }
        }
        DeValue::String(text) if text.is_empty() => {}
        DeValue::Boolean(_) => {}
        _ => report(key, span, sources, sink),
    }
}

fn report(key: &str, span: Span, sources: &mut Sources, sink: &DiagnosticSink) {
    sources.mask(span);
    sink.report(
        Diagnostic::new(Code::LiteralSecret, format!("`{key}` holds a secret"), span)
            .label("not shown")
            .help("refer to it instead: { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\"] }; and change it, since it was written down"),
    );
}

/// Hides what follows a secret key on its line, in a file that is not TOML all through: there no value can be told.
pub(crate) fn mask_secret_lines(text: &str, source: SourceId, sources: &mut Sources) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let mut from = 0;
        while let Some(sign) = line[from..].find('=').map(|sign| from + sign) {
            let before = line[..sign].trim_end().trim_end_matches(['"', '\'']);
            let key = before
                .rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
                .next()
                .unwrap_or_default();
            if is_secret(key) || key == "url" {
                let value = line[sign + 1..].trim_start();
                let start = at + line.len() - value.len();
                sources.mask(Span::new(source, start..start + value.trim_end().len()));
                break;
            }
            from = sign + 1;
        }
        at += line.len();
    }
}
