//! Who is at the other end of a connection, and for whom it speaks.

use std::net::{IpAddr, Ipv6Addr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use tidings_core::Code;

/// The other end of a connection. In the extensions of each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address, or the one that its proxy gave at the head of the connection.
    pub address: IpAddr,
    /// Why each of its requests is refused, where the connection is one too many.
    pub refused: Option<Code>,
}

/// Which peers speak for others, and how they say for whom.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// The networks of the proxies.
    pub trusted: Vec<IpNet>,
    /// The header that they write.
    pub header: Header,
}

/// A header in which a proxy says for whom it speaks. The other one may be a client's own and is not believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Header {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl Proxies {
    /// Whether what this address says of others is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// The client for whom a trusted proxy speaks: the last address in its header
    /// that is none of a proxy. `None` where it names nobody.
    pub fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let name = match self.header {
            Header::XForwardedFor => X_FORWARDED_FOR,
            Header::Forwarded => FORWARDED,
        };
        // Each proxy writes behind what it got: what stands before the first that is not trusted may be made up.
        let values = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
        let hops: Vec<&[u8]> = values.flat_map(|value| value.split(|byte| *byte == b',')).collect();
        for hop in hops.into_iter().rev() {
            // One by one: what a client made up before it may be no text.
            let hop = std::str::from_utf8(hop).ok()?;
            let node = match self.header {
                Header::XForwardedFor => Some(hop.trim()),
                Header::Forwarded => forwarded_for(hop),
            };
            // Who hides its client, or cannot be read, ends what is known.
            let address = node.and_then(address)?;
            if !self.trusts(address) {
                return Some(address);
            }
        }
        None
    }
}

/// The network that counts as one client: an IPv4 address, or the /64 that one IPv6 subscriber has (RFC 6177).
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// The `for` of one element of `Forwarded` (RFC 7239 section 4).
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// The address of a node (RFC 7239 section 6), which may have a port.
fn address(node: &str) -> Option<IpAddr> {
    let bare = match node.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match node.split_once(':') {
            // One colon stands before a port; several are of IPv6, which some write without brackets.
            Some((host, port)) if !port.contains(':') => host,
            _ => node,
        },
    };
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(header: Header, values: &[&str]) -> Option<String> {
        let trusted = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let proxies = Proxies { trusted, header };
        let mut headers = HeaderMap::new();
        for (name, other) in [(X_FORWARDED_FOR, Header::XForwardedFor), (FORWARDED, Header::Forwarded)] {
            for value in values.iter().filter(|_| other == header) {
                headers.append(&name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
        }
        proxies.client(&headers).map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_last_that_is_no_proxy() {
        let client = |values: &[&str]| client(Header::XForwardedFor, values);
        assert_eq!(client(&["192.0.2.1"]).unwrap(), "192.0.2.1");
        assert_eq!(client(&["192.0.2.1, 10.1.2.3", "10.9.9.9"]).unwrap(), "192.0.2.1");
        assert_eq!(
            client(&["203.0.113.9, 192.0.2.1"]).unwrap(),
            "192.0.2.1",
            "what it sent itself is not believed"
        );
        assert_eq!(client(&["2001:db8::7"]).unwrap(), "2001:db8::7");
        assert_eq!(client(&["192.0.2.1:4711"]).unwrap(), "192.0.2.1");
        assert_eq!(client(&[]), None);
        assert_eq!(client(&["10.1.2.3"]), None);
        assert_eq!(client(&["192.0.2.1, unknown"]), None);
        assert_eq!(client(&["\u{e9}, 192.0.2.1"]).unwrap(), "192.0.2.1", "what is no ASCII hides nobody");
        assert_eq!(client(&["192.0.2.1, \u{e9}"]), None);
    }

    #[test]
    fn forwarded_is_as_its_rfc_shows_it() {
        let client = |values: &[&str]| client(Header::Forwarded, values);
        // The examples of RFC 7239 section 4.
        assert_eq!(client(&["for=\"_gazonk\""]), None);
        assert_eq!(client(&["For=\"[2001:db8:cafe::17]:4711\""]).unwrap(), "2001:db8:cafe::17");
        assert_eq!(client(&["for=192.0.2.60;proto=http;by=203.0.113.43"]).unwrap(), "192.0.2.60");
        assert_eq!(client(&["for=192.0.2.43, for=198.51.100.17"]).unwrap(), "198.51.100.17");
        assert_eq!(client(&["for=192.0.2.43, for=10.0.0.1"]).unwrap(), "192.0.2.43");
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_client() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }
}
