//! A query of the console, seen from the daemon: a process of its own that is ended with the value, so that whoever no longer
//! waits for a result stops the query.

use std::io;

use assets::outcome::{Failure, FailureClass};
use bytes::Bytes;
use futures::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdout;

use super::console::{QueryFailure, QueryOrder};
use super::own_process::AnsweringProcess;
use super::queried::Scratch;

/// Bytes of a result for a page.
const MOST_RESULT: u64 = 48 << 20;
/// Bytes handed on at a time.
const PIECE: usize = 64 << 10;

/// A query under way.
pub struct RunningQuery {
    process: AnsweringProcess,
    output: ChildStdout,
    /// Goes with the query.
    _scratch: Option<Scratch>,
}

impl RunningQuery {
    /// Starts one.
    ///
    /// # Errors
    /// The process cannot be started.
    pub async fn start(order: &QueryOrder, scratch: Option<Scratch>) -> io::Result<Self> {
        let (process, mut orders, output) = AnsweringProcess::start("console")?;
        let text = serde_json::to_vec(order).expect("an order has a JSON form");
        orders.write_all(&text).await?;
        drop(orders);
        Ok(Self {
            process,
            output,
            _scratch: scratch,
        })
    }

    /// The whole result, or why there is none.
    pub async fn whole(mut self) -> Result<Vec<u8>, QueryFailure> {
        let mut result = Vec::new();
        let read = (&mut self.output).take(MOST_RESULT).read_to_end(&mut result).await;
        read.map_err(|error| internal(error.to_string()))?;
        if result.len() as u64 == MOST_RESULT {
            return Err(internal("the result is too large for a page".to_owned()));
        }
        self.end().await?;
        Ok(result)
    }

    /// The result piece by piece. It begins when there is something to send; what fails later breaks the stream off.
    pub async fn stream(mut self) -> Result<impl Stream<Item = io::Result<Bytes>> + Send, QueryFailure> {
        let first = self.piece().await.map_err(|error| internal(error.to_string()))?;
        if first.is_empty() {
            self.end().await?;
            return Ok(futures::future::Either::Left(futures::stream::empty()));
        }
        let rest = futures::stream::unfold(Some((self, Some(first))), |state| async move {
            let (mut query, ready) = state?;
            let piece = match ready {
                Some(piece) => Ok(piece),
                None => query.piece().await,
            };
            match piece {
                Ok(piece) if piece.is_empty() => match query.end().await {
                    Ok(()) => None,
                    Err(failure) => Some((Err(io::Error::other(failure.failure.message)), None)),
                },
                Ok(piece) => Some((Ok(piece), Some((query, None)))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(futures::future::Either::Right(rest))
    }

    async fn piece(&mut self) -> io::Result<Bytes> {
        let mut piece = Vec::with_capacity(PIECE);
        self.output.read_buf(&mut piece).await?;
        Ok(piece.into())
    }

    /// Waits for the end, and says why if it is not a good one.
    async fn end(self) -> Result<(), QueryFailure> {
        let ended = self.process.end().await;
        let (status, said) = ended.map_err(|error| internal(error.to_string()))?;
        if status.success() {
            return Ok(());
        }
        let told = said.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        Err(told.unwrap_or_else(|| QueryFailure {
            failure: Failure::new(
                FailureClass::Crash,
                format!("the query's process ended with {status}: it needed more than it may have, or crashed"),
            )
            .with_help("ask for fewer rows or columns at once"),
            at: None,
        }))
    }
}

fn internal(message: String) -> QueryFailure {
    QueryFailure {
        failure: Failure::new(FailureClass::Internal, message),
        at: None,
    }
}
