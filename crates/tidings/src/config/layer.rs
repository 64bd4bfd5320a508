//! One layer of the configuration: a table that has been checked against the shape, and
//! where each of its keys stands.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::error::{ConfigError, Problem};
use super::place::{Place, Places, nearest, shown, table_name};
use super::shape::{ROOT, Shape};

/// A checked table and its places.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// The keys and values.
    pub table: Table,
    /// Where they stand.
    pub places: Places,
}

/// Where the TOML that is being read stands.
pub(super) enum Source<'a> {
    /// A file, with the offset at which each line begins.
    File { name: &'a str, text: &'a str, lines: Vec<usize> },
    /// The value of a variable.
    Variable(&'a str),
    /// What `--dev` adds.
    Dev,
}

/// Reads one TOML text, noting places as it goes.
pub(super) struct Walk<'a> {
    source: &'a Source<'a>,
    places: &'a mut Places,
}

impl Layer {
    /// The layer that a TOML text holds.
    pub(super) fn parse(source: &Source<'_>, text: &str) -> Result<Layer, ConfigError> {
        let table = DeTable::parse(text).map_err(|error| source.syntax(&error))?;
        let mut layer = Layer::default();
        let mut walk = Walk::new(source, &mut layer.places);
        layer.table = walk.table(table.get_ref(), &ROOT, &mut Vec::new())?;
        Ok(layer)
    }
}

impl<'a> Source<'a> {
    /// A file of this name and content.
    pub(super) fn file(name: &'a str, text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source::File { name, text, lines }
    }

    /// The place of the byte at this offset.
    fn place(&self, at: usize) -> Place {
        match self {
            Source::File { name, text, lines } => {
                let line = lines.partition_point(|start| *start <= at);
                let start = line.checked_sub(1).and_then(|i| lines.get(i)).copied().unwrap_or(0);
                let column = text.get(start..at).map_or(1, |before| before.chars().count() + 1);
                Place::File { name: (*name).to_owned(), line, column }
            }
            Source::Variable(name) => Place::Variable((*name).to_owned()),
            Source::Dev => Place::Dev,
        }
    }

    /// What is wrong with the text as TOML. The message alone: the line could hold a secret.
    pub(super) fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let place = self.place(error.span().map_or(0, |span| span.start));
        ConfigError::new(
            format!("{place}: this is not TOML: {}", error.message().replace('\n', ", ")),
            "correct that line; a string stands in quotes, and a key is followed by `=`",
        )
    }
}

impl<'a> Walk<'a> {
    /// Reads a text of this source.
    pub(super) fn new(source: &'a Source<'a>, places: &'a mut Places) -> Self {
        Walk { source, places }
    }

    /// A table: every key has to be known. Depth is bounded by the shape, not by the text.
    fn table(
        &mut self,
        table: &DeTable<'_>,
        shape: &Shape,
        path: &mut Vec<String>,
    ) -> Result<Table, ConfigError> {
        let mut read = Table::new();
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            let place = self.source.place(key.span().start);
            let Some(shape) = shape.child(key.get_ref()) else {
                return Err(unknown(shape, path, &place));
            };
            self.places.note(path, place);
            read.insert(key.get_ref().to_string(), self.value(value, shape, path)?);
            path.pop();
        }
        Ok(read)
    }

    /// A value: it has to have the type, and the bounds, that the shape asks for.
    pub(super) fn value(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        shape: &Shape,
        path: &mut Vec<String>,
    ) -> Result<Value, ConfigError> {
        let place = self.places.of(path).cloned().unwrap_or_else(|| self.source.place(value.span().start));
        let refuse = |path: &[String], problem: Problem| ConfigError::at(path, Some(&place), &problem);
        match (value.get_ref(), shape) {
            (DeValue::Table(table), Shape::Table(_) | Shape::Names(_)) => {
                self.table(table, shape, path).map(Value::Table)
            }
            (DeValue::Table(_), Shape::OrTable(_, shape)) | (_, Shape::OrTable(shape, _)) => {
                self.value(value, shape, path)
            }
            (DeValue::Array(items), Shape::List(shape)) => {
                let items = items.iter().map(|item| self.value(item, shape, path));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            (DeValue::Boolean(on), Shape::Switch) => Ok(Value::Boolean(*on)),
            (DeValue::Integer(number), Shape::Count(..) | Shape::Size(..)) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| {
                    refuse(path, Problem::new("is too large a number", format!("write {}", shape.expects())))
                })?;
                shape.check_number(number).map_err(|problem| refuse(path, problem))?;
                Ok(Value::Integer(number))
            }
            (DeValue::String(text), shape) if takes_text(shape) => {
                shape.check_text(text).map_err(|problem| refuse(path, problem))?;
                Ok(Value::String(text.to_string()))
            }
            (other, shape) => Err(refuse(path, mismatch(other, shape))),
        }
    }
}

/// Whether a string may stand there at all.
fn takes_text(shape: &Shape) -> bool {
    use Shape::{Address, Choice, Period, Secret, Size, Text};
    matches!(shape, Text | Secret | Choice(_) | Period(..) | Size(..) | Address)
}

/// A value of the wrong type. The value itself is not shown: it could be a secret.
fn mismatch(value: &DeValue<'_>, shape: &Shape) -> Problem {
    let is = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let advice = match (value, shape) {
        (DeValue::Integer(number), Shape::Period(..)) => {
            format!("give it a unit, such as \"{}s\"", shown(number.as_str()))
        }
        (DeValue::String(_), Shape::Switch | Shape::Count(..)) => {
            format!("write {}, without quotes", shape.expects())
        }
        _ => format!("write {}", shape.expects()),
    };
    Problem::new(format!("is {is}, and should be {}", shape.expects()), advice)
}

/// A key that does not exist: the nearest one that does, or the table where it would.
pub(super) fn unknown(table: &Shape, path: &[String], place: &Place) -> ConfigError {
    let (typed, around) = path.split_last().map_or(("", path), |(last, rest)| (last.as_str(), rest));
    let within = if around.is_empty() { String::new() } else { format!(" in {}", table_name(around)) };
    let (hint, advice) = if let Some(near) = nearest(typed, table.names()) {
        (format!(": did you mean `{near}`?"), format!("write `{near}`, or take the key out"))
    } else if let Some(home) = home_of(&ROOT, typed, &mut Vec::new()) {
        let home = if home.is_empty() {
            "at the top, before every [table]".to_owned()
        } else {
            format!("under {}", table_name(&home))
        };
        (format!(": there is a `{typed}` {home}"), "move the key there, or take it out".to_owned())
    } else {
        let names = table.names().collect::<Vec<_>>().join(", ");
        (String::new(), format!("take the key out; here one may write {names}"))
    };
    ConfigError::new(format!("unknown key `{}`{within} ({place}){hint}", shown(typed)), advice)
}

/// The table in which a key of this name exists, so that one that lost its header finds home.
fn home_of(shape: &Shape, name: &str, path: &mut Vec<String>) -> Option<Vec<String>> {
    if shape.names().any(|known| known == name) {
        return Some(path.clone());
    }
    let keys = match shape {
        Shape::Table(keys) => keys.as_slice(),
        Shape::Names(key) => std::slice::from_ref(key.as_ref()),
        _ => &[],
    };
    keys.iter().find_map(|key| {
        path.push(key.name.clone());
        let home = home_of(&key.shape, name, path);
        path.pop();
        home
    })
}
