//! The doorbell under loom: every interleaving of ringing and looking.

#[path = "../src/feed/doorbell.rs"]
#[allow(dead_code, reason = "the model needs a part of it")]
mod doorbell;

mod sync {
    //! Loom's atomics in the place of the real ones.
    pub use loom::sync::atomic::{AtomicU64, Ordering};

    /// Loom's waker, with the signatures of the real one.
    #[derive(Debug)]
    pub struct AtomicWaker(loom::future::AtomicWaker);

    impl AtomicWaker {
        pub fn new() -> Self {
            AtomicWaker(loom::future::AtomicWaker::new())
        }

        pub fn register(&self, waker: &std::task::Waker) {
            self.0.register_by_ref(waker);
        }

        pub fn wake(&self) {
            self.0.wake();
        }
    }
}

use std::future::poll_fn;
use std::task::Poll;

use doorbell::Bell;
use loom::sync::Arc;
use sync::{AtomicU64, Ordering};

/// Every interleaving with at most three forced switches: unbounded, the model runs for hours.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Two feeds change and ring; the session must see both changes, or it would wait for ever.
#[test]
fn no_wake_is_lost() {
    explore(|| {
        let bell = Arc::new(Bell::new(2));
        let feeds = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        for reader in 0..2 {
            let (bell, feeds) = (bell.clone(), feeds.clone());
            loom::thread::spawn(move || {
                feeds[reader as usize].store(1, Ordering::Release);
                bell.ring(reader);
            });
        }
        let mut seen = 0;
        loom::future::block_on(poll_fn(|cx| {
            bell.register(cx.waker());
            let ready = bell.take(0);
            for reader in 0..2u64 {
                if ready & (1 << reader) != 0 {
                    assert_eq!(feeds[reader as usize].load(Ordering::Acquire), 1);
                    seen |= 1 << reader;
                }
            }
            if seen == 0b11 { Poll::Ready(()) } else { Poll::Pending }
        }));
    });
}

/// A reader that is rung again while the session looks is seen again.
#[test]
fn a_second_change_is_seen() {
    explore(|| {
        let bell = Arc::new(Bell::new(1));
        let feed = Arc::new(AtomicU64::new(0));
        let ringer = {
            let (bell, feed) = (bell.clone(), feed.clone());
            loom::thread::spawn(move || {
                for _ in 0..2 {
                    feed.fetch_add(1, Ordering::Release);
                    bell.ring(0);
                }
            })
        };
        let mut seen = 0;
        loom::future::block_on(poll_fn(|cx| {
            bell.register(cx.waker());
            if bell.take(0) != 0 {
                seen = feed.load(Ordering::Acquire);
            }
            if seen == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        ringer.join().unwrap();
    });
}
