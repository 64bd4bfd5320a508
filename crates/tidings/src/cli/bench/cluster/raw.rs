//! A raw client of the broker's server: what a message takes without Tidings, at the same durability.
//!
//! Redis: `XADD` with a bound and `PUBLISH` in one transaction, received by a subscription, both by the
//! blocking client. NATS: a publish into a stream of file storage that republishes, acknowledged, and received
//! by a plain subscription to what is republished.

use std::net::SocketAddr;

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use redis::{Connection, PubSub};
use tokio::runtime::Runtime;

use super::super::{clock, failure};
use super::Broker;

/// A publisher and a reader.
pub enum Raw {
    /// Of Redis.
    Redis { publisher: Connection, reader: Box<Connection>, payload: Vec<u8> },
    /// Of NATS.
    Nats { runtime: Runtime, publisher: Client, reader: Subscriber, payload: Bytes },
}

/// A stream of the same durability as those of Tidings.
const STREAM: &str = r#"{"name":"raw","subjects":["raw.log.>"],"storage":"file","num_replicas":1,
    "allow_direct":true,"discard":"new","republish":{"src":"raw.log.>","dest":"raw.live.>"}}"#;

/// Connects both.
pub fn connect(broker: Broker, server: SocketAddr, bytes: usize) -> anyhow::Result<Raw> {
    let payload = vec![b'x'; bytes];
    if broker == Broker::Redis {
        let client = redis::Client::open(format!("redis://{server}"))?;
        let mut reader = client.get_connection()?;
        reader.as_pubsub().subscribe("raw:topic")?;
        return Ok(Raw::Redis { publisher: client.get_connection()?, reader: Box::new(reader), payload });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (publisher, reader) = runtime.block_on(async {
        let publisher = async_nats::connect(format!("nats://{server}")).await?;
        publisher.request("$JS.API.STREAM.CREATE.raw", Bytes::from_static(STREAM.as_bytes())).await?;
        let other = async_nats::connect(format!("nats://{server}")).await?;
        let reader = other.subscribe("raw.live.one").await?;
        other.flush().await?;
        anyhow::Ok((publisher, reader))
    })?;
    Ok(Raw::Nats { runtime, publisher, reader, payload: payload.into() })
}

impl Raw {
    /// From before each message is sent to when it was received, in nanoseconds.
    pub fn measure(&mut self, count: u32) -> anyhow::Result<Vec<u64>> {
        let mut took = Vec::with_capacity(count as usize);
        match self {
            Raw::Redis { publisher, reader, payload } => {
                let mut reader: PubSub<'_> = reader.as_pubsub();
                reader.subscribe("raw:topic")?;
                for _ in 0..count {
                    let began = clock::shared_ns();
                    let mut step = redis::pipe();
                    step.atomic();
                    step.cmd("XADD").arg("raw:stream").arg("MAXLEN").arg(1_000).arg("*").arg("m");
                    step.arg(&payload[..]).ignore();
                    step.cmd("PUBLISH").arg("raw:topic").arg(&payload[..]).ignore();
                    step.exec(publisher)?;
                    reader.get_message()?;
                    took.push(clock::shared_ns() - began);
                }
            }
            Raw::Nats { runtime, publisher, reader, payload } => runtime.block_on(async {
                for _ in 0..count {
                    let began = clock::shared_ns();
                    let stored = publisher.request("raw.log.one", payload.clone());
                    let received = async { reader.next().await.map(|_| clock::shared_ns()) };
                    let (stored, received) = tokio::join!(stored, received);
                    stored?;
                    let received = received.ok_or_else(|| {
                        failure("the raw client lost its connection".into(), "look into the server's log")
                    })?;
                    took.push(received - began);
                }
                anyhow::Ok(())
            })?,
        }
        Ok(took)
    }
}
