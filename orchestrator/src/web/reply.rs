//! Answers that handlers share: errors as pages with a way back, or as JSON for programs.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::pages::error_page;
use crate::edge::engine::{RequestError, TableError};
use crate::wire::ErrorBody;

/// An error as a page.
#[derive(Debug)]
pub struct ErrorPage {
    status: StatusCode,
    message: String,
    help: Option<String>,
    /// Where to go, and what that is called.
    back: (String, &'static str),
}

impl ErrorPage {
    /// An error with its status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            help: None,
            back: ("/".to_owned(), "Back to the overview"),
        }
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// What is wrong and what to do, as one text.
    pub fn into_message(self) -> String {
        match self.help {
            Some(help) => format!("{}: {help}", self.message),
            None => self.message,
        }
    }

    /// Another way back than to the overview.
    pub fn with_back(mut self, href: impl Into<String>, word: &'static str) -> Self {
        self.back = (href.into(), word);
        self
    }

    /// Adds what to do next.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        let page = error_page(self.status, &self.message, self.help.as_deref(), &self.back);
        let mut response = (self.status, Html(page)).into_response();
        response.extensions_mut().insert(Said(self.into_message()));
        response
    }
}

/// What an error page says, for whoever asked for no page.
#[derive(Clone)]
struct Said(String);

/// Longest text of an error that the framework gives.
const LONGEST: usize = 10_000;

/// Gives every error the form that whoever asked can read: JSON to programs, a page with a way back to people. The framework's own
/// answers to a field of the wrong type, a body that is none, or a method that is not there, are plain text.
pub async fn readable(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let for_programs = path.starts_with("/api/");
    let of_machines = ["/hooks/", "/static/", "/healthz", "/readyz", "/metrics"];
    if of_machines.iter().any(|machine| path.starts_with(machine)) {
        return next.run(request).await;
    }
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with(if for_programs { "application/json" } else { "text/html" }) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let message = match parts.extensions.get::<Said>() {
        Some(Said(message)) => message.clone(),
        None => {
            let bytes = to_bytes(body, LONGEST).await.unwrap_or_default();
            String::from_utf8_lossy(&bytes).trim().to_owned()
        }
    };
    let message = match message.is_empty() {
        true => status.canonical_reason().unwrap_or("it cannot be answered").to_owned(),
        false => message,
    };
    let mut told = match for_programs {
        true => ErrorJson::new(status, message).into_response(),
        false => ErrorPage::new(status, message).into_response(),
    };
    // What else was said stays, such as which methods there are.
    for (name, value) in &parts.headers {
        if ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name) {
            told.headers_mut().insert(name, value.clone());
        }
    }
    told
}

impl From<state::sqlite::StateError> for ErrorPage {
    fn from(error: state::sqlite::StateError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<TableError> for ErrorPage {
    fn from(error: TableError) -> Self {
        let status = match &error {
            TableError::Request(error) => status_of(error),
            TableError::NotThere { .. } => StatusCode::NOT_FOUND,
            TableError::Refused(_) => StatusCode::CONFLICT,
            TableError::Lake(_) | TableError::State(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let page = Self::new(status, error.to_string());
        match error {
            TableError::NotThere { help: Some(help), .. } => page.with_help(help),
            _ => page,
        }
    }
}

impl From<TableError> for ErrorJson {
    fn from(error: TableError) -> Self {
        ErrorPage::from(error).into()
    }
}

impl From<RequestError> for ErrorPage {
    fn from(error: RequestError) -> Self {
        Self::new(status_of(&error), error.to_string())
    }
}

/// An error as JSON.
#[derive(Debug)]
pub struct ErrorJson(StatusCode, String);

impl ErrorJson {
    /// An error with its status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self(status, message.into())
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }
}

impl IntoResponse for ErrorJson {
    fn into_response(self) -> Response {
        (self.0, Json(ErrorBody { error: self.1 })).into_response()
    }
}

impl From<state::sqlite::StateError> for ErrorJson {
    fn from(error: state::sqlite::StateError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<ErrorPage> for ErrorJson {
    fn from(page: ErrorPage) -> Self {
        Self::new(page.status, page.into_message())
    }
}

impl From<RequestError> for ErrorJson {
    fn from(error: RequestError) -> Self {
        Self::new(status_of(&error), error.to_string())
    }
}

fn status_of(error: &RequestError) -> StatusCode {
    match error {
        RequestError::Selection(_) => StatusCode::UNPROCESSABLE_ENTITY,
        RequestError::Sources { .. } => StatusCode::CONFLICT,
        RequestError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    }
}
