//! Which nodes were heard, and what each said last.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::log::Message;

/// A node's name, and which life of it.
type Life = (Box<str>, Box<str>);

/// The newest of each node, by its name and its life.
#[derive(Debug, Default)]
pub(super) struct Heard {
    said: BTreeMap<Life, (Instant, Box<str>)>,
}

/// What has to be in what a node says; the rest is for people.
#[derive(Deserialize)]
struct Head {
    node: Box<str>,
    incarnation: Box<str>,
    state: Box<str>,
}

/// Who was not heard for longer is not there.
const LATELY: Duration = Duration::from_secs(20);
/// Nodes that are kept.
const NODES_MAX: usize = 1_000;

impl Heard {
    /// Takes what a node said some time ago.
    pub(super) fn take(&mut self, message: &Message, ago: Duration) {
        let Ok(text) = std::str::from_utf8(&message.payload.bytes) else { return };
        let Ok(Head { node, incarnation, state }) = serde_json::from_str(text) else { return };
        let key = (node, incarnation);
        let now = Instant::now();
        self.said.retain(|_, (at, _)| at.elapsed() < LATELY);
        if &*state == "stopped" {
            self.said.remove(&key);
        } else if ago < LATELY && (self.said.len() < NODES_MAX || self.said.contains_key(&key)) {
            self.said.insert(key, (now.checked_sub(ago).unwrap_or(now), text.into()));
        }
    }

    /// Name, life and last words of each that was heard lately, by name.
    pub(super) fn lately(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let said = self.said.iter().filter(|(_, (at, _))| at.elapsed() < LATELY);
        said.map(|((node, incarnation), (_, text))| (&**node, &**incarnation, &**text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Kind, Payload, Position};

    fn said(node: &str, state: &str) -> Message {
        let text = format!(r#"{{"node":"{node}","incarnation":"1","state":"{state}","more":1}}"#);
        Message {
            channel: crate::log::Channel::nodes(),
            position: Position { epoch: 1, offset: 1 },
            id: "1".into(),
            event: None,
            key: None,
            time_ms: 0,
            from: None,
            payload: Payload { kind: Kind::Json, bytes: text.into() },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_heard_is_there_until_it_stops_or_falls_silent() {
        let names = |heard: &Heard| heard.lately().map(|(node, ..)| node.to_owned()).collect::<Vec<_>>();
        let mut heard = Heard::default();
        heard.take(&said("b", "serving"), Duration::ZERO);
        heard.take(&said("a", "draining"), Duration::from_secs(5));
        heard.take(&said("old", "serving"), Duration::from_secs(20));
        assert_eq!(names(&heard), ["a", "b"]);
        heard.take(&said("b", "stopped"), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(14)).await;
        assert_eq!(names(&heard), ["a"]);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(names(&heard).is_empty());
        let mut broken = said("a", "x");
        broken.payload.bytes = "{".into();
        heard.take(&broken, Duration::ZERO);
        assert!(names(&heard).is_empty());
    }
}
