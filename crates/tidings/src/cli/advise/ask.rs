//! Questions to a person.

use std::io::{self, BufRead as _, Write as _};

use clap::ValueEnum;

use super::{name, seconds, unusable};

/// Asks what no flag has answered.
pub(super) struct Asker {
    asks: bool,
}

/// How often one question is put.
const TRIES: usize = 3;

impl Asker {
    /// `asks`: whether there is somebody to ask. Else the defaults count.
    pub(super) fn new(asks: bool) -> Self {
        Self { asks }
    }

    /// One of a few answers, by its number or its name.
    pub(super) fn choice<T: ValueEnum>(
        &mut self,
        question: &str,
        given: Option<T>,
        default: T,
    ) -> anyhow::Result<T> {
        let all = T::value_variants();
        let mut text = format!("\n{question}\n");
        for (number, value) in all.iter().enumerate() {
            let help = value.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
            text += &format!("  {}  {:<12} {}\n", number + 1, name(value), help.unwrap_or_default());
        }
        self.ask(question, &text, given, &name(&default), |answer| match answer.parse::<usize>() {
            Ok(number) => all.get(number.checked_sub(1)?).cloned(),
            Err(_) => T::from_str(answer, true).ok(),
        })
    }

    /// A time, as `10s`; in seconds.
    pub(super) fn time(&mut self, question: &str, given: Option<f64>, default_s: f64) -> anyhow::Result<f64> {
        let default = format!("{default_s}s");
        self.ask(question, &format!("\n{question} (as 500ms, 10s, 5m)\n"), given, &default, |answer| {
            seconds(answer).ok()
        })
    }

    /// A number over 0.
    pub(super) fn number(&mut self, question: &str, given: Option<u64>, default: u64) -> anyhow::Result<u64> {
        let text = format!("\n{question}\n");
        self.ask(question, &text, given, &default.to_string(), |answer| {
            answer.replace(['_', ',', ' '], "").parse().ok().filter(|number| *number > 0)
        })
    }

    fn ask<T>(
        &mut self,
        question: &str,
        text: &str,
        given: Option<T>,
        default: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        if let Some(given) = given {
            return Ok(given);
        }
        for _ in 0..TRIES {
            let answer = if self.asks { self.put(text, default)? } else { default.to_owned() };
            if let Some(answer) = read(&answer) {
                return Ok(answer);
            }
            writeln!(io::stderr(), "that is no answer to this: {answer}")?;
        }
        Err(unusable(question).into())
    }

    fn put(&mut self, text: &str, default: &str) -> io::Result<String> {
        let mut out = io::stderr();
        write!(out, "{text}[{default}] ")?;
        out.flush()?;
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            // Nobody is there any more: the defaults count from here on.
            self.asks = false;
        }
        let answer = line.trim();
        Ok(if answer.is_empty() { default.to_owned() } else { answer.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::Sends;

    #[test]
    fn where_nobody_is_asked_flags_and_defaults_count() {
        let mut asker = Asker::new(false);
        assert_eq!(asker.choice("?", Some(Sends::Often), Sends::Never).unwrap(), Sends::Often);
        assert_eq!(asker.choice("?", None, Sends::Sometimes).unwrap(), Sends::Sometimes);
        assert_eq!(asker.time("?", None, 0.5).unwrap(), 0.5);
        assert_eq!(asker.number("?", None, 7).unwrap(), 7);
    }
}
