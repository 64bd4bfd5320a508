//! The rules.

use serde::{Serialize, Serializer};

use super::cost::Costs;
use super::figures::{POLL_CORES_MAX, POLL_FRESH_S};
use super::situation::{Loss, Network, Sends, Situation, seconds};
use crate::client::Transport;

/// What to take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// The transports to try, the best first.
    #[serde(serialize_with = "names")]
    pub ladder: Vec<Transport>,
    /// `at-most-once` or `at-least-once`.
    pub delivery: &'static str,
    /// Why, each reason in a sentence.
    pub reasons: Vec<Reason>,
}

/// A reason, and what it is for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// `transport`, `ladder` or `delivery`.
    pub of: &'static str,
    /// The reason.
    pub because: String,
}

fn names<S: Serializer>(ladder: &[Transport], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ladder.iter().map(|transport| transport.name()))
}

impl Decision {
    /// Decides.
    pub(super) fn of(situation: &Situation, costs: &Costs) -> Self {
        let (first, because) = first(situation, costs);
        let ladder = ladder(first, situation.network);
        let delivery = match situation.loss {
            Loss::Never => (
                "at-least-once",
                "a message may not be lost: it is stored before the publisher has its 200, and a reader that comes back gets it, or a gap that says what is missing",
            ),
            Loss::Allowed => (
                "at-most-once",
                "the next message makes up for a lost one: nobody waits for a disk, and a slow reader skips ahead instead of falling behind",
            ),
        };
        let mut reasons = vec![Reason { of: "transport", because }];
        reasons.extend(below(&ladder).map(|because| Reason { of: "ladder", because }));
        reasons.push(Reason { of: "delivery", because: delivery.1.into() });
        Decision { ladder, delivery: delivery.0, reasons }
    }

    /// The transport to begin with.
    pub fn first(&self) -> Transport {
        self.ladder.first().copied().unwrap_or(Transport::Poll)
    }
}

/// The best transport, and why.
fn first(situation: &Situation, costs: &Costs) -> (Transport, String) {
    let fresh = seconds(situation.fresh_s);
    match (situation.sends, situation.network) {
        (Sends::Often, Network::NoUpgrades) => (
            Transport::Sse,
            "clients send often, which a WebSocket is made for, but none gets through: so a stream down, and a POST for each message up".into(),
        ),
        (Sends::Often, _) => (
            Transport::Ws,
            "clients send often: over a WebSocket a message is a frame of some bytes, and not a request of its own".into(),
        ),
        _ if situation.fresh_s >= POLL_FRESH_S && costs.poll.cores <= POLL_CORES_MAX => (
            Transport::Poll,
            format!(
                "polling is enough: news may be {fresh} old, so a poll each {fresh} is as good as any stream. It holds no connection that must be kept alive, passes every proxy, and {} requests a second are little work",
                costs.poll.requests_per_s.ceil()
            ),
        ),
        (_, Network::Buffering) => (
            Transport::Ws,
            "something holds responses back until they are whole, which a stream never is; a WebSocket is no response, and mostly passes where a stream is held".into(),
        ),
        (Sends::Sometimes, _) => (
            Transport::Sse,
            "clients send now and then: a POST for each of those is cheap, and all the rest comes down one plain HTTP response, which needs no upgrade and which a browser resumes by itself".into(),
        ),
        (Sends::Never, _) => (
            Transport::Sse,
            "clients only receive: one plain HTTP response that does not end is all it takes. It needs no upgrade, and a browser resumes it by itself".into(),
        ),
    }
}

fn ladder(first: Transport, network: Network) -> Vec<Transport> {
    use Transport::{LongPoll, Poll, Sse, Ws};
    let all: &[Transport] = match (first, network) {
        (Poll, _) => &[Poll],
        (Ws, _) => &[Ws, Sse, LongPoll, Poll],
        // A second kind of stream may pass where the first does not; of one's own proxies that is known.
        (_, Network::Unknown) => &[Sse, Ws, LongPoll, Poll],
        _ => &[Sse, LongPoll, Poll],
    };
    let passes = |transport: &Transport| {
        !matches!((transport, network), (Ws, Network::NoUpgrades) | (Sse, Network::Buffering))
    };
    all.iter().copied().filter(passes).collect()
}

/// What the steps below the first are for.
fn below(ladder: &[Transport]) -> Option<String> {
    let [_, .., last] = ladder else { return None };
    let names: Vec<_> = ladder[1..].iter().map(|transport| transport.name()).collect();
    Some(format!(
        "{} below it, for networks where it does not work: the same cursors, so a client that falls to the next loses nothing. {} passes everywhere",
        names.join(", "),
        last.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(sends: Sends, fresh_s: f64, users: u64, network: Network) -> Vec<Transport> {
        let situation =
            Situation { sends, fresh_s, every_s: 30.0, users, bytes: 200, loss: Loss::Never, network };
        let decision = Decision::of(&situation, &Costs::of(&situation));
        assert!(decision.reasons.len() >= 2 && decision.delivery == "at-least-once");
        decision.ladder
    }

    #[test]
    fn each_answer_counts() {
        use Network::{Buffering, Direct, NoUpgrades, Unknown};
        use Sends::{Never, Often, Sometimes};
        use Transport::{LongPoll, Poll, Sse, Ws};
        assert_eq!(decide(Never, 1.0, 1_000, Direct), [Sse, LongPoll, Poll]);
        assert_eq!(decide(Sometimes, 1.0, 1_000, Unknown), [Sse, Ws, LongPoll, Poll]);
        assert_eq!(decide(Often, 0.1, 1_000, Unknown), [Ws, Sse, LongPoll, Poll]);
        assert_eq!(decide(Often, 0.1, 1_000, NoUpgrades), [Sse, LongPoll, Poll]);
        assert_eq!(decide(Never, 1.0, 1_000, Buffering), [Ws, LongPoll, Poll]);
        assert_eq!(decide(Never, 60.0, 1_000, Unknown), [Poll]);
        // So many polls cost more than a stream of the same news.
        assert_eq!(decide(Never, 10.0, 1_000_000, Direct), [Sse, LongPoll, Poll]);
    }
}
