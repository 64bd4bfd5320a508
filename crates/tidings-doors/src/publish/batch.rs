//! Many messages in one request, each with a result of its own.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_core::log::Draft;
use tidings_core::{Channel, Code, Error, Result, Session, Stopped, Writer};

use crate::http::problem::Problem;

use crate::item::{Item, Loose};
use crate::receipt::{Receipt, no_result};

/// Channels that are written to at once.
const CHANNELS_AT_ONCE: usize = 16;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

/// The messages of one channel, in their order, and where their results belong.
struct Group {
    channel: Channel,
    writer: Writer,
    drafts: Vec<Draft>,
    places: Vec<usize>,
}

/// The groups of a batch, in the order in which their channels come.
#[derive(Default)]
struct Groups {
    groups: Vec<Group>,
    places: HashMap<Channel, usize>,
}

/// Stores what can be stored; gives the body of the reply. Messages of one
/// channel keep their order; the batch is not atomic.
pub async fn publish(session: &Session, body: &Bytes, messages_max: usize) -> Result<String> {
    let messages = messages(body, messages_max)?;
    let mut results: Vec<Option<String>> = vec![None; messages.len()];
    let mut groups = Groups::default();
    for (place, message) in messages.iter().enumerate() {
        if let Err(error) = groups.sort(session, body, message, place) {
            results[place] = Some(refusal(error));
        }
    }
    let groups: Vec<_> = groups.groups.into_iter().map(store).collect();
    let mut answers = stream::iter(groups).buffer_unordered(CHANNELS_AT_ONCE);
    while let Some(answers) = answers.next().await {
        for (place, answer) in answers {
            results[place] = Some(answer);
        }
    }
    let results: Vec<_> = results.into_iter().map(Option::unwrap_or_default).collect();
    Ok(format!("{{\"results\":[{}]}}", results.join(",")))
}

/// The messages of a batch, none of them read yet; more than `most` are refused.
pub(super) fn messages(body: &[u8], most: usize) -> Result<Vec<&RawValue>> {
    let Envelope { messages } = serde_json::from_slice(body)
        .map_err(|error| Error::new(Code::BadBatch, format!("the body is not a batch ({error})")))?;
    if messages.len() > most {
        let detail = format!("the batch has {} messages, of at most {most}", messages.len());
        return Err(Error::new(Code::BadBatch, detail));
    }
    Ok(messages)
}

/// A message of a batch, checked; and the channel that it has to name.
pub(super) fn item(body: &Bytes, message: &RawValue) -> Result<(Channel, Item)> {
    let item = Item::read(body, Loose::parse(message.get().as_bytes())?)?;
    match item.channel.clone() {
        Some(channel) => Ok((channel, item)),
        None => Err(Error::new(Code::BadBatch, "the message names no `channel`")),
    }
}

impl Groups {
    /// Adds a message to the group of its channel.
    fn sort(&mut self, session: &Session, body: &Bytes, message: &RawValue, place: usize) -> Result<()> {
        let (channel, item) = item(body, message)?;
        let at = match self.places.get(&channel) {
            Some(at) => *at,
            None => {
                let writer = session.writer(&channel)?;
                self.places.insert(channel.clone(), self.groups.len());
                self.groups.push(Group { channel, writer, drafts: Vec::new(), places: Vec::new() });
                self.groups.len() - 1
            }
        };
        let group = &mut self.groups[at];
        let draft = item.draft(&group.writer);
        group.writer.check(&draft)?;
        group.writer.spend(1)?;
        group.drafts.push(draft);
        group.places.push(place);
        Ok(())
    }
}

/// Stores a group; gives each message's result and its place.
async fn store(group: Group) -> Vec<(usize, String)> {
    let Group { channel, writer, drafts, places } = group;
    let (stored, error) = match writer.append(drafts).await {
        Ok(stored) => (stored, None),
        Err(Stopped { stored, error }) => (stored, Some(error)),
    };
    let mut stored = stored.into_iter();
    let answers = places.into_iter().map(|place| {
        let answer = match (stored.next(), &error) {
            (Some(one), _) => Receipt::of(&channel, one).to_json(),
            (None, Some(error)) => refusal(error.again()),
            (None, None) => refusal(no_result()),
        };
        (place, answer)
    });
    answers.collect()
}

fn refusal(error: Error) -> String {
    format!("{{\"error\":{}}}", Problem::from(error).to_json())
}
