//! The environment as a layer: `TIDINGS_BROKER__KIND=memory` is `kind` in `[broker]`.
//!
//! This is the one file that reads the environment. What the rest of the program (and every
//! test) gets is [`Env`], a map.

use std::collections::BTreeMap;
use std::ffi::OsString;

use toml::de::DeValue;
use toml::{Table, Value};

use super::error::{ConfigError, Problem};
use super::layer::{Layer, Source, Walk, unknown};
use super::place::{Place, nearest, shown, variable_name};
use super::shape::{ROOT, Shape};

/// What the name of each variable begins with.
const PREFIX: &str = "TIDINGS_";

/// Variables that belong to the command line and not to a node's configuration.
const CLIENT: [&str; 5] = ["TIDINGS_CA", "TIDINGS_CONFIG", "TIDINGS_SECRET", "TIDINGS_TOKEN", "TIDINGS_URL"];

/// The variables whose name begins with `TIDINGS_`.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, OsString>);

/// What the environment had to say.
pub(super) struct Overlaid {
    /// The variables that set a key.
    pub used: Vec<String>,
    /// A sentence about each variable that is no key.
    pub warnings: Vec<String>,
}

impl Env {
    /// The environment of this process.
    #[allow(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
    pub fn read() -> Self {
        // `vars_os`, since a variable of somebody else's that is not UTF-8 must not stop us.
        let named = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        named.collect()
    }

    /// Puts each variable into the layer, by the type that its key has.
    pub(super) fn overlay(&self, layer: &mut Layer) -> Result<Overlaid, ConfigError> {
        let mut warnings = Vec::new();
        let mut settings = Vec::new();
        for (name, value) in &self.0 {
            if CLIENT.contains(&name.as_str()) {
                continue;
            }
            let keys = name.strip_prefix(PREFIX).unwrap_or(name);
            let path: Vec<String> = keys.split("__").map(str::to_lowercase).collect();
            match shape_of(&path, name) {
                Ok(shape) => settings.push((path, shape, name, value)),
                Err(error) if name.contains("__") => return Err(error),
                Err(_) => warnings.push(ignored(name)),
            }
        }
        // A whole table comes before a key in it, so that the key is put into the table.
        settings.sort_by_key(|(path, ..)| path.len());
        let used = settings.iter().map(|(_, _, name, _)| (*name).clone()).collect();
        for (path, shape, name, value) in settings {
            let place = Place::Variable(name.clone());
            let Some(text) = value.to_str() else {
                let problem = Problem::new("is not UTF-8", "set the variable to text in UTF-8");
                return Err(ConfigError::at(&path, Some(&place), &problem));
            };
            layer.places.forget(&path);
            layer.places.note_with_parents(&path, &place);
            let value = read(text, shape, name, &path, layer)?;
            insert(&mut layer.table, &path, value);
        }
        Ok(Overlaid { used, warnings })
    }
}

/// Takes the variables whose name begins with `TIDINGS_`.
impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Env(variables.filter(|(name, _)| name.starts_with(PREFIX)).collect())
    }
}

/// Names alone: a value may be a secret.
impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The variable that sets a key: `TIDINGS_NAMESPACES__ORDERS__DELIVERY`.
pub(super) fn variable(path: &[String]) -> String {
    format!("{PREFIX}{}", path.join("__").to_uppercase())
}

/// The shape of the key that a variable names.
fn shape_of(path: &[String], name: &str) -> Result<&'static Shape, ConfigError> {
    let mut shape: &'static Shape = &ROOT;
    for (depth, key) in path.iter().enumerate() {
        let Some(child) = shape.child(key) else {
            return Err(unknown_variable(shape, path, depth, name));
        };
        shape = child;
    }
    Ok(shape)
}

/// A variable of which one part is no key.
fn unknown_variable(shape: &Shape, path: &[String], depth: usize, name: &str) -> ConfigError {
    let place = Place::Variable(shown(name));
    let typed = path.get(depth).map_or("", String::as_str);
    let Some(near) = nearest(typed, shape.names()) else {
        return unknown(shape, path.get(..=depth).unwrap_or(path), &place);
    };
    let mut meant = path.to_vec();
    if let Some(key) = meant.get_mut(depth) {
        near.clone_into(key);
    }
    ConfigError::new(
        format!(
            "unknown key `{}` ({place}): did you mean {}?",
            shown(typed),
            variable_name(&variable(&meant))
        ),
        "rename the variable, or unset it",
    )
}

/// The warning about a variable that is no key, and may be nothing of ours.
fn ignored(name: &str) -> String {
    let mut keys = Vec::new();
    variables(&ROOT, &mut Vec::new(), &mut keys);
    // What all begin with is no likeness.
    let bare = |name: &'_ str| name.strip_prefix("TIDINGS_").unwrap_or(name).to_owned();
    let bares: Vec<_> = keys.iter().map(|key| bare(key)).collect();
    let near = || nearest(&bare(name), bares.iter().map(String::as_str));
    // `TIDINGS_BROKER_KIND` is the commonest slip: one underscore where two are meant.
    let single = keys.iter().find(|key| key.replace("__", "_") == name).map(String::as_str);
    let near = single.map(str::to_owned).or_else(|| near().map(|near| format!("TIDINGS_{near}")));
    let hint = near.map(|near| format!(": did you mean {near}?"));
    format!("the variable {} is ignored, since it is no setting{}", shown(name), hint.unwrap_or_default())
}

/// The variable of every key whose name the user does not choose.
fn variables(shape: &Shape, path: &mut Vec<String>, found: &mut Vec<String>) {
    for name in shape.names() {
        path.push(name.to_owned());
        match shape.child(name) {
            Some(table @ Shape::Table(_)) => variables(table, path, found),
            Some(Shape::Names(_)) | None => {}
            Some(_) => found.push(variable(path)),
        }
        path.pop();
    }
}

/// The value of a variable, by the shape of its key.
fn read(
    text: &str,
    shape: &Shape,
    name: &str,
    path: &[String],
    layer: &mut Layer,
) -> Result<Value, ConfigError> {
    let place = Place::Variable(name.to_owned());
    let refuse = |problem: Problem| ConfigError::at(path, Some(&place), &problem);
    let trimmed = text.trim();
    let number = trimmed.parse::<i64>();
    match (shape, number) {
        (Shape::Switch, _) => match trimmed {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => Err(refuse(Problem::new("is neither true nor false", "set it to true or to false"))),
        },
        (Shape::Count(..) | Shape::Size(..), Ok(number)) => {
            shape.check_number(number).map(|()| Value::Integer(number)).map_err(refuse)
        }
        (Shape::Count(..), Err(_)) => {
            let what = format!("is not a whole number: `{}`", shown(text));
            Err(refuse(Problem::new(what, format!("write {}", shape.expects()))))
        }
        (Shape::List(_), _) if !trimmed.starts_with(['[', '{']) => {
            let items = trimmed.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        (Shape::Table(_) | Shape::Names(_), _) if !trimmed.starts_with('{') => {
            let child = shape.names().next().unwrap_or("NAME").to_uppercase();
            let name = variable_name(name);
            let advice = format!("set a key of it, such as {name}__{child}, or write {{ key = … }}");
            Err(refuse(Problem::new("is a table", advice)))
        }
        (Shape::List(_) | Shape::Table(_) | Shape::Names(_), _) => {
            let source = Source::Variable(name);
            // Items that are tables are a list without its brackets.
            let is_bare = matches!(shape, Shape::List(_)) && trimmed.starts_with('{');
            let list = if is_bare { format!("[{trimmed}]") } else { trimmed.to_owned() };
            let value = DeValue::parse(&list).map_err(|error| source.syntax(&error))?;
            Walk::new(&source, &mut layer.places).value(&value, shape, &mut path.to_vec())
        }
        // A secret may begin or end with a space; nothing else does on purpose.
        (Shape::Secret, _) => Ok(Value::String(text.to_owned())),
        (_, _) => {
            shape.check_text(trimmed).map_err(refuse)?;
            Ok(Value::String(trimmed.to_owned()))
        }
    }
}

/// Puts a value into a table, making the tables on the way.
fn insert(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let inner = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
            // The layers are checked: where the shape has a table, there is one.
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
