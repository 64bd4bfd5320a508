//! A page with the newest message of each key alone.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::Result;
use crate::log::Message;

use super::Session;
use super::page::Read;
use super::start::{From, Want};

/// Reads that one page is made of, at most: so much may be replaced in it.
const READS_MAX: usize = 8;

impl Session {
    /// Reads a page of up to `limit` messages, of which none has a newer one with its key in the page.
    ///
    /// It reads on where messages were replaced, as far as 8 times `limit`. So a page may end below its limit
    /// before the end is reached: [`Read::more`] tells the two apart.
    pub async fn read_newest(&self, want: Want, limit: usize) -> Result<Read> {
        let (channels, default) = (want.channels.clone(), want.default);
        let mut read = self.read(want, limit).await?;
        read.conflated = true;
        keep_newest(&mut read.messages);
        for _ in 1..READS_MAX {
            if !read.more || read.messages.len() >= limit {
                break;
            }
            let from = From::Cursor(read.cursor.clone());
            let next = Want { channels: channels.clone(), from, consumer: None, default };
            let next = self.read(next, limit - read.messages.len()).await?;
            // A page tells one gap, before its messages. This one is found again.
            if next.gap.is_some() {
                break;
            }
            read.messages.extend(next.messages);
            keep_newest(&mut read.messages);
            read.ends_newly |= next.ends_newly;
            (read.ended, read.cursor, read.more) = (next.ended, next.cursor, next.more);
        }
        Ok(read)
    }
}

/// Leaves out what has a newer one of its key in its channel. The messages of a channel are in order.
fn keep_newest(messages: &mut Vec<Arc<Message>>) {
    let mut newer = HashSet::new();
    let mut kept: Vec<bool> = messages
        .iter()
        .rev()
        .map(|message| match &message.key {
            Some(key) => newer.insert((message.channel.as_str(), &**key)),
            None => true,
        })
        .collect();
    drop(newer);
    messages.retain(|_| kept.pop().unwrap_or(true));
}
