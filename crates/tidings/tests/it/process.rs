//! The binary itself, as an operator runs it: a node whose log, end and memory are its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::node::{Call, KEY, Plan, TestNode};

/// A `tidings serve` that runs until this is dropped.
pub struct Process {
    child: Child,
    folder: TempDir,
    pub address: SocketAddr,
}

/// Looks before giving up, 10 ms apart.
const LOOKS_MAX: usize = 1_500;

impl Process {
    /// Starts a node, which logs what a node logs.
    pub async fn start(plan: Plan) -> Self {
        Process::start_with(plan, []).await
    }

    /// The same, with more in its environment.
    pub async fn start_with<'a>(
        plan: Plan,
        variables: impl IntoIterator<Item = (&'a str, &'a Path)>,
    ) -> Self {
        Process::run(&plan.text(), Some("info"), variables).await
    }

    /// Starts a node, which logs all that it can.
    pub async fn talkative(plan: Plan) -> Self {
        Process::run(&plan.text(), Some("trace"), []).await
    }

    /// Starts a node, which logs what its configuration says.
    pub async fn start_as_configured(text: String) -> Self {
        Process::run(&text, None, []).await
    }

    async fn run<'a>(
        text: &str,
        level: Option<&str>,
        variables: impl IntoIterator<Item = (&'a str, &'a Path)>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidings.toml");
        std::fs::write(&file, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(["serve", "--config"])
            .arg(file)
            .env_clear()
            .envs(level.map(|level| ("TIDINGS_LOG__LEVEL", level)))
            .envs(variables)
            .env("TIDINGS_LOG__FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn();
        let mut process = Process { child: child.unwrap(), folder, address: ([0; 4], 0).into() };
        for _ in 0..LOOKS_MAX {
            let log = process.log();
            let address = log.split_once("\"address\":\"").and_then(|(_, rest)| rest.split_once('"'));
            if let Some((address, _)) = address {
                process.address = address.parse().unwrap();
                return process;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not listen: {}", process.log());
    }

    /// Writes another configuration into its file, which it reads when it is told to.
    pub fn configure(&self, plan: &Plan) {
        self.write(&plan.text());
    }

    pub fn write(&self, text: &str) {
        // Whole, whenever it is read.
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    pub fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("tidings.toml")
    }

    /// What it has written to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub fn call(&self, method: &str, target: &str) -> Call {
        TestNode::call_at(self.address, method, target)
    }

    /// A publish by a backend.
    pub fn post(&self, target: &str) -> Call {
        self.call("POST", target).bearer(KEY)
    }

    /// Bytes that the process holds in memory.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as an orchestrator does.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Asks it to read its files again.
    pub fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    /// How it ended.
    pub async fn ended(&mut self) -> ExitStatus {
        for _ in 0..LOOKS_MAX {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not end: {}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
