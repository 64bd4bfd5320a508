//! The node that a run starts itself: a process of this very binary, in a folder of its own.

use std::fs::{self, DirBuilder, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::cli::Failure;
use crate::cli::server::{Fsync, Server, nats, redis};
use crate::client::{Endpoint, generated_id};
use crate::proxy::{Path as Link, Upstream};

/// A node that does not answer so long after its start will not.
const START_MAX: Duration = Duration::from_secs(20);

/// A node that was told to end has its `shutdown_grace`, and some time more.
const END_MAX: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Messages of `brief` that are kept, so that who is away for some seconds misses some, and is told so.
const BRIEF: u32 = 100;

/// What keeps the messages of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broker {
    /// Its process. A new start forgets, and every reader must be told a gap `epoch`
    Memory,
    /// Files. A new start forgets nothing
    Disk,
    /// A Redis server of its own, or that of --redis. A new start of the node forgets nothing
    Redis,
    /// A NATS server of the run. A new start forgets nothing
    Nats,
}

/// What a run starts: what keeps its messages, and how many nodes share that.
#[derive(Debug)]
pub struct Kept {
    /// The kind.
    pub broker: Broker,
    /// Nodes; more than one only where they can share a broker.
    pub nodes: usize,
    /// The Redis server to use, if one is given.
    pub redis: Option<String>,
    /// The program of a NATS server.
    pub nats_server: PathBuf,
}

/// A node that runs, or is about to run again. It is killed, and its folder removed, when this is dropped.
#[derive(Debug)]
pub struct Node {
    process: Option<Child>,
    address: SocketAddr,
    folder: PathBuf,
    key: String,
    /// What keeps the messages, where that is started for the run as well.
    server: Option<Server>,
    /// Its way to that server, and how it calls it.
    link: Option<Link>,
    broker_url: Option<String>,
    /// Whether the folder goes with it: the others of a run have that of the first.
    owns_folder: bool,
}

impl Broker {
    /// Whether several nodes can share it.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Redis | Self::Nats)
    }
}

impl Node {
    /// The channels that a run has on such a node.
    pub const CHANNELS: [&str; 4] = ["kept:1", "kept:2", "brief:1", "passing:1"];

    /// Starts the nodes of a run, the one that keeps the folder first.
    ///
    /// # Errors
    ///
    /// What a node itself says, if it does not start.
    pub async fn all(kept: &Kept) -> anyhow::Result<Vec<Self>> {
        let mut nodes = vec![Self::new(kept).await?];
        let server = nodes[0].server.as_ref().map(Server::address);
        while nodes.len() < kept.nodes {
            let another = nodes[0].another(kept.broker, server).await?;
            nodes.push(another);
        }
        Ok(nodes)
    }

    async fn new(kept: &Kept) -> anyhow::Result<Self> {
        let id = generated_id()?;
        let folder = std::env::temp_dir().join(format!("tidings-verify-{id}"));
        DirBuilder::new().mode(0o700).create(&folder)?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let key = format!("sk_verify_{id}");
        let mut node = Self::at(address, folder, key);
        node.owns_folder = true;
        let broker = node.start_broker(kept, &id).await?;
        node.connect(kept.broker, node.server.as_ref().map(Server::address)).await?;
        fs::write(node.folder.join("tidings.toml"), node.configuration(&broker))?;
        node.start().await?;
        Ok(node)
    }

    /// One that does not run yet.
    fn at(address: SocketAddr, folder: PathBuf, key: String) -> Self {
        let (server, link, broker_url) = (None, None, None);
        Self { process: None, address, folder, key, server, link, broker_url, owns_folder: false }
    }

    /// Gives it a way of its own to the server that was started for the run.
    async fn connect(&mut self, broker: Broker, server: Option<SocketAddr>) -> anyhow::Result<()> {
        let Some(server) = server else { return Ok(()) };
        let there = Endpoint::new(Url::parse(&format!("http://{server}"))?, None)?;
        let link = Link::open(Upstream::new(vec![there]), None).await?;
        let scheme = if broker == Broker::Nats { "nats" } else { "redis" };
        self.broker_url = Some(format!("{scheme}://{}", link.address()));
        self.link = Some(link);
        Ok(())
    }

    /// Starts another one, which is configured alike.
    async fn another(&self, broker: Broker, server: Option<SocketAddr>) -> anyhow::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let (folder, key) = (self.folder.clone(), self.key.clone());
        let mut node = Self::at(address, folder, key);
        node.connect(broker, server).await?;
        node.start().await?;
        Ok(node)
    }

    /// Starts what keeps the messages, if it is a process of its own. Gives it as `[broker]` names it.
    async fn start_broker(&mut self, kept: &Kept, id: &str) -> anyhow::Result<String> {
        Ok(match kept.broker {
            Broker::Memory => "kind = \"memory\"".to_owned(),
            Broker::Disk => "kind = \"disk\"\npath = \"state\"".to_owned(),
            Broker::Redis => {
                let url = match &kept.redis {
                    Some(url) => url.clone(),
                    None => {
                        format!("redis://{}", self.serve(redis::start(&self.folder, Fsync::Always).await?))
                    }
                };
                let url = toml::Value::String(url);
                format!("kind = \"redis\"\nprefix = \"verify-{id}:\"\nurl = {url}")
            }
            Broker::Nats => {
                let address = self.serve(nats::start(&kept.nats_server, &self.folder).await?);
                format!("kind = \"nats\"\nurl = \"nats://{address}\"")
            }
        })
    }

    fn serve(&mut self, server: Server) -> SocketAddr {
        self.server.insert(server).address()
    }

    /// The server that was started with it, for whom it then runs.
    pub fn take_server(&mut self) -> Option<Server> {
        self.server.take()
    }

    /// Its way to that server, on which faults can happen. It ends with what is given.
    pub fn take_link(&mut self) -> Option<Link> {
        self.link.take()
    }

    /// As whom a run asks it.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::new`].
    pub fn endpoint(&self) -> anyhow::Result<Endpoint> {
        Ok(Endpoint::new(Url::parse(&format!("http://{}", self.address))?, Some(&self.key))?)
    }

    /// Starts it again, at the same address, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// What it says, if it ends instead.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let process = Command::new(std::env::current_exe()?)
            .args(["serve", "--config", "tidings.toml", "--listen", &self.address.to_string()])
            .current_dir(&self.folder)
            // A node of its own: no variable that is meant for another may configure it.
            .env_clear()
            .envs(self.broker_url.as_ref().map(|url| ("TIDINGS_BROKER__URL", url)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.process = Some(process);
        let begun = Instant::now();
        while !self.is_ready().await {
            let ended = self.ended()?;
            if ended || begun.elapsed() > START_MAX {
                return Err(self.refusal(ended).into());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    ///
    /// If the system does not let it.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// SIGTERM, and its end.
    ///
    /// # Errors
    ///
    /// If it does not end within 20 seconds.
    pub async fn terminate(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        let begun = Instant::now();
        while !self.ended()? {
            if begun.elapsed() > END_MAX {
                return Err(Failure::new(
                    "the node did not end within 20 seconds of SIGTERM",
                    "run `tidings serve` and stop it by hand: this is a fault of the server",
                )
                .into());
            }
            sleep(LOOK).await;
        }
        self.process = None;
        Ok(())
    }

    /// Lets it stand still.
    ///
    /// # Errors
    ///
    /// If the system does not let it.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// If the system does not let it.
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        if let Some(process) = &self.process {
            kill_process(Pid::from_child(process), signal)?;
        }
        Ok(())
    }

    fn ended(&mut self) -> anyhow::Result<bool> {
        Ok(match &mut self.process {
            Some(process) => process.try_wait()?.is_some(),
            None => true,
        })
    }

    async fn is_ready(&self) -> bool {
        let asking = async {
            let mut socket = TcpStream::connect(self.address).await?;
            let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
            socket.write_all(request.as_bytes()).await?;
            let mut answer = [0; 12];
            socket.read_exact(&mut answer).await?;
            std::io::Result::Ok(&answer == b"HTTP/1.1 200")
        };
        timeout(Duration::from_secs(1), asking).await.is_ok_and(|ready| ready.unwrap_or(false))
    }

    /// The node's own words for why it does not run.
    fn refusal(&self, ended: bool) -> Failure {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let find =
            |start: &str| log.lines().rev().find_map(|line| line.strip_prefix(start)).map(str::to_owned);
        let what = find("error: ").or_else(|| log.lines().last().map(str::to_owned)).unwrap_or_default();
        let how = if ended { "ended" } else { "was not ready within 20 seconds" };
        let advice = find("try: ").unwrap_or_else(|| "run `tidings serve` by hand, and give --url".into());
        Failure::new(format!("the node of this run {how}: {what}"), advice)
    }

    fn configuration(&self, broker: &str) -> String {
        let key = &self.key;
        format!(
            r#"
heartbeat = "1s"
max_lag = "10s"
shutdown_grace = "2s"
[broker]
{broker}
[auth]
api_keys = ["{key}"]
[namespaces.kept]
delivery = "at-least-once"
retain = {{ messages = 1000000, age = "24h" }}
[namespaces.brief]
delivery = "at-least-once"
retain = {{ messages = {BRIEF}, age = "24h" }}
[namespaces.passing]
delivery = "at-most-once"
"#
        )
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already; either way there is nothing more to do about it.
        let _ = self.kill();
        self.server = None;
        if self.owns_folder {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
