//! What a network lets through, seen from here.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::super::Failure;
use crate::advise::Network;
use crate::client::{Cut, Endpoint, Event, Greeting, Link, Position, Start, Timing, Transport};

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Probe {
    /// The median time for a request and its answer, in milliseconds.
    pub(super) round_trip_ms: f64,
    /// Each transport, in the order of the ladder.
    pub(super) transports: Vec<Found>,
    /// How long a stream was held, and whether it lasted; if that was asked for.
    pub(super) idle: Option<Held>,
}

/// What became of one transport.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    #[serde(serialize_with = "name")]
    pub(super) transport: Transport,
    /// Milliseconds until the node's first words were here.
    pub(super) opened_ms: Option<f64>,
    /// Why it does not work, in words.
    pub(super) trouble: Option<String>,
}

/// For how long to hold a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Idle(Duration);

/// A stream that was held.
#[derive(Debug, Serialize)]
pub(super) struct Held {
    pub(super) seconds: f64,
    /// After how many seconds it was cut.
    pub(super) cut_after_s: Option<f64>,
}

fn name<S: serde::Serializer>(transport: &Transport, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(transport.name())
}

/// Requests of which the median is taken.
const ROUNDS: usize = 5;
/// The longest that a stream is held.
const IDLE_MAX: Duration = Duration::from_mins(10);

impl Idle {
    pub(super) fn of(seconds: f64) -> Self {
        Idle(Duration::from_secs_f64(seconds).min(IDLE_MAX))
    }

    pub(super) fn words(self) -> String {
        humantime::format_duration(self.0).to_string()
    }
}

impl Probe {
    /// Asks a node. Reads `channel`, and publishes nothing.
    pub(super) async fn run(endpoint: &Endpoint, channel: &str, idle: Option<Idle>) -> anyhow::Result<Self> {
        let timing =
            Timing { connect: Duration::from_secs(5), answer: Duration::from_secs(10), ..Timing::default() };
        let position = Position::of_channel(channel.to_owned(), Start::Latest);
        let mut rounds = Vec::new();
        for _ in 0..=ROUNDS {
            let begun = Instant::now();
            open(Transport::Poll, endpoint, &position, &timing)
                .await
                .map_err(|why| unreachable(endpoint, &why))?;
            rounds.push(millis(begun));
        }
        // The first pays for the connection.
        let rounds = &mut rounds[1..];
        rounds.sort_by(f64::total_cmp);
        let mut probe = Probe { round_trip_ms: rounds[ROUNDS / 2], transports: Vec::new(), idle: None };
        let mut stream = None;
        for transport in Transport::LADDER {
            let begun = Instant::now();
            let opened = open(transport, endpoint, &position, &timing).await;
            let (opened_ms, trouble) = match &opened {
                Ok(_) => (Some(millis(begun)), None),
                Err(why) => (None, Some(why.clone())),
            };
            probe.transports.push(Found { transport, opened_ms, trouble });
            if transport != Transport::LongPoll && transport != Transport::Poll && stream.is_none() {
                stream = opened.ok();
            }
        }
        if let (Some(Idle(time)), Some(link)) = (idle, stream) {
            probe.idle = Some(hold(link, time).await);
        }
        Ok(probe)
    }

    /// The answer to the question what lies between.
    pub(super) fn network(&self) -> Network {
        let works =
            |transport| self.transports.iter().any(|one| one.transport == transport && one.trouble.is_none());
        match (works(Transport::Ws), works(Transport::Sse)) {
            (true, true) => Network::Direct,
            (_, false) => Network::Buffering,
            (false, true) => Network::NoUpgrades,
        }
    }
}

async fn open(
    transport: Transport,
    endpoint: &Endpoint,
    position: &Position,
    timing: &Timing,
) -> Result<Link, String> {
    // Wary: a stream whose first bytes are late is one that something holds back.
    let opened = Box::pin(Link::open(transport, endpoint, position, timing, true)).await;
    opened.map(|(link, _): (Link, Greeting)| link).map_err(|cut| match cut {
        Cut::Final(error) | Cut::Unfit(error) => error.to_string(),
        Cut::Again { why, .. } => why,
        Cut::Done => "the connection ended".into(),
    })
}

/// Holds a stream, on which the node speaks every 15 seconds or so.
async fn hold(mut link: Link, time: Duration) -> Held {
    let begun = Instant::now();
    let seconds = time.as_secs_f64();
    loop {
        match timeout_at(begun + time, link.next()).await {
            Err(_over) => return Held { seconds, cut_after_s: None },
            Ok(Ok(Event::Message(_) | Event::Gap(_) | Event::Covers(_) | Event::Began { .. })) => {}
            Ok(Ok(Event::Closed(_)) | Err(_)) => {
                return Held { seconds, cut_after_s: Some(begun.elapsed().as_secs_f64()) };
            }
        }
    }
}

fn unreachable(endpoint: &Endpoint, why: &str) -> Failure {
    Failure::new(
        format!("a plain poll does not work here, so nothing can: {}: {why}", endpoint.name()),
        "give --url, --token and a --channel that may be read; `tidings serve --dev` has demo:probe",
    )
}

fn millis(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 10_000.0).round() / 10.0
}
