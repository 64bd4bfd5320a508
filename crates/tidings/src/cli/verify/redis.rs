//! The Redis server that a run starts for its node, or is given.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::cli::Failure;

/// A server that keeps everything over its end. It is killed when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    address: SocketAddr,
}

/// A server that does not listen so long after its start will not.
const START_MAX: Duration = Duration::from_secs(10);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

impl RedisServer {
    /// Starts `redis-server`, or `valkey-server`, with its files in a folder.
    ///
    /// # Errors
    ///
    /// If neither is installed, or it does not start.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let start = |binary: &str| {
            Command::new(binary)
                .args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""])
                .args(["--appendonly", "yes", "--appendfsync", "always", "--logfile", "redis.log"])
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        };
        let missing = |error| {
            let what = format!("neither redis-server nor valkey-server can be started: {error}");
            Failure::new(what, "install one of them, or give --redis redis://HOST:PORT")
        };
        let process = start("redis-server").or_else(|_| start("valkey-server")).map_err(missing)?;
        let mut server = RedisServer { process, address };
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if server.process.try_wait()?.is_some() || begun.elapsed() > START_MAX {
                let advice = "start one by hand, and give --redis redis://HOST:PORT";
                return Err(Failure::new("the Redis server of this run does not start", advice).into());
            }
            sleep(LOOK).await;
        }
        Ok(server)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
