//! What each transport costs at a scale.

use serde::Serialize;

use super::figures::{
    DELIVERY_US, HEARTBEAT_S, HELD_S, KEPT_ALIVE_BYTES, LONG_POLL_BYTES, NODE_CONNECTIONS, NODE_CORES, PAGE,
    PAGE_MESSAGE, POLL_US, REPLY, REQUEST, SIGN_OF_LIFE, SSE_BYTES, SSE_EVENT, WS_BYTES, WS_FRAME,
};
use super::situation::Situation;
use crate::client::Transport;

/// What all users together cost over one transport. Without what publishing costs, and without TCP and TLS.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Requests a second.
    pub requests_per_s: f64,
    /// The share of replies that hold nothing, from 0 to 1.
    pub empty: f64,
    /// Connections that are held.
    pub connections: f64,
    /// Bytes a second that go out.
    pub bytes_out_per_s: f64,
    /// Bytes a second that come in, to ask for them.
    pub bytes_in_per_s: f64,
    /// Resident memory for the connections.
    pub memory_bytes: f64,
    /// Cores of the machine that benchmarks were run on.
    pub cores: f64,
    /// How old news is when it is shown, in seconds, without the way: the mean.
    pub age_mean_s: f64,
    /// The longest.
    pub age_max_s: f64,
    /// Nodes of two cores.
    pub nodes: u64,
}

/// The same of each transport.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Costs {
    /// WebSocket.
    pub ws: Cost,
    /// Server-Sent Events.
    pub sse: Cost,
    /// Held requests.
    pub long_poll: Cost,
    /// Requests at an interval: what is fresh enough, and at least a second.
    pub poll: Cost,
}

impl Costs {
    /// What a situation costs.
    pub fn of(situation: &Situation) -> Self {
        Costs {
            ws: stream(situation, WS_FRAME, WS_BYTES),
            sse: stream(situation, SSE_EVENT, SSE_BYTES),
            long_poll: long_poll(situation),
            poll: poll(situation),
        }
    }

    /// That of one transport.
    pub fn get(&self, transport: Transport) -> Cost {
        match transport {
            Transport::Ws | Transport::Session => self.ws,
            Transport::Sse => self.sse,
            Transport::LongPoll => self.long_poll,
            Transport::Poll => self.poll,
        }
    }
}

fn stream(situation: &Situation, around: f64, connection_bytes: f64) -> Cost {
    let users = situation.users as f64;
    let messages = users / situation.every_s;
    Cost {
        requests_per_s: 0.0,
        empty: 0.0,
        connections: users,
        bytes_out_per_s: messages * (situation.bytes as f64 + around) + users * SIGN_OF_LIFE / HEARTBEAT_S,
        bytes_in_per_s: 0.0,
        memory_bytes: users * connection_bytes,
        cores: messages * DELIVERY_US / 1e6,
        age_mean_s: 0.0,
        age_max_s: 0.0,
        nodes: 1,
    }
    .with_nodes()
}

fn long_poll(situation: &Situation) -> Cost {
    let users = situation.users as f64;
    // Held until something comes, or until the time is over: news come as a Poisson process.
    let quiet = (-HELD_S / situation.every_s).exp();
    let held_s = situation.every_s * (1.0 - quiet);
    // What comes while a request is on its way waits for the next, so that a fast channel fills its replies.
    let requests = users / held_s.max(0.05);
    let messages = users / situation.every_s;
    Cost {
        requests_per_s: requests,
        empty: quiet,
        connections: users,
        bytes_out_per_s: requests * (REPLY + PAGE) + messages * (situation.bytes as f64 + PAGE_MESSAGE),
        bytes_in_per_s: requests * REQUEST,
        memory_bytes: users * LONG_POLL_BYTES,
        cores: requests * (POLL_US + DELIVERY_US) / 1e6,
        age_mean_s: 0.0,
        age_max_s: 0.0,
        nodes: 1,
    }
    .with_nodes()
}

fn poll(situation: &Situation) -> Cost {
    let users = situation.users as f64;
    let every_s = situation.poll_every_s();
    let requests = users / every_s;
    let messages = users / situation.every_s;
    // Between two polls that are further apart a browser lets the connection go.
    let kept = if every_s <= 60.0 { users } else { 0.0 };
    Cost {
        requests_per_s: requests,
        empty: (-every_s / situation.every_s).exp(),
        connections: kept,
        bytes_out_per_s: requests * (REPLY + PAGE) + messages * (situation.bytes as f64 + PAGE_MESSAGE),
        bytes_in_per_s: requests * REQUEST,
        memory_bytes: kept * KEPT_ALIVE_BYTES,
        cores: requests * POLL_US / 1e6,
        age_mean_s: every_s / 2.0,
        age_max_s: every_s,
        nodes: 1,
    }
    .with_nodes()
}

impl Cost {
    fn with_nodes(self) -> Self {
        let nodes = (self.cores / NODE_CORES).max(self.connections / NODE_CONNECTIONS).ceil().max(1.0);
        Self { nodes: nodes as u64, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Loss, Network, Sends};
    use super::*;

    fn situation(fresh_s: f64, every_s: f64, users: u64) -> Situation {
        let (sends, loss, network) = (Sends::Never, Loss::Never, Network::Direct);
        Situation { sends, fresh_s, every_s, users, bytes: 128, loss, network }
    }

    #[test]
    fn a_poll_costs_by_its_interval_and_a_stream_by_its_messages() {
        let quiet = Costs::of(&situation(10.0, 3_600.0, 10_000));
        assert_eq!(quiet.poll.requests_per_s, 1_000.0);
        assert!(quiet.poll.empty > 0.99 && quiet.long_poll.empty > 0.99);
        assert_eq!((quiet.poll.age_mean_s, quiet.poll.age_max_s), (5.0, 10.0));
        assert!(quiet.sse.cores < 0.001 && quiet.poll.cores > 0.02);
        let busy = Costs::of(&situation(1.0, 0.1, 10_000));
        assert!(busy.sse.bytes_out_per_s < busy.ws.bytes_out_per_s);
        assert!(busy.poll.empty < 0.001);
    }

    #[test]
    fn nodes_are_enough_for_connections_and_for_work() {
        assert_eq!(Costs::of(&situation(1.0, 60.0, 1_000_000)).ws.nodes, 5);
        // 1,000,000 deliveries a second at 8 us.
        assert_eq!(Costs::of(&situation(1.0, 0.1, 100_000)).sse.nodes, 7);
        assert_eq!(Costs::of(&situation(1.0, 60.0, 1)).poll.nodes, 1);
    }
}
