//! What the server does in one step each: the scripts.

use redis::Script;

/// The scripts. A server that does not know one is given it.
#[derive(Debug)]
pub(super) struct Scripts {
    /// Stores drafts.
    pub(super) append: Script,
    /// Says where a log reaches, and what follows a place.
    pub(super) look: Script,
    /// Creates and deletes.
    pub(super) change: Script,
    /// Shows readers what replicas have.
    pub(super) release: Script,
    /// Compares what was seen with what is there.
    pub(super) witness: Script,
}

macro_rules! script {
    ($flags:literal, $($file:literal),*) => {
        Script::new(concat!("#!lua", $flags, "\n", $(include_str!(concat!("scripts/", $file, ".lua")), "\n"),*))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        // A server that is full takes no more messages; everything else goes on.
        Scripts {
            append: script!("", "life", "channel", "append"),
            look: script!(" flags=allow-oom", "life", "channel", "look"),
            change: script!(" flags=allow-oom", "life", "channel", "change"),
            release: script!(" flags=allow-oom", "life", "channel", "release"),
            witness: script!(" flags=allow-oom", "life", "witness"),
        }
    }
}
