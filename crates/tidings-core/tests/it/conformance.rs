//! The suite of every broker, against the memory broker; and against it behind a broker that is only late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidings_core::broker::faulty::{Faults, Faulty};
use tidings_core::broker::{Broker, Memory, MemoryLimits, conformance};

const ROOM: MemoryLimits = MemoryLimits { bytes: 1 << 30, idempotency_keys: 1_000_000 };

#[tokio::test(start_paused = true)]
async fn memory_conforms() {
    let lives = AtomicU64::new(1);
    conformance::run(|clock| {
        let life = lives.fetch_add(1, Ordering::Relaxed);
        async move { Memory::start(clock, ROOM, life << 40) }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn memory_conforms_when_it_is_late() {
    late(20).await;
}

/// What the suite waits for passes while it reads: it must not blame the broker.
#[tokio::test(start_paused = true)]
async fn memory_conforms_when_it_is_slow() {
    late(400).await;
}

async fn late(late_ms_max: u64) {
    let late = Faults { late_ms_max, ..Faults::NONE };
    let lives = AtomicU64::new(1);
    conformance::run(|clock| {
        let life = lives.fetch_add(1, Ordering::Relaxed);
        async move {
            Faulty::new(7, late, move |restarts| {
                let seed = (life << 40) + (restarts << 20);
                Arc::new(Memory::start(clock.clone(), ROOM, seed)) as Arc<dyn Broker>
            })
        }
    })
    .await;
}
