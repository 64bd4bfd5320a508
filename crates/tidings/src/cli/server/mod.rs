//! A broker's server that a command starts for its nodes, and what happens to it.

pub mod nats;
pub mod redis;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::cli::Failure;

/// A server that keeps everything over its end. It is killed when this is dropped.
pub struct Server {
    name: &'static str,
    address: SocketAddr,
    spawn: Box<dyn Fn() -> io::Result<Child> + Send>,
    process: Child,
}

/// What a server of Redis writes down before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Each change, on the disk.
    Always,
    /// Nothing: it keeps all in memory.
    Never,
}

/// One that does not listen so long after its start will not.
const START_MAX: Duration = Duration::from_secs(10);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

impl Server {
    /// Starts it by `spawn`, as often as it has to be, and waits until it listens.
    ///
    /// # Errors
    ///
    /// If there is no such program, or it does not start.
    pub async fn start(
        name: &'static str,
        address: SocketAddr,
        spawn: impl Fn() -> io::Result<Child> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let missing = |error: io::Error| {
            Failure::new(
                format!("{name} cannot be started: {error}"),
                "install it, or name one: see tidings verify --help",
            )
        };
        let process = spawn().map_err(missing)?;
        let mut server = Self { name, address, spawn: Box::new(spawn), process };
        server.listens().await?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Lets it stand still for some time.
    ///
    /// # Errors
    ///
    /// If the system does not let it.
    pub async fn stall(&self, time: Duration) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.process), Signal::STOP)?;
        sleep(time).await;
        Ok(kill_process(Pid::from_child(&self.process), Signal::CONT)?)
    }

    /// `kill -9`, and after some time a new start.
    ///
    /// # Errors
    ///
    /// If it does not start again.
    pub async fn restart(&mut self, pause: Duration) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        sleep(pause).await;
        self.process = (self.spawn)()?;
        self.listens().await
    }

    async fn listens(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            if self.process.try_wait()?.is_some() || begun.elapsed() > START_MAX {
                let what = format!("the {} of this run does not start", self.name);
                return Err(Failure::new(what, "start one by hand, to see what it says").into());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.name).field("address", &self.address).finish()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; either way there is nothing more to do about it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
