//! Bad input and bad peers. After each attack the node still serves others, and nobody lost anything.

mod bodies;
mod cursors;
mod garbage;
mod heads;
mod pipeline;
mod smuggling;

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::node::TestNode;
use crate::raw::{Raw, Reply, soon};
use crate::socket::Socket;

const ORDERS: &str = "/v1/channels/orders:1";
const WITNESSED: &str = "orders:witnessed";

/// Readers that follow a channel while something bad happens beside them.
pub struct Witness {
    stream: Raw,
    socket: Socket,
    published: u64,
    panics: usize,
}

/// Panics of this process: a node must not, though its runtime would catch them.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn panics() -> usize {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Those of a test are its own.
            let is_ours = panic.location().is_some_and(|place| !place.file().contains("tests/it"));
            PANICS.fetch_add(usize::from(is_ours), Ordering::Relaxed);
            before(panic);
        }));
    });
    PANICS.load(Ordering::Relaxed)
}

impl Witness {
    pub async fn of(node: &TestNode) -> Self {
        let panics = panics();
        let mut stream = node.sse(&format!("/v1/channels/{WITNESSED}")).await;
        stream.block().await;
        let mut socket = node.socket(&format!("/v1/channels/{WITNESSED}")).await;
        socket.frame().await;
        Witness { stream, socket, published: 0, panics }
    }

    /// Something is published while the attack goes on.
    pub async fn goes_on(&mut self, node: &TestNode) {
        node.publish(WITNESSED, self.published).await;
        self.published += 1;
    }

    /// Both readers have got everything, in order, and who comes now is served.
    pub async fn lost_nothing(mut self, node: &TestNode) {
        self.goes_on(node).await;
        for n in 0..self.published {
            assert!(self.stream.event().await.ends_with(&format!("\ndata: {n}")));
            assert_eq!(self.socket.frame_with("data").await["data"], n);
        }
        let page = node.get(&format!("/v1/channels/{WITNESSED}?limit=1000")).await.ok().json();
        assert_eq!(page["messages"].as_array().unwrap().len() as u64, self.published);
        assert_eq!(panics(), self.panics, "something panicked");
    }
}

/// Sends bytes on a connection of their own; gives the reply, after which the node must end the connection.
async fn refusal(node: &TestNode, bytes: impl AsRef<[u8]>) -> Reply {
    let mut raw = node.raw().await;
    // Who is refused early may not be read to the end.
    let _ = soon("send", tokio::io::AsyncWriteExt::write_all(&mut raw.stream, bytes.as_ref())).await;
    let reply = raw.reply("GET").await;
    assert_eq!(reply.head.header("connection"), Some("close"), "{}", reply.head.text);
    assert_eq!(raw.rest().await, "", "one answer, and the end");
    reply
}
