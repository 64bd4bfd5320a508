//! `tidings check`: validates a configuration and says in plain words what it means.

use std::fmt::Write as _;

use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use serde_json::json;

use super::output::print;
use crate::config::{self, Config, ConfigError, Env, Flags, Report};

/// The flags of `tidings check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidings check --config tidings.toml
  TIDINGS_LISTEN=127.0.0.1:8080 tidings check --json
  tidings check --schema > tidings.schema.json")]
pub struct Args {
    /// The configuration file; without one, the environment alone.
    #[arg(long, value_name = "FILE", env = "TIDINGS_CONFIG")]
    config: Option<PathBuf>,
    /// Check what `tidings serve --dev` would run with.
    #[arg(long)]
    dev: bool,
    /// Report as one JSON object, for programs.
    #[arg(long, conflicts_with_all = ["schema", "reference"])]
    json: bool,
    /// Print the JSON schema of the configuration, and check nothing.
    #[arg(long, conflicts_with = "reference")]
    schema: bool,
    /// Print the reference of all keys (docs/configuration.md), and check nothing.
    #[arg(long)]
    reference: bool,
}

/// The usual name of a configuration; it is read only where it is named.
const USUAL: &str = "tidings.toml";

const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let Args { config, dev, json, schema, reference } = args;
    if schema {
        return print(&format!("{:#}\n", config::schema()));
    }
    if reference {
        return print(&config::reference());
    }
    let flags = Flags { dev, listen: None };
    match Config::load(config.as_deref(), &Env::read(), &flags) {
        Ok(loaded) => {
            let mut report = Report::new(&loaded);
            if config.is_none() && Path::new(USUAL).is_file() {
                report.notes.push(format!("{USUAL} in this folder was not read: add --config {USUAL}"));
            }
            print(&if json { in_json(&report)? } else { in_words(&report) })
        }
        Err(error) => {
            if json {
                print(&refusal_in_json(&error))?;
            }
            Err(error.into())
        }
    }
}

fn in_json(report: &Report) -> anyhow::Result<String> {
    let mut object = serde_json::to_value(report)?;
    object["ok"] = json!(true);
    Ok(format!("{object:#}\n"))
}

fn refusal_in_json(error: &ConfigError) -> String {
    format!("{:#}\n", json!({ "ok": false, "error": error.sentence(), "try": error.advice() }))
}

/// The report for people. Writing to a String cannot fail.
fn in_words(report: &Report) -> String {
    let mut out = String::new();
    let from = match report.sources.as_slice() {
        [] => "nothing but defaults".to_owned(),
        sources => sources.join(", "),
    };
    let _ = writeln!(out, "{GOOD}ok{GOOD:#}  this configuration can be used {DIM}(from {from}){DIM:#}\n");
    line(&mut out, "clients connect to", &report.listen);
    line(&mut out, "TLS", &report.tls);
    let monitoring = report.ops_listen.as_deref().unwrap_or("the same address; /metrics needs an API key");
    line(&mut out, "monitoring connects to", monitoring);
    line(&mut out, "broker", &format!("{}: {}", report.broker, report.promise));
    line(&mut out, "tokens of clients", &report.tokens);
    line(&mut out, "API keys", &report.api_keys);
    for namespace in &report.namespaces {
        let (name, delivery) = (&namespace.name, namespace.delivery);
        let _ = writeln!(out, "\n{HEAD}{name}{HEAD:#}  {delivery}  {DIM}{}{DIM:#}", namespace.channels);
        for (label, text) in namespace.lines() {
            line(&mut out, label, text);
        }
    }
    for (mark, style, sentences) in [("warning", WARN, &report.warnings), ("note", HEAD, &report.notes)] {
        if !sentences.is_empty() {
            out.push('\n');
        }
        for sentence in sentences {
            let _ = writeln!(out, "{style}{mark}{style:#}: {sentence}");
        }
    }
    out
}

/// A label and its sentence, in two columns.
fn line(out: &mut String, label: &str, text: &str) {
    let _ = writeln!(out, "  {DIM}{label:<24}{DIM:#}  {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let env = Env::default();
        let loaded = Config::load_text(Some(("tidings.toml", config::EXAMPLE)), &env, &Flags::default());
        Report::new(&loaded.unwrap())
    }

    #[test]
    fn the_report_says_what_each_namespace_promises() {
        let words = anstream::adapter::strip_str(&in_words(&report())).to_string();
        for expected in [
            "ok  this configuration can be used (from tidings.toml)",
            "orders  at-least-once  channels orders:…",
            "chat  at-most-once  channels chat:…",
            "stored in the memory of this node",
            "the newest 10,000 messages of a channel, for 24h at most",
            "tokens that list the channel, and API keys",
            "note: anybody may read prices, without credentials",
        ] {
            assert!(words.contains(expected), "{expected} is not in\n{words}");
        }
        assert!(!words.contains("warning"), "{words}");
        assert!(!words.contains("sk_example"), "{words}");
    }

    #[test]
    fn the_report_is_json_for_programs() {
        let value: serde_json::Value = serde_json::from_str(&in_json(&report()).unwrap()).unwrap();
        assert_eq!(value["ok"], true);
        assert_eq!(value["namespaces"][0]["delivery"], "at-most-once");
    }

    #[test]
    fn a_refusal_has_a_sentence_and_what_to_try() {
        let error =
            Config::load_text(Some(("t.toml", "lisen = 1")), &Env::default(), &Flags::default()).unwrap_err();
        let value: serde_json::Value = serde_json::from_str(&refusal_in_json(&error)).unwrap();
        assert_eq!(value["ok"], false);
        assert_eq!(value["error"], "unknown key `lisen` (t.toml:1:1): did you mean `listen`?");
        assert!(error.to_string().contains("\ntry: "));
    }
}
