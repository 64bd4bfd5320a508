//! What processes used: CPU of the server, of this load generator, and of everything else; memory.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{clock, failure};

/// Linux shows ticks to users in hundredths of a second, whatever the kernel's own clock does.
const TICK: Duration = Duration::from_millis(10);
/// Other processes that use more of a core than this disturb a run.
const DISTURBING: f64 = 0.1;

/// CPU counters of a process.
#[derive(Debug)]
struct Cpu {
    /// Nanoseconds on a core, for each thread: exact, but gone with the thread.
    threads: HashMap<u32, u64>,
    /// User and system time of all threads, ended ones included, to 10 ms.
    ticks: Duration,
}

/// Counters at one moment.
#[derive(Debug)]
pub struct Snapshot {
    at: Instant,
    pid: Option<u32>,
    server: Option<Cpu>,
    own: Cpu,
    machine: Duration,
}

/// What was used between two moments.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// The time between them.
    pub wall: Duration,
    /// The server's CPU time, if its process is known.
    pub server: Option<Duration>,
    /// Cores that this load generator used.
    pub own_cores: f64,
    /// Cores that everything else used; unknown where the server's process is.
    pub other_cores: Option<f64>,
}

impl Cpu {
    fn read(pid: u32) -> anyhow::Result<Self> {
        let stat = read(format!("/proc/{pid}/stat"))?;
        let ticks = stat_ticks(&stat).ok_or_else(|| unreadable(&format!("/proc/{pid}/stat")))?;
        Ok(Self { threads: threads(pid).unwrap_or_default(), ticks: TICK * ticks })
    }

    /// What was used since `before`: exact where no thread has ended in between.
    fn since(&self, before: &Self) -> Duration {
        let all_live = before.threads.keys().all(|id| self.threads.contains_key(id));
        if before.threads.is_empty() || !all_live {
            return self.ticks.saturating_sub(before.ticks);
        }
        let ns = self.threads.iter().map(|(id, ns)| ns.saturating_sub(*before.threads.get(id).unwrap_or(&0)));
        Duration::from_nanos(ns.sum())
    }
}

impl Snapshot {
    /// Reads the counters of the machine, of this process and of the server's.
    pub fn take(pid: Option<u32>) -> anyhow::Result<Self> {
        let machine = read("/proc/stat")?;
        Ok(Self {
            pid,
            server: pid.map(Cpu::read).transpose()?,
            own: Cpu::read(std::process::id())?,
            machine: TICK * busy_ticks(&machine).ok_or_else(|| unreadable("/proc/stat"))?,
            at: clock::now(),
        })
    }

    /// What was used from this moment until now.
    pub fn until_now(&self) -> anyhow::Result<Used> {
        let now = Self::take(self.pid)?;
        let wall = now.at.duration_since(self.at);
        let cores = |cpu: Duration| cpu.as_secs_f64() / wall.as_secs_f64();
        let own = now.own.since(&self.own);
        let server = now.server.as_ref().zip(self.server.as_ref()).map(|(now, before)| now.since(before));
        let machine = now.machine.saturating_sub(self.machine);
        let other = server.map(|server| cores(machine.saturating_sub(server + own)));
        Ok(Used { wall, server, own_cores: cores(own), other_cores: other })
    }
}

/// Whether a run beside so much other work is to be read with care.
pub fn is_disturbed(other_cores: Option<f64>) -> bool {
    other_cores.is_some_and(|cores| cores >= DISTURBING)
}

/// The resident memory of a process in bytes: exact where the kernel sums it up, else its estimate.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    for (file, field) in [("smaps_rollup", "Rss:"), ("status", "VmRSS:")] {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        if let Some(kib) = kib(&text, field) {
            return Ok(kib * 1024);
        }
    }
    Err(unreadable(&format!("/proc/{pid}/status")))
}

fn read(path: impl AsRef<Path>) -> anyhow::Result<String> {
    let path = path.as_ref();
    fs::read_to_string(path).map_err(|_| unreadable(&path.display().to_string()))
}

fn unreadable(path: &str) -> anyhow::Error {
    failure(
        format!("{path} cannot be read, so CPU and memory cannot be measured"),
        "check that the process still runs and is yours, on Linux",
    )
}

fn threads(pid: u32) -> Option<HashMap<u32, u64>> {
    let mut found = HashMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let entry = entry.ok()?;
        let id = entry.file_name().to_str()?.parse().ok()?;
        // A thread may end between the two reads; then it is as if it had ended before.
        let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
        found.insert(id, text.split(' ').next()?.parse().ok()?);
    }
    Some(found)
}

/// User and system ticks in `/proc/<pid>/stat`; the name before them may hold spaces and brackets.
fn stat_ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// Ticks of all cores that were neither idle nor waiting for a disk.
fn busy_ticks(stat: &str) -> Option<u32> {
    let fields: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|index| fields.get(*index)).sum::<u64>();
    u32::try_from(busy).ok()
}

fn kib(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_read() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 1 0 5 1 1";
        assert_eq!(stat_ticks(stat), Some(42));
        assert_eq!(busy_ticks("cpu  1 2 4 100 200 8 16 32 64 0\ncpu0 1"), Some(63));
        assert_eq!(kib("Name:\tx\nVmRSS:\t    1780 kB\n", "VmRSS:"), Some(1780));
    }

    #[test]
    fn this_process_uses_what_it_uses() {
        let before = Snapshot::take(Some(std::process::id())).expect("this process can be read");
        let start = clock::now();
        while start.elapsed() < Duration::from_millis(30) {}
        let used = before.until_now().expect("this process can be read");
        let server = used.server.expect("it was asked for");
        assert!(server > Duration::from_millis(5), "{used:?}");
        assert!(resident_bytes(std::process::id()).expect("readable") > 1 << 20);
    }

    #[test]
    fn ended_threads_fall_back_to_ticks() {
        let before = Cpu { threads: HashMap::from([(1, 5), (2, 5)]), ticks: TICK };
        let after = Cpu { threads: HashMap::from([(1, 9)]), ticks: TICK * 4 };
        assert_eq!(after.since(&before), TICK * 3);
        let after = Cpu { threads: HashMap::from([(1, 9), (2, 6), (3, 2)]), ticks: TICK * 4 };
        assert_eq!(after.since(&before), Duration::from_nanos(7));
    }
}
