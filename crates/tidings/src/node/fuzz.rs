//! Fuzz target of what proxies say: whom a connection is of, and for whom a request is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::FutureExt;
use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use tidings_doors::http::peer::{Header, Proxies};

use super::proxy_header::{BYTES_MAX, take};

/// By the first byte: a header of the PROXY protocol with what follows it, or lines, each a value of
/// `X-Forwarded-For` or of `Forwarded`.
pub fn proxies(data: &[u8]) {
    match data.split_first() {
        None => {}
        Some((how, data)) => match how % 3 {
            0 => forwarded(Header::XForwardedFor, data),
            1 => forwarded(Header::Forwarded, data),
            _ => proxy_header(data),
        },
    }
}

fn forwarded(header: Header, data: &[u8]) {
    // As long as a head may be.
    if data.len() > 16 * 1024 {
        return;
    }
    let trusted = ["10.0.0.0/8", "fd00::/8"].into_iter().filter_map(|network| network.parse().ok());
    let proxies = Proxies { trusted: trusted.collect(), header };
    let (name, own) = match header {
        Header::XForwardedFor => (HeaderName::from_static("x-forwarded-for"), "192.0.2.7"),
        Header::Forwarded => (FORWARDED, "for=192.0.2.7"),
    };
    let headers = |lines: &[&[u8]]| -> HeaderMap {
        let values = lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok());
        values.map(|value| (name.clone(), value)).collect()
    };
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let client = proxies.client(&headers(&lines));
    assert!(client.is_none_or(|address| !proxies.trusts(address)), "a proxy is no client");
    // Whatever a client sends, its proxy writes behind it, in a line of its own or in the same.
    let own_address = Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, 7)));
    let beside = [&lines[..], &[own.as_bytes()]].concat();
    assert_eq!(proxies.client(&headers(&beside)), own_address, "hidden by a line before it");
    for line in lines.iter().filter(|line| HeaderValue::from_bytes(line).is_ok()) {
        let joined = [line, &b", "[..], own.as_bytes()].concat();
        assert_eq!(proxies.client(&headers(&[&joined])), own_address, "hidden by what is before it");
    }
    if client.is_some() {
        let before = [&[&b"for=203.0.113.9, 203.0.113.9"[..]], &lines[..]].concat();
        assert_eq!(proxies.client(&headers(&before)), client, "the last counts");
    }
}

fn proxy_header(data: &[u8]) {
    let otherwise = IpAddr::from(Ipv6Addr::LOCALHOST);
    let Ok((address, used)) = taken(data, otherwise) else { return };
    assert!((1..=BYTES_MAX).contains(&used));
    let (head, rest) = data.split_at(used);
    // It takes what is its own, and needs all of it.
    assert!(matches!(taken(head, otherwise), Ok(again) if again == (address, used)));
    for end in [0, used / 2, used - 1] {
        assert!(taken(&head[..end], otherwise).is_err(), "{end} of {used} bytes are enough");
    }
    let other = [head, &b"\r\n"[..], rest].concat();
    assert!(matches!(taken(&other, otherwise), Ok(again) if again == (address, used)));
    assert_eq!(Some(address), said(head, otherwise), "{:?}", String::from_utf8_lossy(head));
}

fn taken(mut data: &[u8], otherwise: IpAddr) -> io::Result<(IpAddr, usize)> {
    let before = data.len();
    // Memory never lets a reader wait.
    let address =
        take(&mut data, otherwise).now_or_never().unwrap_or_else(|| Err(io::ErrorKind::Other.into()))?;
    Ok((address, before - data.len()))
}

/// The client of a header that was accepted, by the specification (sections 2.1 and 2.2).
fn said(head: &[u8], otherwise: IpAddr) -> Option<IpAddr> {
    if let Some(line) = head.strip_prefix(b"PROXY ") {
        let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
        let mut words = line.split(' ');
        return match words.next()? {
            "TCP4" => words.next()?.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => words.next()?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            "UNKNOWN" => Some(otherwise),
            _ => None,
        };
    }
    let rest = head.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n")?;
    let [command, family, _, _, addresses @ ..] = rest else { return None };
    match (command, family >> 4) {
        (0x21, 1) => addresses.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes)),
        (0x21, 2) => addresses.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes)),
        (0x20 | 0x21, _) => Some(otherwise),
        _ => None,
    }
}
