//! One file per page: what it asks, what it shows, and its handler; its template is in `templates/`.
//!
//! A page first gathers facts (a serializable struct, which is also the answer of its JSON twin), then turns them into texts
//! and small drawings for its template. Templates loop and branch and know nothing else.
//!
//! | file | page |
//! |---|---|
//! | `overview` | `/` |
//! | `assets`, `asset` | `/assets`, `/assets/{key}` and what is beside it |
//! | `runs`, `run`, `log` | `/runs`, `/runs/{id}` and the log on it |
//! | `run_attempts`, `run_log`, `run_data` | parts of a run's page |
//! | `backfills`, `backfill`, `backfill_new` | `/backfills`, `/backfills/{id}`, `/backfills/new` |
//! | `run_grid`, `step_grid` | the steps of a run by partition |
//! | `replay` | `/runs/{id}/replay` |
//! | `request` | what a run was asked for, and its buttons |
//! | `query`, `chart` | `/query`, and a drawing of its result |
//! | `stream` | `/log`: all that happened |
//! | `models`, `model` | `/models`, `/models/{key}` |
//! | `sensors`, `schedules` | `/sensors`, `/schedules` and their buttons |
//! | `ticks` | what sensors and schedules share |
//! | `automation` | `/automation` and its buttons; automation and freshness on other pages |
//! | `alerts` | `/alerts` and its button |
//! | `definitions` | `/definitions`: what is in force, and the mistakes of what is not |
//! | `graph`, `graph_layout`, `graph_drawing` | `/graph` |
//! | `frame` | what is around every page |
//! | `assets_state`, `partition_states` | states of assets and of their partitions |
//! | `tone`, `grid`, `gantt`, `day`, `plots` | states, partitions, attempts, the last 24 hours and numbers drawn |
//! | `highlight` | SQL with its words coloured |
//! | `console` | lines of a log made harmless |
//! | `failures` | why steps failed |
//! | `figures`, `markup` | numbers and times for people; text and HTML |

pub mod alerts;
pub mod asset;
pub mod assets;
mod assets_state;
pub mod automation;
pub mod backfill;
pub mod backfill_new;
pub mod backfills;
mod chart;
mod console;
mod day;
pub mod definitions;
mod failures;
mod figures;
pub mod forms;
mod frame;
mod gantt;
pub mod graph;
mod graph_drawing;
mod graph_layout;
mod grid;
mod highlight;
pub mod log;
mod markup;
pub mod model;
pub mod models;
pub mod overview;
pub mod own_log;
mod partition_states;
mod plots;
pub mod query;
pub mod replay;
mod request;
pub mod run;
mod run_attempts;
mod run_data;
pub mod run_grid;
mod run_log;
pub mod runs;
pub mod schedules;
pub mod sensors;
mod step_grid;
pub mod stream;
mod ticks;
mod tone;

use ::assets::AssetKey;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Html;
use state::ids::RunId;
use state::sqlite::{StateError, Store};

pub use self::assets_state::AssetLine;
use super::reply::ErrorPage;
use super::{preferences, static_files};
use crate::edge::engine::EngineHandle;

/// Asks the store on a thread that may wait.
pub async fn read<T: Send + 'static>(
    engine: &EngineHandle,
    question: impl FnOnce(&Store) -> Result<T, StateError> + Send + 'static,
) -> Result<T, ErrorPage> {
    let engine = engine.clone();
    let asked = tokio::task::spawn_blocking(move || engine.ask_store(question)).await;
    match asked {
        Ok(answer) => Ok(answer?),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(ErrorPage::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("millpond is stopping: {error}"),
            )),
        },
    }
}

fn render(page: &impl Template) -> Result<Html<String>, ErrorPage> {
    let text = page.render();
    text.map(Html).map_err(|error| {
        ErrorPage::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("failed to render the page: {error}"),
        )
    })
}

/// The asset key in a path.
pub(in crate::web) fn asset_key(text: &str) -> Result<AssetKey, ErrorPage> {
    text.parse()
        .map_err(|_| ErrorPage::not_found(format!("`{text}` is not an asset: keys look like `layer.name`")))
}

/// The run in a path.
fn run_id(text: &str) -> Result<RunId, ErrorPage> {
    text.parse()
        .map_err(|error: state::ids::IdError| ErrorPage::not_found(error.to_string()))
}

/// An empty field of a form is no value.
fn given(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[derive(Template)]
#[template(path = "error.html")]
struct Error<'a> {
    status: StatusCode,
    message: &'a str,
    help: Option<&'a str>,
    back: &'a str,
    back_word: &'a str,
    style: &'static str,
    script: &'static str,
    icon: &'static str,
    theme: Option<&'static str>,
}

/// An error with a way back.
pub fn error_page(status: StatusCode, message: &str, help: Option<&str>, back: &(String, &str)) -> String {
    let page = Error {
        status,
        message,
        help,
        back: &back.0,
        back_word: back.1,
        style: static_files::STYLE.path(),
        script: static_files::SCRIPT.path(),
        icon: static_files::ICON.path(),
        theme: preferences::current().theme,
    };
    // A page that says what is wrong is worth more than the reason why it cannot be a pretty one.
    page.render().unwrap_or_else(|_| markup::escape(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_text() {
        let page = error_page(
            StatusCode::NOT_FOUND,
            "no `<script>alert(1)</script>`",
            Some("look at <b>"),
            &("/<b>".to_owned(), "<b>"),
        );
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(page.contains("404") && page.contains("href=\"/&#60;b&#62;\""), "{page}");
    }
}
