//! The requests that the floor understands: those of this load generator.

/// One request, borrowed from the bytes that it came in.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The target.
    pub path: &'a str,
    /// The body.
    pub body: &'a [u8],
    head: &'a str,
}

impl<'a> Request<'a> {
    /// The first request and its length, once it is whole.
    pub fn parse(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(4).position(|end| end == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut first = head.lines().next()?.split(' ');
        let (method, path) = (first.next()?, first.next()?);
        let mut request = Self { method, path, head, body: b"" };
        let length: usize = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        request.body = bytes.get(end + 4..end.checked_add(4 + length)?)?;
        Some((request, end + 4 + length))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_parsed_once_it_is_whole() {
        let bytes = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\n";
        let whole = bytes.iter().position(|byte| *byte == b'c').expect("there is one") + 1;
        for end in 0..whole {
            assert_eq!(Request::parse(&bytes[..end]), None);
        }
        let (first, length) = Request::parse(bytes).expect("it is whole");
        assert_eq!((first.method, first.path, first.body), ("POST", "/a", &b"abc"[..]));
        assert_eq!(first.header("HOST"), Some("x"));
        let (second, rest) = Request::parse(&bytes[length..]).expect("it is whole");
        assert_eq!((second.method, second.path, length + rest), ("GET", "/b", bytes.len()));
    }
}
