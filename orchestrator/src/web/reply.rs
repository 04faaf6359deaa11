//! Answers that handlers share: errors as pages with a way back, or as JSON for programs.

use axum::Json;
use axum::http::StatusCode;
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
}

impl ErrorPage {
    /// An error with its status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            help: None,
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

    /// Adds what to do next.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        let page = error_page(self.status, &self.message, self.help.as_deref());
        (self.status, Html(page)).into_response()
    }
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
