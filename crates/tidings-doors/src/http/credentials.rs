//! What a request says of who sends it.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tidings_core::{Code, Credentials, Error, Result};

use super::query::Query;

/// The credentials of a request: the header beats `?token=`.
pub fn credentials(headers: &HeaderMap, query: &Query) -> Result<Credentials> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        // Of two it is not clear which one is meant.
        let token = query.one("token").map_err(|error| Error::new(Code::BadToken, error.detail))?;
        return Ok(token.map_or(Credentials::None, |token| Credentials::Query(token.to_owned())));
    };
    let text = header.to_str().unwrap_or("");
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Ok(Credentials::Bearer(token.trim().to_owned()))
        }
        _ => Err(Error::new(Code::BadToken, "the Authorization header is not `Bearer` and a token")),
    }
}
