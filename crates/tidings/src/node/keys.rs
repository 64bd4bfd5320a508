//! The credentials that a node accepts, as its configuration says.

use std::sync::Arc;

use anyhow::anyhow;
use tidings_core::{Keys, Tokens};

use crate::config::{AuthConfig, JwtConfig, public_key};

use super::jwks::{Kept, Source};

/// What `[auth]` comes to.
pub(super) struct Accepted {
    pub(super) keys: Keys,
    /// Where the keys of tokens come from, if they change by themselves.
    pub(super) jwks: Option<Arc<Kept>>,
}

/// The keys of `[auth]`. Those of `jwks_url` are fetched from now on, unless those `before` are of the same URL;
/// the node does not wait for them. Needs a tokio runtime.
///
/// # Errors
///
/// A key that cannot be read.
pub(super) fn of(auth: &AuthConfig, before: Option<&Arc<Kept>>) -> anyhow::Result<Accepted> {
    let JwtConfig { hmac_secret, public_key_file, jwks_url, audience, issuer } = &auth.jwt;
    let mut jwks = None;
    let tokens = match (hmac_secret, public_key_file, jwks_url) {
        (Some(secret), ..) => Tokens::of_secret(secret.expose().as_bytes()),
        (None, Some(file), _) => {
            Tokens::of_key(public_key(file).map_err(|why| anyhow!("public_key_file {why}"))?)
        }
        (None, None, Some(url)) => {
            let kept = match before.filter(|before| before.url() == url) {
                Some(before) => before.clone(),
                None => Arc::new(Source::new(url)?.keep()),
            };
            Tokens::of_set(jwks.insert(kept).keys().clone())
        }
        (None, None, None) => Tokens::none(),
    };
    let tokens = tokens.audience(audience.clone()).issuer(issuer.clone());
    let keys = Keys::of(auth.api_keys.iter().map(|key| key.key.clone()), tokens);
    Ok(Accepted { keys, jwks })
}
