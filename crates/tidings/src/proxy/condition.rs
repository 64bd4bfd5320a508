//! What is the matter with a path.

use std::time::Duration;

/// The state of a path. By default it is a good one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Condition {
    /// How often its connections were cut. One that began before the last cut ends.
    pub cuts: u32,
    /// How the last cut was made.
    pub cut: Cut,
    /// How often its connections were frozen. One that began before the last time stays so.
    pub freezes: u32,
    /// How much later every byte comes.
    pub delay: Duration,
    /// How many bytes a second each direction takes; `None` for any number.
    pub bytes_each_second: Option<u32>,
    /// Whether responses are held back, until this is over or the bound is reached.
    pub holds_back: bool,
    /// Whether event streams are held back in the same way, and nothing else: what a proxy does that buffers
    /// responses.
    pub holds_streams: bool,
    /// Whether nothing passes, though connections stand: what is sent waits, as TCP lets it.
    pub is_down: bool,
    /// What becomes of upgrades.
    pub refuses_upgrades: Option<Refusal>,
}

/// How connections are cut.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cut {
    /// By an RST, and not by a FIN.
    pub is_reset: bool,
    /// In the middle of what comes next, if anything comes within a second.
    pub is_midway: bool,
}

/// What becomes of a request for an upgrade.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refusal {
    /// It is answered with a 400 that is not from Tidings.
    Answer,
    /// The connection is closed.
    Close,
}

impl Condition {
    /// The best condition, for whoever comes now; what was cut or frozen stays so.
    pub fn mend(&mut self) {
        *self = Self { cuts: self.cuts, cut: self.cut, freezes: self.freezes, ..Self::default() };
    }
}
