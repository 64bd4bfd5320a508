//! From a file, the environment and the flags to a [`Config`]: merged as one table, read once.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::env::Overlaid;
use super::error::{ConfigError, Problem};
use super::layer::{Layer, Source};
use super::place::{Place, Places};
use super::value::Address;
use super::{Config, Env, advice, validate};

/// What the command line says about the configuration. It beats the file and the environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags {
    /// `--dev`: the development namespaces and a fresh secret, where the file has none.
    pub dev: bool,
    /// `--listen`.
    pub listen: Option<Address>,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration, validated.
    pub config: Config,
    /// What is probably a mistake, each in one sentence.
    pub warnings: Vec<String>,
    /// Whether the file or the environment says anything of the broker.
    pub names_broker: bool,
    /// Where it came from: the file, then the variables.
    pub sources: Vec<String>,
}

/// More is not read: it is no configuration, and may be a device.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What `--dev` adds below the file and the environment.
const DEV: &str = r#"
listen = "127.0.0.1:8080"

[namespaces.default]
delivery = "at-most-once"
subscribe = "token"
publish = "token"

[namespaces.demo]
delivery = "at-least-once"
retain = { messages = 1000, age = "1h" }
presence = true
subscribe = "token"
publish = "token"

[namespaces.durable]
delivery = "at-least-once"
retain = { messages = 10000, age = "24h" }
presence = true
subscribe = "token"
publish = "token"
"#;

impl Config {
    /// The configuration of a file (without one, of the environment alone), the environment
    /// and the flags; the later beats the earlier.
    pub fn load(file: Option<&Path>, env: &Env, flags: &Flags) -> Result<Loaded, ConfigError> {
        let Some(path) = file else {
            return Config::load_text(None, env, flags);
        };
        let name = path.display().to_string();
        let text = read(path, &name)?;
        Config::load_text(Some((&name, &text)), env, flags)
    }

    /// As [`Config::load`], from the text of a file and its name.
    pub fn load_text(file: Option<(&str, &str)>, env: &Env, flags: &Flags) -> Result<Loaded, ConfigError> {
        let mut layer = match file {
            Some((name, text)) => Layer::parse(&Source::file(name, text), text)?,
            None => Layer::default(),
        };
        let Overlaid { used, mut warnings } = env.overlay(&mut layer)?;
        if let Some(listen) = flags.listen {
            layer.table.insert("listen".into(), Value::String(listen.to_string()));
            layer.places.note(&["listen".into()], Place::Flag("--listen"));
        }
        if flags.dev {
            add_dev(&mut layer)?;
        }
        let Layer { table, places } = layer;
        let names_broker = table.contains_key("broker");
        let mut config = deserialize(table, &places)?;
        config.dev = flags.dev;
        validate::config(&config, &places)?;
        warnings.extend(advice::warnings(&config));
        let sources = file.map(|(name, _)| name.to_owned()).into_iter().chain(used).collect();
        Ok(Loaded { config, warnings, names_broker, sources })
    }

    /// The configuration of `--dev` alone.
    pub fn dev() -> Result<Config, ConfigError> {
        let flags = Flags { dev: true, listen: None };
        Config::load_text(None, &Env::default(), &flags).map(|loaded| loaded.config)
    }
}

/// The text of a file.
fn read(path: &Path, name: &str) -> Result<String, ConfigError> {
    let cannot = |error: &std::io::Error| {
        let (what, advice) = match error.kind() {
            ErrorKind::NotFound => ("there is no such file", "check the path, or leave --config out"),
            ErrorKind::IsADirectory => ("this is a folder, not a file", "name the file in it"),
            ErrorKind::PermissionDenied => ("this user may not read it", "change the file's permissions"),
            _ => return ConfigError::new(format!("{name}: {error}"), "check the path"),
        };
        ConfigError::new(format!("{name}: {what}"), advice)
    };
    let file = std::fs::File::open(path).map_err(|error| cannot(&error))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::new(
            format!("{name}: this is larger than 1 MiB"),
            "name a configuration file",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::new(format!("{name}:{line}: this is not UTF-8"), "save the file as UTF-8")
    })
}

/// Adds what `--dev` declares and the layer does not: namespaces one by one, each whole.
fn add_dev(layer: &mut Layer) -> Result<(), ConfigError> {
    let Layer { table: dev, places } = Layer::parse(&Source::Dev, DEV)?;
    let mut below = Places::default();
    below.extend(places);
    // The places of the file win where both have one.
    below.extend(std::mem::take(&mut layer.places));
    layer.places = below;
    for (key, value) in dev {
        match (layer.table.get_mut(&key), value) {
            (None, value) => {
                layer.table.insert(key, value);
            }
            (Some(Value::Table(declared)), Value::Table(named)) => {
                for (name, namespace) in named {
                    declared.entry(name).or_insert(namespace);
                }
            }
            (Some(_), _) => {}
        }
    }
    let mut auth = &mut layer.table;
    for key in ["auth", "jwt"] {
        let inner = auth.entry(key.to_owned()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = inner else { return Ok(()) };
        auth = inner;
    }
    // A way to verify tokens that the file has is the one: a second would be refused.
    if !["hmac_secret", "public_key_file", "jwks_url"].iter().any(|way| auth.contains_key(*way)) {
        auth.insert("hmac_secret".to_owned(), Value::String(random_secret()?));
    }
    Ok(())
}

/// A secret that lives as long as this process: a configuration that is read again has it, too.
fn random_secret() -> Result<String, ConfigError> {
    static SECRET: OnceLock<String> = OnceLock::new();
    if let Some(secret) = SECRET.get() {
        return Ok(secret.clone());
    }
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        ConfigError::new(
            format!("this system gives no random numbers for the secret of --dev: {error}"),
            "set TIDINGS_AUTH__JWT__HMAC_SECRET",
        )
    })?;
    Ok(SECRET.get_or_init(|| URL_SAFE_NO_PAD.encode(bytes)).clone())
}

/// The merged table as plain structs.
fn deserialize(table: Table, places: &Places) -> Result<Config, ConfigError> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let path: Vec<String> = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                Segment::Map { key } => Some(key.clone()),
                Segment::Enum { variant } => Some(variant.clone()),
                Segment::Seq { .. } | Segment::Unknown => None,
            })
            .collect();
        let message = error.inner().message().trim();
        let problem = if message.contains("missing field `delivery`") {
            Problem::new(
                "does not say what its readers are promised: with \"at-least-once\" a 200 means stored, and a \
                 reader that comes back gets every message after its cursor, in order, or a gap that says what \
                 is missing; with \"at-most-once\" a reader that is slow or away may miss messages, and is told \
                 how many",
                "add delivery = \"at-least-once\" or delivery = \"at-most-once\" to it",
            )
        } else {
            // The layers are checked against the same schema: only what it cannot say comes here.
            Problem::new(message.replace('\n', ", "), "see `tidings check --reference` for what the key takes")
        };
        ConfigError::at(&path, places.of(&path), &problem)
    })
}
