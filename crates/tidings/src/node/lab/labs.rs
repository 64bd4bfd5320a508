//! The labs of a node: few, and none that nobody looks at.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tidings_core::log::Terms;
use tidings_core::{Channel, Clock, Code, Credentials, Error, Hub, Result, Retain, Session};
use url::Url;

use crate::client::Endpoint;
use crate::proxy::Upstream;

use super::bench::Bench;
use super::publisher::Publisher;
use super::wish::{Opening, Publishing};

/// The labs that are open.
pub(super) struct Labs {
    hub: Hub,
    clock: Clock,
    /// Where this node is reached from this machine.
    node: SocketAddr,
    open: Arc<Open>,
}

type Open = Mutex<BTreeMap<String, Arc<Bench>>>;

/// Labs that are open at once.
const LABS_MAX: usize = 4;
/// One that nobody looks at for so long ends, with its channel.
const UNSEEN_MAX: Duration = Duration::from_secs(30);
/// One that nobody looks at for so long makes room for another: a page that is there looks each half second.
const LEFT: Duration = Duration::from_secs(5);
/// How often to see whether one has ended.
const SWEEP: Duration = Duration::from_secs(1);
/// What a channel of a lab keeps: two minutes at 200 messages a second.
const KEPT: Retain = Retain { messages: 24_000, age_ms: 120_000 };
/// If the node is killed, nobody deletes the channels of its labs.
const TTL_MS: u64 = 600_000;

impl Labs {
    pub(super) fn new(hub: Hub, clock: Clock, address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self { hub, clock, node: SocketAddr::new(ip, address.port()), open: Arc::default() }
    }

    /// Opens a lab, or finds the one that is named. Ports that are named are taken if they can be.
    pub(super) async fn open(self: &Arc<Self>, opening: Opening) -> Result<Value> {
        let id = match opening.id {
            Some(id) if is_id(&id) => id,
            Some(_) => return Err(Error::new(Code::BadJson, "`id` is not 8 characters of 0-9 and a-f")),
            None => format!("{:08x}", getrandom::u32().unwrap_or_default()),
        };
        if let Ok(bench) = self.find(&id) {
            return Ok(bench.status());
        }
        self.make_room()?;
        let publishing = opening.publish.unwrap_or(Publishing::USUAL).checked()?;
        let name = format!("durable:lab-{id}");
        let channel =
            Channel::parse(&name).map_err(|error| Error::new(Code::BadChannel, error.to_string()))?;
        let session = self.hub.open(std::slice::from_ref(&channel), &Credentials::None)?;
        session.create(&channel, Terms { retain: Some(KEPT), ttl_ms: Some(TTL_MS) }).await?;
        let stored = Arc::new(Publisher::newest(&session, &channel).await?.into());
        let publisher = Publisher { session: session.clone(), channel, clock: self.clock.clone(), stored };
        let bench = Bench::open(id.clone(), publisher, &self.upstream()?, &opening.ports, publishing).await;
        let bench = bench.map_err(|error| {
            let detail = format!("a lane cannot listen where it was ({error}); open it without `ports`");
            Error::new(Code::Overloaded, detail).after(500)
        })?;
        let bench = Arc::new(bench);
        let mut open = self.open.lock();
        // Two may ask for the same at once, and one of them was first.
        let bench = open.entry(id.clone()).or_insert(bench).clone();
        drop(open);
        tokio::spawn(watch(Arc::downgrade(&self.open), id, session));
        Ok(bench.status())
    }

    /// The lab of an id, which is looked at by that.
    pub(super) fn find(&self, id: &str) -> Result<Arc<Bench>> {
        let bench = self.open.lock().get(id).cloned().ok_or_else(unknown)?;
        bench.look();
        Ok(bench)
    }

    /// Ends a lab; its channel goes with it.
    pub(super) fn end(&self, id: &str) -> Result<()> {
        let bench = self.open.lock().remove(id).ok_or_else(unknown)?;
        let session = self.hub.open(std::slice::from_ref(bench.channel()), &Credentials::None)?;
        tokio::spawn(async move { forget(&bench, &session).await });
        Ok(())
    }

    /// Ends a lab that nobody looks at, if there are as many as there may be.
    fn make_room(&self) -> Result<()> {
        let (oldest, count) = {
            let open = self.open.lock();
            let oldest = open.iter().max_by_key(|(_, bench)| bench.unseen());
            (oldest.map(|(id, bench)| (id.clone(), bench.unseen())), open.len())
        };
        match oldest {
            Some((id, unseen)) if count >= LABS_MAX && unseen >= LEFT => self.end(&id),
            Some(_) if count >= LABS_MAX => {
                let detail = format!("{LABS_MAX} labs are open at once; close one of their pages");
                Err(Error::new(Code::Overloaded, detail).after(5_000))
            }
            _ => Ok(()),
        }
    }

    fn upstream(&self) -> Result<Upstream> {
        let url = Url::parse(&format!("http://{}", self.node)).ok();
        let endpoint = url.and_then(|url| Endpoint::new(url, None).ok());
        let endpoint =
            endpoint.ok_or_else(|| Error::new(Code::Overloaded, "the lab cannot reach its node"))?;
        Ok(Upstream::new(vec![endpoint]))
    }
}

/// Waits until nobody looks at a lab any more, and ends it.
async fn watch(open: Weak<Open>, id: String, session: Session) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(open) = open.upgrade() else { return };
        let bench = {
            let mut open = open.lock();
            match open.get(&id) {
                None => return,
                Some(bench) if bench.unseen() < UNSEEN_MAX => continue,
                Some(_) => open.remove(&id),
            }
        };
        if let Some(bench) = bench {
            forget(&bench, &session).await;
        }
        return;
    }
}

/// Deletes the channel of a lab. Where that fails, its time to live ends it.
async fn forget(bench: &Bench, session: &Session) {
    if let Err(error) = session.delete(bench.channel()).await {
        tracing::debug!(%error, "the channel of a lab is not deleted");
    }
}

fn is_id(id: &str) -> bool {
    id.len() == 8 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn unknown() -> Error {
    Error::new(Code::NotFound, "no lab of this id is open; open it again with POST /dev/lab")
}
