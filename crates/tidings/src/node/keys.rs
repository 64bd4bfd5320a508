//! The credentials that a node accepts, as its configuration says.

use anyhow::anyhow;
use tidings_core::{Keys, Tokens};

use crate::config::{AuthConfig, JwtConfig, public_key};

/// The keys of `[auth]`.
pub(super) fn of(auth: &AuthConfig) -> anyhow::Result<Keys> {
    let JwtConfig { hmac_secret, public_key_file, audience, issuer, .. } = &auth.jwt;
    let tokens = match (hmac_secret, public_key_file) {
        (Some(secret), _) => Tokens::of_secret(secret.expose().as_bytes()),
        (None, Some(file)) => {
            Tokens::of_key(public_key(file).map_err(|why| anyhow!("public_key_file {why}"))?)
        }
        (None, None) => Tokens::none(),
    };
    let tokens = tokens.audience(audience.clone()).issuer(issuer.clone());
    Ok(Keys::of(auth.api_keys.iter().map(|key| key.key.clone()), tokens))
}
