//! The configuration seen as data: which keys there are, of what type, within what bounds.
//!
//! It is taken from the JSON schema of [`Config`], so it cannot disagree with the structs.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::Config;
use super::error::Problem;
use super::place::{nearest, shown};
use super::value::{Address, Period, Size};

/// One key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Its name; `NAME` where the user chooses it.
    pub name: String,
    /// Its doc comment.
    pub text: String,
    /// Its default as TOML, if it has one; in words if it depends on something.
    pub default: Option<String>,
    /// Whether it has to be given.
    pub required: bool,
    /// What may stand there.
    pub shape: Shape,
}

/// What may stand at a key.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A table with these keys.
    Table(Vec<Key>),
    /// A table whose keys the user names, each with a value like this one.
    Names(Box<Key>),
    /// A list of such values.
    List(Box<Shape>),
    /// A value like the first, or a table like the second.
    OrTable(Box<Shape>, Box<Shape>),
    /// A string.
    Text,
    /// A string that is never shown.
    Secret,
    /// `true` or `false`.
    Switch,
    /// One of these strings; each has a meaning.
    Choice(Vec<(String, String)>),
    /// A whole number within these bounds.
    Count(u64, u64),
    /// A duration within these bounds.
    Period(Period, Period),
    /// A number of bytes within these bounds.
    Size(Size, Size),
    /// An IP address with a port.
    Address,
}

/// The whole configuration.
pub(super) static ROOT: LazyLock<Shape> = LazyLock::new(|| {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<Config>();
    Shape::of(schema.as_value())
});

impl Shape {
    /// The shape that a schema describes.
    fn of(schema: &Value) -> Shape {
        match text(schema, "x-type") {
            "duration" => {
                let (low, high) = bounds(schema);
                return Shape::Period(low.unwrap_or(Period::secs(0)), high.unwrap_or(Period::secs(u64::MAX)));
            }
            "size" => {
                let (low, high) = bounds(schema);
                return Shape::Size(low.unwrap_or(Size(0)), high.unwrap_or(Size(u64::MAX)));
            }
            "address" => return Shape::Address,
            "secret" => return Shape::Secret,
            _ => {}
        }
        // What is optional is `anyOf` a schema and null, or a type and null: null is not TOML.
        if let Some(any) = schema["anyOf"].as_array() {
            let mut any = any.iter().filter(|s| s["type"] != "null").map(Shape::of);
            return match (any.next(), any.next()) {
                (Some(value), Some(table)) => Shape::OrTable(Box::new(value), Box::new(table)),
                (one, _) => one.unwrap_or(Shape::Text),
            };
        }
        if schema["oneOf"].is_array() || schema["enum"].is_array() || schema["const"].is_string() {
            return Shape::Choice(choices(schema));
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
            kind => kind.as_str(),
        };
        match kind {
            Some("object") => Shape::of_object(schema),
            Some("array") => Shape::List(Box::new(Shape::of(&schema["items"]))),
            Some("boolean") => Shape::Switch,
            Some("integer") => Shape::Count(
                schema["minimum"].as_u64().unwrap_or(0),
                schema["maximum"].as_u64().unwrap_or(i64::MAX.unsigned_abs()),
            ),
            _ => Shape::Text,
        }
    }

    /// A table: with fixed keys, or with keys that the user names.
    fn of_object(schema: &Value) -> Shape {
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        if properties.is_empty() && schema["additionalProperties"].is_object() {
            return Shape::Names(Box::new(Key::of("NAME", &schema["additionalProperties"], false)));
        }
        let required =
            |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|r| r == name));
        Shape::Table(properties.iter().map(|(name, value)| Key::of(name, value, required(name))).collect())
    }

    /// The shape below a table, by its key.
    pub(super) fn child(&self, name: &str) -> Option<&Shape> {
        match self {
            Shape::Table(keys) => keys.iter().find(|key| key.name == name).map(|key| &key.shape),
            Shape::Names(key) => Some(&key.shape),
            _ => None,
        }
    }

    /// The keys of a table that are fixed.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let keys = match self {
            Shape::Table(keys) => keys.as_slice(),
            _ => &[],
        };
        keys.iter().map(|key| key.name.as_str())
    }

    /// What has to stand there, in words, for an error.
    pub(super) fn expects(&self) -> String {
        match self {
            Shape::Table(_) => "a table".to_owned(),
            Shape::Names(_) => "a table of named tables".to_owned(),
            Shape::List(_) => "a list such as [\"a\", \"b\"]".to_owned(),
            Shape::OrTable(value, _) => value.expects(),
            Shape::Text | Shape::Secret => "a string in quotes".to_owned(),
            Shape::Switch => "true or false".to_owned(),
            Shape::Choice(choices) => {
                let values: Vec<_> = choices.iter().map(|(value, _)| format!("\"{value}\"")).collect();
                match values.as_slice() {
                    [one] => one.clone(),
                    [many @ .., last] => format!("{} or {last}", many.join(", ")),
                    [] => String::new(),
                }
            }
            Shape::Count(low, high) => format!("a whole number of {low} to {high}"),
            Shape::Period(low, high) => format!("a duration of \"{low}\" to \"{high}\""),
            Shape::Size(low, high) => format!("a number of bytes, \"{low}\" to \"{high}\""),
            Shape::Address => "an IP address with a port such as \"0.0.0.0:8080\"".to_owned(),
        }
    }

    /// Whether a string may stand there, as far as the shape alone can tell.
    pub(super) fn check_text(&self, text: &str) -> Result<(), Problem> {
        let problem = |what: String| Problem::new(what, format!("write {}", self.expects()));
        match self {
            Shape::Choice(choices) => {
                if choices.iter().any(|(value, _)| value == text) {
                    return Ok(());
                }
                let near = nearest(text, choices.iter().map(|(value, _)| value.as_str()));
                let near = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
                Err(problem(format!("cannot be `{}`{near}", shown(text))))
            }
            Shape::Period(low, high) => {
                let period: Period = text.parse().map_err(problem)?;
                within(&period, low, high).map_err(problem)
            }
            Shape::Size(low, high) => {
                let size: Size = text.parse().map_err(problem)?;
                within(&size, low, high).map_err(problem)
            }
            Shape::Address => text.parse::<Address>().map(|_| ()).map_err(problem),
            _ => Ok(()),
        }
    }

    /// Whether a number may stand there. The shape is one that takes numbers.
    pub(super) fn check_number(&self, number: i64) -> Result<(), Problem> {
        let problem = |what: String| Problem::new(what, format!("write {}", self.expects()));
        match (self, u64::try_from(number)) {
            (_, Err(_)) => Err(problem(format!("is {number}, which is below zero"))),
            (Shape::Count(low, high), Ok(number)) => within(&number, low, high).map_err(problem),
            (Shape::Size(low, high), Ok(number)) => within(&Size(number), low, high).map_err(problem),
            _ => Ok(()),
        }
    }
}

impl Key {
    /// The key that a property of a schema describes.
    fn of(name: &str, schema: &Value, required: bool) -> Key {
        let default = match text(schema, "x-default") {
            "" => {
                Some(&schema["default"]).filter(|v| !v.is_null() && !v.is_object()).map(|v| format!("`{v}`"))
            }
            words => Some(words.to_owned()),
        };
        Key {
            name: name.to_owned(),
            text: text(schema, "description").to_owned(),
            default,
            required,
            shape: Shape::of(schema),
        }
    }
}

/// The values of an enum with their doc comments.
fn choices(schema: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    if let Some(value) = schema["const"].as_str() {
        all.push((value.to_owned(), text(schema, "description").to_owned()));
    }
    for value in schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        all.push((value.to_owned(), String::new()));
    }
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        all.extend(choices(one));
    }
    all
}

/// The bounds that a field declares with `x-bounds`.
fn bounds<T: std::str::FromStr>(schema: &Value) -> (Option<T>, Option<T>) {
    let bound = |index: usize| schema["x-bounds"][index].as_str().and_then(|text| text.parse().ok());
    (bound(0), bound(1))
}

/// A string of a schema, or nothing.
fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema[key].as_str().unwrap_or_default()
}

/// The value is at least `low` and at most `high`.
fn within<T: PartialOrd + std::fmt::Display>(value: &T, low: &T, high: &T) -> Result<(), String> {
    if value < low {
        return Err(format!("is {value}, which is less than {low}"));
    }
    if value > high {
        return Err(format!("is {value}, which is more than {high}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `see` with each key below a shape.
    fn each(shape: &Shape, see: &mut dyn FnMut(&Key)) {
        match shape {
            Shape::Table(keys) => keys.iter().for_each(|key| {
                see(key);
                each(&key.shape, see);
            }),
            Shape::Names(key) => each(&key.shape, see),
            _ => {}
        }
    }

    #[test]
    fn every_key_has_a_text_and_bounds_that_parse() {
        let mut count = 0;
        each(&ROOT, &mut |key| {
            count += 1;
            assert!(!key.text.is_empty(), "{} has no doc comment", key.name);
            if let Shape::Period(low, high) = key.shape {
                assert!(*low < *high && high != Period::secs(u64::MAX), "{} has no x-bounds", key.name);
            }
            if let Shape::Size(_, high) = key.shape {
                assert!(high != Size(u64::MAX), "{} has no x-bounds", key.name);
            }
            if let Shape::Choice(choices) = &key.shape {
                assert!(choices.iter().all(|(_, meaning)| !meaning.is_empty()), "{}", key.name);
            }
        });
        assert!(count > 35, "{count}");
    }
}
