//! Who may ask. A page on another site must not be able to read from or act on a Millpond that runs on the reader's machine.
//!
//! - The `Host` must name this machine (a rebound DNS name does not).
//! - A request that changes something must not come from another origin, and must carry the token: in the `Authorization` header
//!   (commands) or in the session cookie together with the form's own token (pages).
//! - What other programs tell of (`/hooks`) bears a signature instead, which a browser cannot make.
//! - Reading needs the token too; the login link sets the cookie.
//!
//! The token is made at the first start, kept in a file that only its owner can read, and compared without telling by time.

use std::io::Write;
use std::path::Path;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use sha2::{Digest, Sha256};

use super::WebState;
use super::reply::ErrorPage;
use crate::edge::environment;

/// Name of the session cookie. The port is part of it: cookies are shared by all ports of a host.
const COOKIE: &str = "millpond";

/// The token and what it is compared with.
pub struct Guard {
    token: String,
    port: u16,
}

impl Guard {
    /// Reads the token of a state folder, or makes it.
    pub fn open(path: &Path, port: u16) -> std::io::Result<Self> {
        let token = match std::fs::read_to_string(path) {
            Ok(text) if text.trim().len() >= 32 => text.trim().to_owned(),
            Ok(_) => make(path)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(path)?,
            Err(error) => return Err(error),
        };
        Ok(Self { token, port })
    }

    /// The path of the login link.
    pub fn login_path(&self) -> String {
        format!("/login?token={}", self.token)
    }

    /// What forms carry so that another site's form is refused: derived from the token, and no secret that opens anything else.
    pub fn form_token(&self) -> String {
        hex::encode(&Sha256::digest(format!("form {}", self.token))[..16])
    }

    fn cookie_name(&self) -> String {
        format!("{COOKIE}-{}", self.port)
    }

    /// The value that the session cookie holds: not the token itself, so that a cookie cannot serve as one.
    fn cookie_value(&self) -> String {
        hex::encode(&Sha256::digest(format!("cookie {}", self.token))[..24])
    }

    /// `Set-Cookie` after the login.
    fn set_cookie(&self) -> String {
        format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000",
            self.cookie_name(),
            self.cookie_value()
        )
    }

    fn is_token(&self, given: &str) -> bool {
        same(given, &self.token)
    }

    fn has_bearer(&self, headers: &HeaderMap) -> bool {
        headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .is_some_and(|given| self.is_token(given.trim()))
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let (name, value) = (self.cookie_name(), self.cookie_value());
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .any(|header| {
                header
                    .split(';')
                    .filter_map(|pair| pair.trim().split_once('='))
                    .any(|(n, v)| n == name && same(v, &value))
            })
    }

    /// Whether a form's own token is right.
    pub fn is_form_token(&self, given: &str) -> bool {
        same(given, &self.form_token())
    }
}

/// Compares without telling by time where two texts differ.
fn same(a: &str, b: &str) -> bool {
    Sha256::digest(a) == Sha256::digest(b)
}

fn make(path: &Path) -> std::io::Result<String> {
    use std::os::unix::fs::OpenOptionsExt;
    let parts = [
        environment::seed(),
        environment::seed(),
        environment::seed(),
        environment::seed(),
    ];
    let token: String = parts.iter().map(|part| format!("{part:016x}")).collect();
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()?;
    Ok(token)
}

/// Whether a `Host` or an origin's host names this machine. The port does not matter: it may be forwarded.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "::1"
}

/// The outermost layer of every route.
pub async fn check(State(state): State<WebState>, request: Request, next: Next) -> Response {
    // They come through a proxy under whatever name, and bear a signature instead of a token.
    if request.uri().path().starts_with("/hooks/") {
        return secured(next.run(request).await);
    }
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
        (Some(host), None) => host.to_owned(),
        _ => {
            let page = ErrorPage::new(StatusCode::BAD_REQUEST, "the request must name one host");
            return secured(page.into_response());
        }
    };
    if !is_this_machine(&host) {
        let page = ErrorPage::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this millpond answers to localhost and 127.0.0.1 only",
        );
        return secured(page.into_response());
    }
    let unsafe_method = !matches!(*request.method(), Method::GET | Method::HEAD);
    if let Some(origin) = headers.get(header::ORIGIN) {
        let own = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.parse::<Uri>().ok())
            .is_some_and(|origin| origin.authority().is_some_and(|authority| authority.as_str() == host));
        if !own {
            let page = ErrorPage::new(StatusCode::FORBIDDEN, "requests from other origins are refused");
            return secured(page.into_response());
        }
    }
    let path = request.uri().path();
    if path == "/healthz" || path == "/readyz" || path.starts_with("/static/") {
        return secured(next.run(request).await);
    }
    if path == "/login" {
        return login(&state.guard, request.uri().query().unwrap_or_default());
    }
    let bearer = state.guard.has_bearer(headers);
    if !bearer && !state.guard.has_cookie(headers) {
        let page = ErrorPage::new(StatusCode::UNAUTHORIZED, "log in first")
            .with_help("open the link that `millpond up` printed; it holds the token of this project");
        return secured(page.into_response());
    }
    // A cookie alone never changes anything: pages send the form's token too, which another site cannot know.
    if unsafe_method && !bearer {
        let given = headers
            .get("x-millpond-form")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let from_query = form_token_of(request.uri().query().unwrap_or_default());
        if !given
            .or(from_query)
            .is_some_and(|given| state.guard.is_form_token(&given))
        {
            let page = ErrorPage::new(StatusCode::FORBIDDEN, "the form is out of date")
                .with_help("go back, reload, try again");
            return secured(page.into_response());
        }
    }
    secured(next.run(request).await)
}

fn form_token_of(query: &str) -> Option<String> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("form="))
        .map(str::to_owned)
}

fn login(guard: &Guard, query: &str) -> Response {
    let given = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("token="))
        .unwrap_or_default();
    if !guard.is_token(given) {
        let page = ErrorPage::new(StatusCode::UNAUTHORIZED, "that link is not this project's")
            .with_help("open the link that `millpond up` printed last");
        return secured(page.into_response());
    }
    secured(([(header::SET_COOKIE, guard.set_cookie())], Redirect::to("/")).into_response())
}

/// What every answer tells the browser: run nothing but our own files, be framed by nobody, guess no types, cache nothing.
fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        // Not `no-referrer`: browsers would then send forms with the origin `null`.
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(name, axum::http::HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(axum::http::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_this_machine() {
        for host in ["localhost", "localhost:4400", "127.0.0.1:1", "[::1]:4400", "LOCALHOST"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "evil.com",
            "127.0.0.1.nip.io",
            "localhost.evil.com:4400",
            "127.0.0.2",
            "[::2]",
            "",
            "0.0.0.0",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_token_is_made_once_and_only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let first = Guard::open(&path, 1).unwrap();
        let again = Guard::open(&path, 1).unwrap();
        assert_eq!(first.token, again.token);
        assert_eq!(first.token.len(), 64);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(first.cookie_value(), first.token);
    }
}
