//! The style sheet, the script and the icon, part of the program. Their addresses hold a hash of their content, so that
//! browsers may keep them for ever and still never show an old one.

use std::sync::OnceLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// One file.
pub struct StaticFile {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    path: OnceLock<String>,
}

impl StaticFile {
    const fn new(name: &'static str, kind: &'static str, text: &'static str) -> Self {
        Self {
            name,
            kind,
            text,
            path: OnceLock::new(),
        }
    }

    /// `/static/1f0e…/app.css`
    pub fn path(&self) -> &str {
        self.path.get_or_init(|| {
            let hash = hex::encode(&Sha256::digest(self.text)[..8]);
            format!("/static/{hash}/{}", self.name)
        })
    }
}

/// How everything looks.
pub static STYLE: StaticFile = StaticFile::new(
    "app.css",
    "text/css; charset=utf-8",
    include_str!("../../static/app.css"),
);
/// Refreshes what changed.
pub static SCRIPT: StaticFile = StaticFile::new(
    "app.js",
    "text/javascript; charset=utf-8",
    include_str!("../../static/app.js"),
);
/// How assets, the graph and models look beside that.
pub static ASSETS_STYLE: StaticFile = StaticFile::new(
    "assets.css",
    "text/css; charset=utf-8",
    include_str!("../../static/assets.css"),
);
/// What their pages do beside that.
pub static ASSETS_SCRIPT: StaticFile = StaticFile::new(
    "assets.js",
    "text/javascript; charset=utf-8",
    include_str!("../../static/assets.js"),
);
/// How what is under way looks: runs, backfills, logs, queries.
pub static RUNNING: StaticFile = StaticFile::new(
    "running.css",
    "text/css; charset=utf-8",
    include_str!("../../static/running.css"),
);
/// Keys, help, and what only a browser knows.
pub static KEYS: StaticFile = StaticFile::new(
    "keys.js",
    "text/javascript; charset=utf-8",
    include_str!("../../static/keys.js"),
);
/// Follows a log.
pub static LOG: StaticFile = StaticFile::new(
    "log.js",
    "text/javascript; charset=utf-8",
    include_str!("../../static/log.js"),
);
/// Shows what a backfill would do while one chooses.
pub static BACKFILL: StaticFile = StaticFile::new(
    "backfill.js",
    "text/javascript; charset=utf-8",
    include_str!("../../static/backfill.js"),
);
/// The query console.
pub static QUERY: StaticFile = StaticFile::new(
    "query.js",
    "text/javascript; charset=utf-8",
    include_str!("../../static/query.js"),
);
/// All of them.
const ALL: [&StaticFile; 10] = [
    &STYLE,
    &SCRIPT,
    &ICON,
    &ASSETS_STYLE,
    &ASSETS_SCRIPT,
    &RUNNING,
    &KEYS,
    &LOG,
    &BACKFILL,
    &QUERY,
];

/// The address of a file, by its name.
pub fn path_of(name: &str) -> &'static str {
    ALL.into_iter()
        .find(|file| file.name == name)
        .map_or("", |file| file.path())
}

/// A pond.
pub static ICON: StaticFile = StaticFile::new("icon.svg", "image/svg+xml", include_str!("../../static/icon.svg"));

/// `GET /static/{hash}/{name}`
pub async fn serve(Path((hash, name)): Path<(String, String)>) -> Response {
    let found = ALL.into_iter().find(|file| file.name == name);
    match found {
        // Another hash is a page of another release in an open tab: it gets today's file, and does not keep it.
        Some(file) => {
            let kept = file.path().starts_with(&format!("/static/{hash}/"));
            let keep = if kept {
                "private, max-age=31536000, immutable"
            } else {
                "no-cache"
            };
            (
                [(header::CONTENT_TYPE, file.kind), (header::CACHE_CONTROL, keep)],
                file.text,
            )
                .into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_from_other_hosts_and_nothing_is_built_from_strings() {
        for file in ALL {
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            for foreign in [
                "http:",
                "https:",
                "@import",
                "innerHTML",
                "outerHTML",
                "document.write",
                "eval(",
                "insertAdjacentHTML",
            ] {
                assert!(!text.contains(foreign), "{} has {foreign}", file.name);
            }
            assert!(file.text.len() < 40_000, "{} is small", file.name);
        }
    }
}
