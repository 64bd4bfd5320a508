//! A reader that comes back with its cursor, as a correct client does, and notes all that it is given.
//!
//! Unlike [`client::Reader`](crate::client::Reader) it removes nothing that comes twice: the judge wants
//! to see that.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use super::heard::{Heard, Lane, Why, mark};
use super::plan::{MESSAGES_MAX, View};
use crate::client::{Backoff, Cut, Endpoint, Event, Link, Message, Position, Start, Timing};

/// Noted of one channel, at most.
const HEARD_MAX: usize = 2 * MESSAGES_MAX as usize;

/// What one reader was given.
#[derive(Debug)]
pub struct Reader {
    view: View,
    /// The names of its channels, in the order of the view.
    names: Vec<String>,
    began: Instant,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    lanes: Vec<Lane>,
    connects: u64,
    trouble: Option<String>,
    end: Option<String>,
}

impl Reader {
    /// One that was given nothing yet. `names` are those of all channels, `began` is when the run did.
    pub fn new(view: View, names: &[String], began: Instant) -> Self {
        let names: Vec<_> = view.channels.iter().map(|channel| names[*channel].clone()).collect();
        let lanes = names.iter().map(|_| Lane::default()).collect();
        Self { view, names, began, notes: Mutex::new(Notes { lanes, ..Notes::default() }) }
    }

    /// How it reads.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// How often it connected.
    pub fn connects(&self) -> u64 {
        self.notes.lock().connects
    }

    /// Why it was not connected, the last time.
    pub fn trouble(&self) -> Option<String> {
        self.notes.lock().trouble.clone()
    }

    /// Why it ended for good, if it did.
    pub fn end(&self) -> Option<String> {
        self.notes.lock().end.clone()
    }

    /// Whether each of its channels has come to a number.
    pub fn has(&self, numbers: &[u32]) -> bool {
        let notes = self.notes.lock();
        let mut lanes = self.view.channels.iter().zip(&notes.lanes);
        notes.end.is_some() || lanes.all(|(channel, lane)| lane.newest() >= numbers[*channel])
    }

    /// Looks at what came of each channel.
    pub fn each_lane(&self, mut look: impl FnMut(usize, &Lane)) {
        let notes = self.notes.lock();
        self.view.channels.iter().zip(&notes.lanes).for_each(|(channel, lane)| look(*channel, lane));
    }

    /// Reads on and on, from what is newest now. Ends only where a server says that coming back is of no use.
    pub async fn follow(self: Arc<Self>, endpoint: Endpoint, timing: Timing) {
        let mut position = match self.view.is_alone {
            true => Position::of_channel(self.names.concat(), Start::Latest),
            false => Position::new(self.names.clone(), Start::Latest, None),
        };
        let mut backoff = Backoff::new(&timing);
        // What a client asks beside, after a refused upgrade, is part of it.
        let patience = timing.connect * 2 + timing.answer * 2;
        loop {
            let opening = Link::open(self.view.transport, &endpoint, &position, &timing, false);
            let cut = match timeout(patience, Box::pin(opening)).await {
                Ok(Ok((mut link, greeting))) => {
                    let since = Instant::now();
                    position.greeted(greeting);
                    self.notes.lock().connects += 1;
                    let cut = self.read(&mut link, &mut position).await;
                    backoff.lasted(since.elapsed());
                    cut
                }
                Ok(Err(cut)) => cut,
                Err(_) => Cut::late(),
            };
            let (why, hint) = match cut {
                Cut::Again { why, hint, .. } => (why, hint),
                // One reader has one transport: what does not get through now may later.
                Cut::Unfit(error) => (error.to_string(), None),
                Cut::Final(error) => {
                    self.notes.lock().end = Some(error.to_string());
                    return;
                }
                Cut::Done => ("the server ended the read".to_owned(), None),
            };
            self.notes.lock().trouble = Some(why);
            sleep(backoff.delay(hint)).await;
        }
    }

    async fn read(&self, link: &mut Link, position: &mut Position) -> Cut {
        loop {
            let event = match link.next().await {
                Ok(event) => event,
                Err(cut) => return cut,
            };
            match event {
                Event::Message(message) => {
                    position.passed(message.channel(), message.cursor());
                    let place = mark(message.cursor());
                    let heard = Heard::Message { number: number(&message), place, at_ms: self.now_ms() };
                    self.note(message.channel(), heard);
                }
                Event::Gap(gap) => {
                    if let Some(until) = &gap.until {
                        position.passed(&gap.channel, until);
                    }
                    let missed = gap.missed.map(|missed| u32::try_from(missed).unwrap_or(u32::MAX));
                    let (why, text) = (Why::parse(&gap.why), mark(&gap.text));
                    self.note(&gap.channel, Heard::Gap { why, missed, text, at_ms: self.now_ms() });
                }
                Event::Covers(cursor) => position.covers(cursor),
                Event::Began { channel, cursor } => position.began(channel, cursor),
                Event::Closed(_) => {}
            }
        }
    }

    fn note(&self, channel: &str, heard: Heard) {
        if let Some(lane) = self.names.iter().position(|name| name == channel) {
            self.notes.lock().lanes[lane].note(heard, HEARD_MAX);
        }
    }

    fn now_ms(&self) -> u32 {
        millis(self.began.elapsed())
    }
}

/// A time as the judge has it.
pub fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// The number in a message of ours; 0 in any other.
pub fn number(message: &Message) -> u32 {
    #[derive(Deserialize)]
    struct Data {
        n: u32,
    }
    let data = message.parts().ok().and_then(|parts| serde_json::from_str::<Data>(parts.data.get()).ok());
    data.map_or(0, |data| data.n)
}
