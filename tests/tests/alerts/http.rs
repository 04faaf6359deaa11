//! A real HTTP server that takes messages, or does not.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use millpond_tests::program::PATIENCE;
use serde_json::Value;

/// What the server does with the next requests; the last stands for all that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It takes them.
    Take,
    /// It answers with this status, and repeats the address in its words.
    Refuse(u16),
    /// It never answers.
    Hang,
    /// It leads elsewhere.
    Redirect,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Got {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Clone)]
struct Shared {
    answers: Arc<Mutex<Vec<Answer>>>,
    got: Arc<Mutex<Sender<Got>>>,
}

/// The server; it ends with the test.
pub struct Http {
    pub address: String,
    shared: Shared,
    got: Receiver<Got>,
    _runtime: tokio::runtime::Runtime,
}

impl Http {
    pub fn start(answers: &[Answer]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (send, got) = channel();
        let shared = Shared {
            answers: Arc::new(Mutex::new(answers.to_vec())),
            got: Arc::new(Mutex::new(send)),
        };
        let routes = Router::new().fallback(take).with_state(shared.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Self {
            address,
            shared,
            got,
            _runtime: runtime,
        }
    }

    /// From now on it does this.
    pub fn now(&self, answers: &[Answer]) {
        *self.shared.answers.lock().unwrap() = answers.to_vec();
    }

    /// The next request.
    #[track_caller]
    pub fn next(&self) -> Got {
        self.got.recv_timeout(PATIENCE).expect("a request comes")
    }

    /// The requests that came and were not looked at.
    pub fn rest(&self) -> Vec<Got> {
        self.got.try_iter().collect()
    }
}

async fn take(State(shared): State<Shared>, uri: Uri, headers: HeaderMap, body: String) -> Response {
    let answer = {
        let mut answers = shared.answers.lock().unwrap();
        if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0]
        }
    };
    let got = Got {
        path: uri.path().to_owned(),
        headers,
        body: serde_json::from_str(&body).unwrap_or(Value::Null),
    };
    shared.got.lock().unwrap().send(got).ok();
    match answer {
        Answer::Take => "ok".into_response(),
        Answer::Refuse(status) => (StatusCode::from_u16(status).unwrap(), format!("nothing at {uri}")).into_response(),
        Answer::Hang => std::future::pending().await,
        Answer::Redirect => (
            StatusCode::TEMPORARY_REDIRECT,
            [("location", "http://127.0.0.1:1/elsewhere")],
        )
            .into_response(),
    }
}
