//! Two nodes that share a broker: what is said to one holds on the other, and one of them may die.
//!
//! The cases are those of `cases`, once on a Redis server and once on a NATS server of their own.

mod cases;
mod server;

use crate::node::{Namespace, Plan, TestNode};
use crate::process::Process;
use server::Server;

/// Two nodes, each a process, and the server of their broker.
struct Pair {
    a: Process,
    b: Process,
    _server: Server,
}

impl Pair {
    async fn start(server: Server) -> Self {
        let plan = || -> Plan {
            TestNode::new()
                .set(&format!("broker.kind = \"{}\"", server.kind()))
                .set(&format!("broker.url = \"{}\"", server.url()))
                // The watcher of a case says nothing for half a minute.
                .set("heartbeat = \"60s\"")
                .namespace("room", |n: Namespace| n.set("subscribe = \"user\"").set("presence = true"))
        };
        let (a, b) = (Process::start(plan()).await, Process::start(plan()).await);
        let pair = Pair { a, b, _server: server };
        pair.a.until_ready().await;
        pair.b.until_ready().await;
        pair
    }
}

/// The cases on a broker. Where there is no server for it, each says so.
macro_rules! on {
    ($broker:ident, $server:expr) => {
        mod $broker {
            use super::{Pair, cases, server};

            #[tokio::test]
            async fn a_revocation_reaches_the_other_node_within_a_second() {
                if let Some(server) = $server {
                    cases::revocation(Pair::start(server).await).await;
                }
            }

            #[tokio::test]
            async fn members_of_a_dead_node_vanish_and_who_is_back_on_another_was_never_gone() {
                if let Some(server) = $server {
                    cases::presence(Pair::start(server).await).await;
                }
            }
        }
    };
}

on!(redis, server::Server::redis());
on!(nats, server::Server::nats());
