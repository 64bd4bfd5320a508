//! What was published, and what is known of each message.

use parking_lot::Mutex;

/// One message of a channel. Its number is its place in the list, from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// When it was sent first, in milliseconds since the run began.
    pub began_ms: u32,
    /// How often it was sent; more than once where an outcome was unknown.
    pub tries: u32,
    /// Whether a 200 came for it.
    pub is_acknowledged: bool,
}

/// The messages of each channel. Takes 12 bytes for each message.
#[derive(Debug)]
pub struct Ledger(Vec<Mutex<Vec<Sent>>>);

impl Ledger {
    /// Of so many channels, without a message.
    pub fn new(channels: usize) -> Self {
        Self((0..channels).map(|_| Mutex::default()).collect())
    }

    /// A new message of a channel; gives its number.
    pub fn begin(&self, channel: usize, began_ms: u32) -> u32 {
        let mut sent = self.0[channel].lock();
        sent.push(Sent { began_ms, tries: 1, is_acknowledged: false });
        number(sent.len())
    }

    /// Notes that the last message is sent again.
    pub fn again(&self, channel: usize) {
        if let Some(last) = self.0[channel].lock().last_mut() {
            last.tries += 1;
        }
    }

    /// Notes the 200 for the last message.
    pub fn acknowledge(&self, channel: usize) {
        if let Some(last) = self.0[channel].lock().last_mut() {
            last.is_acknowledged = true;
        }
    }

    /// How many messages of a channel there are.
    pub fn count(&self, channel: usize) -> u32 {
        number(self.0[channel].lock().len())
    }

    /// How many messages of all channels there are, and how many of them have their 200.
    pub fn totals(&self) -> (u64, u64) {
        self.0.iter().fold((0, 0), |(all, acknowledged), sent| {
            let sent = sent.lock();
            let known = sent.iter().filter(|sent| sent.is_acknowledged).count();
            (all + sent.len() as u64, acknowledged + known as u64)
        })
    }

    /// The messages of a channel.
    pub fn sent(&self, channel: usize) -> Vec<Sent> {
        self.0[channel].lock().clone()
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
