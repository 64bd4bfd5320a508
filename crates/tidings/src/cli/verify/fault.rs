//! What can go wrong between a reader and its node, and with the node.

use clap::ValueEnum;
use serde::Serialize;

use crate::client::Transport;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Connections end, with an RST or a FIN, also in the middle of a frame
    Cut,
    /// Bytes stop and no FIN comes: what was connected stays so, and is dead
    Freeze,
    /// Every byte comes later
    Delay,
    /// A line of few bytes a second
    Throttle,
    /// A proxy that lets no WebSocket through
    NoUpgrade,
    /// A proxy that holds responses back, event streams first of all
    Buffer,
    /// `kill -9` of the node, and a new start (own node alone)
    Kill,
    /// SIGTERM, and a new start (own node alone)
    Restart,
    /// The node stands still as if its disk did: SIGSTOP, then SIGCONT (own node alone)
    Stall,
    /// The server of Redis or NATS stands still for some seconds (own server alone)
    BrokerStall,
    /// `kill -9` of that server, and a new start (own server alone)
    BrokerRestart,
    /// The connections of one node to that server end (own server alone)
    LinkCut,
    /// One node and that server are cut off from each other for 20 s, and no RST comes (own server alone)
    BlackHole,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Cut,
        Self::Freeze,
        Self::Delay,
        Self::Throttle,
        Self::NoUpgrade,
        Self::Buffer,
        Self::Kill,
        Self::Restart,
        Self::Stall,
        Self::BrokerStall,
        Self::BrokerRestart,
        Self::LinkCut,
        Self::BlackHole,
    ];

    /// Whether it is the node that it happens to, and not what lies between.
    pub fn is_of_node(self) -> bool {
        matches!(self, Self::Kill | Self::Restart | Self::Stall)
    }

    /// Whether it is the server of its broker that it happens to.
    pub fn is_of_broker(self) -> bool {
        matches!(self, Self::BrokerStall | Self::BrokerRestart)
    }

    /// Whether it is the way from one node to that server that it happens to.
    pub fn is_of_link(self) -> bool {
        matches!(self, Self::LinkCut | Self::BlackHole)
    }

    /// Whether it happens to what a run starts itself, and not to what lies between.
    pub fn is_own(self) -> bool {
        self.is_of_node() || self.is_of_broker() || self.is_of_link()
    }

    /// Whether it means anything to what reads over this transport; `None` is a publisher.
    pub fn concerns(self, transport: Option<Transport>) -> bool {
        match self {
            Self::NoUpgrade => matches!(transport, Some(Transport::Ws | Transport::Session)),
            fault => !fault.is_own(),
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Freeze => "freeze",
            Self::Delay => "delay",
            Self::Throttle => "throttle",
            Self::NoUpgrade => "no-upgrade",
            Self::Buffer => "buffer",
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Stall => "stall",
            Self::BrokerStall => "broker-stall",
            Self::BrokerRestart => "broker-restart",
            Self::LinkCut => "link-cut",
            Self::BlackHole => "black-hole",
        }
    }
}
