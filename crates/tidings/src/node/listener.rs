//! Accepting connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tidings_doors::http::accepted::{Accepted, Hold};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::config::Config;

use super::admission::{Admission, Pace, Place};
use super::certificates::Certificates;
use super::proxy_header;
use super::settings::{connections_max, connections_of, times};

/// A bound socket.
pub(super) struct Listener {
    inner: TcpListener,
    address: SocketAddr,
}

/// How the connections of a listener are served: by the configuration that is in force when they begin.
pub(super) struct Serving {
    pub(super) router: Router,
    /// What it speaks TLS with, while there is one.
    pub(super) certificates: Option<Certificates>,
    pub(super) admission: Admission,
    /// Whether it is for clients, who may come through a proxy.
    pub(super) is_public: bool,
    pub(super) config: watch::Receiver<Arc<Config>>,
    pub(super) drain: Arc<watch::Sender<bool>>,
}

/// What the kernel holds of a connection that was not sent yet, at most. Its own bound is megabytes, which a
/// thousand readers that stop would fill the machine with; and it calls a full socket writable again only once a
/// third of that is gone, so that a reader of ten kilobytes a second would seem to take nothing for a minute.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 128 * 1024;
/// Connections that wait to be accepted; a crowd that comes back at once must not be refused.
const BACKLOG: u32 = 4_096;
/// When the process has no file left, others must close first.
const FULL_PAUSE: Duration = Duration::from_millis(50);

impl Listener {
    /// Binds; a restarted node gets its port back at once.
    pub(super) fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let bound = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            // Sockets that are accepted have it from the one that listens.
            #[cfg(target_os = "linux")]
            socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES)?;
            let inner = socket.listen(BACKLOG)?;
            let address = inner.local_addr()?;
            std::io::Result::Ok(Listener { inner, address })
        };
        bound().with_context(|| format!("cannot listen on {address}"))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections while the process lives. A node that drains still
    /// accepts, to say so: to a load balancer that asks, and to clients that come too late.
    pub(super) fn serve(self, serving: Serving) {
        tokio::spawn(async move { self.accept(Arc::new(serving)).await });
    }

    async fn accept(&self, serving: Arc<Serving>) {
        let mut pace = Pace::new();
        loop {
            match self.inner.accept().await {
                Ok((stream, from)) => {
                    // Who finds no place at all is closed at once.
                    let config = serving.config.borrow().clone();
                    if let Some(place) = serving.admission.place(connections_max(&config)) {
                        tokio::spawn(serving.clone().connection(stream, from, place, config));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(FULL_PAUSE).await;
                }
            }
            let each_second = serving.config.borrow().limits.accept_rate;
            pace.wait(each_second).await;
        }
    }
}

impl Serving {
    async fn connection(
        self: Arc<Self>,
        mut stream: TcpStream,
        from: SocketAddr,
        place: Place,
        config: Arc<Config>,
    ) {
        // Without it a message waits for the acknowledgement of the one before. A socket that is gone already needs none.
        let _ = stream.set_nodelay(true);
        let (proxies, times) = (config.proxy.proxies(), times(&config));
        let has_header = self.is_public && config.proxy.protocol;
        if has_header && !proxies.trusted.is_empty() && !proxies.trusts(from.ip()) {
            tracing::debug!("a connection that is of no proxy");
            return;
        }
        let client = proxy_header::client(&mut stream, from, has_header);
        let address = match tokio::time::timeout(times.head, client).await {
            Ok(Ok(address)) => address,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a connection is closed");
                return;
            }
            Err(_) => {
                tracing::debug!("a PROXY header took too long");
                return;
            }
        };
        let most = connections_of(&config, address);
        drop(config);
        let Some((peer, places)) = self.admission.admit(place, address, most, &proxies) else { return };
        let hold = Hold { drain: self.drain.subscribe(), places: Box::new(places) };
        let accepted = Accepted { router: self.router.clone(), peer, times, hold };
        match self.certificates.as_ref().and_then(Certificates::current) {
            None => tidings_doors::serve(stream, accepted).await,
            Some(tls) => tidings_doors::serve_tls(stream, tls, accepted).await,
        }
    }
}
