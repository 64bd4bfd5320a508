//! Bytes in one direction, as the condition of their path lets them.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::sleep;

use super::super::spoil::Spoilt;
use super::condition::Condition;
use super::connection::End;

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

/// Carries bytes until there are no more, or a cut falls into them. `cuts` is how many there were when
/// the connection began.
pub async fn pump(
    direction: Direction,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut condition: watch::Receiver<Condition>,
    cuts: u32,
    mut spoilt: Option<&mut Spoilt>,
) -> End {
    let mut buffer = vec![0; CHUNK];
    let mut held = Vec::new();
    loop {
        let may_hold = direction == Direction::Down && held.len() < HELD_MAX;
        let is_holding = may_hold && condition.borrow_and_update().holds_back;
        if !is_holding && !held.is_empty() {
            if write(to, &held, &mut condition).await.is_err() {
                return End::Closed;
            }
            held.clear();
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            changed = condition.changed(), if is_holding => match changed {
                Ok(()) => continue,
                Err(_) => return End::Closed,
            },
        };
        // Also an end is not seen through it.
        if condition.wait_for(|now| !now.is_black_hole).await.is_err() {
            return End::Closed;
        }
        let bytes = match read {
            Ok(0) | Err(_) => {
                // What a proxy holds back, it gives at the end.
                let _ = write(to, &held, &mut condition).await;
                return End::Closed;
            }
            Ok(count) => &buffer[..count],
        };
        let altered = spoilt.as_mut().map(|spoilt| spoilt.pass(bytes));
        let bytes = altered.as_deref().unwrap_or(bytes);
        let now = *condition.borrow();
        if direction == Direction::Down && now.cuts != cuts && now.cut.is_midway {
            let _ = write(to, &bytes[..bytes.len() / 2], &mut condition).await;
            return End::Cut { is_reset: now.cut.is_reset };
        }
        if is_holding {
            held.extend_from_slice(bytes);
        } else if write(to, bytes, &mut condition).await.is_err() {
            return End::Closed;
        }
    }
}

/// Writes all, late and slowly if that is the condition.
async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    condition: &mut watch::Receiver<Condition>,
) -> std::io::Result<()> {
    let delay = condition.borrow().delay;
    if !delay.is_zero() {
        sleep(delay).await;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(rate) = condition.borrow().bytes_each_second else {
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
