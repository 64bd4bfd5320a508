//! A redis-server of a test's own, on a free port, in a folder of its own.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A server, and what it was started with, so that it can be started again.
pub struct Server {
    child: Option<Child>,
    arguments: Vec<String>,
    pub port: u16,
    pub folder: TempDir,
}

/// The binary: that of the environment's `REDIS_SERVER`, or `redis-server`, or `valkey-server`.
pub fn binary() -> Option<PathBuf> {
    // The environment belongs to config/env.rs in the server; a test is told here which Redis to use.
    #[allow(clippy::disallowed_methods, reason = "a test may be told which server to use")]
    let chosen = std::env::var("REDIS_SERVER").ok();
    let candidates = chosen.into_iter().chain(["redis-server".into(), "valkey-server".into()]);
    let runs =
        |name: &String| Command::new(name).arg("--version").output().is_ok_and(|it| it.status.success());
    candidates.into_iter().find(runs).map(PathBuf::from)
}

/// Whether there is a server to test with. In CI there must be.
pub fn is_there() -> bool {
    if binary().is_some() {
        return true;
    }
    // The same, to know whether this is CI, where nothing may be skipped.
    #[allow(clippy::disallowed_methods, reason = "CI must not skip")]
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!is_ci, "there is no redis-server; run scripts/setup-tests");
    let _ =
        writeln!(std::io::stderr(), "SKIP: the Redis broker needs a redis-server; run scripts/setup-tests");
    false
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// A server that keeps nothing over a restart.
    pub fn volatile() -> Self {
        Server::start(&["--save", "", "--appendonly", "no"])
    }

    /// A server that keeps what it answered over a kill.
    pub fn durable() -> Self {
        Server::start(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
    }

    pub fn start(arguments: &[&str]) -> Self {
        Server::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    /// A server in a folder that holds something already.
    pub fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Server { child: None, arguments, port: free_port(), folder };
        server.again();
        server
    }

    /// Starts it, on the same port and with what is in its folder.
    pub fn again(&mut self) {
        let path = self.folder.path().join("log");
        let log = std::fs::File::options().create(true).append(true).open(path).unwrap();
        let child = Command::new(binary().unwrap())
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--dir", self.folder.path().to_str().unwrap(), "--repl-diskless-sync-delay", "0"])
            .args(["--enable-debug-command", "yes"])
            .args(&self.arguments)
            .stdout(Stdio::from(log))
            .stdin(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        for _ in 0..100 {
            if self.tell(&["PING"]).contains("PONG") || self.tell(&["PING"]).contains("NOAUTH") {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("redis-server does not start: {}", self.log());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The answer to a command, as redis-cli prints it.
    pub fn tell(&self, command: &[&str]) -> String {
        cli(self.port, command)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends it without a word, as a power failure would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            self.tell(&["SHUTDOWN"]);
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The answer of the server at a port to a command.
pub fn cli(port: u16, command: &[&str]) -> String {
    let port = port.to_string();
    let output = Command::new("redis-cli").args(["-h", "127.0.0.1", "-p", &port]).args(command).output();
    let output = output.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Waits until something holds.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..300 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 15 s");
}
