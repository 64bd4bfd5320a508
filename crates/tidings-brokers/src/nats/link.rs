//! The connection to the server, shared by all that a node does with it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::client::{Request, RequestErrorKind};
use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Message};
use bytes::Bytes;
use parking_lot::Mutex;
use tidings_core::broker::BrokerError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::options::{Login, Options};
use super::version;

/// The connection, or the reason why there is none. The client makes it anew by itself.
#[derive(Debug)]
pub(super) struct Link {
    client: OnceLock<Client>,
    trouble: Mutex<String>,
    /// Why the server does not take what it is given, though it answers.
    full: Mutex<Option<(Instant, String)>>,
    /// Counts the times that something may have been missed.
    cuts: watch::Sender<u64>,
    /// Counts the messages that the client dropped, of one subscription or another.
    drops: watch::Sender<u64>,
    /// Counts the connections that were lost, so that nobody waits for an answer of one.
    losses: watch::Sender<u64>,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was not sent.
    NotSent(String),
    /// Nobody takes requests of this kind: no such stream, or no JetStream.
    Nobody,
    /// It was sent, and nothing came back.
    NoAnswer(String),
}

/// Longest wait for an answer: longer than a server that stops for some seconds, less than anybody's patience.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(8);
/// Messages that wait in a subscription; one that is further behind reads the log instead.
pub(super) const WAITING_MAX: usize = 2_048;
/// How long a refusal is a reason not to be ready.
const FULL_FOR: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(5);
const CONNECT_EVERY: Duration = Duration::from_millis(500);
/// A connection is dead after two that have no answer.
const PING_EVERY: Duration = Duration::from_secs(3);

impl Link {
    /// Connects, for as long as it takes. The task ends when there is a connection.
    pub(super) fn open(options: &Options) -> Result<(Arc<Self>, JoinHandle<()>), BrokerError> {
        let link = Arc::new(Link {
            client: OnceLock::new(),
            trouble: Mutex::new("there is no connection yet".into()),
            full: Mutex::default(),
            cuts: watch::Sender::default(),
            drops: watch::Sender::default(),
            losses: watch::Sender::default(),
        });
        let weak = Arc::downgrade(&link);
        let event = move |event| {
            if let Some(link) = weak.upgrade() {
                link.saw(&event);
            }
            std::future::ready(())
        };
        let mut connect = ConnectOptions::new()
            .name("tidings")
            .connection_timeout(CONNECT_MAX)
            .request_timeout(Some(ANSWER_MAX))
            .ping_interval(PING_EVERY)
            .subscription_capacity(WAITING_MAX)
            .reconnect_delay_callback(|tries| {
                CONNECT_EVERY.min(Duration::from_millis(50 * u64::try_from(tries).unwrap_or(u64::MAX)))
            })
            .event_callback(event);
        if let Some(path) = &options.credentials {
            let read = std::fs::read_to_string(path).and_then(|text| connect.credentials(&text));
            connect = read.map_err(|error| {
                let shown = path.display();
                BrokerError::Unavailable(format!(
                    "{shown} holds no credentials that can be read ({error}); give broker.credentials a file as \
                     `nsc generate creds` makes it"
                ))
            })?;
        }
        if let Some(path) = &options.ca {
            connect = connect.add_root_certificates(path.clone());
        }
        let what = "broker.url is no URL of a NATS server; write it as nats://host:4222 or tls://host:4222";
        let (servers, login) = options.servers().ok_or_else(|| BrokerError::Unavailable(what.into()))?;
        connect = match login {
            Login::Nobody => connect,
            Login::Token(token) => connect.token(token),
            Login::User(user, password) => connect.user_and_password(user, password),
        };
        let weak = Arc::downgrade(&link);
        let task = tokio::spawn(async move {
            loop {
                let connected = connect.clone().connect(servers.as_slice()).await;
                let Some(link) = weak.upgrade() else { break };
                match connected {
                    Ok(client) => {
                        let _ = link.client.set(client);
                        link.cut();
                        break;
                    }
                    Err(error) => *link.trouble.lock() = refused(error.kind(), &error.to_string()),
                }
                drop(link);
                sleep(CONNECT_EVERY).await;
            }
        });
        Ok((link, task))
    }

    /// The connection, where there is one to a server that will do.
    pub(super) fn client(&self) -> Result<&Client, String> {
        let client = self.client.get().ok_or_else(|| self.trouble.lock().clone())?;
        if client.connection_state() != State::Connected {
            return Err(self.trouble.lock().clone());
        }
        version::check(&client.server_info())?;
        Ok(client)
    }

    /// One question and its answer.
    pub(super) async fn request(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
        patience: Duration,
    ) -> Result<Message, Failure> {
        let client = self.client().map_err(Failure::NotSent)?;
        let mut losses = self.losses.subscribe();
        let mut request = Request::new().payload(payload).timeout(Some(patience));
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let lost = |what: String| Failure::NoAnswer(what);
        let asked = client.send_request(subject, request);
        tokio::select! {
            answer = asked => answer.map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => Failure::Nobody,
                RequestErrorKind::InvalidSubject => Failure::NotSent(error.to_string()),
                RequestErrorKind::MaxPayloadExceeded => Failure::NotSent(format!(
                    "the message is larger than the server's max_payload of {} bytes; raise that, or lower \
                     limits.message_bytes", client.max_payload()
                )),
                RequestErrorKind::TimedOut => lost(format!("nothing came within {} ms", patience.as_millis())),
                RequestErrorKind::Other => lost(error.to_string()),
            }),
            // What waits for a socket that takes nothing is no part of the client's own patience.
            () = sleep(patience + Duration::from_millis(50)) => Err(lost("the connection takes nothing".into())),
            _ = losses.changed() => Err(lost("the connection was lost meanwhile".into())),
        }
    }

    /// All tails end: something may have been missed.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// Changes whenever something may have been missed, and closes with the broker.
    pub(super) fn cuts(&self) -> watch::Receiver<u64> {
        self.cuts.subscribe()
    }

    /// Changes whenever the client dropped messages of some subscription.
    pub(super) fn drops(&self) -> watch::Receiver<u64> {
        self.drops.subscribe()
    }

    /// How many connections were lost.
    pub(super) fn lost(&self) -> u64 {
        *self.losses.borrow()
    }

    /// Remembers that the server takes nothing more, or that it does again.
    pub(super) fn is_full(&self, why: Option<&str>) {
        let mut full = self.full.lock();
        if why.is_some() || full.is_some() {
            *full = why.map(|why| (Instant::now(), why.to_owned()));
        }
    }

    /// Why the server takes nothing more, if it said so lately: who never asks again learns nothing.
    pub(super) fn full(&self) -> Option<String> {
        let full = self.full.lock();
        full.as_ref().filter(|(said, _)| said.elapsed() < FULL_FOR).map(|(_, why)| why.clone())
    }

    fn saw(&self, event: &Event) {
        match event {
            Event::Disconnected | Event::Closed => {
                "the connection was lost, and is made anew".clone_into(&mut self.trouble.lock());
                tracing::warn!("the connection to NATS was lost");
                self.losses.send_modify(|count| *count += 1);
                self.cut();
            }
            Event::Connected => {
                tracing::info!("connected to NATS");
                self.cut();
            }
            // It says a number of its own, and not whose they were: each looks for itself.
            Event::SlowConsumer(_) => self.drops.send_modify(|count| *count += 1),
            Event::ServerError(error) => self.reason(&error.to_string()),
            Event::ClientError(error) => self.reason(&error.to_string()),
            Event::LameDuckMode | Event::Draining => {}
        }
    }

    fn reason(&self, why: &str) {
        let mut trouble = self.trouble.lock();
        *trouble = match why {
            why if why.to_lowercase().contains("authorization violation") => {
                refused(ConnectErrorKind::AuthorizationViolation, why)
            }
            why => refused(ConnectErrorKind::Io, why),
        };
    }
}

/// What to do about a connection that the server refuses.
fn refused(kind: ConnectErrorKind, why: &str) -> String {
    match kind {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            "the server refuses the user, password, token or credentials (authorization violation); set those \
             in broker.url or broker.credentials"
                .into()
        }
        ConnectErrorKind::Tls => {
            format!("TLS fails ({why}); check broker.ca, and that the certificate is for the name in broker.url")
        }
        // A certificate that is not accepted comes as an error of the socket.
        _ if why.contains("certificate") => refused(ConnectErrorKind::Tls, why),
        ConnectErrorKind::ServerParse => format!("broker.url is no URL of a NATS server ({why})"),
        _ => format!("the server cannot be reached ({why}); check broker.url, and that it runs"),
    }
}

impl From<Failure> for BrokerError {
    /// Of something that only looks.
    fn from(failure: Failure) -> Self {
        BrokerError::Unavailable(match failure {
            Failure::NotSent(why) | Failure::NoAnswer(why) => why,
            Failure::Nobody => no_jetstream(),
        })
    }
}

pub(super) fn no_jetstream() -> String {
    "nobody answers for JetStream; start nats-server with -js, and let this account use it".into()
}
