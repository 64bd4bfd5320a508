//! Who publishes in a lab: numbered messages at a pace, each with the time at which it set out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidings_core::log::{Draft, Kind, Once, Payload, Start};
use tidings_core::{Channel, Clock, Code, From, Result, Session, Want};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::wish::Publishing;

/// Publishes to one channel, one message after the other.
pub(super) struct Publisher {
    pub session: Session,
    pub channel: Channel,
    pub clock: Clock,
    /// The number of the newest message that is stored.
    pub stored: Arc<AtomicU64>,
}

/// Who falls behind by more lets it be: what a lab measures is readers, not how a publisher catches up.
const BEHIND_MAX: Duration = Duration::from_millis(250);
/// After a refusal.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);

impl Publisher {
    /// The number of the newest message of the channel, 0 where there is none.
    pub(super) async fn newest(session: &Session, channel: &Channel) -> Result<u64> {
        let want = Want {
            channels: vec![channel.clone()],
            from: From::Last(1),
            consumer: None,
            default: Start::Latest,
        };
        let page = session.read(want, 1).await?;
        let number = page.messages.last().and_then(|message| {
            let data: serde_json::Value = serde_json::from_slice(&message.payload.bytes).ok()?;
            data["n"].as_u64()
        });
        Ok(number.unwrap_or(0))
    }

    /// Publishes as it is told, until nobody is left to tell it, or the node drains.
    pub(super) async fn run(self, mut told: watch::Receiver<Publishing>) {
        let mut next = Instant::now();
        loop {
            let Publishing { rate, bytes } = *told.borrow_and_update();
            if rate <= 0.0 {
                if told.changed().await.is_err() {
                    return;
                }
                next = Instant::now();
                continue;
            }
            let pause = Duration::from_secs_f64((1.0 / rate).min(3_600.0));
            next = (next + pause).max(Instant::now().checked_sub(BEHIND_MAX).unwrap_or(next));
            match timeout_at(next, told.changed()).await {
                // Another pace begins now, and not after the wait of the last one.
                Ok(Ok(())) => {
                    next = Instant::now();
                    continue;
                }
                Ok(Err(_)) => return,
                Err(_) => {}
            }
            match self.publish(bytes).await {
                Ok(()) => {}
                Err(Code::Draining) => return,
                Err(code) => {
                    tracing::debug!(%code, "a message of the lab is not stored");
                    sleep_until(Instant::now() + REFUSED_PAUSE).await;
                }
            }
        }
    }

    async fn publish(&self, bytes: usize) -> std::result::Result<(), Code> {
        let number = self.stored.load(Ordering::Relaxed) + 1;
        let writer = self.session.writer(&self.channel).map_err(|error| error.code)?;
        let draft = Draft {
            id: format!("lab-{number}").into(),
            // One that is tried again has the same number, and must not be stored twice.
            once: Once::Id,
            event: None,
            key: None,
            payload: Payload { kind: Kind::Json, bytes: text(number, self.clock.now_us(), bytes).into() },
            from: None,
        };
        writer.append(vec![draft]).await.map_err(|stopped| stopped.error.code)?;
        self.stored.store(number, Ordering::Relaxed);
        Ok(())
    }
}

/// `{"n":7,"t":1700000000000.123,"pad":"…"}`, of so many bytes at least; `t` in milliseconds.
fn text(number: u64, now_us: u64, bytes: usize) -> String {
    let head = format!("{{\"n\":{number},\"t\":{}.{:03},\"pad\":\"", now_us / 1_000, now_us % 1_000);
    let pad = bytes.saturating_sub(head.len() + 2);
    format!("{head}{}\"}}", "x".repeat(pad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_number_its_time_and_its_size() {
        let message = text(7, 1_700_000_000_000_045, 200);
        assert_eq!(message.len(), 200);
        let data: serde_json::Value = serde_json::from_str(&message).unwrap();
        assert_eq!((&data["n"], &data["t"]), (&7.into(), &1_700_000_000_000.045.into()));
        assert!(serde_json::from_str::<serde_json::Value>(&text(u64::MAX, 0, 0)).is_ok());
    }
}
