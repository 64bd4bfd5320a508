//! One connection through a path.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink, split};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::condition::{Condition, Cut, Refusal};
use super::pump::{Direction, Pump};
use super::request::{HEAD_MAX, REFUSAL, first_head, is_upgrade};
use super::spoil::{Spoiler, Spoilt};
use super::tally::Tally;
use super::upstream::Upstream;

/// How long a cut waits for bytes in whose middle it can be made.
const MIDWAY_MAX: Duration = Duration::from_secs(1);

/// What a client sends may wait so long to be taken, when it was refused.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A connection, and the condition of its path when it began.
#[derive(Debug)]
pub struct Connection {
    upstream: Upstream,
    condition: watch::Receiver<Condition>,
    born: Condition,
    spoiler: Option<Spoiler>,
    tally: Tally,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// As one of its sides wants.
    Closed,
    /// By a cut.
    Cut { is_reset: bool },
    /// Not at all.
    Frozen,
}

impl Connection {
    /// One that begins now.
    pub fn new(
        upstream: Upstream,
        condition: watch::Receiver<Condition>,
        spoiler: Option<Spoiler>,
        tally: Tally,
    ) -> Self {
        let born = *condition.borrow();
        Self { upstream, condition, born, spoiler, tally }
    }

    /// Carries bytes until one side closes or something happens to it.
    pub async fn carry(self, mut client: TcpStream) {
        // Where it cannot be set, small frames come later.
        let _ = client.set_nodelay(true);
        let _open = self.tally.open();
        let Some(mut first) = self.waited(&mut client).await else { return };
        let refuses_upgrades = self.condition.borrow().refuses_upgrades;
        if let Some(refusal) = refuses_upgrades {
            let Some(head) = first_head(&mut client, first).await else { return };
            if is_upgrade(&head) {
                self.tally.add_up(head.len());
                if refusal == Refusal::Answer {
                    let _ = timeout(ANSWER_MAX, client.write_all(REFUSAL)).await;
                    self.tally.add_down(REFUSAL.len());
                    let _ = timeout(ANSWER_MAX, client.shutdown()).await;
                }
                return;
            }
            first = head;
        }
        // A node that is down: who comes is sent away, as a load balancer would.
        let Ok(server) = self.upstream.connect().await else { return };
        let (mut from_server, mut to_server) = split(server);
        let end = {
            let (mut from_client, mut to_client) = client.split();
            let mut spoilt = self.spoiler.as_ref().map(Spoilt::new);
            self.tally.add_up(first.len());
            let up = async {
                match to_server.write_all(&first).await {
                    Ok(()) => self.pump(Direction::Up, &mut from_client, &mut to_server, None).await,
                    Err(_) => End::Closed,
                }
            };
            let down = self.pump(Direction::Down, &mut from_server, &mut to_client, spoilt.as_mut());
            tokio::select! {
                end = self.interrupted() => end,
                end = Box::pin(up) => end,
                end = Box::pin(down) => end,
            }
        };
        match end {
            End::Closed | End::Cut { is_reset: false } => {
                let _ = timeout(ANSWER_MAX, client.shutdown()).await;
            }
            End::Cut { is_reset: true } => {
                // With nothing to linger for, what the kernel sends at the end is an RST.
                let _ = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
            }
            End::Frozen => {
                // The node keeps its side, and nobody takes what it sends. What a client still says is
                // for nobody; it leaves when it has noticed.
                let _ = copy(&mut client, &mut sink()).await;
                drop((from_server, to_server));
            }
        }
    }

    async fn pump(
        &self,
        direction: Direction,
        from: &mut (impl tokio::io::AsyncRead + Unpin),
        to: &mut (impl tokio::io::AsyncWrite + Unpin),
        spoilt: Option<&mut Spoilt>,
    ) -> End {
        let (condition, tally) = (self.condition.clone(), self.tally.clone());
        Pump { direction, condition, tally, cuts: self.born.cuts }.carry(from, to, spoilt).await
    }

    /// Waits while nothing passes, and gives what the client said until then; `None` if it left, or was cut.
    async fn waited(&self, client: &mut TcpStream) -> Option<Vec<u8>> {
        let (mut first, mut condition) = (Vec::new(), self.condition.clone());
        while condition.borrow_and_update().is_down {
            tokio::select! {
                read = client.read_buf(&mut first), if first.len() < HEAD_MAX => match read {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                },
                changed = condition.changed() => changed.ok()?,
            }
            if condition.borrow().cuts != self.born.cuts {
                let _ = socket2::SockRef::from(&*client).set_linger(Some(Duration::ZERO));
                return None;
            }
        }
        Some(first)
    }

    /// Waits until the connection is cut, or frozen.
    async fn interrupted(&self) -> End {
        let mut condition = self.condition.clone();
        let is_over = |now: &Condition| now.cuts != self.born.cuts || now.freezes != self.born.freezes;
        let now = match condition.wait_for(is_over).await {
            Ok(now) => *now,
            // The path is gone.
            Err(_) => return End::Closed,
        };
        if now.freezes != self.born.freezes {
            return End::Frozen;
        }
        let Cut { is_reset, is_midway } = now.cut;
        if is_midway {
            // The pump makes it, if it can.
            tokio::time::sleep(MIDWAY_MAX).await;
        }
        End::Cut { is_reset }
    }
}
