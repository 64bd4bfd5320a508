//! Accepting connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use crate::config::Config;

use super::certificates::Certificates;

/// A bound socket.
pub(super) struct Listener {
    inner: TcpListener,
    address: SocketAddr,
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
    ///
    /// With a certificate it speaks TLS. Who takes nothing of an answer for `max_lag` is let go. Both are as
    /// they are when a connection begins.
    pub(super) fn serve(
        self,
        router: Router,
        certificates: Option<Certificates>,
        config: watch::Receiver<Arc<Config>>,
        drain: Arc<watch::Sender<bool>>,
    ) {
        tokio::spawn(async move { self.accept(router, certificates, config, &drain).await });
    }

    async fn accept(
        &self,
        router: Router,
        certificates: Option<Certificates>,
        config: watch::Receiver<Arc<Config>>,
        drain: &watch::Sender<bool>,
    ) {
        loop {
            match self.inner.accept().await {
                Ok((stream, _)) => {
                    // Without it a message waits for the acknowledgement of the one before. A socket that is gone already needs none.
                    let _ = stream.set_nodelay(true);
                    let (router, drain) = (router.clone(), drain.subscribe());
                    let max_lag = *config.borrow().max_lag;
                    match certificates.as_ref().and_then(Certificates::current) {
                        None => tokio::spawn(tidings_doors::serve(stream, router, max_lag, drain)),
                        Some(tls) => {
                            tokio::spawn(tidings_doors::serve_tls(stream, tls, router, max_lag, drain))
                        }
                    };
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(FULL_PAUSE).await;
                }
            }
        }
    }
}
