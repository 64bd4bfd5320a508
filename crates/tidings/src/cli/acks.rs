//! What `tidings subscribe --consumer` has printed, and says so to the node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::client::{Endpoint, Error, Gap, Item, acknowledge};

/// Between two rounds: what was printed within it comes again after a `kill -9`.
const EVERY: Duration = Duration::from_millis(250);

/// How long the end of the command waits for the last round.
const LAST_MAX: Duration = Duration::from_secs(5);

/// The places of a durable consumer that are still to be acknowledged: one for each channel, the newest.
#[derive(Debug)]
pub struct Acks {
    due: Arc<Due>,
    task: JoinHandle<Error>,
}

#[derive(Debug)]
struct Due {
    endpoint: Endpoint,
    consumer: String,
    places: Mutex<HashMap<String, String>>,
    some: Notify,
}

impl Acks {
    /// Begins with none.
    pub fn new(endpoint: Endpoint, consumer: String) -> Self {
        let due = Arc::new(Due { endpoint, consumer, places: Mutex::default(), some: Notify::new() });
        let task = tokio::spawn(Arc::clone(&due).run());
        Self { due, task }
    }

    /// An item was printed.
    pub fn printed(&self, item: &Item) {
        let (channel, cursor) = match item {
            Item::Message(message) => (message.channel(), message.cursor()),
            Item::Gap(Gap { channel, until: Some(until), .. }) => (channel.as_str(), until.as_str()),
            Item::Gap(_) | Item::Closed(_) | Item::Status(_) | Item::End => return,
        };
        self.due.places.lock().insert(channel.to_owned(), cursor.to_owned());
        self.due.some.notify_one();
    }

    /// Ends only where an acknowledgement is refused, with the reason.
    pub async fn refused(&mut self) -> Error {
        match (&mut self.task).await {
            Ok(error) => error,
            Err(ended) => Error::Unexpected(format!("acknowledging ended: {ended}")),
        }
    }

    /// Acknowledges what is left.
    ///
    /// # Errors
    ///
    /// What keeps it from that, within five seconds.
    pub async fn finish(self) -> Result<(), Error> {
        self.task.abort();
        let late = |_| Error::Unreachable("the last acknowledgement has no answer".into());
        timeout(LAST_MAX, self.due.round()).await.map_err(late)?
    }
}

impl Due {
    async fn run(self: Arc<Self>) -> Error {
        loop {
            self.some.notified().await;
            // One that was lost is said again with the next; a refusal would be one each time.
            match self.round().await {
                Ok(()) => {}
                Err(Error::Unreachable(_)) => self.some.notify_one(),
                Err(error) => return error,
            }
            sleep(EVERY).await;
        }
    }

    async fn round(&self) -> Result<(), Error> {
        let places = self.places.lock().clone();
        for (channel, cursor) in places {
            acknowledge(&self.endpoint, &self.consumer, &channel, &cursor).await?;
            let mut places = self.places.lock();
            if places.get(&channel) == Some(&cursor) {
                places.remove(&channel);
            }
        }
        Ok(())
    }
}
