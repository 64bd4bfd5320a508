//! Attacks by the heads of requests: bad credentials, too much, and what does not belong there.

use std::io;

use tokio::io::AsyncWriteExt;

use super::arena::Arena;
use super::wire::{answer, get, raw_answer};

/// Bad tokens: expired, forged, unsigned and random, each on a request of its own.
pub async fn tokens(arena: Arena) {
    flood(arena, 40, |arena, n| arena.tokens().bad(n)).await;
}

/// Tokens that each name a key which no set has.
pub async fn unknown_keys(arena: Arena) {
    flood(arena, 40, |arena, _| arena.tokens().of_unknown_key()).await;
}

/// 50 requests on each connection, each with a token of its own.
async fn flood(arena: Arena, rate: u32, token: impl Fn(&Arena, usize) -> String + Clone + Send + 'static) {
    arena
        .crowd(rate, 100, |arena, number| {
            let token = token.clone();
            async move {
                let mut wire = arena.connect().await?;
                for n in 0..50 {
                    let header = format!("Authorization: Bearer {}\r\n", token(&arena, number + n));
                    wire.write_all(get("/v1/channels/open:a", &header).as_bytes()).await?;
                    arena.count(answer(&mut wire).await?);
                }
                Ok("connections".into())
            }
        })
        .await;
}

/// Heads of a megabyte, of a thousand headers, and targets of 100 KB.
pub async fn huge(arena: Arena) {
    arena
        .crowd(300, 100, |arena, n| async move {
            let path = "/v1/channels/open:a";
            let request = match n % 3 {
                0 => get(path, &format!("X: {}\r\n", "x".repeat(1 << 20))),
                1 => get(path, &"X: y\r\n".repeat(1_000)),
                _ => get(&format!("{path}?x={}", "x".repeat(100_000)), ""),
            };
            let (mut read, mut write) = tokio::io::split(arena.connect().await?);
            // The answer may come before all is sent.
            let (_, got) = tokio::join!(write.write_all(request.as_bytes()), answer(&mut read));
            got
        })
        .await;
}

/// Line ends, raw and encoded, in every value that could come back in a head.
pub async fn injection(arena: Arena) {
    arena.crowd(500, 50, inject).await;
}

async fn inject(arena: Arena, number: usize) -> io::Result<String> {
    let line =
        ["%0d%0aX-Injected:%20yes", "%0aX-Injected:%20yes", "%0d%0a%0d%0aHTTP/1.1%20200%20OK"][number % 3];
    let raw = ["\rX-Injected: yes", "\0X-Injected: yes", "\u{10d}\u{10a}X-Injected: yes"][number % 3];
    let token = format!("Authorization: Bearer {}\r\n", arena.tokens().good());
    let target = "/v1/channels/open:injected";
    let request = match number / 3 % 8 {
        0 => get(&format!("/v1/channels/open:{line}"), ""),
        1 => get(&format!("{target}?after={line}"), ""),
        2 => get(target, &format!("Last-Event-ID: x{raw}\r\nAccept: text/event-stream\r\n")),
        3 => get(target, &format!("Origin: http://a{raw}\r\n")),
        4 => get(target, &format!("If-None-Match: \"x{raw}\"\r\n")),
        5 => get(&format!("/v1/subscribe?channel=open:a{line}"), ""),
        6 => post(&format!("{target}?event=a{line}"), &token),
        _ => post(target, &format!("{token}Idempotency-Key: a{raw}\r\n")),
    };
    let mut wire = arena.connect().await?;
    wire.write_all(request.as_bytes()).await?;
    let answered = raw_answer(&mut wire).await?;
    let text = String::from_utf8_lossy(&answered).to_ascii_lowercase();
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    if head.contains("\nx-injected") || head.contains("\rx-injected") || text.contains("\nhttp/1.1 ") {
        arena.broken(format!("a header was injected: {request:?}"));
    }
    answer(&mut answered.as_slice()).await
}

fn post(target: &str, headers: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: 1\r\n\r\n1")
}
