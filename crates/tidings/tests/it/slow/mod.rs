//! Readers that are slow, or stop: they cost the node nothing, the others nothing, and lose nothing.

mod answers;
mod memory;
mod streams;

use serde_json::Value;

use crate::node::{KEY, TestNode};
use crate::raw::Raw;
use crate::socket::upgrade;

const ORDERS: &str = "/v1/channels/orders:1";
/// Bytes of a message's data.
const BYTES: usize = 16 * 1024;

/// How a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Sse,
    WebSocket,
}

/// What a reader got.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Message {
        number: u64,
        cursor: String,
    },
    Gap {
        why: String,
        missed: Option<u64>,
        cursor: String,
    },
    /// The connection has ended; a WebSocket with this code and reason.
    End(Option<(u16, String)>),
}

/// One connection of a reader whose kernel holds little.
struct Reader {
    wire: Wire,
    raw: Raw,
}

/// The data of a message: its number, and so much that few of them fill a socket.
fn data(number: u64) -> Value {
    Value::String(format!("{number}:{}", "x".repeat(BYTES)))
}

/// Publishes messages with these numbers to `orders:1`, in batches.
async fn publish(node: &TestNode, numbers: std::ops::Range<u64>) {
    publish_to(node, "orders:1", numbers).await;
}

async fn publish_to(node: &TestNode, channel: &str, numbers: std::ops::Range<u64>) {
    let numbers: Vec<_> = numbers.collect();
    for part in numbers.chunks(50) {
        let messages: Vec<_> =
            part.iter().map(|n| serde_json::json!({"channel": channel, "data": data(*n)})).collect();
        let results =
            node.post("/v1/publish").json(&serde_json::json!({ "messages": messages })).await.ok().json();
        assert!(results["results"].as_array().unwrap().iter().all(|one| one["cursor"].is_string()));
    }
}

fn number(data: &str) -> u64 {
    let (number, rest) = data.trim_matches('"').split_once(':').unwrap();
    assert_eq!(rest.len(), BYTES, "whole");
    number.parse().unwrap()
}

impl Reader {
    /// Opens a connection, and reads its head and greeting.
    async fn open(address: std::net::SocketAddr, wire: Wire, target: &str) -> Self {
        let mut raw = Raw::connect_small(address).await;
        match wire {
            Wire::Sse => {
                let head = format!(
                    "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nAccept: text/event-stream\r\n\r\n"
                );
                raw.send(head).await;
                assert_eq!(raw.head().await.status, 200);
                raw.block().await;
            }
            Wire::WebSocket => {
                raw.send(upgrade(target)).await;
                assert_eq!(raw.head().await.status, 101);
            }
        }
        let mut reader = Reader { wire, raw };
        if wire == Wire::WebSocket {
            let (opcode, greeting) = reader.frame().await.unwrap();
            assert!(opcode == 1 && greeting.starts_with(b"{\"subscribed\""));
        }
        reader
    }

    /// What comes next.
    async fn next(&mut self) -> Got {
        match self.wire {
            Wire::Sse => self.next_event().await,
            Wire::WebSocket => self.next_frame().await,
        }
    }

    async fn next_event(&mut self) -> Got {
        loop {
            let Some(block) = self.raw.block_or_end().await else { return Got::End(None) };
            let of = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            let Some(data) = of("data: ") else { continue };
            let cursor = of("id: ").unwrap().to_owned();
            if of("event: ") == Some("tidings.gap") {
                return Self::gap(&serde_json::from_str(data).unwrap(), cursor);
            }
            return Got::Message { number: number(data), cursor };
        }
    }

    async fn next_frame(&mut self) -> Got {
        loop {
            let Some((opcode, payload)) = self.frame().await else { return Got::End(None) };
            match opcode {
                1 => {}
                8 => {
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    return Got::End(Some((code, String::from_utf8(payload[2..].to_vec()).unwrap())));
                }
                _ => continue,
            }
            let frame: Value = serde_json::from_slice(&payload).unwrap();
            let cursor = frame["cursor"].as_str().unwrap().to_owned();
            return match frame.get("gap") {
                Some(gap) => Self::gap(gap, cursor),
                None => Got::Message { number: number(frame["data"].as_str().unwrap()), cursor },
            };
        }
    }

    fn gap(report: &Value, cursor: String) -> Got {
        assert_eq!(report["until"], *cursor);
        Got::Gap { why: report["why"].as_str().unwrap().into(), missed: report["missed"].as_u64(), cursor }
    }

    /// The next frame of a server, whole; `None` where the connection ends before it is.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.raw.exactly_or_end(2).await?;
        assert_eq!((head[0] & 0xf0, head[1] & 0x80), (0x80, 0), "whole, and not masked");
        let length = match head[1] {
            126 => {
                let more = self.raw.exactly_or_end(2).await?;
                usize::from(u16::from_be_bytes([more[0], more[1]]))
            }
            127 => u64::from_be_bytes(self.raw.exactly_or_end(8).await?.try_into().unwrap()) as usize,
            length => usize::from(length),
        };
        Some((head[0] & 0x0f, self.raw.exactly_or_end(length).await?))
    }
}
