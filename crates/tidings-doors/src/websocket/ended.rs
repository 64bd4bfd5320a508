//! Why a WebSocket ends, and how.

use tidings_core::{Code, End, Error};

use crate::http::problem::Problem;

use super::connection::{Closed, Connection};
use super::decoder::Violation;
use super::{frame, greeting};

/// Why the loop of a connection ended.
pub(super) enum Ended {
    /// As many messages went out as were asked for.
    Limit,
    /// All channels are closed, and all that was in them went out.
    AtEnd,
    /// By us, with this code.
    Error(Code),
    /// By the peer, or by what it did.
    Closed(Closed),
}

impl Ended {
    /// Whether the client does not come back. Who is told to come back, or may, counts as lost for
    /// as long as that may take.
    pub(super) fn is_for_good(&self) -> bool {
        matches!(
            self,
            Ended::Limit
                | Ended::AtEnd
                | Ended::Error(Code::TooLarge | Code::SentAway)
                | Ended::Closed(Closed::ByPeer(_))
        )
    }

    /// Ends a connection as its end asks for.
    pub(super) async fn finish(self, mut connection: Connection) {
        let fail = |code, why| frame::close(code, &format!("{{\"code\":\"{why}\"}}"));
        let last = match self {
            Ended::Limit => return connection.close(1000, "").await,
            Ended::AtEnd => {
                let reason = format!("{{\"code\":\"{}\"}}", Code::ChannelClosed);
                return connection.close(1000, &reason).await;
            }
            Ended::Error(code) => {
                let (code, reason) = greeting::goodbye(code);
                return connection.close(code, &reason).await;
            }
            Ended::Closed(Closed::ByPeer(code)) => frame::answer_close(code),
            Ended::Closed(Closed::Violation(Violation::Protocol)) => fail(1002, Code::BadFrame),
            Ended::Closed(Closed::Violation(Violation::Utf8)) => fail(1007, Code::BadText),
            Ended::Closed(Closed::Violation(Violation::TooLarge)) => {
                let detail = "the message is larger than this connection takes";
                let problem = Problem::from(Error::new(Code::TooLarge, detail));
                connection.line.push(frame::text(format!("{{\"error\":{}}}", problem.to_json()).as_bytes()));
                fail(1009, Code::TooLarge)
            }
            Ended::Closed(Closed::Silent | Closed::Lost) => return,
        };
        connection.finish(last).await;
    }
}

impl From<End> for Ended {
    fn from(end: End) -> Self {
        Ended::Error(match end {
            End::Closed => return Ended::AtEnd,
            End::Expired => Code::TokenExpired,
            End::Draining => Code::Draining,
            End::Dismissed { stay_away: false } => Code::Disconnected,
            End::Dismissed { stay_away: true } => Code::SentAway,
            // All that one URL names is read, or none of it.
            End::Refused(channels) => {
                channels.into_iter().next().map_or(Code::Forbidden, |(_, error)| error.code)
            }
            End::Failed(error) => error.code,
        })
    }
}
