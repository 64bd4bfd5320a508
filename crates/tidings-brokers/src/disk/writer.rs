//! The thread that writes: many appends, one transaction, one fsync.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tidings_core::Clock;
use tidings_core::broker::BrokerError;
use tidings_core::log::{Appended, Below, Channel, Created, Draft, Retain, Rules, Terms};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::Sync;
use super::append::Work;
use super::mark::Mark;
use super::queue::{Most, Queue};
use super::shared::Shared;
use super::store::failed;
use super::trim::{Sweep, Tidied};
use super::wal::Copier;

/// What waits for its turn, and who waits for its answer.
pub(super) struct Request {
    pub(super) channel: Channel,
    pub(super) rules: Rules,
    pub(super) now_ms: u64,
    pub(super) change: Change,
    pub(super) answer: oneshot::Sender<Result<Done, BrokerError>>,
}

/// What is to be done to a channel. First of all it is deleted, if its time to live has passed.
pub(super) enum Change {
    Append(Vec<Draft>),
    Create(Terms),
    Delete,
    /// Nothing else.
    Over,
}

/// What was done. Once it is told, the broker's promise holds for it.
pub(super) enum Done {
    /// These were stored; and why no more, where that is not all.
    Appended(Vec<Appended>, Option<BrokerError>),
    Created(Created),
    Deleted(bool),
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Arc<Queue<Queued>>,
    room: Arc<Semaphore>,
    ended: Mutex<Option<(Receiver<()>, JoinHandle<()>)>>,
}

/// A request, and the room that it takes until it is answered.
struct Queued {
    request: Request,
    _room: Option<OwnedSemaphorePermit>,
}

/// The thread itself.
struct Thread {
    shared: Arc<Shared>,
    store: Connection,
    mark: Mark,
    copier: Copier,
    clock: Clock,
    sync: Sync,
    sweep: Sweep,
    /// The number of the last transaction.
    commits: u64,
    /// Since when something is stored that was not forced onto the disk; by the clock.
    unsynced_ms: Option<u64>,
    swept_ms: u64,
    /// Whether there is more to tidy up.
    sweeping: bool,
    /// How long the last transaction took, and how many may come to the next.
    took: Duration,
    expected: usize,
    /// Whether a commit waits for the disk, as it is set now.
    synchronous: Option<bool>,
}

/// A transaction that holds a batch, before its end.
struct Filled {
    works: HashMap<Channel, Work>,
    answers: Vec<Done>,
    /// Whether it must be forced onto the disk, whatever the batch promises.
    must_sync: bool,
}

/// KiB of drafts that wait, each of which counts one more.
const ROOM: u32 = 32 * 1_024;
/// Appends in one transaction.
const APPENDS_MAX: usize = 1_024;
/// Messages in one transaction, more or less.
const MESSAGES_MAX: usize = 4_096;
/// The longest time that an append waits for others, half of a transaction's if that is less.
const GATHER_MAX: Duration = Duration::from_millis(1);
/// How often it looks around without being asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two rounds of tidying.
const SWEEP_EVERY_MS: u64 = 1_000;
/// The same, where there is more to do at once.
const SWEEP_AGAIN_MS: u64 = 12;
/// The rules of a change that asks for none.
const ANY: Rules = Rules {
    retain: Retain::LOG,
    compact: false,
    dedupe_ms: 0,
    below: Below::Oldest,
    implicit: true,
    durable: true,
};
/// How long a broker that is dropped waits for its last write.
const STOP_MAX: Duration = Duration::from_secs(5);

impl Change {
    fn drafts(&self) -> &[Draft] {
        if let Change::Append(drafts) = self { drafts } else { &[] }
    }
}

impl Writer {
    pub(super) fn start(
        shared: Arc<Shared>,
        store: Connection,
        clock: Clock,
        sync: Sync,
    ) -> Result<Self, BrokerError> {
        let unusable = |error: std::io::Error| BrokerError::Unavailable(error.to_string());
        let queue = Arc::new(Queue::new());
        let queued = queue.clone();
        let (ends, ended) = channel();
        let mark = Mark::open(&shared.folder.mark()).map_err(unusable)?;
        let copier = Copier::start(shared.clone(), &shared.folder.store())?;
        let thread = Thread {
            commits: shared.life.commits,
            sweep: Sweep::default(),
            unsynced_ms: None,
            swept_ms: clock.now_ms(),
            sweeping: false,
            took: Duration::ZERO,
            expected: 1,
            synchronous: None,
            shared: shared.clone(),
            store,
            mark,
            copier,
            clock,
            sync,
        };
        let run = move || {
            thread.run(&queued);
            // What still waits is answered by being dropped.
            shared.health.stopped();
            queued.end();
            drop(ends);
        };
        let handle = std::thread::Builder::new().name("disk-broker".into()).spawn(run).map_err(unusable)?;
        Ok(Writer {
            queue,
            room: Arc::new(Semaphore::new(ROOM as usize)),
            ended: Mutex::new(Some((ended, handle))),
        })
    }

    /// Queues a request; waits while too much is queued.
    pub(super) async fn send(&self, request: Request) -> Result<(), BrokerError> {
        let gone = || BrokerError::Unavailable("the broker has stopped".into());
        let bytes: usize = request.change.drafts().iter().map(|draft| draft.payload.bytes.len() + 256).sum();
        let kib = u32::try_from(bytes / 1_024 + 1).unwrap_or(ROOM).min(ROOM);
        let room = self.room.clone().acquire_many_owned(kib).await.map_err(|_closed| gone())?;
        if self.queue.push(Queued { request, _room: Some(room) }) { Ok(()) } else { Err(gone()) }
    }

    /// Ends the thread, and waits until what it has in hand is on disk.
    pub(super) fn stop(&self) {
        self.queue.close();
        self.room.close();
        let Some((ended, handle)) = self.ended.lock().take() else { return };
        if matches!(ended.recv_timeout(STOP_MAX), Err(RecvTimeoutError::Disconnected)) {
            let _ = handle.join();
        }
    }
}

impl Thread {
    fn run(mut self, queue: &Queue<Queued>) {
        let most = Most { items: APPENDS_MAX, size: MESSAGES_MAX };
        let size = |queued: &Queued| queued.request.change.drafts().len();
        loop {
            // Those who were answered last have a moment to come again: a transaction of all of them costs
            // less than one of the first, and another of the rest.
            let gather = (self.took / 2).min(GATHER_MAX);
            let Some(batch) = queue.take(self.patience(), self.expected, gather, &most, size) else { break };
            if !batch.is_empty() {
                let (began, count) = (Instant::now(), batch.len());
                self.store_all(batch);
                self.took = began.elapsed();
                self.expected = count.max(self.expected * 3 / 4);
            }
            self.look_around();
            let looked = self.copier.look(&self.store);
            if let Err(error) = looked {
                self.shared.health.copied(Err(&error));
            }
        }
        self.copier.stop();
        if !self.shared.health.is_broken() {
            let _ = self.clean();
        }
    }

    fn patience(&self) -> Duration {
        let patience = if self.sweeping { Duration::from_millis(SWEEP_AGAIN_MS) } else { LOOK_EVERY };
        match (self.sync, self.unsynced_ms) {
            (Sync::Every(time), Some(_)) => time.min(patience),
            _ => patience,
        }
    }

    /// Stores a batch; if that fails for a reason that lies in one of them, each alone.
    fn store_all(&mut self, batch: Vec<Queued>) {
        self.shared.health.asks(&self.clock);
        let result = self.transaction(&batch);
        let one_by_one = matches!(result, Err(BrokerError::Corrupt(_))) && batch.len() > 1;
        self.shared.health.answered(result.as_ref().map(|_| ()));
        match result {
            Ok(answers) => answer(batch, answers.into_iter().map(Ok)),
            Err(_) if one_by_one => batch.into_iter().for_each(|queued| self.store_all(vec![queued])),
            Err(error) => {
                answer(batch, std::iter::repeat_with(|| Err(error.clone())));
            }
        }
    }

    /// Stores a batch and forces it onto the disk, if it must be; then lets readers see it.
    fn transaction(&mut self, batch: &[Queued]) -> Result<Vec<Done>, BrokerError> {
        let waits = self.sync == Sync::EveryWrite && batch.iter().any(|queued| queued.request.rules.durable);
        let mut sync = waits || self.is_due();
        loop {
            self.begin(sync)?;
            let filled = self.fill(batch);
            // That a channel may lose messages must be on disk before it can lose any.
            if filled.as_ref().is_ok_and(|filled| filled.must_sync) && !sync {
                self.store.execute_batch("ROLLBACK").map_err(failed)?;
                sync = true;
                continue;
            }
            let stored = filled.and_then(|filled| self.commit(sync).map(|()| filled));
            let filled = stored.inspect_err(|_| {
                let _ = self.store.execute_batch("ROLLBACK");
            })?;
            let stored = filled.works.values().map(Work::messages).sum();
            self.shared.measures.batch(stored);
            for work in filled.works.into_values() {
                // The messages are stored, whatever this says: it is of the count of those that are kept.
                if let Err(error) = work.publish(&self.store) {
                    tracing::warn!(%error, "a channel could not be counted");
                }
            }
            return Ok(filled.answers);
        }
    }

    /// Puts a batch into the transaction.
    fn fill(&self, batch: &[Queued]) -> Result<Filled, BrokerError> {
        let mut filled =
            Filled { works: HashMap::new(), answers: Vec::with_capacity(batch.len()), must_sync: false };
        for Queued { request, .. } in batch {
            let Request { channel, change, rules, now_ms, .. } = request;
            let work = match filled.works.get_mut(channel) {
                Some(work) => work,
                None => {
                    let slot = self.shared.slots.slot(channel);
                    let work = Work::begin(&self.store, slot, channel, &self.shared.life)?;
                    filled.works.entry(channel.clone()).or_insert(work)
                }
            };
            if self.sync != Sync::EveryWrite || !rules.durable {
                filled.must_sync |= work.may_lose(&self.shared.life);
            }
            work.delete_over(&self.store, channel, &self.shared.life, *now_ms)?;
            filled.answers.push(match change {
                Change::Append(drafts) => {
                    let (stored, error) = work.append(&self.store, channel, drafts, rules, *now_ms)?;
                    Done::Appended(stored, error)
                }
                Change::Create(terms) => {
                    Done::Created(work.create(&self.store, channel, *terms, rules, *now_ms)?)
                }
                Change::Delete => Done::Deleted(work.delete(&self.store, channel, &self.shared.life)?),
                Change::Over => Done::Deleted(false),
            });
        }
        for (channel, work) in &mut filled.works {
            work.finish(&self.store, channel)?;
        }
        Ok(filled)
    }

    /// Begins a transaction, at whose end all before it is on disk if `sync`.
    fn begin(&mut self, sync: bool) -> Result<(), BrokerError> {
        // One that failed may still be open.
        if !self.store.is_autocommit() {
            self.store.execute_batch("ROLLBACK").map_err(failed)?;
        }
        self.copier.has_room(&self.store)?;
        if self.synchronous != Some(sync) {
            // FULL waits for the disk at each commit, NORMAL at none.
            let sql = if sync { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            self.store.execute_batch(sql).map_err(failed)?;
            self.synchronous = Some(sync);
        }
        self.store.execute_batch("BEGIN IMMEDIATE").map_err(failed)
    }

    /// Ends a transaction. Once this returns, it is on disk if it was begun so.
    fn commit(&mut self, sync: bool) -> Result<(), BrokerError> {
        let number = self.commits + 1;
        let count = "UPDATE meta SET value = ? WHERE name = 'commits'";
        let mut count = self.store.prepare_cached(count).map_err(failed)?;
        count.execute([number.cast_signed()]).map_err(failed)?;
        drop(count);
        let began = Instant::now();
        self.store.execute_batch("COMMIT").map_err(failed)?;
        self.commits = number;
        if sync {
            self.shared.measures.sync(began.elapsed());
            // Every transaction before it is there, too: they share one log.
            self.unsynced_ms = None;
            // It makes a loss known, and is no part of what was promised.
            let _ = self.mark.write(number);
        } else {
            self.unsynced_ms.get_or_insert(self.clock.now_ms());
        }
        Ok(())
    }

    /// Whether what was stored has waited long enough to be forced onto the disk.
    fn is_due(&self) -> bool {
        let time = match self.sync {
            Sync::EveryWrite => LOOK_EVERY,
            Sync::Every(time) => time,
        };
        self.unsynced_ms
            .is_some_and(|since| u128::from(self.clock.now_ms().saturating_sub(since)) >= time.as_millis())
    }

    /// Forces what waits onto the disk, looks whether a disk that failed takes writes again, tidies up.
    fn look_around(&mut self) {
        let now_ms = self.clock.now_ms();
        let broken = self.shared.health.is_broken();
        let tidy = now_ms.saturating_sub(self.swept_ms) >= SWEEP_EVERY_MS;
        let sync = self.is_due() || (broken && tidy);
        if tidy {
            self.shared.measures.weigh(&self.shared.folder.store());
        }
        if tidy && self.shared.health.is_uncopied() {
            self.copier.ask();
        }
        if !tidy && !sync {
            return;
        }
        self.shared.health.asks(&self.clock);
        let done = self.tidy(sync, tidy && !broken);
        if done.is_err() {
            let _ = self.store.execute_batch("ROLLBACK");
        }
        self.shared.health.answered(done.as_ref().map(|_| ()));
        let done = done.map(|tidied| {
            self.end(tidied.over);
            tidied.more
        });
        if tidy {
            // Not at once where there is more to do: publishers go first.
            let soon = SWEEP_EVERY_MS - SWEEP_AGAIN_MS;
            self.sweeping = matches!(done, Ok(true));
            self.swept_ms = if self.sweeping { now_ms.saturating_sub(soon) } else { now_ms };
        }
    }

    /// Deletes channels whose time to live has passed, though nobody asks for them.
    fn end(&mut self, channels: Vec<Channel>) {
        let now_ms = self.clock.now_ms();
        let queued = |channel| {
            let (answer, _nobody) = oneshot::channel();
            Queued {
                request: Request { channel, rules: ANY, now_ms, change: Change::Over, answer },
                _room: None,
            }
        };
        if !channels.is_empty() {
            self.store_all(channels.into_iter().map(queued).collect());
        }
    }

    fn tidy(&mut self, sync: bool, sweep: bool) -> Result<Tidied, BrokerError> {
        self.begin(sync)?;
        let now_ms = self.clock.now_ms();
        let tidied =
            if sweep { self.sweep.round(&self.store, &self.shared, now_ms)? } else { Tidied::default() };
        if sync || tidied.changed {
            self.commit(sync)?;
        } else {
            self.store.execute_batch("ROLLBACK").map_err(failed)?;
        }
        Ok(tidied)
    }

    /// Everything is on disk, and the next life may know it.
    fn clean(&mut self) -> Result<(), BrokerError> {
        self.begin(true)?;
        self.store.execute("UPDATE meta SET value = 1 WHERE name = 'clean'", []).map_err(failed)?;
        self.commit(true)?;
        self.copier.copy_all(&self.store)
    }
}

fn answer(batch: Vec<Queued>, answers: impl IntoIterator<Item = Result<Done, BrokerError>>) {
    for (Queued { request, _room }, answer) in batch.into_iter().zip(answers) {
        // A publisher that has gone wants no answer.
        let _ = request.answer.send(answer);
    }
}
