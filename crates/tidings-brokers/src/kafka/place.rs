//! Places in a log, packed into one number: the offset of a record in its partition and, since one
//! record may hold several messages, which of them it is.

/// Messages that one record may hold.
pub(super) const PER_RECORD: usize = 1 << SHIFT;
const SHIFT: u32 = 8;

/// The place just after a message of the record at an offset.
pub(super) fn after(offset: i64, index: usize) -> u64 {
    (next(offset) << SHIFT) | (index as u64 & ((1 << SHIFT) - 1))
}

/// The place after all that lies before an offset.
pub(super) fn before(offset: i64) -> u64 {
    if offset <= 0 { 0 } else { after(offset - 1, PER_RECORD - 1) }
}

/// The offset of the record, and which of its messages it is.
pub(super) fn of(place: u64) -> (i64, usize) {
    let offset = i64::try_from(place >> SHIFT).unwrap_or(i64::MAX) - 1;
    (offset, usize::try_from(place & ((1 << SHIFT) - 1)).unwrap_or(0))
}

fn next(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_the_order_of_the_log() {
        assert_eq!((before(0), of(after(7, 3)), of(after(0, 0))), (0, (7, 3), (0, 0)));
        let places = [before(0), after(0, 0), after(0, 255), after(1, 0)];
        assert!(places.windows(2).all(|two| two[0] < two[1]));
        assert!(before(1) == after(0, 255) && before(1) < after(1, 0));
        assert_eq!(of(u64::MAX).1, 255);
    }
}
