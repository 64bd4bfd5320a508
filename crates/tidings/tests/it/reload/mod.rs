//! Another configuration while a node runs: what it changes, whom it ends, and whom it leaves alone.

mod credentials;
mod files;
mod namespaces;
mod process;
mod traffic;

use tidings::config::{Changes, Config, Env, Flags};
use tidings::node::Refused;

use crate::node::{Plan, TestNode};

impl TestNode {
    /// Puts another configuration into force; gives what has changed.
    pub fn reload(&mut self, plan: Plan) -> Result<Changes, Refused> {
        let flags = Flags { dev: false, listen: None };
        let loaded = Config::load_text(Some(("test.toml", &plan.text())), &Env::default(), &flags);
        self.node.reload(loaded.unwrap().config)
    }

    /// The same; gives the names of the keys that have changed.
    pub fn change(&mut self, plan: Plan) -> String {
        self.reload(plan).unwrap().to_string()
    }
}
