//! Reading over a WebSocket.

use tokio::time::timeout;
use url::Url;

use super::error::Cut;
use super::frames::Frames;
use super::handshake;
use super::item::{Frame, Greeting};
use super::link::Event;
use super::{Endpoint, Timing};

/// An open WebSocket, greeted.
#[derive(Debug)]
pub(crate) struct Link {
    frames: Frames,
}

impl Link {
    pub(super) async fn open(
        endpoint: &Endpoint,
        url: Url,
        timing: &Timing,
    ) -> Result<(Self, Greeting), Cut> {
        let (socket, head) = handshake::open(endpoint, url, timing, None).await?;
        let mut link = Self { frames: Frames::new(socket) };
        let delivery = head.get("tidings-delivery").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let cursor = timeout(timing.connect, link.greeting()).await;
        let cursor = cursor.map_err(|_| Cut::lost("no greeting on the WebSocket"))??;
        Ok((link, Greeting { cursor, delivery, ..Greeting::default() }))
    }

    async fn greeting(&mut self) -> Result<Option<String>, Cut> {
        loop {
            match self.frames.next().await? {
                Frame::Subscribed(subscribed) => return Ok(subscribed.cursor),
                Frame::Message(_) | Frame::Gap(_) => {
                    return Err(Cut::lost("an item before the greeting"));
                }
                _ => {}
            }
        }
    }

    pub(super) async fn next(&mut self) -> Result<Event, Cut> {
        loop {
            if let Some(event) = Event::from_frame(self.frames.next().await?) {
                return Ok(event);
            }
        }
    }

    pub(super) async fn close(self) {
        self.frames.close().await;
    }
}
