//! From where a reader goes on: the places that it carries from connection to connection.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use url::Url;

use super::endpoint::Endpoint;
use super::item::Greeting;

/// Of how many cursors a joined one may consist.
const JOINED_MAX: usize = 100;

/// Where the first read begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After what is stored now.
    Latest,
    /// With the oldest that is retained.
    Earliest,
    /// After a cursor, of one channel or of several.
    After(String),
    /// With this many of the newest of each channel, then on.
    Last(u32),
}

/// How fast messages are to come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// At most so many a second: over 0, at most 1,000.
    #[serde(rename = "max_rate")]
    pub per_second: f64,
    /// Whether the newest message of each key takes the place of those that wait, and that is no gap.
    #[serde(rename = "conflate", serialize_with = "by_key", skip_serializing_if = "std::ops::Not::not")]
    pub conflate: bool,
}

// serde calls it with a reference, however small the value.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn by_key<S: serde::Serializer>(_: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("key")
}

/// A set of channels, and the place in them up to which everything was given to the caller.
///
/// Cursors of single channels are joined by writing one after the other, and of two places in one
/// channel the later counts. So a place is written behind an older composite, and where each
/// channel has one no composite is needed.
#[derive(Debug, Clone)]
pub(crate) struct Position {
    channels: Vec<String>,
    /// Whether its one channel is read by the channel's own URL.
    is_alone: bool,
    start: Start,
    /// The durable consumer whose place counts as long as there is no cursor here.
    consumer: Option<String>,
    rate: Option<Rate>,
    /// For all channels, as the server gave it.
    composite: Option<String>,
    /// Of single channels, newer than the composite.
    places: HashMap<String, String>,
}

/// Where a read is to begin, as a query or a request says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Place<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consumer: Option<&'a str>,
}

impl Position {
    pub(crate) fn new(channels: Vec<String>, start: Start, rate: Option<Rate>) -> Self {
        let mut names = HashSet::new();
        let channels: Vec<_> = channels.into_iter().filter(|channel| names.insert(channel.clone())).collect();
        // One channel's own cursor is all there is to know; of several it may cover but some.
        let composite = match &start {
            Start::After(cursor) if channels.len() == 1 => Some(cursor.clone()),
            _ => None,
        };
        Self { channels, is_alone: false, start, consumer: None, rate, composite, places: HashMap::new() }
    }

    /// The same, of a durable consumer: the first read begins where that one is.
    pub(super) fn of_consumer(self, consumer: Option<String>) -> Self {
        Self { consumer, ..self }
    }

    /// Of one channel, to be read by its own URL and not by that of several. (A session has but one.)
    pub(crate) fn of_channel(channel: String, start: Start) -> Self {
        Self { is_alone: true, ..Self::new(vec![channel], start, None) }
    }

    /// The channel that is read by its own URL.
    pub(crate) fn alone(&self) -> Option<&str> {
        self.channels.first().filter(|_| self.is_alone).map(String::as_str)
    }

    /// The URL to go on from here, on every transport but a session.
    pub(crate) fn url(&self, endpoint: &Endpoint) -> Url {
        let mut url = match self.alone() {
            Some(channel) => endpoint.url(&["v1", "channels", channel]),
            None => endpoint.url(&["v1", "subscribe"]),
        };
        let mut query = url.query_pairs_mut();
        for channel in self.channels.iter().filter(|_| !self.is_alone) {
            query.append_pair("channel", channel);
        }
        let cursor = self.cursor();
        let Place { after, last, consumer } = cursor.as_deref().map_or_else(|| self.first(), Place::after);
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        if let Some(last) = last {
            query.append_pair("last", &last.to_string());
        }
        if let Some(consumer) = consumer {
            query.append_pair("consumer", consumer);
        }
        if let Some(rate) = self.rate {
            query.append_pair("max_rate", &rate.per_second.to_string());
            if rate.conflate {
                query.append_pair("conflate", "key");
            }
        }
        drop(query);
        url
    }

    /// From where to read one channel.
    pub(crate) fn place(&self, channel: &str) -> Place<'_> {
        match self.places.get(channel).or(self.composite.as_ref()) {
            Some(cursor) => Place::after(cursor),
            None => self.first(),
        }
    }

    /// Where the first read begins.
    fn first(&self) -> Place<'_> {
        Place { consumer: self.consumer.as_deref(), ..self.start.place() }
    }

    /// How fast the messages of each channel are to come.
    pub(super) fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// Whether a channel has a place of its own.
    pub(crate) fn has_place(&self, channel: &str) -> bool {
        self.places.contains_key(channel)
    }

    /// The cursors of the read's beginning, which the server says first.
    ///
    /// Later connections begin where this reader told them to: there, a cursor of its own is the
    /// better one, for nothing can have moved it past a gap that is still to come.
    pub(crate) fn greeted(&mut self, greeting: Greeting) {
        if self.composite.is_none() && !self.has_all_places() {
            self.composite = greeting.cursor;
        }
        for (channel, cursor) in greeting.places {
            self.began(channel, cursor);
        }
    }

    /// The cursor of one channel's beginning; as with [`greeted`](Self::greeted), one's own is better.
    pub(crate) fn began(&mut self, channel: String, cursor: String) {
        if self.composite.is_none() {
            self.places.entry(channel).or_insert(cursor);
        }
    }

    /// A cursor for all channels, after everything that was given.
    pub(crate) fn covers(&mut self, cursor: String) {
        self.composite = Some(cursor);
        self.places.clear();
    }

    /// The cursor of one item: all of its channel up to there was given.
    pub(crate) fn passed(&mut self, channel: &str, cursor: &str) {
        if let Some(place) = self.places.get_mut(channel) {
            cursor.clone_into(place);
        } else if self.channels.iter().any(|asked| asked == channel) {
            self.places.insert(channel.to_owned(), cursor.to_owned());
        }
    }

    /// The channels, without doubles.
    pub(crate) fn channels(&self) -> &[String] {
        &self.channels
    }

    /// The one cursor to resume from. `None` if there is none yet for each channel, or if the
    /// channels are more than one cursor can cover.
    pub(crate) fn cursor(&self) -> Option<String> {
        let places = || self.channels.iter().filter_map(|channel| Some(&**self.places.get(channel)?));
        if self.has_all_places() {
            return (self.places.len() <= JOINED_MAX).then(|| places().collect());
        }
        let composite = self.composite.as_deref()?;
        if !self.is_joinable() {
            return Some(composite.to_owned());
        }
        Some(std::iter::once(composite).chain(places()).collect())
    }

    /// Whether to resume from here repeats nothing that was given.
    pub(crate) fn is_exact(&self) -> bool {
        self.has_all_places() || (self.composite.is_some() && self.is_joinable())
    }

    /// Whether the composite and the places behind it are few enough.
    fn is_joinable(&self) -> bool {
        self.channels.len() + self.places.len() <= JOINED_MAX
    }

    fn has_all_places(&self) -> bool {
        self.places.len() == self.channels.len()
    }
}

impl Start {
    fn place(&self) -> Place<'_> {
        match self {
            Self::After(cursor) => Place::after(cursor),
            Self::Latest => Place::after("latest"),
            Self::Earliest => Place::after("earliest"),
            Self::Last(count) => Place { last: Some(*count), ..Place::default() },
        }
    }
}

impl<'a> Place<'a> {
    fn after(cursor: &'a str) -> Self {
        Self { after: Some(cursor), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(channels: &[&str], start: Start) -> Position {
        Position::new(channels.iter().map(|channel| (*channel).to_owned()).collect(), start, None)
    }

    fn query(position: &Position) -> String {
        let endpoint = Endpoint::new(Url::parse("http://h").unwrap(), None).unwrap();
        position.url(&endpoint).query().unwrap().to_owned()
    }

    fn greeting(cursor: &str) -> Greeting {
        Greeting { cursor: Some(cursor.to_owned()), ..Greeting::default() }
    }

    #[test]
    fn places_stand_behind_the_composite_until_there_is_one_for_each_channel() {
        let mut two = position(&["a", "b", "a"], Start::Last(3));
        assert_eq!(query(&two), "channel=a&channel=b&last=3");
        assert!(!two.is_exact());
        two.greeted(greeting("c0"));
        two.passed("b", "b1");
        two.passed("strange", "s1");
        assert_eq!(query(&two), "channel=a&channel=b&after=c0b1");
        two.passed("a", "a1");
        two.passed("b", "b2");
        assert_eq!(query(&two), "channel=a&channel=b&after=a1b2");
        two.covers("c1".into());
        two.greeted(greeting("c9"));
        assert_eq!(two.cursor().as_deref(), Some("c1"));
        assert!(two.is_exact());

        let mut one = position(&["a"], Start::Latest);
        one.passed("a", "a1");
        assert_eq!(query(&one), "channel=a&after=a1");
        one.greeted(greeting("c9"));
        assert_eq!(query(&one), "channel=a&after=a1");
    }

    #[test]
    fn a_rate_is_asked_for_on_each_connection() {
        let rate = |per_second, conflate| Some(Rate { per_second, conflate });
        let slow = Position::new(vec!["a".into()], Start::Latest, rate(0.5, false));
        assert_eq!(query(&slow), "channel=a&after=latest&max_rate=0.5");
        let newest = Position::new(vec!["a".into()], Start::Latest, rate(10.0, true));
        assert_eq!(query(&newest), "channel=a&after=latest&max_rate=10&conflate=key");
        let said = |position: &Position| serde_json::to_string(&position.rate()).unwrap();
        assert_eq!(said(&slow), r#"{"max_rate":0.5}"#);
        assert_eq!(said(&newest), r#"{"max_rate":10.0,"conflate":"key"}"#);
    }

    #[test]
    fn a_consumer_counts_until_there_is_a_cursor() {
        let mut one = position(&["a"], Start::Earliest).of_consumer(Some("phone".into()));
        assert_eq!(query(&one), "channel=a&after=earliest&consumer=phone");
        assert_eq!(
            serde_json::to_string(&one.place("a")).unwrap(),
            r#"{"after":"earliest","consumer":"phone"}"#
        );
        one.passed("a", "a1");
        assert_eq!(query(&one), "channel=a&after=a1");
        assert_eq!(serde_json::to_string(&one.place("a")).unwrap(), r#"{"after":"a1"}"#);
    }

    #[test]
    fn a_session_asks_for_each_channel_from_its_own_place() {
        let mut two = position(&["a", "b"], Start::After("x".into()));
        assert_eq!(serde_json::to_string(&two.place("a")).unwrap(), r#"{"after":"x"}"#);
        two.began("a".into(), "a0".into());
        assert_eq!((two.place("a").after, two.place("b").after), (Some("a0"), Some("x")));
        assert_eq!(two.cursor(), None, "it would say nothing of b");
        two.began("b".into(), "b0".into());
        two.began("b".into(), "b9".into());
        assert_eq!(two.cursor().as_deref(), Some("a0b0"));
        let last = position(&["a"], Start::Last(2));
        assert_eq!(serde_json::to_string(&last.place("a")).unwrap(), r#"{"last":2}"#);
    }

    #[test]
    fn a_joined_cursor_is_never_longer_than_a_server_takes() {
        let names: Vec<_> = (0..60).map(|n| n.to_string()).collect();
        let mut many = Position::new(names.clone(), Start::Latest, None);
        many.greeted(greeting("c0"));
        for (count, name) in names.iter().enumerate() {
            let cursor = many.cursor().unwrap();
            assert_eq!(cursor.len(), if count <= 40 { 2 + count } else { 2 });
            assert_eq!(many.is_exact(), count <= 40);
            many.passed(name, "p");
        }
        assert_eq!(many.cursor().unwrap(), "p".repeat(60));

        let names: Vec<_> = (0..101).map(|n| n.to_string()).collect();
        let mut more = Position::new(names.clone(), Start::Latest, None);
        for name in names {
            more.began(name, "p".into());
        }
        assert_eq!((more.cursor(), more.is_exact()), (None, true));
    }
}
