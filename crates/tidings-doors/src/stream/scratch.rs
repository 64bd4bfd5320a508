//! Memory that the connections of a thread share, since each needs it for a moment only.

use std::cell::RefCell;

use tidings_core::Batch;

use super::{Run, Unit};

/// Buffers for one turn of one connection.
pub struct Scratch {
    /// Where a socket is read into.
    pub read: Vec<u8>,
    /// What a subscription gives.
    pub batch: Batch,
    /// The same, as bytes.
    pub units: Vec<Unit>,
    /// The same, joined.
    pub run: Run,
}

const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        read: vec![0; READ_BYTES],
        batch: Batch::default(),
        units: Vec::new(),
        run: Run::default(),
    });
}

impl Scratch {
    /// Lends this thread's buffers, with batch and units empty. `work` must not lend them again.
    pub fn lend<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
        SCRATCH.with_borrow_mut(|scratch| {
            let result = work(scratch);
            scratch.batch.clear();
            scratch.units.clear();
            result
        })
    }
}
