//! The well-behaved: readers of both kinds, a publisher at a steady rate, and how long messages take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use serde::Serialize;

use super::super::latency::Histogram;
use super::super::load::{Goal, Load};
use super::super::plan::{Plan, Server};
use super::super::progress::Progress;
use super::super::stream::Transport;

/// Messages a second on the channel of each kind.
const RATE: f64 = 10.0;
/// A message of these is what a small JSON object is.
const BYTES: usize = 128;
/// Messages under way at once before the publisher waits: three seconds of them.
const WINDOW: usize = 30;

/// Readers and publishers that do as they should.
#[derive(Debug)]
pub struct Beside {
    loads: Vec<Load>,
}

/// How long messages took to arrive.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half of all deliveries took no longer.
    pub p50_ms: f64,
    /// Of a hundred deliveries ninety-nine took no longer.
    pub p99_ms: f64,
}

impl Beside {
    /// Connects half of them as WebSockets, half as event streams, each kind on a channel.
    pub fn connect(
        address: SocketAddr,
        key: &str,
        tls: Option<Arc<ClientConfig>>,
        clients: usize,
        progress: &mut Progress,
    ) -> anyhow::Result<Self> {
        let kinds = [(Transport::Ws, "beside:ws"), (Transport::Sse, "beside:sse")];
        let loads = kinds.into_iter().map(|(transport, channel)| {
            let mut server = Server::local(address, Some(key.to_owned()));
            server.tls = tls.clone();
            let plan = Plan {
                server,
                channels: vec![channel.to_owned()],
                subscribers: (clients / 2).max(1),
                window: WINDOW,
                bytes: BYTES,
                transport,
                deflate: false,
                paced: Some(RATE),
            };
            Load::connect(plan, progress)
        });
        Ok(Self { loads: loads.collect::<anyhow::Result<_>>()? })
    }

    /// Publishes and reads for so long, then until all has arrived.
    ///
    /// # Errors
    ///
    /// A message that is lost, comes twice or too late, or a connection that is closed.
    pub fn measure(&mut self, time: Duration) -> anyhow::Result<Latency> {
        let measured: Vec<anyhow::Result<()>> = std::thread::scope(|scope| {
            let run = |load: &mut Load| -> anyhow::Result<()> {
                load.reset();
                load.run(Goal::Time(time))?;
                load.run(Goal::Drained)
            };
            let threads: Vec<_> = self.loads.iter_mut().map(|load| scope.spawn(move || run(load))).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|end| end.unwrap_or_else(|_| Err(anyhow::anyhow!("a load panicked")))).collect()
        });
        measured.into_iter().collect::<anyhow::Result<()>>()?;
        let mut all = Histogram::new();
        self.loads.iter().for_each(|load| all.merge(&load.tally.latency));
        let ms = |q: f64| all.quantile(q).unwrap_or_default().as_secs_f64() * 1e3;
        Ok(Latency { p50_ms: ms(0.5), p99_ms: ms(0.99) })
    }

    /// Waits for what is under way, and proves that all saw the same messages in one order.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.loads.iter_mut().try_for_each(Load::finish)
    }
}
