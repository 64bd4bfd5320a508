//! A server that the benchmark starts, and ends with itself.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{clock, failure};

/// A server that does not answer for so long after its start will not.
const START_MAX: Duration = Duration::from_secs(15);

/// A child process that serves. It is killed, and its folder removed, when this is dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Child {
    /// A node: `tidings serve --dev` of this very binary, in a folder of its own.
    pub fn tidings() -> anyhow::Result<Self> {
        Self::start(&["serve", "--dev"], &[], "memory")
    }

    /// A node with this configuration, and the files that it names beside it.
    pub fn configured(configuration: &str, files: &[(&str, Vec<u8>)]) -> anyhow::Result<Self> {
        let mut files = files.to_vec();
        files.push(("tidings.toml", configuration.into()));
        Self::start(&["serve", "--config", "tidings.toml"], &files, "memory")
    }

    /// A node with this configuration, on a broker that several share: `redis` or `nats`.
    pub fn clustered(configuration: &str, broker: &str) -> anyhow::Result<Self> {
        let files = [("tidings.toml", configuration.into())];
        Self::start(&["serve", "--config", "tidings.toml"], &files, broker)
    }

    /// The bare loop, writing frames of so many bytes.
    pub fn floor(frame_bytes: usize, merge: bool) -> anyhow::Result<Self> {
        let length = frame_bytes.to_string();
        let mut args = vec!["bench", "floor", "--with-parent", "--frame-bytes", &length];
        if merge {
            args.push("--merge");
        }
        Self::start(&args, &[], "memory")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    fn start(args: &[&str], files: &[(&str, Vec<u8>)], broker: &str) -> anyhow::Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tidings-bench-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder)?;
        for (name, content) in files {
            fs::write(folder.join(name), content)?;
        }
        let log = File::create(folder.join("log"))?;
        let address = free_address()?;
        let process = Command::new(std::env::current_exe()?)
            .args(args)
            .args(["--listen", &address.to_string()])
            .current_dir(&folder)
            // Where nothing else is said, what is measured are deliveries, and not the disk.
            .env("TIDINGS_BROKER__KIND", broker)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut child = Self { process, address, folder };
        child.wait_until_alive(args)?;
        Ok(child)
    }

    fn wait_until_alive(&mut self, args: &[&str]) -> anyhow::Result<()> {
        let deadline = clock::now() + START_MAX;
        while !says(self.address, "/healthz") {
            let ended = self.process.try_wait()?;
            if ended.is_some() || clock::now() > deadline {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let what =
                    ended.map_or("did not start in time".to_owned(), |status| format!("ended: {status}"));
                return Err(failure(
                    format!("`tidings {}` {what}: {}", args.join(" "), reason(&log)),
                    "run it by hand, and give `bench` its --url and --pid",
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already; either way there is nothing more to do about it.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The line of a log that says why a process ended: its error if it names one, else its last word.
fn reason(log: &str) -> &str {
    let error = log.lines().find_map(|line| line.strip_prefix("error: "));
    error.or_else(|| log.lines().last()).unwrap_or("it said nothing")
}

/// A port that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Whether a node answers this with a 200.
pub fn says(address: SocketAddr, target: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.write_all(format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
        let mut answer = [0; 12];
        socket.read_exact(&mut answer)?;
        // With TLS it says in plain HTTP that it wants TLS.
        Ok(matches!(&answer, b"HTTP/1.1 200" | b"HTTP/1.1 400"))
    };
    ask().unwrap_or(false)
}
