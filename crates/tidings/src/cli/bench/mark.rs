//! The mark inside each message: which run, which slot, which number, and when it was due.

/// The length of a mark in a message.
pub const MARK_BYTES: usize = 38;

/// What tells one message of a run from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which of the messages in flight it is.
    pub slot: u16,
    /// Its number in the run.
    pub seq: u32,
    /// When it was published, in nanoseconds since the run began.
    pub time_ns: u64,
}

/// Finds marks of one run. It remembers where the last one stood, because frames of one run are alike.
#[derive(Debug)]
pub struct Finder {
    run: u32,
    hint: usize,
}

impl Mark {
    /// Appends the mark as text: `~`, run, slot, number and time in hexadecimal, `~`.
    pub fn write(&self, run: u32, out: &mut Vec<u8>) {
        out.push(b'~');
        hex(u64::from(run), 8, out);
        hex(u64::from(self.slot), 4, out);
        hex(u64::from(self.seq), 8, out);
        hex(self.time_ns, 16, out);
        out.push(b'~');
    }
}

impl Finder {
    /// A finder for the marks of `run`; those of other runs are not found.
    pub fn new(run: u32) -> Self {
        Self { run, hint: 0 }
    }

    /// The run's number.
    pub fn run(&self) -> u32 {
        self.run
    }

    /// The mark in a frame or event, if there is one of this run.
    pub fn find(&mut self, text: &[u8]) -> Option<Mark> {
        if let Some(mark) = self.at(text, self.hint) {
            return Some(mark);
        }
        let mut from = 0;
        while let Some(found) = text.get(from..)?.iter().position(|byte| *byte == b'~') {
            if let Some(mark) = self.at(text, from + found) {
                self.hint = from + found;
                return Some(mark);
            }
            from += found + 1;
        }
        None
    }

    fn at(&self, text: &[u8], start: usize) -> Option<Mark> {
        let mark = text.get(start..start + MARK_BYTES)?;
        if mark[0] != b'~' || mark[MARK_BYTES - 1] != b'~' || unhex(&mark[1..9])? != u64::from(self.run) {
            return None;
        }
        let slot = u16::try_from(unhex(&mark[9..13])?).ok()?;
        let seq = u32::try_from(unhex(&mark[13..21])?).ok()?;
        Some(Mark { slot, seq, time_ns: unhex(&mark[21..37])? })
    }
}

fn hex(value: u64, digits: u32, out: &mut Vec<u8>) {
    for place in (0..digits).rev() {
        let digit = (value >> (4 * place) & 15) as usize;
        out.push(b"0123456789abcdef"[digit]);
    }
}

fn unhex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_wherever_it_stands() {
        let mark = Mark { slot: 63, seq: 4_000_000_000, time_ns: u64::MAX / 3 };
        let mut finder = Finder::new(7);
        for prefix in ["", "{\"x\":\"~\",\"data\":\"", "~~", "{\"x\":\"~\",\"data\":\""] {
            let mut text = prefix.as_bytes().to_vec();
            mark.write(7, &mut text);
            assert_eq!(text.len(), prefix.len() + MARK_BYTES);
            text.extend(b"xxx");
            assert_eq!(finder.find(&text), Some(mark));
        }
    }

    #[test]
    fn marks_of_another_run_are_not_found() {
        let mut text = Vec::new();
        Mark { slot: 0, seq: 0, time_ns: 0 }.write(8, &mut text);
        assert_eq!(Finder::new(7).find(&text), None);
        assert_eq!(Finder::new(8).find(&text[1..]), None);
        assert_eq!(Finder::new(8).find(b""), None);
    }
}
