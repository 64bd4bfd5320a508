//! The presence that one client watches: many channels, one bell.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::{Code, Error, Result};
use crate::feed::Bell;
use crate::log::Channel;
use crate::presence::{Change, Watcher};

use super::Session;

/// Watchers of the members of channels. Dropping it ends them.
pub struct Watches {
    bell: Arc<Bell>,
    /// By number; a number is given again once its watcher is gone.
    watchers: Vec<Option<Watcher>>,
    room: usize,
}

impl Watches {
    /// Nothing watched yet; room for so many channels.
    pub fn new(room: usize) -> Self {
        Watches { bell: Arc::new(Bell::new(room)), watchers: Vec::new(), room }
    }

    /// The next place that is free, for [`Session::watch`].
    pub fn place(&mut self) -> Result<WatchPlace> {
        let at = self.watchers.iter().position(Option::is_none).unwrap_or(self.watchers.len());
        match u32::try_from(at) {
            Ok(number) if at < self.room => Ok(WatchPlace { bell: self.bell.clone(), number }),
            _ => Err(Error::new(Code::TooManyChannels, "this connection watches as many channels as it may")),
        }
    }

    /// Adds a watcher that was made for the place that is free.
    pub fn add(&mut self, watcher: Watcher) {
        let at = self.watchers.iter().position(Option::is_none).unwrap_or(self.watchers.len());
        match self.watchers.get_mut(at) {
            Some(place) => *place = Some(watcher),
            None => self.watchers.push(Some(watcher)),
        }
        // What rang before it stood here was not heard.
        self.bell.ring(u32::try_from(at).unwrap_or(u32::MAX));
    }

    /// Ends the watch of a channel.
    pub fn remove(&mut self, channel: &Channel) {
        for place in &mut self.watchers {
            if place.as_ref().is_some_and(|watcher| watcher.channel() == channel) {
                *place = None;
            }
        }
    }

    /// The next change. Pending: nothing happened; the task is woken when something does.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Channel, Change)> {
        if self.watchers.is_empty() {
            return Poll::Pending;
        }
        self.bell.register(cx.waker());
        for word in 0..self.bell.words() {
            let mut rung = self.bell.take(word);
            while rung != 0 {
                let number = word * 64 + rung.trailing_zeros();
                rung &= rung - 1;
                let Some(Some(watcher)) = self.watchers.get_mut(number as usize) else { continue };
                let change = watcher.change();
                if change.is_empty() {
                    continue;
                }
                let channel = watcher.channel().clone();
                // The others keep their turn.
                while rung != 0 {
                    self.bell.ring(word * 64 + rung.trailing_zeros());
                    rung &= rung - 1;
                }
                return Poll::Ready((channel, change));
            }
        }
        Poll::Pending
    }
}

/// A free place among a client's watches.
pub struct WatchPlace {
    bell: Arc<Bell>,
    number: u32,
}

impl Session {
    /// Begins to watch who is in a channel. Needs the right to read it, and presence in its namespace.
    pub async fn watch(&self, channel: &Channel, place: &WatchPlace) -> Result<Watcher> {
        self.may_see_presence(channel)?;
        self.hub.presence.watch(channel, &place.bell, place.number).await
    }
}
