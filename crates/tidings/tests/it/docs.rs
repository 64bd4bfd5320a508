//! The examples of README.md and docs/protocol.md, run against nodes of their own.
//!
//! What a fence is for stands in its language:
//!
//! | fence | is |
//! |---|---|
//! | `sh` | run by `sh -c`. It must succeed, unless an `http` fence follows |
//! | `json`, `jsonl`, `text` after `sh` | all that it prints |
//! | `http` after `sh` | what `curl -i` prints: these headers among others, and the body if one is given |
//! | `toml` | a configuration. The examples below it run on a node of it, up to the next `##` |
//! | `ws` | a path, then frames: `>` from the client, `<` from the server |
//! | others | not run |
//!
//! `http://127.0.0.1:8080` is the node. `…` stands for any text. `$CURSOR` and
//! `$TOKEN` are the last ones that were printed.

use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tidings::config::{Config, Env, Flags};
use tidings::node::Node;
use tokio_tungstenite::tungstenite::Message;

const WRITTEN: &str = "127.0.0.1:8080";

/// A fence of a page.
struct Fence {
    line: usize,
    language: String,
    text: String,
    /// Whether a heading of the second level stands between it and the one before.
    new_section: bool,
}

/// A node, and what a reader of the page has in their hands.
struct Desk {
    dev: Node,
    configured: Option<Node>,
    folder: tempfile::TempDir,
    cursor: String,
    token: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fences(page: &str) -> Vec<Fence> {
    let mut fences: Vec<Fence> = Vec::new();
    let (mut open, mut new_section) = (false, false);
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(language), false) => {
                let language = language.trim().to_owned();
                fences.push(Fence { line: number + 1, language, text: String::new(), new_section });
                (open, new_section) = (true, false);
            }
            (Some(_), true) => open = false,
            (None, true) => {
                if let Some(fence) = fences.last_mut() {
                    fence.text += line;
                    fence.text += "\n";
                }
            }
            (None, false) => new_section |= line.starts_with("## "),
        }
    }
    fences
}

async fn start(config: Option<&str>) -> Node {
    let flags = Flags { dev: config.is_none(), listen: Some("127.0.0.1:0".parse().unwrap()) };
    let loaded = Config::load_text(config.map(|text| ("tidings.toml", text)), &Env::default(), &flags);
    Node::start(&loaded.unwrap().config).await.unwrap()
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Desk { dev: start(None).await, configured: None, folder, cursor: String::new(), token: String::new() }
    }

    fn address(&self) -> String {
        self.configured.as_ref().unwrap_or(&self.dev).address().to_string()
    }

    async fn configure(&mut self, text: &str) {
        std::fs::write(self.folder.path().join("tidings.toml"), text).unwrap();
        self.configured = Some(start(Some(text)).await);
    }

    /// Runs a command; gives what it printed, and whether it succeeded.
    async fn shell(&mut self, text: &str) -> (String, bool) {
        let binary = Path::new(env!("CARGO_BIN_EXE_tidings")).parent().unwrap();
        let path = std::env::join_paths([
            binary,
            Path::new("/usr/local/bin"),
            Path::new("/usr/bin"),
            Path::new("/bin"),
        ]);
        let mut command = Command::new("timeout");
        command
            .args(["20", "sh", "-c", &text.replace(WRITTEN, &self.address())])
            .current_dir(self.folder.path())
            .env("PATH", path.unwrap())
            .env("TIDINGS_URL", format!("http://{}", self.address()))
            .env("CURSOR", &self.cursor)
            .env("TOKEN", &self.token);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap().replace(&self.address(), WRITTEN);
        self.note(&printed);
        (printed, output.status.success())
    }

    /// Keeps the last cursor and the last token.
    fn note(&mut self, printed: &str) {
        let last = |name: &str| {
            let (_, rest) = printed.rsplit_once(&format!("\"{name}\":\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        self.cursor = last("cursor").unwrap_or_else(|| std::mem::take(&mut self.cursor));
        self.token = last("token").unwrap_or_else(|| std::mem::take(&mut self.token));
    }

    /// Plays a transcript. Frames of the server that follow each other may come in any order.
    async fn transcript(&mut self, text: &str) -> Result<(), String> {
        let mut lines = text.lines().peekable();
        let path = lines.next().unwrap().replace("$CURSOR", &self.cursor).replace("$TOKEN", &self.token);
        let url = format!("ws://{}{}", self.address(), path.trim_start_matches("GET "));
        let (mut socket, _) =
            tokio_tungstenite::connect_async(url).await.map_err(|error| error.to_string())?;
        while let Some(line) = lines.next() {
            if let Some(frame) = line.strip_prefix("> ") {
                let frame = frame.replace("$CURSOR", &self.cursor).replace("$TOKEN", &self.token);
                socket.send(Message::text(frame)).await.map_err(|error| error.to_string())?;
                continue;
            }
            let mut wanted = vec![line];
            while let Some(more) = lines.next_if(|line| line.starts_with("< ")) {
                wanted.push(more);
            }
            while !wanted.is_empty() {
                let frame = tokio::time::timeout(std::time::Duration::from_secs(10), socket.next()).await;
                let frame = match frame.map_err(|_| format!("nothing came, and these were to: {wanted:?}"))? {
                    Some(Ok(Message::Text(text))) => format!("< {text}"),
                    Some(Ok(Message::Close(Some(close)))) => {
                        format!("< close {} {}", u16::from(close.code), close.reason).trim_end().to_owned()
                    }
                    Some(Ok(_)) => continue,
                    other => format!("{other:?}"),
                };
                let found = wanted.iter().position(|wanted| is_frame(wanted, &frame));
                wanted.remove(found.ok_or_else(|| format!("{frame}\nis none of {wanted:#?}"))?);
            }
        }
        Ok(())
    }
}

fn is_frame(wanted: &str, frame: &str) -> bool {
    match (json(wanted.trim_start_matches("< ")), json(frame.trim_start_matches("< "))) {
        (Some(wanted), Some(frame)) => is_like(&wanted, &frame),
        _ => is_text(wanted, frame),
    }
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// Whether a text is the pattern, in which `…` stands for anything.
fn is_text(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.trim_end().split('…');
    let Some(mut rest) = text.trim_end().strip_prefix(parts.next().unwrap_or("")) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

fn is_like(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::String(pattern), Value::String(value)) => is_text(pattern, value),
        (Value::Array(patterns), Value::Array(values)) => {
            patterns.len() == values.len() && patterns.iter().zip(values).all(|(p, v)| is_like(p, v))
        }
        (Value::Object(patterns), Value::Object(values)) => {
            patterns.len() == values.len()
                && patterns.iter().all(|(name, p)| values.get(name).is_some_and(|v| is_like(p, v)))
        }
        _ => pattern == value,
    }
}

fn is_json(pattern: &str, text: &str) -> bool {
    json(pattern).zip(json(text)).is_some_and(|(pattern, value)| is_like(&pattern, &value))
}

fn is_response(pattern: &str, text: &str) -> bool {
    let text = text.replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let (wanted_head, wanted_body) = pattern.split_once("\n\n").unwrap_or((pattern, ""));
    let mut wanted = wanted_head.lines();
    let status = wanted.next().is_some_and(|status| is_text(status, head.lines().next().unwrap_or("")));
    let headers = wanted.all(|wanted| head.lines().any(|header| is_text(wanted, header)));
    let body = wanted_body.is_empty() || is_json(wanted_body, body) || is_text(wanted_body, body);
    status && headers && body
}

fn is_printed(language: &str, pattern: &str, printed: &str) -> bool {
    match language {
        "json" => is_json(pattern, printed),
        "jsonl" => {
            let (patterns, lines) = (pattern.lines(), printed.lines());
            patterns.clone().count() == lines.clone().count()
                && patterns.zip(lines).all(|(p, l)| is_json(p, l))
        }
        "http" => is_response(pattern, printed),
        _ => is_text(pattern, printed),
    }
}

async fn run(page: &str) {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let fences = fences(&text);
    let mut desk = Desk::new().await;
    let (mut ran, mut failed) = (0, Vec::new());
    for (at, fence) in fences.iter().enumerate() {
        if fence.new_section {
            desk.configured = None;
        }
        match fence.language.as_str() {
            "toml" => desk.configure(&fence.text).await,
            "sh" => {
                ran += 1;
                let (printed, success) = desk.shell(&fence.text).await;
                let result = fences.get(at + 1).filter(|next| {
                    !next.new_section && ["json", "jsonl", "text", "http"].contains(&next.language.as_str())
                });
                let right = match result {
                    None => success,
                    Some(result) => is_printed(&result.language, &result.text, &printed),
                };
                if !right {
                    let wanted = result.map_or("success", |result| &result.text);
                    failed
                        .push(format!("{page}:{}: {}gave\n{printed}\nnot\n{wanted}", fence.line, fence.text));
                }
            }
            "ws" => {
                ran += 1;
                if let Err(why) = desk.transcript(&fence.text).await {
                    failed.push(format!("{page}:{}: {why}", fence.line));
                }
            }
            _ => {}
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n\n"));
    assert!(ran > 0, "{page} has no example");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readme_is_true() {
    run("README.md").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_protocol_is_as_it_says() {
    run("docs/protocol.md").await;
}

#[test]
fn links_lead_somewhere() {
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/protocol.md",
        "docs/verify.md",
    ] {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let file = link.split('#').next().unwrap_or("");
            let folder = root().join(page).parent().unwrap().to_owned();
            assert!(file.is_empty() || folder.join(file).exists(), "{page}: nothing at {link}");
        }
    }
}
