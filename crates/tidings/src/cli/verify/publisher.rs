//! A publisher: one message after the other, each until it has its 200.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::ledger::Ledger;
use super::plan::MESSAGES_MAX;
use super::reader::millis;
use crate::cli::Failure;
use crate::client::{Body, Draft, Endpoint, Error, generated_id, publish};

/// For how long one message is sent again: within the time for which a node knows its key by default.
const TRIES_MAX: Duration = Duration::from_mins(1);

/// Between two tries that failed at once.
const PAUSE: Duration = Duration::from_millis(100);

/// The padding of a message, at most: some fill a packet, most do not.
const PADDING_MAX: usize = 1_500;

/// Publishes a message that is none of the numbered ones.
///
/// # Errors
///
/// A refusal, or no answer.
pub async fn greet(endpoint: &Endpoint, channel: &str) -> Result<(), Error> {
    let body = Body::Json(Bytes::from_static(br#"{"n":0}"#));
    let draft = Draft {
        channel: channel.to_owned(),
        event: None,
        key: None,
        id: Some(generated_id()?),
        close: false,
        body,
    };
    publish(endpoint, &draft, |_, _| ()).await.map(drop)
}

/// Who publishes to one channel, alone: so the order of its messages is known.
#[derive(Debug)]
pub struct Publisher {
    /// Where it publishes.
    pub endpoint: Endpoint,
    /// Begins each idempotency key.
    pub run: String,
    /// The channel, by name.
    pub channel: String,
    /// The channel, by number.
    pub number: usize,
    /// Where it notes what it did.
    pub ledger: Arc<Ledger>,
    /// Messages a second.
    pub rate: u32,
    /// How long it waits for an answer.
    pub patience: Duration,
    /// When the run began.
    pub began: Instant,
    /// The seed of its sizes.
    pub seed: u64,
}

impl Publisher {
    /// Publishes on and on.
    ///
    /// # Errors
    ///
    /// A refusal, or a message that has no 200 after a minute of tries.
    pub async fn run(self) -> anyhow::Error {
        let mut rng = Rng::with_seed(self.seed ^ self.number as u64);
        let mut pace = interval(Duration::from_secs(1) / self.rate.max(1));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.ledger.count(self.number) < MESSAGES_MAX {
            pace.tick().await;
            let number = self.ledger.begin(self.number, millis(self.began.elapsed()));
            // Short ones are frequent, as in life.
            let padding = (PADDING_MAX as f64 * rng.f64().powi(4)) as usize;
            let data = format!(r#"{{"n":{number},"padding":"{}"}}"#, "x".repeat(padding));
            let draft = Draft {
                close: false,
                channel: self.channel.clone(),
                event: None,
                key: None,
                id: Some(format!("{}-{}-{number}", self.run, self.number)),
                body: Body::Json(Bytes::from(data)),
            };
            if let Err(error) = self.publish(&draft).await {
                return error;
            }
            self.ledger.acknowledge(self.number);
        }
        Failure::new(
            format!("{} has {MESSAGES_MAX} messages, which is too many", self.channel),
            "a shorter run",
        )
        .into()
    }

    async fn publish(&self, draft: &Draft) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let again = |_: &str, _| self.ledger.again(self.number);
            let error = match timeout(self.patience, publish(&self.endpoint, draft, again)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error @ (Error::Unreachable(_) | Error::Unexpected(_)))) => error,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => Error::Unreachable("no answer to a publish".into()),
            };
            if begun.elapsed() > TRIES_MAX {
                return Err(anyhow::Error::new(error).context("a message has no 200 after a minute"));
            }
            sleep(PAUSE).await;
            self.ledger.again(self.number);
        }
    }
}
