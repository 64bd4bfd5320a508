//! A live read that counts as open for as long as it lives.

use std::net::IpAddr;

use prometheus_client::metrics::gauge::Gauge;
use tidings_core::{Code, Error, Result, Seat};

use crate::http::peer::{Peer, network};
use crate::{Doors, Request};

/// One live read in the metrics, and among those of its client.
pub struct Open {
    gauge: Gauge,
    _seat: Option<Seat<IpAddr>>,
}

impl Open {
    /// Counts a live read of a door. Where a proxy speaks for the client, it counts for the
    /// client's address; else the connection counts, and does so already.
    pub fn count(doors: &Doors, request: &Request, door: &'static str) -> Result<Self> {
        let peer = request.extensions.get::<Peer>().filter(|peer| doors.proxies.trusts(peer.address));
        let seat = match peer.and_then(|_| doors.proxies.client(&request.headers)) {
            None => None,
            Some(client) => {
                let most = doors.address_connections;
                let seat = doors.addresses.take(network(client), most);
                Some(seat.ok_or_else(|| {
                    let detail = format!("this address has {most} live reads already");
                    Error::new(Code::TooManyConnections, detail)
                })?)
            }
        };
        let gauge = doors.hub.metrics().connections(door);
        gauge.inc();
        Ok(Open { gauge, _seat: seat })
    }
}

/// The address of the client of a request, as far as its proxy is believed.
pub fn address(doors: &Doors, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions.get::<Peer>()?.address;
    let of_proxy = doors.proxies.trusts(peer).then(|| doors.proxies.client(&request.headers));
    Some(of_proxy.flatten().unwrap_or(peer))
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
