//! One channel of a broker, in short words; whatever broker it is.

use std::time::Duration;

use tidings_core::broker::{Broker, BrokerError};
use tidings_core::log::{Draft, Found, Limit, Page, Position, Retain, Rules, Start};
use tokio::time::Instant;

use crate::draft as given;
pub use crate::draft::{channel, draft, once};

/// As many messages as [`page`] asks for.
pub const RULES: Rules = Rules { retain: Retain { messages: 100_000, age_ms: 3_600_000 }, ..given::RULES };

/// How long a server that was started, or has come back, may take until its broker answers.
const ANSWERED_WITHIN: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(20);

pub async fn until_ready(broker: &impl Broker) {
    let began = Instant::now();
    while let Err(error) = broker.ready().await {
        assert!(began.elapsed() < ANSWERED_WITHIN, "not ready: {error}");
        tokio::time::sleep(LOOK).await;
    }
}

/// The reason why a broker is not ready, once it has one with these words.
pub async fn until_refused(broker: &impl Broker, words: &str) -> String {
    let began = Instant::now();
    loop {
        let said = broker.ready().await.err().map(|error| error.to_string()).unwrap_or_default();
        if said.contains(words) && !said.is_empty() {
            return said;
        }
        assert!(began.elapsed() < ANSWERED_WITHIN, "no word of {words:?}: {said:?}");
        tokio::time::sleep(LOOK).await;
    }
}

pub async fn append(broker: &impl Broker, name: &str, draft: Draft) -> Result<Position, BrokerError> {
    let appended = broker.append(&channel(name), vec![draft], &RULES).await;
    appended.map(|appended| appended[0].position).map_err(|error| error.error)
}

pub async fn find(broker: &impl Broker, name: &str, start: Start) -> Found {
    broker.find(&channel(name), start, &RULES).await.unwrap()
}

pub async fn page(broker: &impl Broker, name: &str, after: Position) -> Page {
    let limit = Limit { messages: 100_000, bytes: usize::MAX };
    broker.read(&channel(name), after, limit, &RULES).await.unwrap()
}

pub fn texts(page: &Page) -> Vec<String> {
    page.messages.iter().map(|message| String::from_utf8(message.payload.bytes.to_vec()).unwrap()).collect()
}

/// The texts of everything that is kept.
pub async fn all(broker: &impl Broker, name: &str) -> Vec<String> {
    let page = page(broker, name, find(broker, name, Start::Earliest).await.at).await;
    assert_eq!(page.gap, None);
    texts(&page)
}
