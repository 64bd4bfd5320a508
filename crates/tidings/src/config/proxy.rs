//! `[proxy]`.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_doors::http::peer::{Header, Proxies};

/// `[proxy]`: what stands between clients and this node, and what it says of them. Only limits
/// for each address (`limits.address_connections`) depend on it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyConfig {
    /// The addresses of your proxies and load balancers, each an address or a network:
    /// `["10.0.0.0/8", "127.0.0.1"]`. What they say of a client is believed, and they may have any
    /// number of connections. Nobody else is believed.
    pub trusted: Vec<Network>,

    /// The header in which they say for whom they speak. The other header is never read: a client
    /// could have written it.
    pub header: ProxyHeader,

    /// Whether each connection to `listen` begins with a header of the PROXY protocol, version 1
    /// or 2. A connection without one is closed, and so is one from an address that is not
    /// `trusted`, where there are any.
    pub protocol: bool,
}

/// The header in which a proxy names its client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For`: nginx, HAProxy, most cloud load balancers.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// An address, or a network of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        network
            .map(Network)
            .map_err(|_| format!("`{text}` is neither an address nor a network such as 10.0.0.0/8"))
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ProxyConfig {
    /// The proxies as the doors know them.
    pub fn proxies(&self) -> Proxies {
        Proxies {
            trusted: self.trusted.iter().map(|network| network.0).collect(),
            header: match self.header {
                ProxyHeader::XForwardedFor => Header::XForwardedFor,
                ProxyHeader::Forwarded => Header::Forwarded,
            },
        }
    }
}
