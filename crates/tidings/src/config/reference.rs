//! docs/configuration.md and the JSON schema, written from the code.
//!
//! The sections and keys stand in the order of `example.toml`, which is the document's first
//! example as well; what the example leaves out comes last.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;

use super::Config;
use super::changes::is_fixed;
use super::env::variable;
use super::explain::grouped;
use super::layer::{Layer, Source};
use super::place::{Place, Places, table_name};
use super::shape::{Key, ROOT, Shape};

/// A complete configuration, commented. It is valid as it stands.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The default of a key that has none.
const NOT_SET: &str = "not set";

/// What stands before the example.
const INTRODUCTION: &str = "\
<!-- Written by `tidings check --reference` from the code: change the doc comments in
     crates/tidings/src/config instead, then run it again. -->

# Configuration

A node is configured by one TOML file and the environment; either is enough.

```console
$ tidings serve --config tidings.toml
$ tidings check --config tidings.toml     # validates it, and says what it means
```

- **Nothing is ignored.** A key that does not exist is an error that names its line and the
  nearest key that does.
- **Every key is also a variable**: `TIDINGS_`, then the path of the key in capitals, with two
  underscores for each dot. `broker.kind` is `TIDINGS_BROKER__KIND`. A list is a TOML array, or its
  items with commas between them. A table can be given whole, as `{ messages = 10, age = \"1h\" }`.
  A variable `TIDINGS_…` that is no key is an error if its name contains `__`, else a warning.
- **Flags beat variables, variables beat the file.**
- **A namespace says what it promises.** `delivery` has no default.
- **Durations** are written `\"250ms\"`, `\"10s\"`, `\"1h 30m\"`, `\"7days\"`. **Sizes** are numbers of bytes, or
  written `\"512MiB\"` (1024²) or `\"512MB\"` (1000²).

## Reading it again

On SIGHUP (`systemctl reload`, `kill -HUP`) a running node reads all of it again: the file, the
variables that it was started with, its flags, and the files that keys name. It is judged as at the
start.

- **Something is wrong**: nothing at all changes. One line of the log, at `ERROR`, says what is wrong
  and what to do, as `tidings check` does.
- **A key differs that needs a restart** (it says so below): the same; the line names it.
- **Else it is in force at once**, for each request, frame and read that begins. One line, at `INFO`,
  names the keys that differ.

What is under way is judged again. Where nothing of it is refused, nobody notices, and nothing is lost:

- Live reads whose API key is gone, or whose token would now be verified in another way (another
  secret, key, `jwks_url`, `audience` or `issuer`), end as if the token had expired: WebSocket with 4001,
  SSE with a last block, a long-poll with a page. Their clients come back with their cursor, and
  the credentials that they have then. A publish whose body still arrives is told how much was stored.
- Live reads of a channel that they may read no more, since its namespace is gone or asks for more,
  end: WebSocket with 4504, 4503 or 4501, SSE with a last block, a long-poll with a page. A
  connection to `/v1/connect` is told `unsubscribed` with the error, and reads its other channels on.
- A namespace that is gone keeps its messages until they expire; if it comes back, cursors go on.
- What a channel keeps is by the new rules from then on, and `max_lag` holds. A live read keeps the guarantee that
  its greeting gave. Presence and what concerns a connection as a whole (`heartbeat`, `cors`,
  `websocket.deflate`, `limits.connection_channels`, the certificate) is that of its beginning.

Put a new file in the place of the old one by a rename, so that no half of one is read. With several
nodes, reload each.

`tidings serve --dev` needs no configuration: it listens on 127.0.0.1, declares the namespaces
`default` (at-most-once), `demo` and `durable` (at-least-once, with presence), and has a fresh
secret for tokens at each start. It keeps its channels in the folder `.tidings`, unless the file or
the environment says anything of `[broker]`. With `--config` the file's values win.
";

/// The JSON schema of the configuration, for editors and other programs.
pub fn schema() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<Config>().to_value()
}

/// docs/configuration.md.
pub fn reference() -> String {
    let order = Order::of_example();
    let mut page = format!("{INTRODUCTION}\n## A complete example\n\n```toml\n{EXAMPLE}```\n");
    let mut sections = Vec::new();
    collect(
        &ROOT,
        &mut Vec::new(),
        "Keys of the node itself, at the top of the file.",
        &order,
        &mut sections,
    );
    index(&mut page, &sections);
    for section in &sections {
        write_section(&mut page, section);
    }
    page
}

/// A table and its keys.
struct Section<'a> {
    path: Vec<String>,
    text: &'a str,
    keys: Vec<&'a Key>,
}

/// The order in which the example names things.
struct Order(Places);

impl Order {
    fn of_example() -> Self {
        // A test reads the example, so this is never empty.
        Order(Layer::parse(&Source::file("", EXAMPLE), EXAMPLE).map(|layer| layer.places).unwrap_or_default())
    }

    /// Where the example names a key first; the name of a namespace is any of its own.
    fn rank(&self, path: &[String]) -> (usize, usize) {
        let first = self.0.iter().filter(|(known, _)| {
            known.len() == path.len() && known.iter().zip(path).all(|(k, p)| k == p || p == "NAME")
        });
        let places = first.map(|(_, place)| match place {
            Place::File { line, column, .. } => (*line, *column),
            _ => (usize::MAX, 0),
        });
        places.min().unwrap_or((usize::MAX, 0))
    }
}

impl Section<'_> {
    fn title(&self) -> String {
        if self.path.is_empty() { "The node".to_owned() } else { format!("`{}`", table_name(&self.path)) }
    }

    fn path_of(&self, key: &Key) -> Vec<String> {
        self.path.iter().chain([&key.name]).cloned().collect()
    }
}

/// The sections below a shape, in order.
fn collect<'a>(
    shape: &'a Shape,
    path: &mut Vec<String>,
    text: &'a str,
    order: &Order,
    sections: &mut Vec<Section<'a>>,
) {
    let keys = match shape {
        Shape::Table(keys) => keys.as_slice(),
        Shape::Names(key) => {
            path.push(key.name.clone());
            collect(&key.shape, path, text, order, sections);
            path.pop();
            return;
        }
        _ => return,
    };
    let mut keys: Vec<(_, &Key)> = keys
        .iter()
        .map(|key| {
            path.push(key.name.clone());
            let rank = order.rank(path);
            path.pop();
            (rank, key)
        })
        .collect();
    keys.sort_by_key(|(rank, _)| *rank);
    let is_table = |key: &Key| matches!(key.shape, Shape::Table(_) | Shape::Names(_));
    let plain = keys.iter().map(|(_, key)| *key).filter(|key| !is_table(key)).collect();
    sections.push(Section { path: path.clone(), text, keys: plain });
    for (_, key) in keys.into_iter().filter(|(_, key)| is_table(key)) {
        path.push(key.name.clone());
        collect(&key.shape, path, &key.text, order, sections);
        path.pop();
    }
}

/// Every key on one screen.
fn index(page: &mut String, sections: &[Section<'_>]) {
    page.push_str("\n## All keys\n\n| key | default |\n|---|---|\n");
    for section in sections {
        for key in &section.keys {
            let path = section.path_of(key).join(".");
            let _ = writeln!(page, "| [`{path}`](#{}) | {} |", anchor(&path), default_of(key));
        }
    }
}

fn write_section(page: &mut String, section: &Section<'_>) {
    let _ = write!(page, "\n## {}\n\n{}\n", section.title(), section.text);
    for key in &section.keys {
        let path = section.path_of(key);
        let _ = write!(page, "\n### `{}`\n\n{}\n\n", path.join("."), key.text);
        if let Shape::Choice(choices) = &key.shape {
            for (value, meaning) in choices {
                let _ = writeln!(page, "- `\"{value}\"`: {}", meaning.replace('\n', " "));
            }
            page.push('\n');
        }
        let given = match default_of(key) {
            default if key.required || default == NOT_SET => default,
            default => format!("default {default}"),
        };
        let fixed = if is_fixed(&path.join(".")) { " · needs a restart" } else { "" };
        let _ = writeln!(page, "*{}* · {given} · `{}`{fixed}", type_of(&key.shape), variable(&path));
    }
}

/// The type of a key and its bounds.
fn type_of(shape: &Shape) -> String {
    match shape {
        Shape::Table(_) | Shape::Names(_) => "table".to_owned(),
        Shape::List(item) => match item.as_ref() {
            Shape::OrTable(value, _) => format!("list of {}s and tables", type_of(value)),
            item => format!("list of {}s", type_of(item)),
        },
        Shape::OrTable(value, _) => format!("{} or table", type_of(value)),
        Shape::Text => "string".to_owned(),
        Shape::Secret => "secret".to_owned(),
        Shape::Switch => "true or false".to_owned(),
        Shape::Choice(_) => "one of these strings".to_owned(),
        Shape::Count(low, high) => format!("whole number, {} to {}", grouped(*low), grouped(*high)),
        Shape::Period(low, high) => format!("duration, {low} to {high}"),
        Shape::Size(low, high) => format!("size, {low} to {high}"),
        Shape::Address => "IP address and port".to_owned(),
    }
}

fn default_of(key: &Key) -> String {
    match (&key.default, key.required, &key.shape) {
        (Some(default), ..) => default.clone(),
        (None, true, _) => "**required**".to_owned(),
        (None, false, Shape::List(_)) => "`[]`".to_owned(),
        (None, false, _) => NOT_SET.to_owned(),
    }
}

/// The anchor that a Markdown renderer gives to a heading of this key.
fn anchor(path: &str) -> String {
    path.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).flat_map(char::to_lowercase).collect()
}
