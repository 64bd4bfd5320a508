//! The Redis server that a command starts for its nodes.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Fsync, Server};

/// Starts `redis-server`, or `valkey-server`, with its files in a folder.
///
/// # Errors
///
/// If neither is installed, or it does not start.
pub async fn start(folder: &Path, fsync: Fsync) -> anyhow::Result<Server> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let folder = folder.to_owned();
    let appendonly = if fsync == Fsync::Always { "yes" } else { "no" };
    let spawn = move |program: &str| {
        Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""])
            .args(["--appendonly", appendonly, "--appendfsync", "always", "--logfile", "redis.log"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    Server::start("redis-server", address, move || spawn("redis-server").or_else(|_| spawn("valkey-server")))
        .await
}
