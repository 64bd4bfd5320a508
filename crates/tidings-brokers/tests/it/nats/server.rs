//! A NATS server of a test's own, in a folder of its own.

use std::io::Read;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tidings_brokers::nats::{Nats, Options};
use tidings_core::Clock;
use tokio::time::Instant;

pub use crate::words::*;

/// A server that ends with the test.
pub struct Server {
    process: Option<Child>,
    program: PathBuf,
    pub port: u16,
    configuration: String,
    folder: TempDir,
}

/// Until a server that was started answers, or a broker is ready.
const START_MAX: Duration = Duration::from_secs(20);

impl Server {
    /// One with JetStream.
    pub fn start() -> Option<Self> {
        Self::with("jetstream { store_dir: STORE }")
    }

    /// One with this configuration, where `STORE` stands for a folder of its own. None where there is no server here.
    pub fn with(configuration: &str) -> Option<Self> {
        let mut server = Self::stopped(configuration)?;
        server.begin();
        Some(server)
    }

    /// One that does not run yet.
    pub fn stopped(configuration: &str) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        let store = format!("{:?}", folder.path().join("store"));
        let configuration = configuration.replace("STORE", &store);
        let mut server = Server { process: None, program, port: 0, configuration, folder };
        server.listen_at(free_port());
        Some(server)
    }

    /// Is at that port from its next start on.
    pub fn listen_at(&mut self, port: u16) {
        self.port = port;
        let configuration = format!("listen: 127.0.0.1:{port}\n{}\n", self.configuration);
        std::fs::write(self.folder.path().join("nats.conf"), configuration).unwrap();
    }

    /// Starts it, and waits until it answers.
    pub fn begin(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log"));
        let process = Command::new(&self.program)
            .arg("-c")
            .arg(self.folder.path().join("nats.conf"))
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        self.process = Some(process.unwrap());
        let began = Instant::now();
        while !self.answers() {
            assert!(began.elapsed() < START_MAX, "the server does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let _ = socket.set_read_timeout(Some(Duration::from_secs(2)));
        let mut begin = [0; 4];
        socket.read_exact(&mut begin).is_ok() && &begin == b"INFO"
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// `kill -STOP` or `kill -CONT`.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Where it stores.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A broker of it, which may not be ready.
    pub fn broker(&self) -> Nats {
        open(&self.url())
    }

    /// A broker of it that is ready.
    pub async fn ready(&self) -> Nats {
        let broker = self.broker();
        until_ready(&broker).await;
        broker
    }

    /// A plain client.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The server that `scripts/setup-tests` installs, or one of this machine that is new enough.
fn program() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tests/bin/nats-server");
    let named = std::env::var_os("NATS_SERVER").map(PathBuf::from);
    for program in named.into_iter().chain([own, "nats-server".into()]) {
        let Ok(said) = Command::new(&program).arg("--version").output() else { continue };
        let version = String::from_utf8_lossy(&said.stdout).to_string();
        let mut numbers = version.split(['v', '.', '-']).filter_map(|part| part.trim().parse::<u32>().ok());
        if (numbers.next(), numbers.next()) >= (Some(2), Some(12)) {
            return Some(program);
        }
    }
    let no_nats = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tests/no-nats");
    if let Ok(why) = std::fs::read_to_string(no_nats) {
        let _ = writeln!(std::io::stderr(), "note: the NATS broker is not tested: {why}");
        return None;
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "there is no nats-server 2.12 or newer; run scripts/setup-tests"
    );
    let _ =
        writeln!(std::io::stderr(), "SKIP: there is no nats-server 2.12 or newer; run scripts/setup-tests");
    None
}

pub fn open(url: &str) -> Nats {
    Nats::open(Clock::system(), &Options::new(url)).unwrap()
}
