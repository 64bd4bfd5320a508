//! Asking all nodes, and answering: what an operator wants to know, and wants to be done.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;

use crate::broker::BrokerError;
use crate::error::{Code, Error, Result};
use crate::hub::Shared;
use crate::limit::Rate;
use crate::live::Dismissal;
use crate::log::{Channel, Position, Start};
use crate::session::Session;

use super::entry::{ClientEntry, InUse, ReaderPlace, Report, Roll, Whose};
use super::question::{Answer, Answered, Asked, Question};
use super::{RULES, answers, asks};

/// The others that a question is for: each life of a node, and its name.
type Others = Vec<(String, String)>;

/// How long the others may take.
const ANSWERED_WITHIN: Duration = Duration::from_millis(1_500);
/// How long the broker may take to say where a channel ends.
const FOUND_WITHIN: Duration = Duration::from_secs(1);
/// A question that was on its way for longer is of no use to who asked; and what it wants done may be unwanted by now.
/// Clocks may differ by less.
const OLD_MS: u64 = 60_000;
/// How often a node is asked for all.
const RATE: Rate = Rate { each_second: 10, at_once: 20 };
/// Readers, clients or channels that one node lists, and that an answer lists.
const LISTED_MAX: usize = 1_000;

impl Session {
    /// How each node is that was heard lately, as it described itself in JSON, by name. Needs the right to administer.
    pub fn nodes(&self) -> Result<Vec<String>> {
        self.may_administer()?;
        let (hub, incarnation) = (&self.hub, self.hub.ids.incarnation());
        let own = hub.cluster.own.get().map(|own| (own.node.clone(), (own.describe)()));
        let mut nodes: Vec<_> = {
            let heard = hub.cluster.heard.lock();
            let others = heard.lately().filter(|(_, life, _)| *life != incarnation);
            others.map(|(node, _, text)| (node.to_owned(), text.to_owned())).collect()
        };
        nodes.extend(own);
        nodes.sort();
        Ok(nodes.into_iter().map(|(_, text)| text).collect())
    }

    /// Who reads a channel, and how far each is; with a place, whether each has passed it. Needs the right to
    /// administer. Each read of the channel is woken for it.
    pub async fn readers(&self, channel: &Channel, passing: Option<Position>) -> Result<Report<Roll>> {
        self.may_administer()?;
        let rules = self.hub.settings.get().policy.of(channel)?.rules();
        let find = timeout(FOUND_WITHIN, self.hub.broker.find(channel, Start::Latest, &rules));
        let question = Question::Readers { channel: channel.as_str().to_owned(), limit: LISTED_MAX };
        let (found, said) = tokio::join!(find, self.ask(question));
        let end = found.ok().and_then(Result::ok).map(|found| found.end);
        Ok(said?.map(|answers| {
            let mut roll = Roll { end, count: 0, stuck: 0, readers: Vec::new() };
            for (_, answer) in answers {
                let Answer::Readers { count, stuck, readers } = answer else { continue };
                roll.count += count;
                roll.stuck += stuck;
                let room = LISTED_MAX - roll.readers.len();
                roll.readers.extend(readers.into_iter().take(room).map(|reader| reader.entry(passing)));
            }
            roll
        }))
    }

    /// Live reads, of one user or of all, the oldest first; and how many there are. Needs the right to administer.
    pub async fn clients(
        &self,
        user: Option<String>,
        limit: usize,
    ) -> Result<Report<(Vec<ClientEntry>, usize)>> {
        self.may_administer()?;
        let limit = limit.min(LISTED_MAX);
        let report = self.ask(Question::Clients { user, limit }).await?;
        Ok(report.map(|answers| {
            let (mut all, mut sum) = (Vec::new(), 0);
            for (_, answer) in answers {
                let Answer::Clients { count, clients } = answer else { continue };
                sum += count;
                all.extend(clients);
            }
            all.sort_by_key(|client| client.since_ms);
            all.truncate(limit);
            (all, sum)
        }))
    }

    /// Channels that nodes follow, by name; and whether there are more. Needs the right to administer.
    pub async fn channels_in_use(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Report<(Vec<InUse>, bool)>> {
        self.may_administer()?;
        let limit = limit.min(LISTED_MAX);
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        // One more, to know whether there is one.
        let report = self.ask(Question::Channels { prefix, after, limit: limit + 1 }).await?;
        Ok(report.map(|answers| merged(answers, limit)))
    }

    /// Ends live reads; gives how many. Their clients come back with their cursors, or, where they are to stay
    /// away and their transport has a word for it, do not. Needs the right to administer.
    pub async fn disconnect(&self, whose: Whose, away: bool, reason: String) -> Result<Report<usize>> {
        self.may_administer()?;
        let report = self.ask(Question::Disconnect { whose, away, reason }).await?;
        Ok(report.map(|answers| {
            let ended = answers.into_iter().map(|(_, answer)| match answer {
                Answer::Disconnected { ended } => ended,
                _ => 0,
            });
            ended.sum()
        }))
    }

    /// Makes a node stop, as a signal would. Needs the right to administer.
    pub async fn drain(&self, node: &str) -> Result<()> {
        self.may_administer()?;
        let of_name = |name: &str| name == node;
        let others = self.hub.others(of_name);
        if self.hub.cluster.name() != node && others.is_empty() {
            return Err(Error::new(Code::UnknownNode, format!("no node `{node}` was heard lately")));
        }
        let report = self.ask_those(Question::Drain { node: node.to_owned() }, others).await?;
        if report.found.iter().any(|(_, answer)| matches!(answer, Answer::Draining(true))) {
            return Ok(());
        }
        let detail = format!("`{node}` does not answer; it may drain all the same");
        Err(Error::new(Code::NoAnswer, detail))
    }

    async fn ask(&self, question: Question) -> Result<Report<Vec<(String, Answer)>>> {
        self.ask_those(question, self.hub.others(|_| true)).await
    }

    /// Asks this node, and others.
    async fn ask_those(&self, question: Question, others: Others) -> Result<Report<Vec<(String, Answer)>>> {
        let hub = &self.hub;
        let too_fast = |ms| Error::new(Code::RateLimited, "this node is asked too often").after(ms);
        hub.cluster.rates.take((), 1, RATE, hub.clock.now_ms()).map_err(too_fast)?;
        // Those before it may wait for a node that does not answer.
        let turn = timeout(ANSWERED_WITHIN, hub.cluster.asking.acquire()).await;
        let _turn = turn.map_err(|_late| too_fast(1_000))?;
        let by = self.who();
        let mut said = Vec::new();
        let own = hub.answer(&question, &by);
        let asked = async {
            if !others.is_empty() {
                // What came until then is what there is.
                let _ = timeout(ANSWERED_WITHIN, hub.ask_others(&question, &by, &others, &mut said)).await;
            }
        };
        let (own, ()) = tokio::join!(own, asked);
        let mut found = vec![(hub.cluster.name().to_owned(), own)];
        let answered: HashSet<_> = said.iter().map(|one| one.incarnation.clone()).collect();
        let silent = others.into_iter().filter(|(life, _)| !answered.contains(life));
        let silent = silent.map(|(_, name)| name).collect();
        found.extend(said.into_iter().map(|one| (one.node, one.answer)));
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let answered = found.iter().map(|(node, _)| node.clone()).collect();
        Ok(Report { found, answered, silent })
    }
}

impl<T> Report<T> {
    fn map<U>(self, to: impl FnOnce(T) -> U) -> Report<U> {
        let Report { found, answered, silent } = self;
        Report { found: to(found), answered, silent }
    }
}

impl Shared {
    /// The other nodes that were heard lately, whose names are these.
    fn others(&self, is_meant: impl Fn(&str) -> bool) -> Others {
        let own = self.ids.incarnation();
        let heard = self.cluster.heard.lock();
        let others = heard.lately().filter(|(name, life, _)| *life != own && is_meant(name));
        others.map(|(name, life, _)| (life.to_owned(), name.to_owned())).collect()
    }

    /// Asks others, and takes in what they answer, until all have.
    async fn ask_others(
        &self,
        question: &Question,
        by: &str,
        others: &Others,
        said: &mut Vec<Answered>,
    ) -> Result<(), BrokerError> {
        let own = self.ids.incarnation();
        // Before it is asked, so that no answer comes too early.
        let mut tail = self.broker.follow(&answers(), &RULES).await?;
        let id = self.ids.next().to_string();
        let asked = Asked {
            from: own,
            id: id.clone(),
            by: by.to_owned(),
            at_ms: self.clock.now_ms(),
            question: question.clone(),
        };
        // Structs of strings and numbers always serialise.
        self.append(&asks(), serde_json::to_string(&asked).unwrap_or_default()).await?;
        let mut left: HashSet<_> = others.iter().map(|(life, _)| life.clone()).collect();
        while !left.is_empty()
            && let Some(messages) = tail.items.next().await
        {
            for message in messages {
                let Ok(one) = serde_json::from_slice::<Answered>(&message.payload.bytes) else { continue };
                if one.id == id && left.remove(&one.incarnation) {
                    said.push(one);
                }
            }
        }
        Ok(())
    }

    /// What this node says to a question.
    async fn answer(&self, question: &Question, by: &str) -> Answer {
        let (node, life) = (self.cluster.name(), self.ids.incarnation());
        match question {
            Question::Readers { channel, limit } => match Channel::parse(channel) {
                Ok(channel) => self.call_roll(&channel, (*limit).min(LISTED_MAX)).await,
                Err(_) => Answer::Readers { count: 0, stuck: 0, readers: Vec::new() },
            },
            Question::Clients { user, limit } => {
                let (reads, count) = self.live.list(user.as_deref(), (*limit).min(LISTED_MAX));
                let clients = reads.iter().map(|read| ClientEntry::of(read, node, &life)).collect();
                Answer::Clients { count, clients }
            }
            Question::Channels { prefix, after, limit } => {
                let named = self.feeds.named(prefix, after.as_deref(), (*limit).min(LISTED_MAX + 1));
                let channels = named.into_iter().map(|(channel, readers)| (channel.to_string(), readers));
                Answer::Channels { channels: channels.collect() }
            }
            Question::Disconnect { whose, away, reason } => {
                let how = if *away { Dismissal::StayAway } else { Dismissal::ComeBack };
                let ended = self.live.dismiss(|read| whose.is(read, &life), how);
                if ended > 0 {
                    tracing::info!(?whose, away, reason, by, ended, "disconnected by an operator");
                }
                Answer::Disconnected { ended }
            }
            Question::Drain { node: meant } => {
                let is_meant = meant == node;
                if is_meant {
                    self.cluster.tell_to_stop(by);
                }
                Answer::Draining(is_meant)
            }
        }
    }

    async fn call_roll(&self, channel: &Channel, limit: usize) -> Answer {
        let (node, life) = (self.cluster.name(), self.ids.incarnation());
        let mut all = 0;
        let called = self.live.call(channel, limit, || {
            all = self.feeds.wake(channel);
            all
        });
        let called = called.await;
        let readers = called.readers.iter().map(|(read, at, behind)| ReaderPlace {
            client: ClientEntry::of(read, node, &life),
            epoch: at.epoch,
            offset: at.offset,
            behind: *behind,
        });
        let (count, stuck) = (all.max(called.answered), all.saturating_sub(called.answered));
        Answer::Readers { count, stuck, readers: readers.collect() }
    }
}

/// Answers a question of another node.
pub(super) async fn reply(hub: &Shared, asked: Asked) {
    let own = hub.ids.incarnation();
    let Asked { from, id, by, at_ms, question } = asked;
    let is_old = hub.clock.now_ms().abs_diff(at_ms) > OLD_MS;
    // A question for one node is none of the others' business.
    let is_for_another = matches!(&question, Question::Drain { node } if node != hub.cluster.name());
    if from == own || is_old || is_for_another {
        return;
    }
    let answer = hub.answer(&question, &by).await;
    let answered = Answered { id, node: hub.cluster.name().to_owned(), incarnation: own, answer };
    let json = serde_json::to_string(&answered).unwrap_or_default();
    let said = timeout(ANSWERED_WITHIN, hub.append(&answers(), json)).await;
    if !matches!(said, Ok(Ok(()))) {
        tracing::debug!("a question of another node could not be answered");
    }
}

/// The channels of all nodes, each once, as many as were asked for; and whether there are more.
fn merged(answers: Vec<(String, Answer)>, limit: usize) -> (Vec<InUse>, bool) {
    let mut all: BTreeMap<String, InUse> = BTreeMap::new();
    for (node, answer) in answers {
        let Answer::Channels { channels } = answer else { continue };
        for (channel, readers) in channels {
            let one = || InUse { channel: channel.clone(), readers: 0, nodes: Vec::new() };
            let one = all.entry(channel.clone()).or_insert_with(one);
            one.readers += readers;
            one.nodes.push(node.clone());
        }
    }
    let more = all.len() > limit;
    (all.into_values().take(limit).collect(), more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_several_nodes_are_one_list() {
        let of = |node: &str, channels: &[(&str, usize)]| {
            let channels = channels.iter().map(|(name, readers)| ((*name).to_owned(), *readers)).collect();
            (node.to_owned(), Answer::Channels { channels })
        };
        let answers = vec![of("a", &[("x", 1), ("z", 2)]), of("b", &[("x", 3), ("y", 0)])];
        let (list, more) = merged(answers, 2);
        let x = InUse { channel: "x".into(), readers: 4, nodes: vec!["a".into(), "b".into()] };
        let y = InUse { channel: "y".into(), readers: 0, nodes: vec!["b".into()] };
        assert_eq!((list, more), (vec![x, y], true));
    }
}
