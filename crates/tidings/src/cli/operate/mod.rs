//! What an operator asks of a cluster and does to it: any node answers for all.

mod act;
mod channel;
mod health;
mod look;
mod table;

use anyhow::Context as _;
use serde_json::Value;

use crate::client::Endpoint;

pub use act::{Disconnect, Drain, Revoke};
pub use channel::Channel;
pub use health::Healthcheck;
pub use look::{Channels, Clients, Nodes};

/// Asks a node, and gives what it answers.
async fn get(endpoint: &Endpoint, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Value> {
    let answer = get_text(endpoint, path, query).await?;
    serde_json::from_str(&answer).context("the node's answer is no JSON")
}

/// The same, to the letter.
async fn get_text(endpoint: &Endpoint, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut url = endpoint.url(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    String::from_utf8(endpoint.get_json(url).await?).context("the node's answer is no text")
}

/// Tells a node to do something, and gives what it answers.
async fn post(endpoint: &Endpoint, path: &[&str], body: &Value) -> anyhow::Result<Value> {
    let answer = endpoint.post_json(path, body).await?;
    serde_json::from_slice(&answer).context("the node's answer is no JSON")
}

/// A line for those who did not answer, if there are any.
fn silent(answer: &Value) -> String {
    let silent: Vec<_> = list(&answer["nodes"]["silent"]).iter().map(text).collect();
    match silent.is_empty() {
        true => String::new(),
        false => format!("without {}: no answer\n", silent.join(", ")),
    }
}

/// The entries of a list.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A value as a word: `-` where there is none.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_did_not_answer_is_named() {
        assert_eq!(silent(&json!({"nodes":{"answered":["a"],"silent":[]}})), "");
        assert_eq!(silent(&json!({"nodes":{"silent":["b","c"]}})), "without b, c: no answer\n");
        assert_eq!(
            (text(&Value::Null), text(&json!("x")), text(&json!(3))),
            ("-".into(), "x".into(), "3".into())
        );
    }
}
