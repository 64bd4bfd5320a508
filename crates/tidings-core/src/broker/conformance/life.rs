//! A broker's next life: what a restart keeps, and what it must not hide.

use std::time::Duration;

use futures_util::StreamExt;

use super::super::Tail;
use super::subject::{Subject, Suite, once, texts};
use crate::log::{Appended, Start, Why};

/// What the first life stored.
pub(super) struct Before {
    channel: crate::log::Channel,
    rules: crate::log::Rules,
    appended: Vec<Appended>,
    /// A channel of its own, and what followed it through the end of that life.
    followed: crate::log::Channel,
    tail: Tail,
}

pub(super) async fn the_broker_is_ready(suite: &Suite) {
    suite.broker.ready().await.unwrap();
}

impl Before {
    /// Stores something, and ends the first life.
    pub(super) async fn remember(suite: Suite) -> Before {
        let Subject { channel, rules, .. } = suite.plain("life");
        let subject = suite.plain("life");
        let appended = subject.append_drafts(vec![once("k", "a"), once("l", "b"), once("m", "c")]).await;
        let followed = suite.plain("life-followed");
        followed.append(&["before"]).await;
        let tail = followed.follow().await;
        Before { channel, rules, appended, followed: followed.channel, tail }
    }

    fn subject(&self, second: &Suite) -> Subject {
        Subject { broker: second.broker.clone(), channel: self.channel.clone(), rules: self.rules }
    }

    /// A tail of the first life ends, or has what the second stores in the same epoch. It must not
    /// fall silent: its readers would wait for ever.
    pub(super) async fn tail_tells_the_truth(&mut self, second: &Suite) {
        let channel = self.followed.clone();
        let subject = Subject { broker: second.broker.clone(), channel, rules: self.rules };
        let stored = subject.append(&["after"]).await[0];
        let next = tokio::time::timeout(Duration::from_secs(20), self.tail.items.next()).await;
        if let Some(batch) = next.expect("a tail of a broker that is gone is silent") {
            assert_eq!(stored.epoch, self.tail.from.epoch, "a tail is of one epoch");
            assert_eq!((batch[0].position, texts(&batch)), (stored, vec!["after".to_owned()]));
        }
    }

    pub(super) async fn is_there(&self, second: &Suite) {
        let subject = self.subject(second);
        let (gap, messages) = subject.from(Start::Earliest).await;
        assert_eq!(gap, None);
        assert_eq!(texts(&messages), ["a", "b", "c"]);
        assert!(
            messages.iter().map(|message| message.position).eq(self.appended.iter().map(|one| one.position))
        );
        assert_eq!(subject.texts(Start::After(self.appended[0].position)).await, ["b", "c"]);
        let mut tail = subject.follow().await;
        let next = subject.append(&["d"]).await[0];
        assert_eq!(
            next.epoch, self.appended[2].position.epoch,
            "a restart that kept its data is no new epoch"
        );
        assert!(next.offset > self.appended[2].position.offset);
        assert_eq!(texts(&tail.take(1).await), ["d"]);
    }

    pub(super) async fn keys_hold(&self, second: &Suite) {
        let again = self.subject(second).append_drafts(vec![once("k", "other")]).await;
        assert!(again[0].duplicate);
        assert_eq!(again[0].position, self.appended[0].position);
    }

    pub(super) async fn is_an_epoch_ago(&self, second: &Suite) {
        let subject = self.subject(second);
        for one in &self.appended {
            let gap =
                subject.find(Start::After(one.position)).await.gap.expect("nobody knows what came since");
            assert_eq!((gap.after, gap.why, gap.missed), (Some(one.position), Why::Epoch, None));
        }
        subject.append(&["new"]).await;
        let (gap, messages) = subject.from(Start::After(self.appended[2].position)).await;
        assert_eq!(gap.map(|gap| gap.why), Some(Why::Epoch));
        assert_eq!(texts(&messages), ["new"]);
    }
}
