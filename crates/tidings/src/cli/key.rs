//! `tidings key`: makes an API key, and what a node's configuration says of it.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tidings_core::ApiKey;

use crate::config::Right;

/// The flags of `tidings key`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The key is printed once, and kept nowhere: give it to the backend that is to use it. The table below \
it goes into api_keys of [auth]; it holds the key's hash alone. To replace a key, add the new one's \
table, let the backend change over, then take out the old one's.

Examples:
  tidings key --name billing --rights publish
  tidings key --name monitoring --rights administer --json")]
pub struct Args {
    /// What the key may do, with every channel; all three where nothing is said.
    #[arg(long, value_name = "RIGHT", value_delimiter = ',', default_values = ["publish", "read", "administer"])]
    rights: Vec<Right>,
    /// What to call the key, for people.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print one JSON object, for programs.
    #[arg(long)]
    json: bool,
}

/// What every key begins with, so that one that leaked can be searched for.
const PREFIX: &str = "sk_";

/// Runs the command.
///
/// # Errors
///
/// A system without random numbers.
pub fn run(args: Args) -> anyhow::Result<()> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).context("this system gives no random numbers")?;
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let text = match args.json {
        true => in_json(&args, &key),
        false => format!("{key}\n{}\n", table(&args, &key)),
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write the key")?;
    if !args.json && std::io::stdout().is_terminal() {
        anstream::eprintln!(
            "\nThe first line is the key: it is kept nowhere, so give it to its backend now.\nThe second goes into \
             api_keys of [auth] in the node's configuration."
        );
    }
    Ok(())
}

/// The entry of `api_keys`.
fn table(args: &Args, key: &str) -> String {
    let rights: Vec<_> = args.rights.iter().map(|right| format!("\"{}\"", right.as_str())).collect();
    let mut table = format!("{{ sha256 = \"{}\", rights = [{}]", hash(key), rights.join(", "));
    if let Some(name) = &args.name {
        let _ = write!(table, ", name = {}", toml::Value::String(name.clone()));
    }
    table + " }"
}

fn in_json(args: &Args, key: &str) -> String {
    let rights: Vec<_> = args.rights.iter().map(|right| right.as_str()).collect();
    let object = json!({ "key": key, "sha256": hash(key), "rights": rights, "name": args.name });
    format!("{object}\n")
}

/// The hash of a key in hexadecimal.
fn hash(key: &str) -> String {
    ApiKey::plain(key).sha256.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Env, Flags};
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_table_is_one_that_a_node_takes() {
        for (line, publish, name) in [
            (&["key"][..], true, None),
            (
                &["key", "--rights", "read,administer", "--name", "a \"b\" \\ \u{e4}"],
                false,
                Some("a \"b\" \\ \u{e4}"),
            ),
        ] {
            let args = Line::try_parse_from(line).unwrap().args;
            let text = format!("[auth]\napi_keys = [{}]", table(&args, "sk_test"));
            let loaded =
                Config::load_text(Some(("t.toml", &text)), &Env::default(), &Flags::default()).unwrap();
            let key = &loaded.config.auth.api_keys[0].key;
            assert_eq!(key.sha256, ApiKey::plain("sk_test").sha256);
            assert_eq!(key.name.as_deref(), name);
            assert!(key.rights.publish == publish && key.rights.read && key.rights.administer);
        }
        assert!(Line::try_parse_from(["key", "--rights", "all"]).is_err());
    }
}
