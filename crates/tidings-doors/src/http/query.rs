//! The query of a request: read once, judged after the credentials.

use percent_encoding::percent_decode;
use tidings_core::log::Start;
use tidings_core::{Channel, Code, Consumer, Cursor, Error, From, Pace, Result, Want};
use url::form_urlencoded;

use super::pace;

/// The parameters of a request, as text.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
    is_utf8: bool,
}

/// How many messages a read may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// `limit`, where the request has one.
    pub limit: Option<u64>,
    /// `last`, where the request has one.
    pub last: Option<u64>,
    /// `max_rate` and `conflate`, where the request has them.
    pub pace: Option<Pace>,
}

impl Query {
    /// Reads the query. Bytes that are not UTF-8 become U+FFFD; see [`Query::is_text`].
    pub fn parse(query: Option<&str>) -> Self {
        let query = query.unwrap_or("").as_bytes();
        Query {
            pairs: form_urlencoded::parse(query).into_owned().collect(),
            is_utf8: percent_decode(query).decode_utf8().is_ok(),
        }
    }

    /// Whether a value is what was sent, and not made of bytes that are no text.
    pub fn is_text(&self, value: &str) -> bool {
        self.is_utf8 || !value.contains('\u{fffd}')
    }

    /// Whether a parameter is there.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| key == name)
    }

    /// Every value of a parameter.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The only value of a parameter.
    pub fn one(&self, name: &str) -> Result<Option<&str>> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(bad(name, "is given twice")),
        }
    }

    /// The first value, for what is judged elsewhere.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Where a read begins. `last_event_id` beats `after`, which excludes `last`.
    pub fn want(
        &self,
        channels: Vec<Channel>,
        last_event_id: Option<&str>,
        default: Start,
    ) -> Result<(Want, Reading)> {
        let after = self.one("after")?;
        let last = self.whole("last")?;
        exclusive(after, last)?;
        let limit = self.whole("limit")?;
        if limit == Some(0) {
            return Err(bad("limit", "must be at least 1"));
        }
        let pace = pace::of_query(self.one("max_rate")?, self.one("conflate")?)?;
        let from = match last_event_id {
            Some(id) => match id.parse::<Cursor>() {
                // A browser that met an error status here would never come back.
                Ok(cursor) if channels.iter().any(|channel| cursor.get(channel).is_some()) => {
                    From::Cursor(cursor)
                }
                _ => From::Unreadable,
            },
            None => begin(after, last)?,
        };
        // What a browser has got already is nearer than what anybody acknowledged.
        let consumer = self.one("consumer")?.filter(|_| last_event_id.is_none());
        let consumer = consumer.map(Consumer::parse).transpose()?;
        Ok((Want { channels, from, consumer, default }, Reading { limit, last, pace }))
    }

    /// `wait`, in milliseconds: over 0, cut to 60 s.
    pub fn wait_ms(&self) -> Result<Option<u64>> {
        let Some(text) = self.one("wait")? else { return Ok(None) };
        let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds > 0.0);
        let seconds = seconds.ok_or_else(|| bad("wait", "is a number of seconds over 0, at most 60"))?;
        Ok(Some((seconds.min(60.0) * 1_000.0).ceil() as u64))
    }

    /// A parameter that is a whole number.
    pub fn whole(&self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let whole = text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty();
        if !whole {
            return Err(bad(name, "is a whole number"));
        }
        // More digits than a u64 has mean "all".
        Ok(Some(text.parse().unwrap_or(u64::MAX)))
    }
}

/// Where a read begins that says `after` or `last`.
pub fn begin(after: Option<&str>, last: Option<u64>) -> Result<From> {
    exclusive(after, last)?;
    Ok(match (after, last) {
        (Some("earliest"), _) => From::Earliest,
        (Some("latest"), _) => From::Latest,
        (Some(text), _) => From::Cursor(
            text.parse::<Cursor>()
                .map_err(|error| Error::new(Code::BadCursor, format!("`after` is {error}")))?,
        ),
        (None, Some(n)) => From::Last(n),
        (None, None) => From::Default,
    })
}

fn exclusive(after: Option<&str>, last: Option<u64>) -> Result<()> {
    match after.is_some() && last.is_some() {
        true => Err(bad("last", "and `after` exclude each other")),
        false => Ok(()),
    }
}

/// What is wrong with a parameter.
pub fn bad(name: &str, what: &str) -> Error {
    Error::new(Code::BadQuery, format!("`{name}` {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(query: &str, last_event_id: Option<&str>) -> Result<(From, Reading)> {
        let channel = Channel::parse("a").unwrap();
        let (want, reading) = Query::parse(Some(query)).want(vec![channel], last_event_id, Start::Latest)?;
        Ok((want.from, reading))
    }

    #[test]
    fn starts() {
        let cursor =
            Cursor::one(&Channel::parse("a").unwrap(), tidings_core::log::Position { epoch: 1, offset: 2 });
        let text = cursor.to_string();
        assert_eq!(want("", None).unwrap().0, From::Default);
        assert_eq!(want("after=earliest", None).unwrap().0, From::Earliest);
        assert_eq!(want(&format!("after={text}"), None).unwrap().0, From::Cursor(cursor.clone()));
        assert_eq!(want("after=latest", Some(&text)).unwrap().0, From::Cursor(cursor));
        assert_eq!(want("", Some("nonsense")).unwrap().0, From::Unreadable);
        assert_eq!(
            want("last=3", None).unwrap(),
            (From::Last(3), Reading { limit: None, last: Some(3), pace: None })
        );
    }

    #[test]
    fn refusals() {
        for query in
            ["limit=0", "limit=-1", "limit=x", "limit=", "last=-1", "last=1&after=latest", "after=a&after=b"]
        {
            assert_eq!(want(query, None).unwrap_err().code, Code::BadQuery, "{query}");
        }
        assert_eq!(want("after=nonsense", None).unwrap_err().code, Code::BadCursor);
        for wait in ["-1", "0", "x", "NaN", "inf", ""] {
            assert!(Query::parse(Some(&format!("wait={wait}"))).wait_ms().is_err(), "{wait}");
        }
        assert_eq!(Query::parse(Some("wait=600")).wait_ms().unwrap(), Some(60_000));
    }
}
