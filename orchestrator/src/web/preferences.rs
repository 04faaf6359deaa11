//! What a reader prefers: light or dark, and whose clock. Kept in cookies of the reader's browser, so that pages are right from
//! the first paint and without JavaScript.
//!
//! They are at hand wherever a page is made, as a value of the request's task: every page has them, and no page names them.

use axum::extract::{Query, Request};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;

const THEME: &str = "millpond-theme";
const TIMES: &str = "millpond-times";
/// Set by `keys.js`: a browser does not tell its zone to servers.
const ZONE: &str = "millpond-zone";

/// What one reader prefers.
#[derive(Debug, Clone, Default)]
pub struct Preferences {
    /// `light` or `dark`; what the system says if absent.
    pub theme: Option<&'static str>,
    /// The reader's zone, if it is known.
    pub zone: Option<TimeZone>,
    /// Whether times are shown in it rather than in the project's.
    pub own_times: bool,
}

tokio::task_local! {
    static READER: Preferences;
}

/// Those of whoever asked for what is being answered.
pub fn current() -> Preferences {
    READER.try_with(Clone::clone).unwrap_or_default()
}

/// Reads them from the cookies of a request.
pub async fn known(request: Request, next: Next) -> Response {
    let preferences = Preferences::of(request.headers());
    READER.scope(preferences, next.run(request)).await
}

impl Preferences {
    fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let cookies = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|cookie| cookie.to_str().ok());
        for (name, value) in cookies
            .flat_map(|cookie| cookie.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
        {
            match name {
                THEME => found.theme = theme(value),
                TIMES => found.own_times = value == "own",
                // A name of a zone has nothing that needs to be encoded but `/`.
                ZONE => found.zone = TimeZone::get(&value.replace("%2F", "/")).ok(),
                _ => {}
            }
        }
        found
    }
}

fn theme(text: &str) -> Option<&'static str> {
    ["light", "dark"].into_iter().find(|known| *known == text)
}

/// What is to be remembered.
#[derive(Debug, Default, Deserialize)]
pub struct Choice {
    /// `light`, `dark`, or anything else for what the system says.
    theme: Option<String>,
    /// `own`, or anything else for the project's.
    times: Option<String>,
}

/// `POST /preferences?theme=dark`: remembers and goes back to where the button was.
pub async fn choose(Query(choice): Query<Choice>, headers: HeaderMap) -> Response {
    let mut cookies = Vec::new();
    let mut remember = |name: &str, value: &str| {
        cookies.push((
            header::SET_COOKIE,
            format!("{name}={value}; Path=/; SameSite=Strict; Max-Age=31536000"),
        ));
    };
    if let Some(chosen) = choice.theme {
        remember(THEME, theme(&chosen).unwrap_or("system"));
    }
    if let Some(times) = choice.times {
        remember(TIMES, if times == "own" { "own" } else { "project" });
    }
    (AppendHeaders(cookies), Redirect::to(&back(&headers))).into_response()
}

/// The page that the request came from, if it is one of ours.
fn back(headers: &HeaderMap) -> String {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &axum::http::HeaderValue| value.to_str().ok())
    };
    let page = text(header::REFERER)
        .and_then(|referer| referer.parse::<Uri>().ok())
        .filter(|uri| uri.authority().map(axum::http::uri::Authority::as_str) == text(header::HOST));
    let path = page
        .as_ref()
        .and_then(Uri::path_and_query)
        .map(axum::http::uri::PathAndQuery::as_str);
    path.filter(|path| path.starts_with('/') && !path.starts_with("//"))
        .unwrap_or("/")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn cookies_that_mean_nothing_are_passed_over() {
        let found = Preferences::of(&headers(&[(
            header::COOKIE,
            "a=b; millpond-theme=dark; millpond-zone=Europe%2FZurich; millpond-times=own",
        )]));
        assert_eq!((found.theme, found.own_times), (Some("dark"), true));
        assert_eq!(found.zone.unwrap().iana_name(), Some("Europe/Zurich"));
        let odd = Preferences::of(&headers(&[(
            header::COOKIE,
            "millpond-theme=\"><script>; millpond-zone=../../etc/passwd; millpond-times=x",
        )]));
        assert!(odd.theme.is_none() && odd.zone.is_none() && !odd.own_times);
    }

    #[test]
    fn one_comes_back_to_pages_of_ours_only() {
        let of = |referer: &str| back(&headers(&[(header::HOST, "localhost:1"), (header::REFERER, referer)]));
        assert_eq!(of("http://localhost:1/runs?status=failed"), "/runs?status=failed");
        for foreign in [
            "http://evil.example/runs",
            "http://localhost:1//evil.example",
            "nonsense",
            "",
        ] {
            assert_eq!(of(foreign), "/", "{foreign}");
        }
    }
}
