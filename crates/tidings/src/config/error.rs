//! Why a configuration is refused: one sentence with its place, and what to do.

use std::fmt;

use super::place::{Place, path_name};

/// A configuration that cannot be used. Prints as the sentence, then a line `try: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    sentence: String,
    advice: String,
}

/// What is wrong with one value, before it is known where the value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Follows the name of the key: "is 2m, which is outside 1s to 60s".
    pub what: String,
    /// What to do: "choose a duration of 1s to 60s".
    pub advice: String,
}

impl ConfigError {
    /// An error that belongs to no key.
    pub(super) fn new(sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        ConfigError { sentence: sentence.into(), advice: advice.into() }
    }

    /// What is wrong with the value of a key.
    pub(super) fn at(path: &[String], place: Option<&Place>, problem: &Problem) -> Self {
        let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
        ConfigError::new(format!("{}{place} {}", path_name(path), problem.what), problem.advice.clone())
    }

    /// What is wrong, and where: one sentence.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// What to do about it: one sentence in the imperative.
    pub fn advice(&self) -> &str {
        &self.advice
    }
}

impl Problem {
    /// A problem and its remedy.
    pub(super) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Problem { what: what.into(), advice: advice.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\ntry: {}", self.sentence, self.advice)
    }
}

impl std::error::Error for ConfigError {}
