//! One question to the server that keeps a channel.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use redis::{RedisError, Script, ScriptInvocation, Value};
use tidings_core::broker::BrokerError;
use tidings_core::log::Channel;
use tokio::time::sleep;

use super::answer::Answer;
use super::epoch;
use super::fault;
use super::name::{Bucket, Names};
use super::routes::Routes;
use super::script::Scripts;
use super::server::{Link, Server};
use super::witness::{Seen, Witness};

/// What every question needs.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) names: Names,
    pub(super) scripts: Scripts,
    pub(super) routes: Routes,
    pub(super) witness: Arc<Witness>,
}

/// A question that is the same however often it is asked.
pub(super) struct Question<'a> {
    pub(super) script: &'a Script,
    pub(super) channel: &'a Channel,
    /// Besides those of the channel.
    pub(super) keys: &'a [String],
    /// After those that every script takes.
    pub(super) arguments: &'a [Vec<u8>],
    /// Whether it changes the log, so that it matters whether it was done.
    pub(super) changes: bool,
}

/// How often, and after what time, a cluster is asked that is moving slots.
const TRIES: u32 = 6;
const TRY_EVERY: Duration = Duration::from_millis(150);
/// Buckets that are compared at once.
const AT_ONCE: usize = 64;

impl Calls {
    /// Asks, and gives the server that answered.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<(Answer, Arc<Server>), BrokerError> {
        let bucket = Bucket::of(question.channel);
        let of = if question.changes { fault::of_write } else { fault::of_read };
        let mut tries = 1;
        loop {
            let server = self.routes.of(bucket)?;
            let link = server.link()?;
            let mut call = question.script.prepare_invoke();
            self.names.channel(question.channel).into_iter().chain(question.keys.iter().cloned()).for_each(
                |key| {
                    call.key(key);
                },
            );
            self.begin(&mut call, &link, bucket)?;
            call.arg(format!("{:016x}", question.channel.tag()));
            call.arg(format!("{:016x}:new", random()?));
            call.arg(if link.identity.is_cluster { "SPUBLISH" } else { "PUBLISH" });
            call.arg(self.names.topic(question.channel));
            call.arg(question.arguments);
            match self.finish(&call, &server, link, bucket).await {
                Ok(answer) => return Ok((answer?, server)),
                Err(error) if fault::is_elsewhere(&error) && tries < TRIES => {
                    self.routes.doubt();
                    sleep(TRY_EVERY * tries).await;
                    tries += 1;
                }
                Err(error) => return Err(of(&error)),
            }
        }
    }

    /// What every script takes first: who the server is, and what was seen of the bucket.
    fn begin(&self, call: &mut ScriptInvocation<'_>, link: &Link, bucket: Bucket) -> Result<(), BrokerError> {
        let flag = |is: bool| if is { "1" } else { "0" };
        let identity = &link.identity;
        call.arg(&*identity.run).arg(&*identity.replid).arg(flag(identity.unshifted)).arg(&*identity.server);
        call.arg(identity.started_ms).arg(flag(identity.replicas)).arg(epoch::digits(random()?));
        match self.witness.of(bucket) {
            Some(seen) => call.arg(epoch::digits(seen.life)).arg(&*seen.run).arg(seen.count),
            None => call.arg("").arg("").arg(0),
        };
        Ok(())
    }

    async fn finish(
        &self,
        call: &ScriptInvocation<'_>,
        server: &Server,
        mut link: Link,
        bucket: Bucket,
    ) -> Result<Result<Answer, BrokerError>, RedisError> {
        let answer = call.invoke_async::<Value>(&mut link.connection).await.inspect_err(|error| {
            if fault::ends_connection(error) {
                server.doubt(&link);
            }
        })?;
        let answer = Answer::parse(answer);
        if let Ok(Answer { life, count, .. }) = answer {
            self.witness.note(bucket, &Seen { life, run: link.identity.run.clone(), count });
        }
        Ok(answer)
    }

    /// Keeps the connections, and compares what was seen with what is there after each new one.
    pub(super) async fn run(&self) {
        let compare = async {
            loop {
                self.routes.changes.opened.notified().await;
                let buckets = self.witness.buckets();
                stream::iter(buckets).for_each_concurrent(AT_ONCE, |bucket| self.compare(bucket)).await;
            }
        };
        tokio::join!(self.routes.run(), compare);
    }

    async fn compare(&self, bucket: Bucket) {
        let before = self.witness.of(bucket);
        let compared = async {
            let server = self.routes.of(bucket)?;
            let link = server.link()?;
            let mut call = self.scripts.witness.prepare_invoke();
            call.key(self.names.life(bucket));
            self.begin(&mut call, &link, bucket)?;
            self.finish(&call, &server, link, bucket).await.map_err(|error| fault::of_read(&error))?
        };
        match compared.await {
            Ok(answer) if before.is_some_and(|before| before.life != answer.life) => tracing::error!(
                bucket = bucket.index(),
                "the Redis server may have lost what was acknowledged: it was restarted without it, or another one took \
                 its place; channels begin a new epoch, and readers are told so by a gap"
            ),
            Ok(_) => {}
            // Whoever asks next compares as well.
            Err(error) => tracing::debug!(%error, "what was seen cannot be compared"),
        }
    }
}

pub(super) fn random() -> Result<u64, BrokerError> {
    getrandom::u64().map_err(|_| BrokerError::Unavailable("the system gives no random numbers".into()))
}
