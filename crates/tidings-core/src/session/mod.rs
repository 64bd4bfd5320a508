//! One authenticated client: who it is, what it may do, what it reads.

mod consumer;
mod identity;
mod lanes;
mod newest;
mod pace;
mod page;
mod readers;
mod start;
mod subscription;
mod term;
mod waiting;
mod watches;
mod writer;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::answer;
use crate::error::{Code, Error, Result, Stored};
use crate::feed::Bell;
use crate::hub::Shared;
use crate::limit::Seat;
use crate::log::{Channel, Created, Retain, Terms};
use crate::policy::Namespace;
use crate::presence::Roster;
use crate::revocation::{Revoked, Watch, Whom};
use crate::settings::Settings;

pub use consumer::Consumer;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use identity::fuzz;
pub use identity::{
    ApiKey, Backend, Client, Credentials, Identity, KeySet, Keys, NamedKey, PublicKey, Rights, Tokens,
    Unusable,
};
pub use pace::Pace;
pub use page::Read;
pub use readers::Batch;
pub use start::{From, Place, Want};
pub use subscription::{Fact, Subscription};
pub use term::End;
pub use watches::{WatchPlace, Watches};
pub use writer::{Stopped, Writer};

/// A client whose credentials are verified.
///
/// Each thing that it asks for is judged by the settings in force then: by those that took the place of others
/// while it was open, too. Where they no longer accept its credentials, all that needs some is
/// [`Code::TokenExpired`].
#[derive(Clone)]
pub struct Session {
    pub(crate) hub: Arc<Shared>,
    identity: Identity,
}

/// What a session is judged by.
struct Judge {
    settings: Arc<Settings>,
    /// See [`crate::settings::InForce::number`].
    number: u64,
    /// Who the client is by these settings.
    identity: Identity,
}

impl Session {
    pub(crate) fn new(hub: Arc<Shared>, identity: Identity) -> Self {
        Session { hub, identity }
    }

    /// Who the client is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The user that its token names.
    pub fn user(&self) -> Option<&str> {
        match &self.identity {
            Identity::Client(client) => client.user.as_deref(),
            Identity::Anonymous | Identity::Backend(_) => None,
        }
    }

    /// When its token ends, in milliseconds since the Unix epoch.
    pub fn expires_ms(&self) -> Option<u64> {
        match &self.identity {
            Identity::Client(client) => Some(client.expires_ms),
            Identity::Anonymous | Identity::Backend(_) => None,
        }
    }

    /// Counts an error that its client is told.
    pub fn count_error(&self, code: Code) {
        self.hub.metrics.error(code);
    }

    /// Milliseconds since the Unix epoch, by the node's clock.
    pub fn now_ms(&self) -> u64 {
        self.hub.clock.now_ms()
    }

    /// Checks that a live read can begin: it ends at its token's `exp`, without leeway. One that begins after
    /// that could only end at once, and would come back, and end at once, for as long as the leeway lasts.
    pub fn may_stay(&self) -> Result<()> {
        match self.expires_ms() {
            Some(at_ms) if at_ms <= self.now_ms() => Err(Error::new(
                Code::TokenExpired,
                "the token has expired, and a live read ends with its token",
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// What to judge it by now.
    fn judge(&self) -> Result<Judge> {
        let (number, settings) = self.hub.settings.numbered();
        let identity = settings.keys.renew(&self.identity)?;
        Ok(Judge { settings, number, identity })
    }

    /// Waits for what cuts a request short whose body is still arriving: the node drains, or the token is
    /// revoked, or its credentials would be accepted no more.
    pub async fn cut(&self) -> Error {
        let expired = async {
            let Identity::Client(client) = &self.identity else { return pending().await };
            loop {
                match client.refused_ms().saturating_sub(self.now_ms()) {
                    0 => return,
                    left_ms => tokio::time::sleep(Duration::from_millis(left_ms)).await,
                }
            }
        };
        let error = tokio::select! {
            () = self.hub.drained() => Error::new(Code::Draining, "this node is shutting down"),
            () = self.revoked() => {
                Error::new(Code::TokenExpired, "the token was revoked before the body had arrived")
            }
            () = expired => Error::new(Code::TokenExpired, "the token expired before the body had arrived"),
            () = self.hub.settings.refused(&self.identity) => {
                let detail = "the credentials were accepted no more before the body had arrived";
                Error::new(Code::TokenExpired, detail)
            }
        };
        error.stored(Stored::No)
    }

    async fn revoked(&self) {
        match &self.identity {
            Identity::Client(client) => self.hub.revocations.revoked(client).await,
            Identity::Anonymous | Identity::Backend(_) => pending().await,
        }
    }

    /// Refuses tokens from now on, until a time in milliseconds since the Unix epoch (30 days from now where
    /// none is given, 366 at most), and ends the live reads that they opened. Needs the right to administer.
    pub async fn revoke(&self, whom: Whom, until_ms: Option<u64>) -> Result<Revoked> {
        self.may_administer()?;
        self.hub.revocations.revoke(whom, until_ms).await
    }

    /// What to call the client where it is noted who did something: the name of its key, or how its hash begins.
    pub fn who(&self) -> String {
        match &self.identity {
            Identity::Anonymous => "nobody".to_owned(),
            Identity::Backend(backend) => backend.label(),
            Identity::Client(_) => "a token".to_owned(),
        }
    }

    /// Checks the right to administer: an API key that has it.
    pub fn may_administer(&self) -> Result<()> {
        Settings::may_administer(&self.judge()?.identity)
    }

    /// Creates a channel, or gives one that is there other terms. Needs the right to administer.
    pub async fn create(&self, channel: &Channel, terms: Terms) -> Result<Created> {
        let Judge { settings, identity, .. } = self.judge()?;
        let rules = settings.may_keep(&identity, channel)?.rules();
        Ok(answer(self.hub.broker.create(channel, terms, &rules)).await?)
    }

    /// How much the namespace of a channel keeps.
    pub fn retain(&self, channel: &Channel) -> Result<Retain> {
        Ok(self.hub.settings.get().policy.of(channel)?.retain)
    }

    /// Deletes a channel, with all that is in it; its readers are told by a gap. False where there was
    /// none. Needs the right to administer.
    pub async fn delete(&self, channel: &Channel) -> Result<bool> {
        let Judge { settings, identity, .. } = self.judge()?;
        let rules = settings.may_keep(&identity, channel)?.rules();
        Ok(answer(self.hub.broker.delete(channel, &rules)).await?)
    }

    /// Checks the right to publish to a channel.
    pub fn writer(&self, channel: &Channel) -> Result<Writer> {
        Writer::new(self, channel)
    }

    /// Checks the right to read all of these channels, or says which one is refused.
    pub fn may_read(&self, channels: &[Channel]) -> Result<()> {
        let Judge { settings, identity, .. } = self.judge()?;
        channels.iter().try_for_each(|channel| settings.may_subscribe(&identity, channel).map(drop))
    }

    /// Joins the live tails of channels. What was acknowledged to a publisher before this returns comes, or is covered by the cursor.
    pub async fn follow(&self, want: Want) -> Result<Subscription> {
        let places = self.find(want).await?;
        let mut subscription = self.subscription(places.len())?;
        for place in places {
            self.join(&mut subscription, place)?;
        }
        Ok(subscription)
    }

    /// A subscription to nothing yet, with room for so many channels.
    pub fn subscription(&self, channels: usize) -> Result<Subscription> {
        if self.hub.is_draining() {
            return Err(Error::new(Code::Draining, "this node is shutting down"));
        }
        let mut subscription = Subscription::new(self.hub.clone(), channels);
        self.take_over(&mut subscription)?;
        Ok(subscription)
    }

    /// Makes a live read this session's: it ends with its token, and counts for its user.
    pub fn take_over(&self, subscription: &mut Subscription) -> Result<()> {
        if subscription.user() != self.user() {
            subscription.sits_on(self.seat()?);
            let settings = self.hub.settings.get();
            // Who was nobody until now is somebody in each channel that it reads.
            subscription.enter(|channel| {
                let namespace = settings.policy.of(channel).ok()?;
                self.enter(channel, &namespace)
            });
        }
        subscription.ends_with(self);
        Ok(())
    }

    /// A place among the live reads of the user.
    fn seat(&self) -> Result<Option<Seat<Arc<str>>>> {
        let Identity::Client(client) = &self.identity else { return Ok(None) };
        let Some(user) = &client.user else { return Ok(None) };
        let most = self.hub.settings.get().limits.user_connections;
        self.hub.seats.take(user.clone(), most).map(Some).ok_or_else(|| {
            Error::new(Code::TooManyConnections, format!("this user has {most} live reads already"))
        })
    }

    /// What ends a live read, beside its time: that its token is revoked.
    fn watch_revocations(&self, bell: &Arc<Bell>) -> Option<Watch> {
        match &self.identity {
            Identity::Client(client) => Some(self.hub.revocations.watch(bell, client)),
            Identity::Anonymous | Identity::Backend(_) => None,
        }
    }

    /// Joins the live tail of one more channel, from the place that [`Session::find`] found, and
    /// gives the number of its reader.
    pub fn join(&self, subscription: &mut Subscription, place: Place) -> Result<u32> {
        let member = self.enter(&place.channel, &place.namespace);
        subscription.join(place, member).ok_or_else(|| {
            Error::new(Code::TooManyChannels, "this connection reads as many channels as it may")
        })
    }

    /// Counts a request of a long-poll that was answered at once as presence, until some time after it.
    pub fn linger(&self, channels: &[Channel]) {
        let settings = self.hub.settings.get();
        for channel in channels {
            if let Ok(namespace) = settings.policy.of(channel)
                && let Some(mut member) = self.enter(channel, &namespace)
            {
                member.linger();
            }
        }
    }

    /// Who is in a channel.
    pub async fn presence(&self, channel: &Channel) -> Result<Roster> {
        self.may_see_presence(channel)?;
        self.hub.presence.roster(channel).await
    }

    fn may_see_presence(&self, channel: &Channel) -> Result<()> {
        let Judge { settings, identity, .. } = self.judge()?;
        match settings.may_subscribe(&identity, channel)?.presence {
            true => Ok(()),
            false => {
                Err(Error::new(Code::PresenceOff, format!("the namespace of `{channel}` keeps no presence")))
            }
        }
    }

    fn enter(&self, channel: &Channel, namespace: &Namespace) -> Option<crate::presence::Member> {
        match &self.identity {
            Identity::Client(client) if namespace.presence => self.hub.presence.enter(channel, client),
            _ => None,
        }
    }
}
