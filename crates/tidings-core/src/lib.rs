//! A channel is a log; this crate keeps it, and reads it one way.
//!
//! ```text
//! publisher ─► Session ─► Writer ─► Broker (trait) ─► log
//!                                      │ follow, once a node
//!                                    Feed: a ring of the newest messages, and the bells of those who wait
//!                                      │
//! client  ◄─ door ◄─ Subscription ◄─ Reader: a cursor that moves
//! ```
//!
//! A node starts a [`Hub`]; a door opens a [`Session`] with what the client
//! sent, and reads or writes through it:
//!
//! ```
//! # use std::sync::Arc;
//! # use tidings_core::broker::{Memory, MemoryLimits};
//! # use tidings_core::log::{Draft, Kind, Once, Payload, Start};
//! # use tidings_core::*;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Clock::system();
//! let limits = MemoryLimits { bytes: 1 << 30, idempotency_keys: 1_000_000 };
//! let (hub, _control) = Hub::start(Parts {
//!     broker: Arc::new(Memory::start(clock.clone(), limits, 7)),
//!     settings: Settings {
//!         policy: Policy::new([("default".into(), Namespace::new(Delivery::AtLeastOnce))]),
//!         keys: Keys::new(["sk_backend"], None),
//!         limits: Limits::default(),
//!     },
//!     clock,
//!     metrics: Arc::new(Metrics::new()),
//!     incarnation: 7,
//! });
//! let news = Channel::parse("news")?;
//! let session = hub.open(&[news.clone()], &Credentials::Bearer("sk_backend".into()))?;
//! let payload = Payload { kind: Kind::Text, bytes: "hello".into() };
//! let draft = Draft { id: "1".into(), once: Once::Id, event: None, key: None, payload, from: None };
//! session.writer(&news)?.append(vec![draft]).await.map_err(|stopped| stopped.error)?;
//! let want = Want { channels: vec![news], from: From::Earliest, consumer: None, default: Start::Latest };
//! let page = session.read(want, 100).await?;
//! assert_eq!(&page.messages[0].payload.bytes[..], b"hello");
//! # Ok(()) }
//! ```

pub mod broker;
mod clock;
mod cluster;
mod error;
mod feed;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hub;
mod limit;
mod live;
pub mod log;
mod metrics;
mod policy;
mod presence;
mod reader;
mod revocation;
mod session;
mod settings;

pub use clock::Clock;
pub use cluster::{ClientEntry, InUse, Own, ReaderEntry, Report, Roll, Whose};
pub use error::{Code, Error, Result, Retry, Stored};
pub use feed::{Entry, Slot};
pub use hub::{Control, Hub, Parts};
pub use limit::{Limits, Rate, Rates, Seat, Seats};
pub use live::Via;
pub use log::{Channel, ChannelError, Cursor, Retain};
pub use metrics::Metrics;
pub use policy::{Delivery, Namespace, Policy, Publish, Subscribe};
pub use presence::{Change, Present, Roster, Watcher};
pub use reader::Item;
pub use revocation::{Revoked, Whom};
pub use session::{
    ApiKey, Backend, Batch, Client, Consumer, Credentials, End, Fact, From, Identity, KeySet, Keys, NamedKey,
    Pace, Place, PublicKey, Read, Rights, Session, Stopped, Subscription, Tokens, Unusable, Want, WatchPlace,
    Watches, Writer,
};
pub use settings::Settings;
