//! Bytes in one direction, as the condition of their path lets them.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::sleep;

use super::condition::Condition;
use super::connection::End;
use super::request::begins_stream;
use super::spoil::Spoilt;
use super::tally::Tally;

/// What is read at once.
const CHUNK: usize = 16 << 10;

/// What a buffering proxy holds back, at most.
const HELD_MAX: usize = 64 << 10;

/// The slices of a second in which a slow line takes bytes.
const SLICES: u32 = 20;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the node.
    Up,
    /// From the node. Only here is held back, cut midway, and spoilt.
    Down,
}

/// One direction of one connection.
#[derive(Debug)]
pub struct Pump {
    /// Which.
    pub direction: Direction,
    /// What is the matter with the path.
    pub condition: watch::Receiver<Condition>,
    /// Where it is counted.
    pub tally: Tally,
    /// How many cuts there were when the connection began.
    pub cuts: u32,
}

impl Pump {
    /// Carries bytes until there are no more, or a cut falls into them.
    pub async fn carry(
        mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        mut spoilt: Option<&mut Spoilt>,
    ) -> End {
        let mut buffer = vec![0; CHUNK];
        let (mut held, mut is_stream) = (Vec::new(), false);
        loop {
            let is_holding = held.len() < HELD_MAX && self.holds(is_stream);
            if !is_holding && !held.is_empty() {
                if self.write(to, &held).await.is_err() {
                    return End::Closed;
                }
                held.clear();
            }
            let read = tokio::select! {
                read = from.read(&mut buffer) => read,
                changed = self.condition.changed(), if is_holding => match changed {
                    Ok(()) => continue,
                    Err(_) => return End::Closed,
                },
            };
            let bytes = match read {
                Ok(0) | Err(_) => {
                    // What a proxy holds back, it gives at the end.
                    let _ = self.write(to, &held).await;
                    return End::Closed;
                }
                Ok(count) => &buffer[..count],
            };
            if self.direction == Direction::Up {
                self.tally.add_up(bytes.len());
            } else {
                is_stream = begins_stream(bytes).unwrap_or(is_stream);
            }
            let altered = spoilt.as_mut().map(|spoilt| spoilt.pass(bytes));
            let bytes = altered.as_deref().unwrap_or(bytes);
            let now = *self.condition.borrow();
            if self.direction == Direction::Down && now.cuts != self.cuts && now.cut.is_midway {
                let _ = self.write(to, &bytes[..bytes.len() / 2]).await;
                return End::Cut { is_reset: now.cut.is_reset };
            }
            if held.len() < HELD_MAX && self.holds(is_stream) {
                held.extend_from_slice(bytes);
            } else if self.write(to, bytes).await.is_err() {
                return End::Closed;
            }
        }
    }

    /// Whether what comes is held back now.
    fn holds(&mut self, is_stream: bool) -> bool {
        let now = *self.condition.borrow_and_update();
        let is_held = now.holds_back || (now.holds_streams && is_stream);
        now.is_down || (self.direction == Direction::Down && is_held)
    }

    /// Writes all, late and slowly if that is the condition, and not before something passes.
    async fn write(&mut self, to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        let delay = self.condition.wait_for(|now| !now.is_down).await.map_err(gone)?.delay;
        if !delay.is_zero() {
            sleep(delay).await;
        }
        if self.direction == Direction::Down {
            self.tally.add_down(bytes.len());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(rate) = self.condition.borrow().bytes_each_second else {
                to.write_all(rest).await?;
                break;
            };
            let slice = rest.len().min((rate / SLICES).max(1) as usize);
            to.write_all(&rest[..slice]).await?;
            to.flush().await?;
            rest = &rest[slice..];
            sleep(Duration::from_secs(1) / SLICES).await;
        }
        to.flush().await
    }
}
