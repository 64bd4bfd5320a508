//! Accepting connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use super::certificates::Certificates;

/// A bound socket.
pub(super) struct Listener {
    inner: TcpListener,
    address: SocketAddr,
}

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
    pub(super) fn serve(
        self,
        router: Router,
        certificates: Option<Certificates>,
        drain: Arc<watch::Sender<bool>>,
    ) {
        tokio::spawn(async move { self.accept(router, certificates, &drain).await });
    }

    async fn accept(&self, router: Router, certificates: Option<Certificates>, drain: &watch::Sender<bool>) {
        loop {
            match self.inner.accept().await {
                Ok((stream, _)) => {
                    // Without it a message waits for the acknowledgement of the one before. A socket that is gone already needs none.
                    let _ = stream.set_nodelay(true);
                    let (router, drain) = (router.clone(), drain.subscribe());
                    match &certificates {
                        None => tokio::spawn(tidings_doors::serve(stream, router, drain)),
                        Some(certificates) => {
                            let config = certificates.current();
                            tokio::spawn(tidings_doors::serve_tls(stream, config, router, drain))
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
