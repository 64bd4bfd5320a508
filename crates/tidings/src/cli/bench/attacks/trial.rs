//! One attack on one fresh node, with the well-behaved beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::super::certificate::Certificate;
use super::super::process::{Snapshot, resident_bytes};
use super::super::progress::Progress;
use super::arena::Arena;
use super::beside::Beside;
use super::jwks::Endpoint;
use super::list::{Attack, On};
use super::node::{self, KEY, SECRET};
use super::table::Row;
use super::tokens::Tokens;

/// How often memory is read during an attack.
const SAMPLE: Duration = Duration::from_millis(100);
/// The first seconds of a node are not like the others.
const WARM_UP: Duration = Duration::from_secs(2);

/// How to try attacks.
pub struct Trial<'a> {
    /// Where attackers run.
    pub attackers: &'a Runtime,
    /// For nodes with TLS.
    pub certificate: Option<&'a Certificate>,
    /// How long an attack lasts.
    pub time: Duration,
    /// The well-behaved.
    pub clients: usize,
}

impl Trial<'_> {
    /// Tries one.
    ///
    /// # Errors
    ///
    /// What keeps it from being tried; what the attack does is in the row.
    pub fn run(&self, attack: &Attack) -> anyhow::Result<Row> {
        let mut progress = Progress::new();
        progress.title(attack.name.to_owned());
        let certificate = self.certificate.filter(|_| matches!(attack.on, On::Tls));
        let endpoint = match attack.on {
            On::Keys(mood) => Some(self.attackers.block_on(Endpoint::start(mood))?),
            _ => None,
        };
        let jwks = endpoint.as_ref().map(|endpoint| format!("http://{}/", endpoint.address));
        let child = node::start(certificate, jwks)?;
        let tls = certificate.map(|made| made.client(None)).transpose()?;
        let mut beside = Beside::connect(child.address(), KEY, tls, self.clients, &mut progress)?;
        progress.show(format_args!("before"));
        beside.measure(WARM_UP)?;
        let mut row = Row::new(attack, beside.measure(self.time)?, resident_bytes(child.pid())?);
        progress.show(format_args!("attack"));
        let connector = certificate.map(|made| made.client(Some("h2"))).transpose()?.map(TlsConnector::from);
        let arena = {
            let _inside = self.attackers.enter();
            Arena::new(child.address(), self.time, connector, Tokens::new(SECRET)?)
        };
        let cpu = Snapshot::take(Some(child.pid()))?;
        let under_way = self.attackers.spawn((attack.run)(arena.clone()));
        let (during, peak) = with_peak(child.pid(), || beside.measure(self.time));
        row.peak_bytes = peak.max(row.before_bytes);
        row.used(&cpu.until_now()?);
        let whole = self.attackers.block_on(async { tokio::time::timeout(self.time, under_way).await });
        if !matches!(whole, Ok(Ok(()))) {
            row.failures.push("the attack itself did not end as it should".into());
        }
        row.tally(&arena.tally());
        if let Some(endpoint) = endpoint {
            row.fetches(endpoint.fetches());
        }
        progress.show(format_args!("after"));
        let after = during.and_then(|during| {
            row.during = Some(during);
            row.after = Some(beside.measure(self.time / 2)?);
            beside.finish()
        });
        if let Err(error) = after {
            row.failures.push(format!("beside it: {error}"));
        }
        row.after_bytes = resident_bytes(child.pid()).unwrap_or_default();
        row.judge();
        Ok(row)
    }
}

/// Does something, and says how much memory the process had meanwhile at most.
fn with_peak<T>(pid: u32, work: impl FnOnce() -> T) -> (T, u64) {
    let over = Arc::new(AtomicBool::new(false));
    let peak = Arc::new(AtomicU64::new(0));
    let sampler = std::thread::spawn({
        let (over, peak) = (over.clone(), peak.clone());
        move || {
            while !over.load(Ordering::Relaxed) {
                // A process that is gone is noticed by its clients.
                peak.fetch_max(resident_bytes(pid).unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(SAMPLE);
            }
        }
    });
    let done = work();
    over.store(true, Ordering::Relaxed);
    let _ = sampler.join();
    (done, peak.load(Ordering::Relaxed))
}
