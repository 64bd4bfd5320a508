//! The frames of one WebSocket, and what its close means.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::error::{Blame, Cut, Error, Problem};
use super::handshake::{Socket, lost};
use super::item::Frame;

/// How long to wait for the answer to a close.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// An open WebSocket, told frame by frame.
#[derive(Debug)]
pub(super) struct Frames {
    socket: Socket,
    /// The last error frame, which says more than the close code that may follow.
    problem: Option<Problem>,
    /// Whether something was written that may not have gone out.
    is_behind: bool,
}

impl Frames {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, problem: None, is_behind: false }
    }

    /// The next frame. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Frame, Cut> {
        loop {
            match self.socket.next().await {
                Some(Ok(WsMessage::Text(text))) => match Frame::parse(&text)? {
                    Frame::Error(problem) => self.problem = Some(problem),
                    frame => return Ok(frame),
                },
                Some(Ok(WsMessage::Close(frame))) => {
                    let cut = closed(frame.as_ref(), self.problem.take());
                    // Sends the answer to the close; nothing depends on it.
                    let _ = timeout(LEAVE_MAX, self.socket.close(None)).await;
                    return Err(cut);
                }
                // Pings are answered by the library.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(lost(&error)),
                None => return Err(Cut::lost("the WebSocket broke off")),
            }
        }
    }

    /// Writes a frame, to be sent by [`flush`](Self::flush). If the future is dropped before its
    /// end, nothing was written.
    pub(super) async fn write(&mut self, text: String) -> Result<(), Cut> {
        // It ends in the same turn in which it takes the frame.
        self.socket.feed(WsMessage::text(text)).await.map_err(|error| lost(&error))?;
        self.is_behind = true;
        Ok(())
    }

    /// Sends what was written. If the future is dropped, the next call goes on.
    pub(super) async fn flush(&mut self) -> Result<(), Cut> {
        if self.is_behind {
            self.socket.flush().await.map_err(|error| lost(&error))?;
            self.is_behind = false;
        }
        Ok(())
    }

    /// Takes leave of the server.
    pub(super) async fn close(mut self) {
        let _ = timeout(LEAVE_MAX, self.socket.close(None)).await;
    }
}

/// What a close frame means.
fn closed(frame: Option<&CloseFrame>, problem: Option<Problem>) -> Cut {
    #[derive(Default, Deserialize)]
    struct Reason {
        #[serde(default)]
        code: String,
        #[serde(default)]
        retry_ms: Option<u64>,
    }
    let Some(frame) = frame else { return Cut::lost("the server closed the WebSocket") };
    let reason: Reason = serde_json::from_str(&frame.reason).unwrap_or_default();
    let code = u16::from(frame.code);
    let why = || {
        let name = if reason.code.is_empty() { "no reason given" } else { &reason.code };
        format!("the server closed the WebSocket: {code}, {name}")
    };
    match code {
        1000 => Cut::Done,
        // 4001 asks for a new token, and an endpoint has but the one.
        1009 | 4001 | 4500..=4999 => {
            let detail = if code == 4001 { "the token has ended".to_owned() } else { why() };
            let said = Problem { code: reason.code.clone(), detail, ..Problem::default() };
            Cut::Final(Error::Refused(problem.unwrap_or(said)))
        }
        4000..=4499 => {
            let hint = reason.retry_ms.map(Duration::from_millis);
            Cut::Again { why: why(), hint, blame: Blame::Server }
        }
        _ => Cut::lost(why()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(code: u16, reason: &str) -> Cut {
        closed(Some(&CloseFrame { code: code.into(), reason: reason.into() }), None)
    }

    #[test]
    fn the_code_says_whether_to_come_back() {
        for code in [4000, 4002, 4003, 4321, 4499] {
            let cut = close(code, r#"{"code":"draining","retry_ms":1200}"#);
            let Cut::Again { hint, blame, .. } = cut else { panic!("{code} is final") };
            assert_eq!((hint, blame), (Some(Duration::from_millis(1200)), Blame::Server));
        }
        for code in [1009, 4001, 4500, 4501, 4503, 4504, 4999] {
            assert!(
                matches!(close(code, r#"{"code":"forbidden"}"#), Cut::Final(Error::Refused(p)) if p.code == "forbidden")
            );
        }
        assert!(matches!(close(1000, ""), Cut::Done));
        assert!(matches!(close(1001, ""), Cut::Again { blame: Blame::Transport, .. }));
    }
}
