//! One answer to a poll.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{Cut, Error};
use super::item::{Gap, Message, one_line};
use super::link::Event;

/// A page, as what a connection would have brought.
#[derive(Debug)]
pub(super) struct Page {
    /// Its gap, its messages, and then its cursor, which covers them.
    pub(super) events: VecDeque<Event>,
    /// From where to ask for the next one.
    pub(super) cursor: String,
    /// The weakest guarantee of the channels.
    pub(super) delivery: Option<String>,
}

impl Page {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Cut> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            messages: Vec<&'a RawValue>,
            cursor: String,
            #[serde(borrow, default)]
            gap: Option<&'a RawValue>,
            #[serde(default)]
            delivery: Option<String>,
            #[serde(borrow, default)]
            ended: Vec<&'a RawValue>,
        }
        // What is no page is a stranger's answer to a plain GET.
        let Body { messages, cursor, gap, delivery, ended } = serde_json::from_slice(body)
            .map_err(|error| Cut::Unfit(Error::Unexpected(format!("the server sent no page: {error}"))))?;
        let mut events = VecDeque::with_capacity(messages.len() + 2);
        if let Some(gap) = gap {
            events.push_back(Event::Gap(Gap::parse(gap.get())?));
        }
        for message in messages {
            events.push_back(Event::Message(Message::parse(message.get())?));
        }
        for end in ended {
            events.push_back(Event::Closed(one_line(end.get())));
        }
        events.push_back(Event::Covers(cursor.clone()));
        Ok(Self { events, cursor, delivery })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_stands_before_the_messages_and_the_cursor_after() {
        let body = br#"{"messages":[{"channel":"a","cursor":"a1","data":1}],"cursor":"c1","delivery":"at-least-once",
            "gap":{"channel":"a","after":"a0","until":"a0","why":"expired","missed":2}}"#;
        let page = Page::parse(body).unwrap();
        let events: Vec<_> = page.events.iter().collect();
        assert!(
            matches!(&events[..], [Event::Gap(gap), Event::Message(_), Event::Covers(c)] if gap.missed == Some(2) && c == "c1")
        );
        assert!(matches!(Page::parse(b"<html>"), Err(Cut::Unfit(_))));
    }
}
