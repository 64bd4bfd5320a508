//! Which transport: the best one that works here.

use super::Transport;
use super::error::Blame;

/// How often in a row a transport that once connected may bring nothing before the next is tried.
const STRIKES: u32 = 3;

/// The transports that may be used, and the one in use.
///
/// The cursor is the same on all of them, so that a step down loses nothing and repeats nothing.
/// One that has worked is kept through a few failures; below the last rung is the first again.
#[derive(Debug)]
pub(super) struct Ladder {
    rungs: Vec<Transport>,
    at: usize,
    has_worked: bool,
    strikes: u32,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait, then try the one in use.
    Wait,
    /// Try the one in use at once: it is another now.
    Next,
}

impl Ladder {
    /// A ladder of one rung, or the whole.
    pub(super) fn new(only: Option<Transport>) -> Self {
        let rungs = only.map_or_else(|| Transport::LADDER.to_vec(), |only| vec![only]);
        Self { rungs, at: 0, has_worked: false, strikes: 0 }
    }

    /// The transport in use.
    pub(super) fn transport(&self) -> Transport {
        self.rungs[self.at]
    }

    /// Whether there is a choice at all.
    pub(super) fn has_choice(&self) -> bool {
        self.rungs.len() > 1
    }

    /// The one in use has connected.
    pub(super) fn opened(&mut self) {
        self.has_worked = true;
    }

    /// The one in use has worked: it brought a message, or it lasted.
    pub(super) fn lasted(&mut self) {
        self.strikes = 0;
    }

    /// The one in use cannot work here. False if there is none below it.
    pub(super) fn unfit(&mut self) -> bool {
        let has_next = self.at + 1 < self.rungs.len();
        if has_next {
            self.down();
        }
        has_next
    }

    /// The one in use has failed.
    pub(super) fn failed(&mut self, blame: Blame) -> Step {
        if blame != Blame::Transport || !self.has_choice() {
            return Step::Wait;
        }
        self.strikes += 1;
        if self.has_worked && self.strikes < STRIKES {
            return Step::Wait;
        }
        self.down();
        // All have been tried: the fault is not theirs alone, and haste would not mend it.
        if self.at == 0 { Step::Wait } else { Step::Next }
    }

    fn down(&mut self) {
        self.at = (self.at + 1) % self.rungs.len();
        self.has_worked = false;
        self.strikes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_down_at_once_until_one_works_and_then_keeps_it() {
        let mut ladder = Ladder::new(None);
        assert_eq!(ladder.failed(Blame::Network), Step::Wait);
        assert_eq!(ladder.transport(), Transport::Ws);
        assert_eq!(ladder.failed(Blame::Transport), Step::Next);
        assert_eq!(ladder.transport(), Transport::Sse);
        ladder.opened();
        for _ in 1..STRIKES {
            assert_eq!(ladder.failed(Blame::Transport), Step::Wait);
            assert_eq!(ladder.failed(Blame::Server), Step::Wait);
        }
        ladder.lasted();
        assert_eq!(ladder.failed(Blame::Transport), Step::Wait);
        assert_eq!(ladder.transport(), Transport::Sse);
        for _ in 1..STRIKES {
            ladder.failed(Blame::Transport);
        }
        assert_eq!(ladder.transport(), Transport::LongPoll);
        assert_eq!(ladder.failed(Blame::Transport), Step::Next);
        assert_eq!(ladder.failed(Blame::Transport), Step::Wait);
        assert_eq!(ladder.transport(), Transport::Ws);
    }

    #[test]
    fn without_a_choice_it_stays() {
        let mut ladder = Ladder::new(Some(Transport::Sse));
        for _ in 0..10 {
            assert_eq!(ladder.failed(Blame::Transport), Step::Wait);
        }
        assert!(!ladder.unfit());
        assert_eq!(ladder.transport(), Transport::Sse);
    }
}
