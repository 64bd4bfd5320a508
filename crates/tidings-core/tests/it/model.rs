//! The log against a list: every rule of retention, gaps, compaction and keys, on random histories.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use tidings_core::log::{
    Appended, Below, Channel, Draft, Gap, Kind, Limit, Log, Message, Once, Payload, Position, Retain, Rules,
    Start, Why,
};

const EPOCH: u64 = 9;

/// All that was ever stored, as a list; nothing is removed from it, only marked.
#[derive(Debug, Clone)]
struct Model {
    rules: Rules,
    now_ms: u64,
    stored: Vec<Stored>,
    lost: u64,
    /// Ids that came alone.
    alone: HashMap<String, Key>,
    /// Ids of messages of streams, one by one.
    streamed: HashMap<String, Key>,
    answer: Option<(u64, bool)>,
}

#[derive(Debug, Clone)]
struct Stored {
    id: String,
    key: Option<String>,
    time_ms: u64,
    kept: bool,
}

#[derive(Debug, Clone)]
struct Key {
    until_ms: u64,
    last: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Append { key: Option<u8>, once: Sent, bytes: usize },
    Wait(u64),
    Expire,
    DropOldest,
    Find(Begin),
    Read(u64, Limit),
}

#[derive(Debug, Clone)]
enum Sent {
    Always,
    Once(String),
    Stream(u8, u64),
}

impl Sent {
    /// The id of the draft; `next` is the offset that it would have.
    fn id(&self, next: u64) -> String {
        match self {
            Sent::Always => format!("m{next}"),
            Sent::Once(id) => id.clone(),
            Sent::Stream(stream, index) => format!("stream{stream}/{index}"),
        }
    }
}

#[derive(Debug, Clone)]
enum Begin {
    Earliest,
    Latest,
    Last(u64),
    After(u64),
    OtherEpoch(u64),
    Unreadable,
}

impl Model {
    fn last(&self) -> u64 {
        self.stored.len() as u64
    }

    /// Offsets count from 1.
    fn kept(&self, after: u64) -> impl Iterator<Item = (u64, &Stored)> {
        let all = self.stored.iter().enumerate().map(|(n, stored)| (n as u64 + 1, stored));
        all.filter(move |(offset, stored)| *offset > after && stored.kept)
    }

    fn oldest(&self) -> Option<u64> {
        self.kept(0).next().map(|(offset, _)| offset)
    }

    /// Where an id is stored, if its window is not over.
    fn known(&self, keys: &HashMap<String, Key>, id: &str) -> Option<u64> {
        keys.get(id).filter(|known| known.until_ms > self.now_ms).map(|known| known.last)
    }

    fn append(&mut self, key: Option<u8>, once: &Sent) {
        let now_ms = self.now_ms;
        let id = once.id(self.last() + 1);
        let known = match once {
            Sent::Always => None,
            Sent::Once(_) => self.known(&self.alone, &id).or_else(|| self.known(&self.streamed, &id)),
            Sent::Stream(..) => self.known(&self.streamed, &id).or_else(|| self.known(&self.alone, &id)),
        };
        if let Some(last) = known {
            self.answer = Some((last, true));
            return;
        }
        let key = key.map(|key| format!("key{key}"));
        if self.rules.compact && key.is_some() {
            self.stored.iter_mut().filter(|stored| stored.key == key).for_each(|stored| stored.kept = false);
        }
        self.stored.push(Stored { id: id.clone(), key, time_ms: now_ms, kept: true });
        let last = self.last();
        let known = Key { until_ms: now_ms + self.rules.dedupe_ms, last };
        match once {
            Sent::Always => {}
            Sent::Once(_) => drop(self.alone.insert(id, known)),
            // Each message of a stream renews those before it.
            Sent::Stream(stream, index) => {
                for index in 0..=*index {
                    self.streamed.insert(Sent::Stream(*stream, index).id(0), known.clone());
                }
            }
        }
        self.answer = Some((last, false));
        self.expire();
    }

    fn expire(&mut self) {
        let Retain { messages, age_ms } = self.rules.retain;
        while let Some(oldest) = self.oldest() {
            let aged = self.stored[oldest as usize - 1].time_ms + age_ms <= self.now_ms;
            if !aged && self.kept(0).count() as u64 <= messages {
                break;
            }
            self.lose(oldest);
        }
    }

    fn lose(&mut self, offset: u64) {
        self.stored[offset as usize - 1].kept = false;
        self.lost = offset;
    }

    fn gap(&self, after: Option<Position>) -> Option<Gap> {
        let at = |offset| Position { epoch: EPOCH, offset };
        let until = if self.rules.below == Below::Oldest { at(self.lost) } else { at(self.last()) };
        match after {
            Some(Position { epoch: EPOCH, offset }) if offset <= self.last() => {
                let why = if self.rules.below == Below::Oldest { Why::Expired } else { Why::Lagged };
                (offset < self.lost).then(|| {
                    let missed = (!self.rules.compact).then(|| until.offset - offset);
                    Gap { after, until, why, missed }
                })
            }
            _ => Some(Gap { after, until, why: Why::Epoch, missed: None }),
        }
    }
}

/// The machine that the log is compared with.
struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        let retain = (prop_oneof![1u64..8, Just(1_000)], prop_oneof![1u64..200, Just(1 << 40)]);
        let rules = (retain, any::<bool>(), 0u64..100, any::<bool>()).prop_map(
            |((messages, age_ms), compact, dedupe_ms, oldest)| Rules {
                retain: Retain { messages, age_ms },
                compact,
                dedupe_ms,
                implicit: true,
                below: if oldest { Below::Oldest } else { Below::Newest },
                durable: true,
            },
        );
        let begin = prop_oneof![Just(0u64), 0u64..300, Just(1_700_000_000_000)];
        (rules, begin)
            .prop_map(|(rules, now_ms)| Model {
                rules,
                now_ms,
                stored: Vec::new(),
                lost: 0,
                alone: HashMap::new(),
                streamed: HashMap::new(),
                answer: None,
            })
            .boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Step> {
        let beyond = model.last() + 3;
        let sent = prop_oneof![
            3 => Just(Sent::Always),
            2 => prop_oneof![
                // Ids of no stream, keys of streams, and ids of their messages.
                (0u8..4).prop_map(|n| format!("id{n}")),
                (0u8..2).prop_map(|n| format!("stream{n}")),
                (0u8..2, 0u64..6).prop_map(|(n, index)| format!("stream{n}/{index}")),
                (0u8..2, 0u64..6).prop_map(|(n, index)| format!("stream{n}/0{index}")),
            ].prop_map(Sent::Once),
            2 => (0u8..2, 0u64..6).prop_map(|(id, index)| Sent::Stream(id, index)),
        ];
        let begin = prop_oneof![
            Just(Begin::Earliest),
            Just(Begin::Latest),
            prop_oneof![0u64..12, Just(u64::MAX)].prop_map(Begin::Last),
            (0..beyond).prop_map(Begin::After),
            (0..beyond).prop_map(Begin::OtherEpoch),
            Just(Begin::Unreadable),
        ];
        let limit = (1usize..10, prop_oneof![1usize..2_000, Just(usize::MAX)])
            .prop_map(|(messages, bytes)| Limit { messages, bytes });
        prop_oneof![
            8 => (prop::option::of(0u8..4), sent, 0usize..300)
                .prop_map(|(key, once, bytes)| Step::Append { key, once, bytes }),
            3 => (0u64..60).prop_map(Step::Wait),
            1 => Just(Step::Expire),
            1 => Just(Step::DropOldest),
            4 => begin.prop_map(Step::Find),
            4 => (0..beyond, limit).prop_map(|(after, limit)| Step::Read(after, limit)),
        ]
        .boxed()
    }

    fn apply(mut model: Model, step: &Step) -> Model {
        model.answer = None;
        match step {
            Step::Append { key, once, .. } => model.append(*key, once),
            Step::Wait(ms) => model.now_ms += ms,
            Step::Expire => model.expire(),
            Step::DropOldest => {
                if let Some(oldest) = model.oldest() {
                    model.lose(oldest);
                }
            }
            Step::Find(_) | Step::Read(..) => {}
        }
        model
    }
}

/// The log under test.
struct Subject {
    log: Log,
}

impl StateMachineTest for Subject {
    type SystemUnderTest = Subject;
    type Reference = Reference;

    fn init_test(_: &Model) -> Subject {
        Subject { log: Log::new(Channel::parse("a").unwrap(), EPOCH) }
    }

    fn apply(mut subject: Subject, model: &Model, step: Step) -> Subject {
        let Model { rules, now_ms, .. } = model;
        match step {
            Step::Append { key, once, bytes } => subject.append(model, key, &once, bytes),
            Step::Wait(_) => {}
            Step::Expire => subject.log.expire(*now_ms, rules),
            Step::DropOldest => {
                let before = subject.log.weight();
                let freed = subject.log.drop_oldest();
                assert_eq!(subject.log.weight(), before - freed);
            }
            Step::Find(begin) => subject.find(model, &begin),
            Step::Read(offset, limit) => subject.read(model, offset, limit),
        }
        subject
    }

    fn check_invariants(subject: &Subject, model: &Model) {
        let all = subject.everything(model);
        assert!(
            all.iter().map(|message| &*message.id).eq(model.kept(0).map(|(_, stored)| stored.id.as_str()))
        );
        assert_eq!(subject.log.weight(), all.iter().map(|message| message.weight()).sum::<usize>());
        assert_eq!(subject.log.oldest_ms(), model.kept(0).next().map(|(_, stored)| stored.time_ms));
        assert_eq!(subject.log.end(), Position { epoch: EPOCH, offset: model.last() });
        assert!(subject.log.keys() <= model.alone.len() + model.streamed.len());
        let keys = all.iter().filter(|message| message.key.is_some()).count();
        assert!(
            model.rules.compact && subject.log.index_weight() >= keys * 64 || subject.log.index_weight() == 0
        );
    }

    fn teardown(mut subject: Subject, model: Model) {
        // When all windows are over, nothing is held for ever.
        let end_ms = model.now_ms + (1 << 41);
        subject.log.expire(end_ms, &model.rules);
        assert!(subject.log.is_empty());
        assert_eq!(subject.log.weight(), 0);
        assert_eq!((subject.log.keys_weight(), subject.log.index_weight()), (0, 0));
        let end = subject.log.end();
        assert_eq!(subject.log.find(Start::After(end), &model.rules).gap, None);
    }
}

impl Subject {
    fn append(&mut self, model: &Model, key: Option<u8>, once: &Sent, bytes: usize) {
        let (last, duplicate) = model.answer.unwrap();
        let id: Box<str> = once.id(last).into();
        let draft = Draft {
            id: id.clone(),
            once: match once {
                Sent::Always => Once::No,
                Sent::Once(_) => Once::Id,
                Sent::Stream(id, index) => Once::Stream { key: format!("stream{id}").into(), index: *index },
            },
            event: None,
            key: key.map(|key| format!("key{key}").into()),
            payload: Payload { kind: Kind::Bytes, bytes: vec![0; bytes].into() },
            from: None,
        };
        let (appended, message) = self.log.append(draft, model.now_ms, &model.rules).unwrap();
        let position = Position { epoch: EPOCH, offset: last };
        assert_eq!(appended, Appended { position, id, duplicate });
        assert_eq!(
            message.map(|message| (message.position, message.time_ms)),
            (!duplicate).then_some((position, model.now_ms))
        );
    }

    fn find(&self, model: &Model, begin: &Begin) {
        let at = |offset| Position { epoch: EPOCH, offset };
        let (start, expected, gap) = match *begin {
            Begin::Earliest => (Start::Earliest, at(model.lost), None),
            Begin::Latest => (Start::Latest, at(model.last()), None),
            Begin::Last(n) => {
                let kept = model.kept(0).count();
                let skipped = kept.saturating_sub(usize::try_from(n).unwrap_or(usize::MAX));
                let found = self.log.find(Start::Last(n), &model.rules);
                let read =
                    self.log.read(found.at, Limit { messages: 1_000, bytes: usize::MAX }, &model.rules);
                assert_eq!((found.gap, read.gap), (None, None));
                assert_eq!(read.messages.len(), kept - skipped);
                return;
            }
            Begin::After(offset) => (Start::After(at(offset)), at(offset), model.gap(Some(at(offset)))),
            Begin::OtherEpoch(offset) => {
                let after = Position { epoch: EPOCH + 1, offset };
                (Start::After(after), after, model.gap(Some(after)))
            }
            Begin::Unreadable => (Start::Unreadable, at(0), model.gap(None)),
        };
        let found = self.log.find(start, &model.rules);
        assert_eq!(found.gap, gap);
        assert_eq!(found.at, gap.map_or(expected, |gap| gap.until));
        assert_eq!(found.end, at(model.last()));
        assert_eq!(found.newest_ms, model.kept(0).last().map(|(_, stored)| stored.time_ms));
    }

    fn read(&self, model: &Model, offset: u64, limit: Limit) {
        let after = Position { epoch: EPOCH, offset };
        let page = self.log.read(after, limit, &model.rules);
        assert_eq!(page.gap, model.gap(Some(after)));
        let from = page.gap.map_or(offset, |gap| gap.until.offset);
        let expected: Vec<_> = model.kept(from).map(|(offset, _)| offset).collect();
        let offsets: Vec<_> = page.messages.iter().map(|message| message.position.offset).collect();
        assert_eq!(offsets, expected[..offsets.len()]);
        assert!(offsets.len() <= limit.messages);
        let weight: usize = page.messages.iter().map(|message| message.weight()).sum();
        assert!(weight <= limit.bytes || offsets.len() == 1);
        // A short page means the end, or that the next one is too large.
        if offsets.len() < expected.len() && offsets.len() < limit.messages {
            let more = Limit { messages: offsets.len() + 1, bytes: usize::MAX };
            let larger = self.log.read(after, more, &model.rules).messages;
            assert!(larger.iter().map(|message| message.weight()).sum::<usize>() > limit.bytes);
        }
        if let Some(missed) = page.gap.and_then(|gap| gap.missed) {
            // Counted, not subtracted: without compaction every offset is a message.
            assert_eq!(missed, (offset + 1..=from).count() as u64);
            assert!(missed > 0);
        }
    }

    fn everything(&self, model: &Model) -> Vec<Arc<Message>> {
        let earliest = self.log.find(Start::Earliest, &model.rules);
        assert_eq!(earliest.gap, None);
        let page = self.log.read(earliest.at, Limit { messages: 10_000, bytes: usize::MAX }, &model.rules);
        assert_eq!(page.gap, None);
        page.messages
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_list(sequential 1..80 => Subject);
}
