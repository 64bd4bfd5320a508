//! A line on standard error that says what is under way, where a person watches.

use std::fmt;
use std::io::{IsTerminal, Write};

/// The progress line. It is gone when this is dropped.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    seen: bool,
    title: String,
}

impl Progress {
    /// Nothing is shown yet, and nothing ever where standard error is not a terminal.
    pub fn new() -> Self {
        Self { shown: false, seen: std::io::stderr().is_terminal(), title: String::new() }
    }

    /// What the following lines are about.
    pub fn title(&mut self, title: String) {
        self.title = title;
        self.show(format_args!("…"));
    }

    /// Replaces the line.
    pub fn show(&mut self, what: fmt::Arguments<'_>) {
        if self.seen {
            self.shown = true;
            // A progress line that cannot be written is no reason to stop.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}: {what}", self.title);
        }
    }

    /// Takes the line away, so that something else can be printed.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
