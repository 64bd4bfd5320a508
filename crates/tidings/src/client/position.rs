//! From where a reader goes on: the one cursor that it carries from connection to connection.

use url::Url;

use super::endpoint::Endpoint;

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

/// A set of channels, and the place in them up to which everything was given to the caller.
#[derive(Debug, Clone)]
pub(super) struct Position {
    channels: Vec<String>,
    start: Start,
    cursor: Option<String>,
}

impl Position {
    pub(super) fn new(channels: Vec<String>, start: Start) -> Self {
        // One channel's own cursor is all there is to know; of several it may cover but some.
        let cursor = match &start {
            Start::After(cursor) if channels.len() == 1 => Some(cursor.clone()),
            _ => None,
        };
        Self { channels, start, cursor }
    }

    /// The URL to go on from here, on every transport.
    pub(super) fn url(&self, endpoint: &Endpoint) -> Url {
        let mut url = endpoint.url(&["v1", "subscribe"]);
        let mut query = url.query_pairs_mut();
        for channel in &self.channels {
            query.append_pair("channel", channel);
        }
        match (&self.cursor, &self.start) {
            (Some(cursor), _) | (None, Start::After(cursor)) => query.append_pair("after", cursor),
            (None, Start::Latest) => query.append_pair("after", "latest"),
            (None, Start::Earliest) => query.append_pair("after", "earliest"),
            (None, Start::Last(count)) => query.append_pair("last", &count.to_string()),
        };
        drop(query);
        url
    }

    /// The cursor of the read's beginning, which the server says first.
    ///
    /// Later connections begin where this reader told them to: there, a cursor of its own is the
    /// better one, for nothing can have moved it past a gap that is still to come.
    pub(super) fn greeted(&mut self, cursor: Option<String>) {
        if self.cursor.is_none() {
            self.cursor = cursor;
        }
    }

    /// A cursor for all channels, after everything that was given.
    pub(super) fn covers(&mut self, cursor: String) {
        self.cursor = Some(cursor);
    }

    /// The cursor of one item. It is a place for all channels only if there is but one.
    pub(super) fn passed(&mut self, cursor: &str) {
        if self.is_single() {
            self.cursor = Some(cursor.to_owned());
        }
    }

    pub(super) fn is_single(&self) -> bool {
        self.channels.len() == 1
    }

    /// How many channels there are.
    pub(super) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// The cursor to resume from, if there is one yet.
    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_channels_go_on_from_a_composite_cursor_alone() {
        let endpoint = Endpoint::new(Url::parse("http://h").unwrap(), None).unwrap();
        let mut two = Position::new(vec!["a".into(), "b".into()], Start::Last(3));
        assert_eq!(two.url(&endpoint).query(), Some("channel=a&channel=b&last=3"));
        two.greeted(Some("c0".into()));
        two.passed("a1");
        assert_eq!(two.url(&endpoint).query(), Some("channel=a&channel=b&after=c0"));
        two.covers("c1".into());
        two.greeted(Some("c9".into()));
        assert_eq!(two.cursor(), Some("c1"));

        let mut one = Position::new(vec!["a".into()], Start::Latest);
        one.passed("a1");
        assert_eq!(one.url(&endpoint).query(), Some("channel=a&after=a1"));
    }
}
