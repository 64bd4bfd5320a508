//! Reading the past of a partition: forward from an offset, with a client that does nothing else meanwhile.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tidings_core::broker::BrokerError;
use tokio::time::Instant;

use super::link::{ANSWER_MAX, Context, unavailable};

/// A record that lies further ahead is jumped to.
const AHEAD_MAX: i64 = 2_000;
const POLL: Duration = Duration::from_millis(200);

/// Reads records from an offset up to another one, as long as `each` wants more. Fails where nothing
/// comes for some seconds.
pub(super) fn scan(
    reader: &BaseConsumer<Context>,
    topic: &str,
    partition: i32,
    from: i64,
    until: i64,
    mut each: impl FnMut(&BorrowedMessage<'_>) -> Next,
) -> Result<(), BrokerError> {
    if from >= until {
        return Ok(());
    }
    go_to(reader, topic, partition, from)?;
    let mut since = Instant::now();
    loop {
        match reader.poll(POLL) {
            Some(Ok(message)) => {
                since = Instant::now();
                match each(&message) {
                    Next::Done => return Ok(()),
                    Next::At(offset) if offset > message.offset() + AHEAD_MAX => {
                        go_to(reader, topic, partition, offset)?;
                    }
                    _ if message.offset() + 1 >= until => return Ok(()),
                    _ => {}
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => {
                    return Err(unavailable(&error));
                }
                _ => std::thread::sleep(Duration::from_millis(20)),
            },
            None => {}
        }
        if since.elapsed() > ANSWER_MAX {
            return Err(BrokerError::Unavailable("Kafka gives no records; try again".into()));
        }
    }
}

/// What a scan does after a record.
pub(super) enum Next {
    Any,
    /// The one at this offset.
    At(i64),
    Done,
}

fn go_to(
    reader: &BaseConsumer<Context>,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<(), BrokerError> {
    let mut place = TopicPartitionList::new();
    let added = place.add_partition_offset(topic, partition, Offset::Offset(offset));
    added.and_then(|()| reader.assign(&place)).map_err(|error| unavailable(&error))
}
