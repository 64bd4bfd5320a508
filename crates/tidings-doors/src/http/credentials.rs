//! What a request says of who sends it.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tidings_core::{Code, Credentials, Error, Result};

use super::query::Query;

/// The credentials of a request: the header beats `?token=`. Of two of a kind neither can be meant.
pub fn credentials(headers: &HeaderMap, query: &Query) -> Result<Credentials> {
    let bad = |detail: &str| Err(Error::new(Code::BadToken, detail));
    let mut given = headers.get_all(AUTHORIZATION).into_iter();
    let Some(header) = given.next() else {
        return match query.one("token") {
            Ok(Some(token)) => Ok(Credentials::Query(token.to_owned())),
            Ok(None) => Ok(Credentials::None),
            Err(_twice) => bad("`token` is given twice"),
        };
    };
    if given.next().is_some() {
        return bad("the Authorization header is given twice");
    }
    let text = header.to_str().unwrap_or("");
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Ok(Credentials::Bearer(token.trim().to_owned()))
        }
        _ => bad("the Authorization header is not `Bearer` and a token"),
    }
}
