//! The NATS server that a command starts for its nodes.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use super::Server;

/// Starts a program at a free port, with its store in a folder.
///
/// # Errors
///
/// If there is none, or it does not start.
pub async fn start(program: &Path, folder: &Path) -> anyhow::Result<Server> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let (file, log, store) = (folder.join("nats.conf"), folder.join("nats.log"), folder.join("nats"));
    fs::write(&file, format!("listen: \"{address}\"\njetstream {{ store_dir: {store:?} }}\n"))?;
    let program = program.to_owned();
    let spawn = move || {
        let log = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(&program);
        command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()
    };
    Server::start("nats-server", address, spawn).await
}
