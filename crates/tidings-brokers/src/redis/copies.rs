//! Waiting until replicas have what was written.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tidings_core::broker::BrokerError;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

use super::fault;
use super::server::ANSWER_MAX;

/// Those of one server who wait. All that wait at the same time share one question.
#[derive(Debug)]
pub(super) struct Copies {
    replicas: u32,
    time: Duration,
    sender: mpsc::Sender<Waiting>,
    receiver: Mutex<mpsc::Receiver<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    /// A key of that server, to write to: the server waits for what the asking connection wrote.
    key: String,
    answer: oneshot::Sender<Result<(), BrokerError>>,
}

/// How many may wait.
const WAITING_MAX: usize = 4_096;

impl Copies {
    /// For so many replicas, each time so long.
    pub(super) fn new(replicas: u32, time: Duration) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        Copies { replicas, time, sender, receiver: Mutex::new(receiver) }
    }

    /// Waits until enough replicas have what was written before.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Lost`]: it is written, and may or may not outlive the primary.
    pub(super) async fn wait(&self, key: String) -> Result<(), BrokerError> {
        let gone = || BrokerError::Lost("the connection is gone while replicas were waited for".into());
        let (answer, answered) = oneshot::channel();
        self.sender.send(Waiting { key, answer }).await.map_err(|_gone| gone())?;
        match timeout(ANSWER_MAX, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(gone()),
        }
    }

    /// Asks the server for those who wait, until the connection fails; for ever where nobody does.
    pub(super) async fn keep(asked: Option<(&Copies, MultiplexedConnection)>) -> BrokerError {
        let Some((copies, mut connection)) = asked else { return std::future::pending().await };
        let mut receiver = copies.receiver.lock().await;
        let mut waiting = Vec::new();
        loop {
            receiver.recv_many(&mut waiting, WAITING_MAX).await;
            let Some(first) = waiting.first() else {
                return BrokerError::Unavailable("the broker has stopped".into());
            };
            let asked = copies.ask(&mut connection, &first.key).await;
            let ended = asked.as_ref().err().filter(|(_, ends)| *ends).map(|(error, _)| error.clone());
            for Waiting { answer, .. } in waiting.drain(..) {
                // Who has gone wants no answer.
                let _ = answer.send(asked.clone().map_err(|(error, _)| error));
            }
            if let Some(error) = ended {
                return error;
            }
        }
    }

    /// Gives with an error whether the connection is of no use any more.
    async fn ask(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
    ) -> Result<(), (BrokerError, bool)> {
        let time_ms = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX);
        let mut pipe = redis::pipe();
        pipe.cmd("HSET").arg(key).arg("waited").arg(1).ignore();
        pipe.cmd("WAIT").arg(self.replicas).arg(time_ms);
        let lost = |why: String| BrokerError::Lost(why);
        match pipe.query_async::<(u32,)>(connection).await {
            Ok((copies,)) if copies >= self.replicas => Ok(()),
            Ok((copies,)) => Err((
                lost(format!(
                    "{copies} of {} replicas had it within {} ms; see whether they run (INFO replication)",
                    self.replicas, time_ms
                )),
                false,
            )),
            Err(error) => Err((lost(error.to_string()), fault::ends_connection(&error))),
        }
    }
}
