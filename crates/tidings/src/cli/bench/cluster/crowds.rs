//! The processes of all readers, and what they say.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::super::failure;
use super::super::process::resident_bytes;
use super::super::progress::Progress;
use super::crowd::Received;
use super::fleet::Fleet;

/// One process for each node. They end when this is dropped.
#[derive(Debug)]
pub struct Crowds {
    processes: Vec<(Child, Option<ChildStdin>)>,
    lines: Receiver<String>,
    readers: usize,
}

/// How long all readers may take to connect, for each thousand of one node.
const CONNECT_MAX: Duration = Duration::from_secs(20);

impl Crowds {
    /// Starts them, and waits until all readers are connected.
    pub fn start(fleet: &Fleet, run: u32, each: usize, progress: &mut Progress) -> anyhow::Result<Self> {
        let (sender, lines) = sync_channel(64);
        let mut crowds = Self { processes: Vec::new(), lines, readers: 0 };
        for address in fleet.addresses() {
            let mut process = Command::new(std::env::current_exe()?)
                .args(["bench", "crowd", "--address", &address.to_string()])
                .args(["--count", &each.to_string(), "--run", &run.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let input = process.stdin.take();
            if let Some(output) = process.stdout.take() {
                let sender = sender.clone();
                std::thread::spawn(move || pass_on(BufReader::new(output), &sender));
            }
            crowds.processes.push((process, input));
            crowds.readers += each;
        }
        drop(sender);
        let patience = CONNECT_MAX * (1 + u32::try_from(each / 1_000).unwrap_or(u32::MAX));
        for done in 0..crowds.processes.len() {
            progress.show(format_args!("{done} of {} crowds connected", crowds.processes.len()));
            if crowds.line(patience)? != "connected" {
                return Err(failure("a crowd says what it should not".into(), "report it"));
            }
        }
        Ok(crowds)
    }

    /// All readers.
    pub fn len(&self) -> usize {
        self.readers
    }

    /// How long a message took to each of them, in microseconds, sorted.
    pub fn received(&mut self, seq: u32, patience: Duration) -> anyhow::Result<Vec<u32>> {
        let mut all = Vec::with_capacity(self.readers);
        for _ in 0..self.processes.len() {
            let received: Received = serde_json::from_str(&self.line(patience)?)?;
            if received.seq != seq {
                return Err(failure(format!("message {} came in place of {seq}", received.seq), "report it"));
            }
            all.extend(received.took_us);
        }
        all.sort_unstable();
        Ok(all)
    }

    /// Resident memory of all of them.
    pub fn resident(&self) -> anyhow::Result<u64> {
        self.processes.iter().map(|(process, _)| resident_bytes(process.id())).sum()
    }

    fn line(&self, patience: Duration) -> anyhow::Result<String> {
        self.lines.recv_timeout(patience).map_err(|_| {
            failure(
                "readers ended, or a message did not reach all of them".into(),
                "see what they said above",
            )
        })
    }
}

/// Passes lines on. One that ended sends an empty line, which is none of its words.
fn pass_on(lines: impl BufRead, sender: &SyncSender<String>) {
    for line in lines.lines().map_while(Result::ok) {
        if sender.send(line).is_err() {
            return;
        }
    }
    let _ = sender.send(String::new());
}

impl Drop for Crowds {
    fn drop(&mut self) {
        for (process, input) in &mut self.processes {
            drop(input.take());
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
