//! Which connections are taken, and how fast.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::{Code, Seat, Seats};
use tidings_doors::http::peer::{Peer, Proxies, network};
use tokio::time::Instant;

/// What is taken of the bounds of a listener.
pub(super) struct Admission {
    /// All connections.
    taken: Arc<Seats<()>>,
    /// Those of each address.
    addresses: Arc<Seats<IpAddr>>,
}

/// A connection's place among all, and whether it is one too many.
pub(super) struct Place {
    _seat: Seat<()>,
    refused: Option<Code>,
}

/// What a connection holds while it lives.
pub(super) struct Places {
    _place: Place,
    _address: Option<Seat<IpAddr>>,
}

/// When the next connection is taken.
#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
}

/// Connections beyond a limit for each sixteen within it, so that a refusal can be said.
const REFUSALS_EACH: usize = 16;
const REFUSALS_MIN: usize = 16;
/// Connections that may be taken at once after a pause, in time.
const BURST: Duration = Duration::from_millis(20);
/// A shorter wait than this is none: a timer is no more exact.
const WAIT_MIN: Duration = Duration::from_millis(1);

impl Admission {
    /// Nothing is taken yet. Connections of an address count with those that others count in `addresses`.
    pub(super) fn new(addresses: Arc<Seats<IpAddr>>) -> Self {
        Admission { taken: Arc::default(), addresses }
    }

    /// A place for a connection, of so many. `None`: even those that are refused are too many.
    pub(super) fn place(&self, most: usize) -> Option<Place> {
        let (seat, is_refused) = take(&self.taken, (), most)?;
        Some(Place { _seat: seat, refused: is_refused.then_some(Code::Overloaded) })
    }

    /// Who a connection is of, once its address is known, which may have so many; a proxy may have any number.
    /// `None`: its address has too many, even of refused ones.
    pub(super) fn admit(
        &self,
        place: Place,
        address: IpAddr,
        most: usize,
        proxies: &Proxies,
    ) -> Option<(Peer, Places)> {
        let address = address.to_canonical();
        let mut refused = place.refused;
        let seat = match proxies.trusts(address) {
            true => None,
            false => {
                let (seat, is_refused) = take(&self.addresses, network(address), most)?;
                if is_refused {
                    refused = refused.or(Some(Code::TooManyConnections));
                }
                Some(seat)
            }
        };
        Some((Peer { address, refused }, Places { _place: place, _address: seat }))
    }
}

/// Takes a place within a limit, or one of those beyond it; says which it was.
fn take<K: std::hash::Hash + Eq + Clone>(
    seats: &Arc<Seats<K>>,
    key: K,
    most: usize,
) -> Option<(Seat<K>, bool)> {
    if let Some(seat) = seats.take(key.clone(), most) {
        return Some((seat, false));
    }
    let beyond = (most / REFUSALS_EACH).max(REFUSALS_MIN);
    seats.take(key, most.saturating_add(beyond)).map(|seat| (seat, true))
}

impl Pace {
    /// The first may be taken at once.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Pace { next: now.checked_sub(BURST).unwrap_or(now) }
    }

    /// Ready when one more connection may be taken, of so many a second.
    pub(super) async fn wait(&mut self, each_second: u64) {
        let each = Duration::from_secs(1) / u32::try_from(each_second.max(1)).unwrap_or(u32::MAX);
        let now = Instant::now();
        self.next = self.next.max(now.checked_sub(BURST).unwrap_or(now)) + each;
        if self.next >= now + WAIT_MIN {
            tokio::time::sleep_until(self.next).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(admitted: Option<&(Peer, Places)>) -> Option<Code> {
        admitted.unwrap().0.refused
    }

    #[test]
    fn one_too_many_is_told_and_many_too_many_are_not() {
        let admission = Admission::new(Arc::default());
        let proxies = Proxies { trusted: vec!["10.0.0.0/8".parse().unwrap()], ..Proxies::default() };
        let one = |address: &str| {
            let place = admission.place(20).unwrap();
            admission.admit(place, address.parse().unwrap(), 2, &proxies)
        };
        let mut held = vec![one("192.0.2.1"), one("::ffff:192.0.2.1")];
        assert!(held.iter().all(|one| code(one.as_ref()).is_none()));
        held.push(one("192.0.2.1"));
        assert_eq!(code(held.last().unwrap().as_ref()), Some(Code::TooManyConnections));
        held.push(one("192.0.2.2"));
        assert_eq!(code(held.last().unwrap().as_ref()), None, "another address has its own");
        for _ in 0..16 {
            held.push(one("10.0.0.1"));
            assert_eq!(code(held.last().unwrap().as_ref()), None, "a proxy speaks for many");
        }
        held.push(one("192.0.2.3"));
        assert_eq!(code(held.last().unwrap().as_ref()), Some(Code::Overloaded));
        for _ in 0..15 {
            held.push(one("10.0.0.1"));
        }
        assert!(admission.place(20).is_none());
        held.clear();
        assert_eq!(code(one("192.0.2.1").as_ref()), None, "places are given back");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_taken_at_their_pace() {
        let (began, mut pace) = (Instant::now(), Pace::new());
        for _ in 0..2_000 {
            pace.wait(1_000).await;
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(1_970) && took <= Duration::from_millis(2_010), "{took:?}");
    }
}
