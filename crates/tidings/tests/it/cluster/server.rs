//! The server of a broker, of a test's own.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A server that ends with the test.
pub struct Server {
    kind: &'static str,
    port: u16,
    process: Child,
    _folder: TempDir,
}

impl Server {
    /// A redis-server or valkey-server. None where there is none.
    pub fn redis() -> Option<Self> {
        let program = first(&["redis-server".into(), "valkey-server".into()]);
        let Some(program) = program else { return missing("redis-server") };
        Some(Self::start("redis", |port, folder| {
            let mut command = Command::new(&program);
            command
                .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"])
                .arg(folder);
            command
        }))
    }

    /// The nats-server that `scripts/setup-tests` builds. None where there is none.
    pub fn nats() -> Option<Self> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tests");
        if tests.join("no-nats").exists() {
            let _ = writeln!(
                std::io::stderr(),
                "note: two nodes on NATS are not tested: it cannot be built here"
            );
            return None;
        }
        let Some(program) = first(&[tests.join("bin/nats-server")]) else { return missing("nats-server") };
        Some(Self::start("nats", |port, folder| {
            let mut command = Command::new(&program);
            command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(folder);
            command
        }))
    }

    fn start(kind: &'static str, command: impl Fn(u16, &Path) -> Command) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(port, folder.path());
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { kind, port, process, _folder: folder };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server of {kind} does not start");
    }

    /// What a configuration calls it.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.kind, self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The first of these programs that runs.
fn first(programs: &[PathBuf]) -> Option<PathBuf> {
    let runs = |program: &&PathBuf| Command::new(program).arg("--version").output().is_ok();
    programs.iter().find(runs).cloned()
}

/// Says that it is missing. In CI nothing may be skipped.
fn missing(program: &str) -> Option<Server> {
    // To know whether this is CI.
    #[allow(clippy::disallowed_methods, reason = "CI must not skip")]
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!is_ci, "there is no {program}; run scripts/setup-tests");
    let _ = writeln!(std::io::stderr(), "SKIP: two nodes need a {program}; run scripts/setup-tests");
    None
}
