//! A node in a process of its own, so that its memory is nobody else's.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::node::{Call, KEY, TestNode};
use crate::raw::soon;

/// A node that runs until this is dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Process {
    /// Starts a node with these lines of configuration, and waits until it serves.
    pub async fn start(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidings.toml");
        std::fs::write(&file, format!("{lines}\n[auth]\napi_keys = [\"{KEY}\"]\n")).unwrap();
        // A port that was free a moment ago.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(["serve", "--listen", &address.to_string(), "--config"])
            .arg(&file)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process { child, address, _folder: folder };
        let serves = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon("a node of its own", serves).await;
        process
    }

    /// A publish by a backend.
    pub fn post(&self, target: &str) -> Call {
        TestNode::call_at(self.address, "POST", target).bearer(KEY)
    }

    /// Bytes that the process holds in memory.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
