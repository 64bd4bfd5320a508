//! The connections to the servers, shared by all that a node does with them.
//!
//! librdkafka makes them anew by itself. Its calls that wait run where waiting does no harm.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rdkafka::admin::AdminClient;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tidings_core::broker::BrokerError;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::options::Options;

/// The clients, and the reason why they do not reach anybody.
pub(super) struct Link {
    config: ClientConfig,
    trouble: Arc<Trouble>,
    producer: RwLock<FutureProducer<Context>>,
    /// It asks, and reads nothing.
    asker: Arc<BaseConsumer<Context>>,
    pub(super) admin: AdminClient<Context>,
    readers: Arc<Mutex<Vec<BaseConsumer<Context>>>>,
    reading: Arc<Semaphore>,
    probe: String,
}

/// Why nobody is reached.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    why: Mutex<String>,
    is_down: std::sync::atomic::AtomicBool,
    is_fatal: std::sync::atomic::AtomicBool,
}

/// What the clients tell.
#[derive(Clone)]
pub(super) struct Context(Arc<Trouble>);

/// Longest wait for a message's acknowledgement: longer than a server that stops for some seconds,
/// less than anybody's patience.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(8);
/// Longest wait for an answer to a question.
const ASK_MAX: Duration = Duration::from_secs(6);
/// `ready` is to return within a second.
const READY_MAX: Duration = Duration::from_millis(800);
/// Scans of the past at a time; each is a client with threads of its own.
const READERS: usize = 3;
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Bytes that a record may have.
pub(super) const RECORD_MAX: usize = 12 << 20;

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, fac: &str, message: &str) {
        tracing::debug!(fac, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.saw(&error, reason);
    }
}

impl ConsumerContext for Context {}

impl Trouble {
    /// Something went wrong in a client.
    pub(super) fn saw(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let down = |why: Option<String>| {
            if let Some(why) = why {
                *self.why.lock() = why;
            }
            if !self.is_down.swap(true, Relaxed) {
                tracing::warn!("Kafka is out of reach");
            }
        };
        match code {
            RDKafkaErrorCode::AllBrokersDown => {
                down(None);
            }
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => down(Some(
                "the servers refuse the user or the password; set them in broker.user and broker.password, and how \
                 they are asked for in broker.sasl"
                    .into(),
            )),
            RDKafkaErrorCode::SSL => down(Some(format!(
                "TLS fails ({}); check broker.tls and broker.ca, and that the certificate is for the name in \
                 broker.brokers",
                brief(reason)
            ))),
            RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve => {
                let mut why = self.why.lock();
                // What is known of a connection that came about says more.
                if !self.is_down.load(Relaxed) || why.is_empty() {
                    *why = format!(
                        "the servers cannot be reached ({}); check broker.brokers and broker.tls, and that they run",
                        brief(reason)
                    );
                }
            }
            RDKafkaErrorCode::Fatal => self.is_fatal.store(true, Relaxed),
            _ => {}
        }
    }

    fn is_up(&self) {
        if self.is_down.swap(false, Relaxed) {
            tracing::info!("Kafka is reached");
        }
        self.why.lock().clear();
    }

    fn why(&self) -> Option<String> {
        let why = self.why.lock().clone();
        (!why.is_empty()).then_some(why)
    }

    /// Why nobody is reached, if that is so.
    pub(super) fn down(&self) -> Option<String> {
        let is_down = self.is_down.load(Relaxed);
        is_down.then(|| self.why().unwrap_or_else(unreached))
    }
}

fn unreached() -> String {
    "the servers cannot be reached; check broker.brokers, and that they run".into()
}

/// Without the name of the thread that says it, and the broker's own address twice.
fn brief(reason: &str) -> &str {
    let reason = reason.split_once("]: ").map_or(reason, |(_, rest)| rest);
    reason.split(" (after ").next().unwrap_or(reason)
}

impl Link {
    /// Connects when somebody wants something.
    pub(super) fn open(options: &Options) -> Result<Self, BrokerError> {
        let config = config(options)?;
        let trouble = Arc::new(Trouble::default());
        let context = || Context(trouble.clone());
        let made = |error: KafkaError| {
            BrokerError::Unavailable(format!("librdkafka refuses its configuration: {error}; check [broker]"))
        };
        let asker = consumer(&config).create_with_context(context()).map_err(made)?;
        Ok(Link {
            producer: RwLock::new(producer(&config).create_with_context(context()).map_err(made)?),
            asker: Arc::new(asker),
            admin: config.create_with_context(context()).map_err(made)?,
            readers: Arc::default(),
            reading: Arc::new(Semaphore::new(READERS)),
            probe: format!("{}.", options.prefix),
            config,
            trouble,
        })
    }

    /// One that reads what comes.
    pub(super) fn follower(&self) -> Result<BaseConsumer<Context>, BrokerError> {
        let mut config = consumer(&self.config);
        // A partition that is added waits for an answer that is on its way, and this is the longest.
        config.set("fetch.wait.max.ms", "100").set("fetch.error.backoff.ms", "50");
        config.create_with_context(Context(self.trouble.clone())).map_err(|error| unavailable(&error))
    }

    pub(super) fn trouble(&self) -> Arc<Trouble> {
        self.trouble.clone()
    }

    pub(super) fn down(&self) -> Result<(), BrokerError> {
        self.trouble.down().map_or(Ok(()), |why| Err(BrokerError::Unavailable(why)))
    }

    /// Whether somebody answers. What was wrong is forgotten then.
    pub(super) async fn ready(&self) -> Result<(), BrokerError> {
        let probe = self.probe.clone();
        let asked = self.ask(move |asker| asker.fetch_metadata(Some(&probe), READY_MAX)).await;
        match asked {
            Ok(_) => {
                self.trouble.is_up();
                self.renew()
            }
            Err(error) => Err(BrokerError::Unavailable(self.trouble.why().unwrap_or_else(|| {
                format!("nothing came within {} ms ({error}); check broker.brokers", READY_MAX.as_millis())
            }))),
        }
    }

    /// A producer that gave up for good is replaced by another one.
    fn renew(&self) -> Result<(), BrokerError> {
        if self.trouble.is_fatal.swap(false, Relaxed) {
            let another = producer(&self.config).create_with_context(Context(self.trouble.clone()));
            *self.producer.write() = another.map_err(|error| unavailable(&error))?;
        }
        Ok(())
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer<Context>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let asker = self.asker.clone();
        tokio::task::spawn_blocking(move || question(&asker)).await.unwrap_or(Err(KafkaError::Canceled))
    }

    /// What is known of a topic.
    pub(super) async fn metadata(&self, topic: &str) -> Result<Metadata, BrokerError> {
        self.down()?;
        let topic = topic.to_owned();
        let asked = self.ask(move |asker| asker.fetch_metadata(Some(&topic), ASK_MAX)).await;
        asked.map_err(|error| self.unanswered(&error))
    }

    /// The offset of the oldest record, and that of the one which comes next.
    pub(super) async fn watermarks(
        &self,
        topic: &Arc<str>,
        partition: i32,
    ) -> Result<(i64, i64), BrokerError> {
        let until = Instant::now() + ASK_MAX;
        loop {
            self.down()?;
            let topic = topic.clone();
            let asked = self.ask(move |asker| asker.fetch_watermarks(&topic, partition, ASK_MAX)).await;
            match asked {
                Ok(found) => return Ok(found),
                Err(error) if is_passing(&error) && Instant::now() < until => sleep(AGAIN_AFTER).await,
                Err(error) => return Err(self.unanswered(&error)),
            }
        }
    }

    fn unanswered(&self, error: &KafkaError) -> BrokerError {
        BrokerError::Unavailable(match (self.trouble.down(), error.rdkafka_error_code()) {
            (Some(why), _) => why,
            (None, Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                format!(
                    "the user may not use the topic ({error}); give it the rights that docs/kafka.md names"
                )
            }
            _ => format!("Kafka does not answer: {error}"),
        })
    }

    /// Sends a record. The answer is an error, or that it is stored.
    pub(super) fn send(
        &self,
        topic: &str,
        partition: i32,
        key: &str,
        record: &[u8],
    ) -> Result<impl Future<Output = Result<(), BrokerError>> + use<>, BrokerError> {
        if record.len() > RECORD_MAX {
            let what = format!(
                "the message has more than {RECORD_MAX} bytes, which no record may; lower limits.message_bytes"
            );
            return Err(BrokerError::Unavailable(what));
        }
        self.renew()?;
        let send = || {
            let sent = FutureRecord::to(topic).partition(partition).key(key).payload(record);
            self.producer.read().send_result(sent).map_err(|(error, _)| {
                self.trouble.saw(&error, "");
                unavailable(&error)
            })
        };
        let delivery = match send() {
            Err(_) if self.trouble.is_fatal.load(Relaxed) => {
                self.renew()?;
                send()?
            }
            sent => sent?,
        };
        let trouble = self.trouble.clone();
        Ok(async move {
            let Ok(delivered) = delivery.await else {
                return Err(BrokerError::Lost("the producer ended meanwhile".into()));
            };
            delivered.map(drop).map_err(|(error, _)| {
                trouble.saw(&error, "");
                not_delivered(&error)
            })
        })
    }

    /// Reads with a client of its own, which is kept for the next one.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&BaseConsumer<Context>) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, BrokerError> {
        self.down()?;
        let queue = tokio::time::timeout(ANSWER_MAX, self.reading.clone().acquire_owned());
        let one = match queue.await {
            Ok(Ok(permit)) => permit,
            _ => return Err(BrokerError::Unavailable("too many read the past at once; try again".into())),
        };
        let idle = self.readers.lock().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => {
                let mut config = consumer(&self.config);
                config
                    .set("enable.partition.eof", "true")
                    .set("fetch.wait.max.ms", "50")
                    .set("queued.min.messages", "1000")
                    .set("queued.max.messages.kbytes", "4096");
                config
                    .create_with_context(Context(self.trouble.clone()))
                    .map_err(|error| unavailable(&error))?
            }
        };
        let readers = self.readers.clone();
        // Whoever asked may go before it is done; its turn lasts until then.
        let done = tokio::task::spawn_blocking(move || {
            let _one = one;
            let done = work(&reader);
            let _ = reader.unassign();
            // One that failed may still have something under way.
            if done.is_ok() {
                readers.lock().push(reader);
            }
            done
        });
        done.await.map_err(|error| BrokerError::Unavailable(error.to_string()))?
    }
}

/// What all clients have.
fn config(options: &Options) -> Result<ClientConfig, BrokerError> {
    let mut config = ClientConfig::new();
    let is_safe = options.tls || options.ca.is_some();
    let protocol = match (is_safe, options.login.is_some()) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    config
        .set("bootstrap.servers", options.brokers.join(","))
        .set("client.id", "tidings")
        .set("security.protocol", protocol)
        .set("allow.auto.create.topics", "false")
        .set("socket.timeout.ms", "10000")
        .set("socket.connection.setup.timeout.ms", "5000")
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set("retry.backoff.ms", "50")
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("log_level", "4");
    if let Some(login) = &options.login {
        config.set("sasl.mechanism", login.mechanism);
        config.set("sasl.username", &login.user).set("sasl.password", &login.password);
    }
    if let Some(ca) = &options.ca {
        std::fs::metadata(ca).map_err(|error| {
            BrokerError::Unavailable(format!("broker.ca, {}, cannot be read: {error}", ca.display()))
        })?;
        config.set("ssl.ca.location", ca.to_string_lossy());
    } else if is_safe {
        config.set("ssl.ca.location", "probe");
    }
    Ok(config)
}

fn producer(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("message.timeout.ms", ANSWER_MAX.as_millis().to_string())
        .set("message.max.bytes", (RECORD_MAX + (64 << 10)).to_string())
        .set("queue.buffering.max.messages", "100000")
        .set("queue.buffering.max.kbytes", "65536");
    config
}

fn consumer(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config
        // No group is joined: librdkafka assigns nothing without the name of one.
        .set("group.id", "tidings")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted")
        .set("fetch.message.max.bytes", "1048576")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.queue.backoff.ms", "10");
    config
}

/// Whether the same question has another answer soon: a partition has a new leader, or is new itself.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::OffsetNotAvailable
                | RDKafkaErrorCode::FencedLeaderEpoch
                | RDKafkaErrorCode::UnknownLeaderEpoch
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::ReplicaNotAvailable
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::KafkaStorageError
        )
    )
}

/// Of something after which nothing has changed.
pub(super) fn unavailable(error: &KafkaError) -> BrokerError {
    BrokerError::Unavailable(match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => "more is to be stored than Kafka takes; try again".into(),
        _ => error.to_string(),
    })
}

/// What a record's failure says of whether it is stored.
fn not_delivered(error: &KafkaError) -> BrokerError {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition,
        ) => BrokerError::Unavailable(format!("Kafka refuses the record: {error}")),
        Some(RDKafkaErrorCode::MessageTimedOut) => {
            BrokerError::Lost(format!("nothing came within {} s", ANSWER_MAX.as_secs()))
        }
        _ => BrokerError::Lost(error.to_string()),
    }
}
