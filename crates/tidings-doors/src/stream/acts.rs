//! The future of a stream: a loop that lives for hours, then its end.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;

/// What runs once a loop has ended.
pub type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Polls `act` until it is ready, then runs what `end` makes of it.
///
/// An `async fn` would hold its arguments twice, as arguments and as the
/// variables that they become, and room for its last second from the first:
/// for a stream that is most of its memory, and of the cache lines that each
/// message touches.
pub fn two_acts<S, T>(
    state: S,
    act: impl Fn(&mut S, &mut Context<'_>) -> Poll<T>,
    end: impl FnOnce(S, T) -> End,
) -> impl Future<Output = ()> {
    let mut open = Some((state, end));
    let first = poll_fn(move |cx| {
        // Once it was ready it is not polled again.
        let Some((state, _)) = &mut open else { return Poll::Pending };
        let ended = ready!(act(state, cx));
        let Some((state, end)) = open.take() else { return Poll::Pending };
        Poll::Ready(end(state, ended))
    });
    first.flatten()
}
