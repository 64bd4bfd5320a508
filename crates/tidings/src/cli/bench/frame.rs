//! The floor's messages on the wire: as long as another server's, whatever that puts into them.

/// Appends a text frame of `length` bytes, or of as many as the message needs.
pub fn websocket_frame(body: &[u8], length: usize, out: &mut Vec<u8>) {
    const PREFIX: &[u8] = b"{\"pad\":\"";
    const MIDDLE: &[u8] = b"\",\"data\":\"";
    const SUFFIX: &[u8] = b"\"}";
    let fixed = PREFIX.len() + MIDDLE.len() + SUFFIX.len() + body.len();
    // A head of 2, 4 or 10 bytes; the shortest that fits what the payload becomes.
    let payload = [(2, 125), (4, 65_535), (10, usize::MAX)].iter().find_map(|(head, most)| {
        let payload = length.saturating_sub(*head).max(fixed);
        (payload <= *most).then_some(payload)
    });
    let payload = payload.unwrap_or(fixed);
    out.push(0x81);
    match u16::try_from(payload) {
        Ok(short @ 0..=125) => out.push(short as u8),
        Ok(middle) => {
            out.push(126);
            out.extend(middle.to_be_bytes());
        }
        Err(_) => {
            out.push(127);
            out.extend((payload as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(PREFIX);
    out.resize(out.len() + payload - fixed, b'-');
    out.extend_from_slice(MIDDLE);
    out.extend_from_slice(body);
    out.extend_from_slice(SUFFIX);
}

/// Appends an event of `length` bytes, or of as many as the message needs.
pub fn sse_event(body: &[u8], length: usize, out: &mut Vec<u8>) {
    let fixed = b"id: \ndata: \n\n".len() + body.len();
    out.extend_from_slice(b"id: ");
    out.resize(out.len() + length.saturating_sub(fixed), b'-');
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(body);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_length_asked_for_where_the_message_fits() {
        for (length, body) in [(300, 128), (100, 50), (127, 40), (70_000, 128), (10, 128)] {
            let (mut frame, mut event) = (Vec::new(), Vec::new());
            websocket_frame(&vec![b'x'; body], length, &mut frame);
            sse_event(&vec![b'x'; body], length, &mut event);
            if length > body {
                assert!(frame.len().abs_diff(length) <= 2, "{} for {length}", frame.len());
                assert_eq!(event.len(), length);
            }
            assert!(frame.len() > body && event.len() > body);
        }
    }
}
