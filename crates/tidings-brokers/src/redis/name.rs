//! What things are called in the server: keys and topics, grouped so that a cluster keeps together
//! what one step changes.

use std::sync::Arc;

use tidings_core::log::{Channel, Draft, Once, in_stream};

/// The part of every name that a node's configuration chooses.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: Arc<str>,
}

/// The channels that share one life. A bucket lies in one slot of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Bucket(u16);

/// How many buckets there are. It never changes: what is stored lies in them.
pub(super) const BUCKETS: u16 = 1_024;

impl Bucket {
    pub(super) fn of(channel: &Channel) -> Self {
        let tag = channel.tag();
        Bucket(u16::try_from((tag ^ (tag >> 32)) % u64::from(BUCKETS)).unwrap_or(0))
    }

    pub(super) fn all() -> impl Iterator<Item = Bucket> {
        (0..BUCKETS).map(Bucket)
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Names { prefix: prefix.into() }
    }

    /// Where the life of a bucket is kept.
    pub(super) fn life(&self, bucket: Bucket) -> String {
        self.of(bucket, "life")
    }

    /// The life, bounds, messages, newest messages and waiting announcements of a channel, as every
    /// script takes them.
    pub(super) fn channel(&self, channel: &Channel) -> [String; 5] {
        let bucket = Bucket::of(channel);
        let of = |kind: &str| self.of(bucket, &format!("{kind}:{channel}"));
        [self.life(bucket), of("b"), of("m"), of("n"), of("w")]
    }

    /// Where what happens in a channel is published.
    pub(super) fn topic(&self, channel: &Channel) -> String {
        self.of(Bucket::of(channel), &format!("t:{channel}"))
    }

    /// The name of the channel whose topic this is.
    pub(super) fn channel_of<'a>(&self, topic: &'a str) -> Option<&'a str> {
        // After the bucket in its braces.
        topic.strip_prefix(&*self.prefix)?.split_once("}:t:").map(|(_bucket, name)| name)
    }

    /// The key under which an id is remembered that came alone, and that of the stream that it is of.
    pub(super) fn once(&self, channel: &Channel, draft: &Draft) -> (Option<String>, Option<(String, u64)>) {
        let bucket = Bucket::of(channel);
        // With its length, since both may hold what separates them.
        let of = |kind: char, key: &str| {
            self.of(bucket, &format!("{kind}:{}:{channel}:{key}", channel.as_str().len()))
        };
        match &draft.once {
            Once::No => (None, None),
            Once::Id => {
                let stream = in_stream(&draft.id).map(|(key, index)| (of('s', key), index));
                (Some(of('i', &draft.id)), stream)
            }
            Once::Stream { key, index } => (Some(of('i', &draft.id)), Some((of('s', key), *index))),
        }
    }

    fn of(&self, bucket: Bucket, rest: &str) -> String {
        format!("{}{{{:03x}}}:{rest}", self.prefix, bucket.0)
    }
}
