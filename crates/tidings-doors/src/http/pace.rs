//! How fast a client wants its messages, as it says so: `max_rate`, and `conflate` beside it.

use tidings_core::{Pace, Result};

use super::query::bad;

/// Reads the two parameters of a query.
pub fn of_query(max_rate: Option<&str>, conflate: Option<&str>) -> Result<Option<Pace>> {
    // Not a number is no rate either.
    let per_second = max_rate.map(|text| text.parse().unwrap_or(f64::NAN));
    of(per_second, conflate)
}

/// Judges what was said: messages a second, and by what they are conflated.
pub fn of(max_rate: Option<f64>, conflate: Option<&str>) -> Result<Option<Pace>> {
    if conflate.is_some_and(|by| by != "key") {
        return Err(bad("conflate", "is `key` or absent"));
    }
    let Some(per_second) = max_rate else {
        return match conflate {
            Some(_) => Err(bad("conflate", "needs a `max_rate` beside it")),
            None => Ok(None),
        };
    };
    let pace = Pace::new(per_second, conflate.is_some());
    let range = || bad("max_rate", "is a number of messages a second over 0, at most 1000");
    pace.ok_or_else(range).map(Some)
}

#[cfg(test)]
mod tests {
    use tidings_core::Code;

    use super::*;

    #[test]
    fn a_pace_is_a_rate_and_perhaps_a_key() {
        assert_eq!(of_query(None, None).unwrap(), None);
        assert_eq!(of_query(Some("0.1"), None).unwrap(), Pace::new(0.1, false));
        assert_eq!(of_query(Some("1000"), Some("key")).unwrap(), Pace::new(1_000.0, true));
        let bad = [("", None), ("0", None), ("-1", None), ("x", None), ("inf", None), ("1000.5", None)];
        let bad = bad.map(|(rate, by)| (Some(rate), by));
        for (rate, by) in
            bad.into_iter().chain([(Some("1"), Some("id")), (Some("1"), Some("")), (None, Some("key"))])
        {
            assert_eq!(of_query(rate, by).unwrap_err().code, Code::BadQuery, "{rate:?} {by:?}");
        }
    }
}
