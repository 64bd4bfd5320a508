//! The rules of the tree, over all crates: who may name whom, how large files get, what stays out.

use std::fs;
use std::path::{Path, PathBuf};

use tidings_core::Code;

/// Lines that a file may have, without the tests at its end.
const LINES_MAX: usize = 500;

/// One Rust file.
struct Source {
    /// From the root, with `/`.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(below: &Path, wanted: &impl Fn(&Path) -> bool, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(below) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            files(&path, wanted, into);
        } else if path.is_file() && wanted(&path) {
            into.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    let is_rust = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    files(&root().join("crates"), &is_rust, &mut paths);
    paths.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
    paths.iter().map(|path| Source { path: name(path), text: fs::read_to_string(path).unwrap() }).collect()
}

impl Source {
    /// Its lines without comments, numbered from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(n, line)| (n + 1, line.split("//").next().unwrap_or("")))
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/benches/")
    }

    /// Where it names one of these words.
    fn names<'a>(&'a self, words: &'a [&str]) -> impl Iterator<Item = String> + 'a {
        self.code().filter_map(move |(n, line)| {
            let word = words.iter().find(|word| holds(line, word))?;
            Some(format!("{}:{n}: names `{word}`", self.path))
        })
    }
}

/// Whether a line holds a word that no letter precedes or follows.
fn holds(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(part) && (!word.ends_with(part) || !after.starts_with(part))
    })
}

fn none(found: impl IntoIterator<Item = String>) {
    let found: Vec<_> = found.into_iter().collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn none_names(below: &str, words: &[&str]) {
    let sources = sources();
    none(
        sources.iter().filter(|source| source.path.starts_with(below)).flat_map(|source| source.names(words)),
    );
}

#[test]
fn every_file_says_what_it_is() {
    none(sources().iter().filter(|s| !s.text.starts_with("//! ")).map(|s| format!("{}: no `//!`", s.path)));
}

#[test]
fn no_file_is_large() {
    none(sources().iter().filter(|source| !source.path.ends_with("/tests.rs")).filter_map(|source| {
        let lines = source.text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or("").lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines: find the second noun in it", source.path))
    }));
}

#[test]
fn nothing_is_left_to_do() {
    let words = ["todo!", "dbg!", "unimplemented!"];
    let sources = sources();
    let others = sources.iter().filter(|source| !source.path.ends_with("/tidy.rs"));
    none(others.flat_map(|source| source.names(&words)));
}

#[test]
fn the_log_is_pure() {
    let words = [
        "tokio",
        "tracing",
        "rand",
        "getrandom",
        "async",
        "await",
        "Mutex",
        "RwLock",
        "Instant",
        "SystemTime",
        "Clock",
        "crate::",
    ];
    let sources = sources();
    let of_log = sources.iter().filter(|source| source.path.starts_with("crates/tidings-core/src/log/"));
    // Its own tests may name what they like; they stand at the end.
    none(of_log.flat_map(|source| source.names(&words)));
}

#[test]
fn arrows_in_the_core_point_down() {
    const BELOW: [(&str, &[&str]); 4] = [
        ("broker/", &["feed", "reader", "session", "presence", "hub", "policy", "metrics", "error"]),
        ("feed/", &["reader", "session", "presence", "hub", "policy", "metrics", "error"]),
        ("reader.rs", &["session", "presence", "hub", "policy", "metrics"]),
        ("policy.rs", &["broker", "feed", "reader", "session", "presence", "hub", "metrics"]),
    ];
    for (part, above) in BELOW {
        let words: Vec<_> = above.iter().map(|module| format!("crate::{module}")).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        none_names(&format!("crates/tidings-core/src/{part}"), &words);
    }
}

#[test]
fn the_core_names_no_other_crate_of_ours() {
    none_names("crates/tidings-core/src/", &["tidings_doors", "tidings_brokers", "axum", "hyper", "http"]);
}

#[test]
fn doors_and_brokers_do_not_know_each_other() {
    none_names("crates/tidings-doors/src/", &["tidings_brokers", "tidings_core::broker"]);
    none_names("crates/tidings-brokers/src/", &["tidings_doors"]);
    let sources = sources();
    let core = sources.iter().filter(|source| source.path.starts_with("crates/tidings-brokers/src/"));
    none(core.flat_map(|source| {
        let named = source.code().filter(|(_, line)| line.contains("tidings_core::"));
        named.filter_map(|(n, line)| {
            let after = line.split("tidings_core::").nth(1)?;
            let allowed = ["log", "broker", "Clock", "{"].iter().any(|part| after.starts_with(part));
            (!allowed).then(|| format!("{}:{n}: a broker knows log, broker and clock alone", source.path))
        })
    }));
}

#[test]
fn no_door_names_another_and_no_broker_another() {
    for (krate, shared) in [("tidings-doors", &["http", "stream"][..]), ("tidings-brokers", &[])] {
        let sources = sources();
        let src = format!("crates/{krate}/src/");
        let folder = |source: &Source| {
            source
                .path
                .strip_prefix(&src)
                .and_then(|rest| rest.split_once('/'))
                .map(|(one, _)| one.to_owned())
        };
        let mut folders: Vec<_> = sources.iter().filter_map(folder).collect();
        folders.dedup();
        for source in &sources {
            let Some(own) = folder(source) else { continue };
            let others = folders.iter().filter(|other| **other != own && !shared.contains(&other.as_str()));
            let words: Vec<_> = others.map(|other| format!("crate::{other}")).collect();
            none(source.names(&words.iter().map(String::as_str).collect::<Vec<_>>()));
        }
    }
}

#[test]
fn the_client_is_a_stranger() {
    none_names("crates/tidings/src/client/", &["tidings_core", "tidings_doors", "tidings_brokers"]);
}

#[test]
fn the_environment_is_read_in_one_place() {
    // Clippy sees the calls; this sees the permissions to make them.
    let sources = sources();
    let others = sources.iter().filter(|source| !source.is_test());
    let allowed = ["/config/env.rs", "/clock.rs"];
    let others = others.filter(|source| !allowed.iter().any(|end| source.path.ends_with(end)));
    none(others.flat_map(|source| source.names(&["env::var", "env::vars", "SystemTime::now"])));
}

#[test]
fn every_code_is_explained() {
    let text = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let headings: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(headings, codes, "docs/errors.md has one heading for each code, in the order of the alphabet");
}

#[test]
fn nothing_names_a_developers_machine() {
    let mut paths = Vec::new();
    let wanted = |path: &Path| {
        let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
        let kinds = ["rs", "toml", "md", "ts", "tsx", "js", "json", "yml", "yaml", "sh", "html", "txt"];
        extension.is_some_and(|extension| kinds.contains(&extension.as_str()))
    };
    files(&root(), &wanted, &mut paths);
    // In two parts, or this file would name them.
    let homes =
        [("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/wo", "rk/")].map(|(a, b)| format!("{a}{b}"));
    none(paths.iter().flat_map(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let hits = text.lines().enumerate().filter(|(_, line)| {
            homes.iter().any(|home| {
                line.match_indices(home.as_str()).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '.' || c == '}')
                })
            })
        });
        hits.map(|(n, line)| format!("{}:{}: {line}", path.display(), n + 1)).collect::<Vec<_>>()
    }));
}
