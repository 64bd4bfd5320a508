//! The credentials that a node accepts, as its configuration says.

use std::sync::Arc;

use anyhow::anyhow;
use tidings_core::{KeySet, Keys, Tokens};

use crate::config::{AuthConfig, JwtConfig, public_key};

use super::jwks::Source;

/// The keys of `[auth]`. Those of `jwks_url` are fetched from now on; the node does not wait for them.
pub(super) fn of(auth: &AuthConfig) -> anyhow::Result<Keys> {
    let JwtConfig { hmac_secret, public_key_file, jwks_url, audience, issuer } = &auth.jwt;
    let tokens = match (hmac_secret, public_key_file, jwks_url) {
        (Some(secret), ..) => Tokens::of_secret(secret.expose().as_bytes()),
        (None, Some(file), _) => {
            Tokens::of_key(public_key(file).map_err(|why| anyhow!("public_key_file {why}"))?)
        }
        (None, None, Some(url)) => {
            let keys = Arc::new(KeySet::default());
            Source::new(url)?.keep(keys.clone());
            Tokens::of_set(keys)
        }
        (None, None, None) => Tokens::none(),
    };
    let tokens = tokens.audience(audience.clone()).issuer(issuer.clone());
    Ok(Keys::of(auth.api_keys.iter().map(|key| key.key.clone()), tokens))
}
