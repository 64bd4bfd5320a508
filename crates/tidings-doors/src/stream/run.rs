//! Several units as one buffer, made once for all who write the same.

use bytes::{Bytes, BytesMut};

use super::Unit;

/// The run of units that was joined last.
///
/// A crowd that reads one channel wakes together and lacks the same messages.
/// One `send()` of one buffer is much cheaper than a gathering write of many,
/// and the copy is shared: the next connection of this thread finds it here.
#[derive(Debug, Default)]
pub struct Run {
    units: Vec<Bytes>,
    joined: Bytes,
}

/// Longer runs are gathered by the kernel: the copy would cost more than it saves, and stays for a while.
const BYTES_MAX: usize = 16 * 1024;

impl Run {
    /// The units as one buffer; `None` where that does not pay.
    pub fn join(&mut self, units: &[Unit]) -> Option<&Bytes> {
        if units.len() < 2 || units.iter().any(|unit| !unit.private.is_empty()) {
            return None;
        }
        if !self.is(units) {
            let bytes = units.iter().map(|unit| unit.shared.len()).sum();
            if bytes > BYTES_MAX {
                return None;
            }
            let mut joined = BytesMut::with_capacity(bytes);
            units.iter().for_each(|unit| joined.extend_from_slice(&unit.shared));
            self.joined = joined.freeze();
            self.units.clear();
            self.units.extend(units.iter().map(|unit| unit.shared.clone()));
        }
        Some(&self.joined)
    }

    /// Whether these are the very same buffers: they are held here, so no other can lie at their place.
    fn is(&self, units: &[Unit]) -> bool {
        let same = |(a, b): (&Bytes, &Unit)| a.as_ptr() == b.shared.as_ptr() && a.len() == b.shared.len();
        self.units.len() == units.len() && self.units.iter().zip(units).all(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &'static str) -> Unit {
        Unit { private: Bytes::new(), shared: Bytes::from_static(text.as_bytes()) }
    }

    #[test]
    fn the_same_run_is_joined_once() {
        let mut run = Run::default();
        let units = [unit("ab"), unit("c")];
        let first = run.join(&units).unwrap().clone();
        assert_eq!(first, "abc");
        assert_eq!(run.join(&units).unwrap().as_ptr(), first.as_ptr());
        assert_eq!(run.join(&[unit("ab"), unit("cd")]).unwrap(), "abcd");
        assert_eq!(run.join(&[unit("ab"), unit("cd"), unit("e")]).unwrap(), "abcde");
    }

    #[test]
    fn one_unit_a_private_part_or_much_is_not_joined() {
        let mut run = Run::default();
        let private = Unit { private: Bytes::from_static(b"id"), ..unit("a") };
        let large = Unit { private: Bytes::new(), shared: vec![0; BYTES_MAX].into() };
        assert_eq!(run.join(&[unit("a")]), None);
        assert_eq!(run.join(&[unit("a"), private]), None);
        assert_eq!(run.join(&[unit("a"), large]), None);
    }
}
