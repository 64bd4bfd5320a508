//! One server: the connections to it, who it is, and whether it can be used.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo};
use tidings_core::broker::BrokerError;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::copies::Copies;
use super::fault;
use super::identity::Identity;
use super::topics::Topics;

/// A server that takes what is written, or several of which one does.
#[derive(Debug)]
pub(super) struct Server {
    targets: Vec<Target>,
    pub(super) topics: Arc<Topics>,
    state: Mutex<State>,
    /// What a write waits for besides the answer, if anything.
    pub(super) copies: Option<Copies>,
    changes: Changes,
}

/// Who is told of connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// One was made.
    pub(super) opened: Arc<Notify>,
    /// One ended, or a server was asked for what it does not keep.
    pub(super) doubted: Arc<Notify>,
}

/// A place to connect to, and its name for people.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) client: Client,
    pub(super) address: String,
}

/// A connection to a server that can be used.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    pub(super) identity: Arc<Identity>,
    pub(super) address: Arc<str>,
    /// Told by a call that has found it to be of no use.
    doubted: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    link: Option<Link>,
    /// Why there is none.
    why: BrokerError,
    /// Since when it is asked how it is, and has not answered.
    asked: Option<Instant>,
}

/// How long anything may take that is asked of a server: a server that stands still for some
/// seconds is waited for.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(8);
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How often a server is asked how it is, and how long it may take without being called not ready.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const READY_MAX: Duration = Duration::from_secs(2);
/// Between two tries to connect: this, and then twice as long, up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Requests on their way on one connection.
const CONCURRENT: usize = 4_096;

impl Server {
    pub(super) fn new(
        targets: Vec<Target>,
        topics: Topics,
        copies: Option<Copies>,
        changes: Changes,
    ) -> Self {
        let why = BrokerError::Unavailable("the server has not been reached yet".into());
        Server {
            targets,
            topics: Arc::new(topics),
            state: Mutex::new(State { link: None, why, asked: None }),
            copies,
            changes,
        }
    }

    /// The connection to use.
    pub(super) fn link(&self) -> Result<Link, BrokerError> {
        let state = self.state.lock();
        state.link.clone().ok_or_else(|| state.why.clone())
    }

    /// Where it may be.
    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Nothing more is asked of it, and nothing followed.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.link = None;
        state.why = BrokerError::Unavailable("the server is not used any more".into());
        drop(state);
        self.topics.close();
    }

    /// Whether it answers.
    pub(super) fn ready(&self) -> Result<(), BrokerError> {
        let state = self.state.lock();
        if state.link.is_none() {
            return Err(state.why.clone());
        }
        match state.asked.map(|asked| asked.elapsed()) {
            Some(waited) if waited > READY_MAX => Err(BrokerError::Unavailable(format!(
                "the server has not answered for {} s",
                waited.as_secs()
            ))),
            _ => Ok(()),
        }
    }

    /// Notes that a call has found its connection to be of no use.
    pub(super) fn doubt(&self, link: &Link) {
        let mut state = self.state.lock();
        if state.link.as_ref().is_some_and(|now| Arc::ptr_eq(&now.doubted, &link.doubted)) {
            state.link = None;
            state.why = BrokerError::Unavailable(format!("the connection to {} is gone", link.address));
            link.doubted.notify_one();
        }
    }

    /// Connects, and connects again, for ever.
    pub(super) async fn run(&self) {
        let mut retry = RETRY_FIRST;
        loop {
            let mut whys = Vec::with_capacity(self.targets.len());
            for target in &self.targets {
                let (used, why) = self.serve(target).await;
                let why = format!("{}: {}", target.address, plain(&why));
                if used {
                    tracing::warn!(why, "the Redis server is not used any more");
                    retry = RETRY_FIRST;
                    whys.clear();
                    self.changes.doubted.notify_one();
                    self.refuse(why.clone());
                }
                whys.push(why);
            }
            let whys = whys.join("; ");
            if self.refuse(whys.clone()) {
                tracing::warn!(why = whys, "no Redis server can be used");
            }
            sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    /// There is no connection, for this reason. Gives whether that is a new one.
    fn refuse(&self, why: String) -> bool {
        self.topics.close();
        let mut state = self.state.lock();
        (state.link, state.asked) = (None, None);
        let is_new = plain(&state.why) != why;
        state.why = BrokerError::Unavailable(why);
        is_new
    }

    /// Uses one server for as long as it can be used. Gives whether it was, and why no longer.
    async fn serve(&self, target: &Target) -> (bool, BrokerError) {
        let inbox = self.topics.inbox();
        let opened = async {
            let mut connection = connect(target, None).await?;
            let identity = Identity::ask(&mut connection).await?;
            let taker = inbox.clone();
            let push = move |push: PushInfo| -> Result<(), ()> {
                taker.take(push);
                Ok(())
            };
            let followed = connect(target, Some(config().set_push_sender(push))).await?;
            let waits = match self.copies {
                Some(_) => Some(connect(target, None).await?),
                None => None,
            };
            Ok::<_, BrokerError>((connection, identity, followed, waits))
        };
        let (connection, identity, followed, waits) = match opened.await {
            Ok(opened) => opened,
            Err(error) => return (false, error),
        };
        self.topics.open(&inbox, identity.run.clone());
        tracing::info!(server = %target.address, run = %identity.run, "the Redis server is used");
        let is_cluster = identity.is_cluster;
        let (identity, doubted) = (Arc::new(identity), Arc::new(Notify::new()));
        let address = target.address.as_str().into();
        let link = Link { connection, identity, address, doubted: doubted.clone() };
        self.state.lock().link = Some(link.clone());
        self.changes.opened.notify_one();
        let why = tokio::select! {
            why = self.look(link, followed.clone()) => why,
            why = self.topics.keep(followed, is_cluster) => why,
            why = Copies::keep(self.copies.as_ref().zip(waits)) => why,
            () = inbox.broken.notified() => gone(),
            () = doubted.notified() => gone(),
        };
        (true, why)
    }

    /// Looks again and again whether it is still the same server, and answers.
    async fn look(&self, mut link: Link, mut followed: MultiplexedConnection) -> BrokerError {
        loop {
            sleep(LOOK_EVERY).await;
            self.state.lock().asked = Some(Instant::now());
            let identity = match Identity::ask(&mut link.connection).await {
                Ok(identity) => identity,
                Err(error) => return error,
            };
            if let Err(error) = redis::cmd("PING").query_async::<redis::Value>(&mut followed).await {
                return fault::of_read(&error);
            }
            if !identity.goes_on_as(&link.identity) {
                return BrokerError::Unavailable("the server was another one meanwhile".into());
            }
            let mut state = self.state.lock();
            state.asked = None;
            if identity != *link.identity {
                link.identity = Arc::new(identity);
                if let Some(now) = &mut state.link {
                    now.identity = link.identity.clone();
                }
            }
        }
    }
}

fn gone() -> BrokerError {
    BrokerError::Unavailable("the server ended the connection".into())
}

/// The reason alone.
fn plain(error: &BrokerError) -> String {
    match error {
        BrokerError::Unavailable(why) | BrokerError::Lost(why) => why.clone(),
        other => other.to_string(),
    }
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_MAX))
        .set_response_timeout(Some(ANSWER_MAX))
        .set_concurrency_limit(CONCURRENT)
}

/// Opens one connection.
pub(super) async fn connect(
    target: &Target,
    with: Option<AsyncConnectionConfig>,
) -> Result<MultiplexedConnection, BrokerError> {
    let config = with.unwrap_or_else(config);
    let connecting = target.client.get_multiplexed_async_connection_with_config(&config);
    match timeout(CONNECT_MAX * 2, connecting).await {
        Ok(connection) => connection.map_err(|error| fault::of_read(&error)),
        Err(_late) => Err(BrokerError::Unavailable("nothing came while connecting".into())),
    }
}
