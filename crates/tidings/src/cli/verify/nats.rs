//! The NATS server of a run: a process of its own, in the folder of the run's node.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::cli::Failure;

/// A server that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct NatsServer {
    process: Child,
    address: SocketAddr,
}

/// One that does not take a connection so long after its start will not.
const START_MAX: Duration = Duration::from_secs(10);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

impl NatsServer {
    /// Starts the program at a free port, with its store in the folder.
    ///
    /// # Errors
    ///
    /// If there is none, or it does not start.
    pub fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let store = folder.join("nats");
        let configuration = format!("listen: \"{address}\"\njetstream {{ store_dir: {store:?} }}\n");
        fs::write(folder.join("nats.conf"), configuration)?;
        let process = Command::new(program)
            .arg("-c")
            .arg(folder.join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("nats.log"))?)
            .spawn();
        let process = process.map_err(|error| {
            let shown = program.display();
            let advice = "install nats-server 2.12 or newer, and name it by --nats-server";
            Failure::new(format!("{shown} cannot be started: {error}"), advice)
        })?;
        let mut server = Self { process, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > START_MAX || server.process.try_wait()?.is_some() {
                let log = fs::read_to_string(folder.join("nats.log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it says nothing").to_owned();
                return Err(
                    Failure::new(format!("nats-server does not start: {last}"), "start it by hand").into()
                );
            }
            std::thread::sleep(LOOK);
        }
        Ok(server)
    }

    /// As `[broker]` names it.
    pub fn configuration(&self) -> String {
        format!("kind = \"nats\"\nurl = \"nats://{}\"", self.address)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // It may have ended already; either way there is nothing more to do about it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
