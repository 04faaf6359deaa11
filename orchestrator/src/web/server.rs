//! The listener: loopback only, stopped in good order.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::guard::Guard;
use super::{Shared, WebState, routes};
use crate::edge::engine::EngineHandle;
use crate::edge::replay::Replays;

/// How long open answers may take after the server was asked to stop.
const GRACE: Duration = Duration::from_secs(3);

/// A server that has its port and serves nothing yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    guard: Arc<Guard>,
    engine: EngineHandle,
}

/// A server that serves.
pub struct Serving {
    stop: watch::Sender<bool>,
    replays: Replays,
    task: JoinHandle<()>,
}

impl Server {
    /// Takes a port of the loopback interface; 0 takes a free one.
    pub async fn bind(port: u16, engine: EngineHandle) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let guard = Arc::new(Guard::open(&engine.folder().token(), address.port())?);
        Ok(Self {
            listener,
            address,
            guard,
            engine,
        })
    }

    /// `http://127.0.0.1:4400`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The link that logs a browser in.
    pub fn login_url(&self) -> String {
        format!("{}{}", self.url(), self.guard.login_path())
    }

    /// Begins to serve.
    pub fn start(self) -> Serving {
        let (stop, stopping) = watch::channel(false);
        let mut asked = stopping.clone();
        let replays = Replays::default();
        let state = WebState(Arc::new(Shared {
            standing: Arc::new(super::standing::Standing::new(&self.engine)),
            engine: self.engine,
            guard: self.guard,
            answers: super::shared::Answers::default(),
            told: super::live::Told::default(),
            hooks: super::hooks::Hooks::default(),
            grids: super::pages::run_grid::Kept::default(),
            replays: replays.clone(),
            queries: super::pages::query::Room::default(),
            stopping,
        }));
        // Nobody waits for it: the first page finds it done, or well on its way.
        let early = state.clone();
        tokio::spawn(async move { early.standing.lines(&early).await.map(drop) });
        let routes = routes::all(state);
        let task = tokio::spawn(async move {
            let serve = axum::serve(self.listener, routes).with_graceful_shutdown(async move {
                // A sender that is gone asks for the same.
                asked.wait_for(|stop| *stop).await.ok();
            });
            if let Err(error) = serve.await {
                tracing::error!(%error, "the server ended");
            }
        });
        Serving { stop, replays, task }
    }
}

impl Serving {
    /// Stops serving; answers under way get a moment. What was asked for on a page and is under way ends in good order.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.replays.stop().await;
        let abort = self.task.abort_handle();
        if tokio::time::timeout(GRACE, self.task).await.is_err() {
            abort.abort();
        }
    }
}
