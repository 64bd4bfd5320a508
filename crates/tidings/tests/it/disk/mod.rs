//! A node on a disk that fails in mid-run, hangs, or forgets what it was not told to keep.

mod faults;
mod power;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::node::Plan;
use crate::process::Process;

/// A folder for a node's store, on a disk that does what it is told.
struct Disk {
    folder: TempDir,
    library: PathBuf,
}

impl Disk {
    /// `None` where there is no C compiler, or no way to load what it makes.
    fn new() -> Option<Self> {
        // What is kept of files at each fsync is much: in memory, where the system has a place there.
        let memory = Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let library = folder.path().join("disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/disk/disk.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
        if !cfg!(target_os = "linux") || !cc.status().is_ok_and(|status| status.success()) {
            let _ = writeln!(std::io::stderr(), "SKIP: a disk that fails needs Linux and a C compiler");
            return None;
        }
        let disk = Disk { folder, library };
        disk.say("");
        Some(disk)
    }

    /// What is wrong with it from now on.
    fn say(&self, fault: &str) {
        let new = self.folder.path().join("fault.new");
        fs::write(&new, fault).unwrap();
        fs::rename(new, self.fault()).unwrap();
    }

    fn fault(&self) -> PathBuf {
        self.folder.path().join("fault")
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A node whose store is on it.
    async fn start(&self, plan: Plan) -> Process {
        self.start_with(plan, &[]).await
    }

    async fn start_with(&self, plan: Plan, more: &[(&str, &Path)]) -> Process {
        let fault = self.fault();
        let variables = [("LD_PRELOAD", &*self.library), ("DISK_FAULT", &*fault)];
        Process::start_with(plan, variables.iter().chain(more).copied()).await
    }
}
