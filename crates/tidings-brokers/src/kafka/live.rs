//! What comes: one consumer for all partitions that a node needs, in a thread of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tidings_core::broker::BrokerError;
use tokio::sync::Notify;

use super::link::{Context, Link, unavailable};
use super::view::{Name, View};

/// The consumer, and who gets what it reads.
pub(super) struct Live {
    consumer: BaseConsumer<Context>,
    views: Mutex<HashMap<Name, Weak<View>>>,
    is_over: AtomicBool,
    /// Something came that says that a partition is not as it was.
    pub(super) doubts: Notify,
}

const POLL: Duration = Duration::from_millis(100);
const AFTER_ERROR: Duration = Duration::from_millis(20);

impl Live {
    pub(super) fn start(link: &Link) -> Result<Arc<Self>, BrokerError> {
        let live = Arc::new(Live {
            consumer: link.follower()?,
            views: Mutex::default(),
            is_over: AtomicBool::new(false),
            doubts: Notify::new(),
        });
        let (running, trouble) = (live.clone(), link.trouble());
        let thread = std::thread::Builder::new().name("tidings-kafka".into());
        let started = thread.spawn(move || {
            while !running.is_over.load(Ordering::Relaxed) {
                match running.consumer.poll(POLL) {
                    Some(Ok(message)) => {
                        let place = (Arc::from(message.topic()), message.partition());
                        let view = running.views.lock().get(&place).and_then(Weak::upgrade);
                        if let Some(view) = view {
                            view.apply(message.offset(), message.key(), message.payload());
                            if view.is_another() {
                                running.doubts.notify_one();
                            }
                        }
                    }
                    Some(Err(error)) => {
                        trouble.saw(&error, "");
                        if let Some(
                            RDKafkaErrorCode::OffsetOutOfRange
                            | RDKafkaErrorCode::AutoOffsetReset
                            | RDKafkaErrorCode::UnknownTopic
                            | RDKafkaErrorCode::UnknownPartition
                            | RDKafkaErrorCode::UnknownTopicOrPartition,
                        ) = error.rdkafka_error_code()
                        {
                            running.doubts.notify_one();
                        }
                        std::thread::sleep(AFTER_ERROR);
                    }
                    None => {}
                }
            }
        });
        started.map_err(|error| BrokerError::Unavailable(error.to_string()))?;
        Ok(live)
    }

    /// Reads a partition from where a view has got to.
    pub(super) fn add(&self, view: &Arc<View>) -> Result<(), BrokerError> {
        let other = self.views.lock().insert((view.topic.clone(), view.partition), Arc::downgrade(view));
        if other.is_some() {
            self.unassign(view);
        }
        let mut place = TopicPartitionList::new();
        let added = place.add_partition_offset(&view.topic, view.partition, Offset::Offset(view.next()));
        added.and_then(|()| self.consumer.incremental_assign(&place)).map_err(|error| unavailable(&error))
    }

    /// Reads it no longer.
    pub(super) fn remove(&self, view: &View) {
        let place = (view.topic.clone(), view.partition);
        let mut views = self.views.lock();
        // Another view of the partition may have taken its place.
        if views.get(&place).is_some_and(|held| std::ptr::eq(held.as_ptr(), view)) {
            views.remove(&place);
            drop(views);
            self.unassign(view);
        }
    }

    fn unassign(&self, view: &View) {
        let mut place = TopicPartitionList::new();
        place.add_partition(&view.topic, view.partition);
        let _ = self.consumer.incremental_unassign(&place);
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
