//! The frames that a server sends on a WebSocket (RFC 6455 section 5.2): not masked, and here not compressed.

use super::stage::{Kind, Stage, with_other_cursor};

/// FIN and the opcode of text.
const TEXT: u8 = 0x81;

/// Takes one frame; gives how many bytes it had. `None` if it is not whole.
pub fn take(bytes: &[u8], stage: &mut Stage, out: &mut Vec<u8>) -> Option<usize> {
    let (begin, length): (usize, usize) = match *bytes.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        length => (2, usize::from(length)),
    };
    let end = begin.checked_add(length)?;
    let frame = bytes.get(..end)?.to_vec();
    let payload = &frame[begin..];
    let kind = if frame[0] != TEXT {
        Kind::Other
    } else if payload.starts_with(b"{\"gap\":") {
        Kind::Gap
    } else if payload.starts_with(b"{\"channel\":") {
        Kind::Message
    } else {
        Kind::Other
    };
    // A cursor of the same length, so that the frame is as long as it says.
    let again = |frame: &[u8]| with_other_cursor(frame, b"\"cursor\":\"", b'"');
    out.extend(stage.take(kind, frame, again).concat());
    Some(end)
}
