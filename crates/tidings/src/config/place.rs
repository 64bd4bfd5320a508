//! Where each key of the merged table came from, so that an error can say so.
//!
//! Merging two layers loses the spans of TOML; this map keeps them.

use std::collections::BTreeMap;
use std::fmt;

/// Where a key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file; lines and columns count from 1.
    File { name: String, line: usize, column: usize },
    /// In an environment variable.
    Variable(String),
    /// In a flag of the command line.
    Flag(&'static str),
    /// In what `--dev` adds.
    Dev,
}

/// The place of each key, by its path.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(BTreeMap<Vec<String>, Place>);

impl Places {
    /// Notes where a key stands.
    pub(super) fn note(&mut self, path: &[String], place: Place) {
        self.0.insert(path.to_vec(), place);
    }

    /// Notes where a key stands, and that the tables around it begin there if nowhere else.
    pub(super) fn note_with_parents(&mut self, path: &[String], place: &Place) {
        for depth in 1..path.len() {
            self.0.entry(path[..depth].to_vec()).or_insert_with(|| place.clone());
        }
        self.note(path, place.clone());
    }

    /// Forgets a key and everything below it, since another layer replaces it.
    pub(super) fn forget(&mut self, path: &[String]) {
        self.0.retain(|known, _| !known.starts_with(path));
    }

    /// Where a key stands, or the nearest table around it.
    pub(super) fn of(&self, path: &[String]) -> Option<&Place> {
        (1..=path.len()).rev().find_map(|depth| self.0.get(path.get(..depth)?))
    }

    /// Every key and its place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[String], &Place)> {
        self.0.iter().map(|(path, place)| (path.as_slice(), place))
    }

    /// Takes over all places of another layer.
    pub(super) fn extend(&mut self, other: Places) {
        self.0.extend(other.0);
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Place::Variable(name) => f.write_str(&variable_name(name)),
            Place::Flag(name) => f.write_str(name),
            Place::Dev => f.write_str("--dev"),
        }
    }
}

/// A key for people: `` `retain` in [namespaces.orders] ``, and a table as `[namespaces.orders]`.
pub(super) fn path_name(path: &[String]) -> String {
    match path {
        [] => "the configuration".to_owned(),
        [key] => format!("`{}`", quoted(key)),
        [namespaces, name] if namespaces == "namespaces" => table_name(&[namespaces.clone(), name.clone()]),
        [table @ .., key] => format!("`{}` in {}", quoted(key), table_name(table)),
    }
}

/// A table for people: `[namespaces.orders]`.
pub(super) fn table_name(path: &[String]) -> String {
    format!("[{}]", path.iter().map(|key| quoted(key)).collect::<Vec<_>>().join("."))
}

/// A key as TOML wants it, cut where somebody put a book into it.
pub(super) fn quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    match (bare, key.char_indices().nth(100)) {
        (true, None) => key.to_owned(),
        (_, None) => format!("{key:?}"),
        (_, Some((end, _))) => format!("{:?}", format!("{}…", &key[..end])),
    }
}

/// A value as an error shows it: on one line, and not all of a book.
pub(super) fn shown(text: &str) -> String {
    printable(text, 60)
}

/// The name of a variable. Longer than what [`shown`] cuts, since a namespace of 100 bytes may be in it.
pub(super) fn variable_name(name: &str) -> String {
    printable(name, 200)
}

fn printable(text: &str, chars_max: usize) -> String {
    let mut shown = String::new();
    for (index, c) in text.chars().enumerate() {
        match c {
            _ if index == chars_max => {
                shown.push('…');
                break;
            }
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// The name of a list that is nearest to a mistyped one, if any is near.
pub(super) fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (typed.chars().count() / 3).clamp(1, 4);
    // A distance costs the product of the lengths: no name of ours is longer than this.
    if typed.len() > 100 {
        return None;
    }
    let lower = typed.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn a_key_is_named_with_its_table() {
        assert_eq!(path_name(&path(&["listen"])), "`listen`");
        assert_eq!(path_name(&path(&["namespaces", "orders"])), "[namespaces.orders]");
        assert_eq!(path_name(&path(&["namespaces", "a.b", "age"])), "`age` in [namespaces.\"a.b\"]");
    }

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["retain", "delivery", "presence"];
        assert_eq!(nearest("retian", names), Some("retain"));
        assert_eq!(nearest("Delivry", names), Some("delivery"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("", names), None);
    }

    #[test]
    fn the_nearest_table_lends_its_place() {
        let mut places = Places::default();
        places.note(&path(&["auth"]), Place::Dev);
        places.note(&path(&["auth", "jwt"]), Place::Flag("--x"));
        assert_eq!(places.of(&path(&["auth", "jwt", "hmac_secret"])), Some(&Place::Flag("--x")));
        places.forget(&path(&["auth", "jwt"]));
        assert_eq!(places.of(&path(&["auth", "jwt", "hmac_secret"])), Some(&Place::Dev));
        assert_eq!(places.of(&path(&["listen"])), None);
    }
}
