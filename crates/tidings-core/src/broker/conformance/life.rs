//! A broker's next life: what a restart keeps, and what it must not hide.

use super::subject::{Subject, Suite, once, texts};
use crate::log::{Appended, Start, Why};

/// What the first life stored.
pub(super) struct Before {
    channel: crate::log::Channel,
    rules: crate::log::Rules,
    appended: Vec<Appended>,
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
        Before { channel, rules, appended }
    }

    fn subject(&self, second: &Suite) -> Subject {
        Subject { broker: second.broker.clone(), channel: self.channel.clone(), rules: self.rules }
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
