//! One file per page.

use axum::http::StatusCode;

/// An error with a way back.
pub fn error_page(status: StatusCode, message: &str, help: Option<&str>) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!doctype html><title>{status}</title><p>{}<p>{}<p><a href=/>back</a>",
        escape(message),
        escape(help.unwrap_or_default())
    )
}
