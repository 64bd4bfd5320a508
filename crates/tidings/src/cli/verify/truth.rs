//! What the node itself says of a channel, asked without a fault between.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::timeout;

use super::reader::number;
use crate::client::{Cut, Endpoint, Error, Event, Link, Position, Start, Timing, Transport};

/// The messages of a page, where a client does not say otherwise. One with fewer is the last.
const PAGE: usize = 100;

/// How long reading a whole log may take.
const READ_MAX: Duration = Duration::from_secs(60);

/// Whether a channel is at-least-once, as a read of it says. A channel that says nothing counts as such.
///
/// # Errors
///
/// What the node says, if it may not be read.
pub async fn is_durable(endpoint: &Endpoint, channel: &str) -> Result<bool, Error> {
    let position = Position::of_channel(channel.to_owned(), Start::Latest);
    let link = Link::open(Transport::Poll, endpoint, &position, &Timing::default(), false).await;
    let (_, greeting) = link.map_err(|cut| match cut {
        Cut::Final(error) | Cut::Unfit(error) => error,
        Cut::Again { why, .. } => Error::Unreachable(why),
        Cut::Done => Error::Unexpected("no answer to a poll".into()),
    })?;
    Ok(greeting.delivery.is_none_or(|delivery| !delivery.contains("at-most-once")))
}

/// The numbers of all messages that can still be read. `None` if that cannot be learnt in time.
pub async fn kept(endpoint: &Endpoint, channel: &str) -> Option<HashSet<u32>> {
    timeout(READ_MAX, read(endpoint, channel)).await.ok()?
}

async fn read(endpoint: &Endpoint, channel: &str) -> Option<HashSet<u32>> {
    let position = Position::of_channel(channel.to_owned(), Start::Earliest);
    // A plain poll would be told "not modified" behind a last page that is full, which is no event.
    let timing = Timing { hold: Duration::from_millis(500), ..Timing::default() };
    let opening = Link::open(Transport::LongPoll, endpoint, &position, &timing, false);
    let (mut link, _) = opening.await.ok()?;
    let (mut numbers, mut on_page) = (HashSet::new(), 0);
    loop {
        match link.next().await.ok()? {
            Event::Message(message) => {
                numbers.insert(number(&message));
                on_page += 1;
            }
            Event::Covers(_) if on_page < PAGE => return Some(numbers),
            Event::Covers(_) => on_page = 0,
            _ => {}
        }
    }
}
