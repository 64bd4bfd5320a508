//! The blocks of an event stream.

use super::stage::{Kind, Stage, with_other_cursor};

/// Takes one block; gives how many bytes it had. `None` if it is not whole.
pub fn take(bytes: &[u8], stage: &mut Stage, out: &mut Vec<u8>) -> Option<usize> {
    let end = bytes.windows(2).position(|end| end == b"\n\n")? + 2;
    let block = bytes[..end].to_vec();
    let has = |start: &[u8]| block.split(|byte| *byte == b'\n').any(|line| line.starts_with(start));
    let kind = match (has(b"event: tidings.gap"), has(b"event: tidings."), has(b"data:")) {
        (true, ..) => Kind::Gap,
        (_, false, true) => Kind::Message,
        _ => Kind::Other,
    };
    let again = |block: &[u8]| {
        // As the `id:` where that is the cursor, and in the message where that is whole.
        let block = with_other_cursor(block, b"id: ", b'\n');
        with_other_cursor(&block, b"\"cursor\":\"", b'"')
    };
    out.extend(stage.take(kind, block, again).concat());
    Some(end)
}
