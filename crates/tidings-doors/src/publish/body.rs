//! A request's body, with a limit on each wait and on what is held.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tidings_core::{Code, Error, Result, Session};
use tokio::time::Instant;

use crate::Doors;

/// A body that is read piece by piece.
pub struct Incoming<'a> {
    body: Body,
    doors: &'a Doors,
    session: &'a Session,
    /// When what has begun must be whole.
    due: Option<Instant>,
}

impl<'a> Incoming<'a> {
    /// Reads `body`; a pause longer than [`Doors::body_idle`] is an error, as is one in which the
    /// session ends.
    pub fn new(body: Body, doors: &'a Doors, session: &'a Session) -> Self {
        Incoming { body, doors, session, due: None }
    }

    /// Says that something begins now which must be whole within [`Doors::body_time`]; or that
    /// nothing has begun.
    pub fn begin(&mut self, begins: bool) {
        self.due = begins.then(|| Instant::now() + self.doors.body_time);
    }

    /// Whether something has begun that is not whole.
    pub fn has_begun(&self) -> bool {
        self.due.is_some()
    }

    /// The next piece, or `None` at the end. None comes once what has begun is overdue.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let now = Instant::now();
            let paused = now + self.doors.body_idle;
            let until = self.due.map_or(paused, |due| due.min(paused));
            if until <= now {
                return Err(self.late());
            }
            let frame = tokio::select! {
                biased;
                frame = self.body.frame() => frame,
                error = self.session.cut() => return Err(error),
                () = tokio::time::sleep_until(until) => return Err(self.late()),
            };
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&error)),
                Some(Ok(frame)) => {
                    // Trailers say nothing here.
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    fn late(&self) -> Error {
        let detail = match self.due.filter(|due| *due <= Instant::now()) {
            Some(_) => format!("what had begun to arrive was not whole within {:?}", self.doors.body_time),
            None => "the body paused for too long".to_owned(),
        };
        Error::new(Code::BodyIncomplete, detail)
    }

    /// Reads nothing for some time, unless the session ends within it.
    pub async fn pause(&mut self, time: Duration) -> Result<()> {
        tokio::select! {
            error = self.session.cut() => Err(error),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// The whole body, up to this many bytes, within [`Doors::body_time`].
    pub async fn whole(mut self, bytes_max: usize) -> Result<Bytes> {
        self.begin(true);
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let mut held = BytesMut::new();
        let mut last = first;
        loop {
            if held.len() + last.len() > bytes_max {
                return Err(Error::new(Code::TooLarge, format!("the body has more than {bytes_max} bytes")));
            }
            match self.next().await? {
                None if held.is_empty() => return Ok(last),
                None => {
                    held.extend_from_slice(&last);
                    return Ok(held.freeze());
                }
                Some(next) => {
                    held.extend_from_slice(&last);
                    last = next;
                }
            }
        }
    }
}

/// A body whose chunks are none is wrong; one that broke off may be sent again.
fn broken(error: &axum::Error) -> Error {
    let first: Option<&dyn std::error::Error> = error.source();
    let mut sources = std::iter::successors(first, |error| (*error).source());
    let kind = sources.find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            Error::new(Code::BadRequest, "the chunks of the body are not as RFC 9112 has them")
        }
        _ => Error::new(Code::BodyIncomplete, "the body broke off"),
    }
}
