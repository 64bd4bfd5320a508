//! The topic of a namespace: made where it is not there, and looked at where it is.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;
use tidings_core::broker::BrokerError;
use tidings_core::log::{Channel, Rules};
use tokio::time::{Instant, sleep};

use super::link::{Link, RECORD_MAX, unavailable};

/// A topic that is there.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) partitions: u32,
    /// For how long the servers keep a record, as far as it is known.
    pub(super) keeps_ms: Option<u64>,
}

/// What a topic is made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) replicas: u8,
    pub(super) partitions: u16,
}

const HOUR_MS: u64 = 3_600_000;
const MADE_WITHIN: Duration = Duration::from_secs(8);
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Topic {
    /// The partition of a channel.
    pub(super) fn partition(&self, channel: &Channel) -> i32 {
        i32::try_from(channel.tag() % u64::from(self.partitions.max(1))).unwrap_or(0)
    }

    /// The topic, which is made if it is not there.
    pub(super) async fn open(
        link: &Link,
        name: Arc<str>,
        shape: Shape,
        rules: &Rules,
    ) -> Result<Self, BrokerError> {
        let until = Instant::now() + MADE_WITHIN;
        let mut is_asked_for = false;
        loop {
            match shown(link, &name).await? {
                Shown::Led(partitions) => {
                    let keeps_ms = look(link, &name, rules).await?;
                    return Ok(Topic { name, partitions, keeps_ms });
                }
                _ if Instant::now() > until => {
                    let what = format!("the topic {name} has no leader yet; try again");
                    return Err(BrokerError::Unavailable(what));
                }
                Shown::Absent if !is_asked_for => {
                    make(link, &name, shape, rules).await?;
                    is_asked_for = true;
                }
                _ => sleep(LOOK_EVERY).await,
            }
        }
    }
}

/// What the servers show of a topic.
pub(super) enum Shown {
    Absent,
    /// It is there, and not all of its partitions have a leader.
    Leaderless,
    /// It has so many partitions.
    Led(u32),
}

/// Looks whether a topic is there.
pub(super) async fn shown(link: &Link, name: &str) -> Result<Shown, BrokerError> {
    let metadata = link.metadata(name).await?;
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
        return Ok(Shown::Absent);
    };
    if let Some(error) = topic.error() {
        let code = RDKafkaErrorCode::from(error);
        return match code {
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => Ok(Shown::Absent),
            RDKafkaErrorCode::LeaderNotAvailable => Ok(Shown::Leaderless),
            RDKafkaErrorCode::TopicAuthorizationFailed => Err(BrokerError::Unavailable(format!(
                "the user may not use the topic {name}; give it the rights that docs/kafka.md names"
            ))),
            _ => Err(BrokerError::Unavailable(format!("the topic {name} cannot be used: {code}"))),
        };
    }
    let has_leaders = topic.partitions().iter().all(|partition| partition.leader() >= 0);
    let count = u32::try_from(topic.partitions().len()).unwrap_or(0);
    Ok(if has_leaders && count > 0 { Shown::Led(count) } else { Shown::Leaderless })
}

async fn make(link: &Link, name: &str, shape: Shape, rules: &Rules) -> Result<(), BrokerError> {
    // A record is of use as long as its message, or as its idempotency key; then some, for slow clocks.
    let keep_ms = rules.retain.age_ms.max(rules.dedupe_ms).saturating_add(HOUR_MS).min(i64::MAX as u64);
    let segment_ms = (keep_ms / 8).clamp(HOUR_MS, 7 * 24 * HOUR_MS);
    let (keep, segment) = (keep_ms.to_string(), segment_ms.to_string());
    let (record, in_sync) =
        (RECORD_MAX.saturating_add(64 << 10).to_string(), (shape.replicas / 2 + 1).to_string());
    let topic = NewTopic::new(
        name,
        i32::from(shape.partitions.max(1)),
        TopicReplication::Fixed(i32::from(shape.replicas.max(1))),
    )
    .set("cleanup.policy", "delete")
    .set("retention.ms", &keep)
    .set("segment.ms", &segment)
    .set("max.message.bytes", &record)
    .set("min.insync.replicas", &in_sync);
    let options = AdminOptions::new()
        .request_timeout(Some(Duration::from_secs(6)))
        .operation_timeout(Some(Duration::from_secs(5)));
    let made = link.admin.create_topics([&topic], &options).await.map_err(|error| unavailable(&error))?;
    for result in made {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                return Err(BrokerError::Unavailable(format!(
                    "the topic {name} cannot be made with {} copies, since there are fewer servers; set \
                     broker.replicas to 1, or start more",
                    shape.replicas
                )));
            }
            Err((name, code)) => {
                return Err(BrokerError::Unavailable(format!(
                    "the topic {name} cannot be made: {code}; make it yourself as docs/kafka.md says, or give the \
                     user the right to"
                )));
            }
        }
    }
    tracing::info!(topic = name, "made a topic");
    Ok(())
}

/// Looks whether a topic will do. For how long it keeps a record.
async fn look(link: &Link, name: &str, rules: &Rules) -> Result<Option<u64>, BrokerError> {
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(6)));
    let asked = link.admin.describe_configs([&ResourceSpecifier::Topic(name)], &options).await;
    let described = asked.map_err(|error| unavailable(&error))?.into_iter().next();
    let Some(Ok(described)) = described else {
        tracing::warn!(
            topic = name,
            "the settings of the topic cannot be read; see docs/kafka.md for what it needs"
        );
        return Ok(None);
    };
    let value = |key: &str| described.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
    if value("cleanup.policy").contains("compact") {
        return Err(BrokerError::Unavailable(format!(
            "the topic {name} has cleanup.policy=compact, which would leave one message of each channel; set it to \
             delete"
        )));
    }
    let keeps_ms = value("retention.ms").parse::<i64>().ok();
    let keeps_ms = keeps_ms.and_then(|ms| u64::try_from(ms).ok());
    if keeps_ms.is_some_and(|ms| ms < rules.retain.age_ms) {
        tracing::warn!(
            topic = name,
            keeps_ms,
            wanted_ms = rules.retain.age_ms,
            "the topic keeps messages for a shorter time than its namespace; raise its retention.ms"
        );
    }
    Ok(keeps_ms)
}
