//! `tidings token`: a client's token, made here with the secret or by a node under `--dev`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jsonwebtoken::{EncodingKey, Header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Failure;
use super::target::{Target, block_on};

/// The flags of `tidings token`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The token is signed here with --secret, or with auth.jwt.hmac_secret of --config. With neither, \
the node at --url is asked for one, which it grants under --dev.

Examples:
  tidings token --user alice --subscribe 'chat:*' --publish chat:lobby --ttl 8h
  tidings token --user bob --subscribe orders:42 --config tidings.toml --info '{\"name\":\"Bob\"}'
  export TIDINGS_TOKEN=$(tidings token --user alice --subscribe 'demo:*')")]
pub struct Args {
    /// The user id: `from` on what the user publishes, the member in presence.
    #[arg(long, value_name = "ID")]
    user: String,
    /// A channel that the token may read, or a prefix that ends in `*`; may be repeated.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    subscribe: Vec<String>,
    /// A channel that the token may write, or a prefix that ends in `*`; may be repeated.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    publish: Vec<String>,
    /// What others see of the user in presence, as JSON.
    #[arg(long, value_name = "JSON")]
    info: Option<String>,
    /// How long the token is good for, as `90s`, `15m`, `1h` or `7days`.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    ttl: Duration,
    /// The secret that the node verifies tokens with (auth.jwt.hmac_secret).
    #[arg(long, env = "TIDINGS_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// A node's configuration, to take the secret from; beats --secret.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

/// Runs the command.
///
/// # Errors
///
/// A secret that is not to be had, or a node that grants no token.
pub fn run(mut args: Args) -> anyhow::Result<()> {
    let info = args.info.take().as_deref().map(serde_json::from_str).transpose();
    let info: Option<Value> = info.map_err(|error| {
        Failure::new(format!("--info is not JSON: {error}"), "--info '{\"name\":\"Alice\"}'")
    })?;
    if args.ttl.as_secs() == 0 {
        return Err(Failure::new("--ttl is under a second", "--ttl 1h").into());
    }
    let signer = match (args.secret.take(), &args.config) {
        (_, Some(file)) => Some(Signer::of(file)?),
        (secret, None) => secret.map(|secret| Signer { secret, audience: None, issuer: None }),
    };
    let token = match signer {
        Some(signer) => sign(&args, info, &signer)?,
        None => ask(&args, info)?,
    };
    writeln!(std::io::stdout(), "{token}").context("cannot write the token")?;
    Ok(())
}

/// What a token must have so that the node accepts it.
struct Signer {
    secret: String,
    audience: Option<String>,
    issuer: Option<String>,
}

fn sign(args: &Args, info: Option<Value>, signer: &Signer) -> anyhow::Result<String> {
    let mut rights = json!({ "subscribe": args.subscribe, "publish": args.publish });
    if let Some(info) = info {
        rights["info"] = info;
    }
    let exp = jsonwebtoken::get_current_timestamp().saturating_add(args.ttl.as_secs());
    let iat = jsonwebtoken::get_current_timestamp();
    let mut claims = json!({ "sub": args.user, "iat": iat, "exp": exp, "tidings": rights });
    for (claim, value) in [("aud", &signer.audience), ("iss", &signer.issuer)] {
        if let Some(value) = value {
            claims[claim] = value.as_str().into();
        }
    }
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(signer.secret.as_bytes()))
        .context("cannot sign the token")
}

fn ask(args: &Args, info: Option<Value>) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Granted {
        token: String,
    }
    let mut body = json!({
        "user": args.user,
        "subscribe": args.subscribe,
        "publish": args.publish,
        "ttl": args.ttl.as_secs(),
    });
    if let Some(info) = info {
        body["info"] = info;
    }
    let endpoint = args.target.endpoint()?;
    let answer = block_on(async { Ok(endpoint.post_json(&["dev", "token"], &body).await?) });
    let answer = answer.map_err(|error| {
        Failure::new(
            format!("no secret was given, and the node grants no token: {error:#}"),
            "give the node's auth.jwt.hmac_secret with --secret, TIDINGS_SECRET or --config FILE; or run the node \
             with --dev",
        )
    })?;
    let granted: Granted = serde_json::from_slice(&answer).context("the node's answer holds no token")?;
    Ok(granted.token)
}

impl Signer {
    /// The few values that this command needs of a configuration. Whether the rest of it is right is
    /// for `tidings check` to say.
    fn of(file: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Failure::new(
                format!("{} is not TOML: {}", file.display(), error.message()),
                format!("`tidings check --config {}` shows where", file.display()),
            )
        })?;
        let jwt = table.get("auth").and_then(|auth| auth.get("jwt"));
        let value = |key: &str| jwt?.get(key)?.as_str().map(str::to_owned);
        let secret = value("hmac_secret").ok_or_else(|| {
            Failure::new(
                format!("{} has no auth.jwt.hmac_secret", file.display()),
                "give the secret with --secret or TIDINGS_SECRET; tokens for a public key come from who holds its \
                 private key",
            )
        })?;
        Ok(Signer { secret, audience: value("audience"), issuer: value("issuer") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn signs_the_claims_that_a_node_verifies() {
        let line =
            ["token", "--user", "alice", "--subscribe", "chat:*,a", "--subscribe", "b", "--ttl", "90s"];
        let args = Line::try_parse_from(line).unwrap().args;
        let signer = Signer { secret: "s3cret".into(), audience: None, issuer: Some("me".into()) };
        let token = sign(&args, Some(json!({"name": "A"})), &signer).unwrap();
        let claims = jsonwebtoken::decode::<Value>(
            &token,
            &DecodingKey::from_secret(b"s3cret"),
            &Validation::new(Algorithm::HS256),
        )
        .unwrap()
        .claims;
        assert_eq!((&claims["sub"], &claims["iss"]), (&json!("alice"), &json!("me")));
        assert_eq!(
            claims["tidings"],
            json!({"subscribe": ["chat:*", "a", "b"], "publish": [], "info": {"name": "A"}})
        );
        let left = claims["exp"].as_u64().unwrap() - jsonwebtoken::get_current_timestamp();
        assert!((85..=90).contains(&left), "{left}");
    }

    #[test]
    fn finds_the_secret_in_a_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidings.toml");
        std::fs::write(&file, "[auth.jwt]\nhmac_secret = \"x\"\naudience = \"a\"\n[unknown]\n").unwrap();
        let Signer { secret, audience, issuer } = Signer::of(&file).unwrap();
        assert_eq!((&*secret, audience.as_deref(), issuer), ("x", Some("a"), None));
        std::fs::write(&file, "[auth.jwt]\njwks_url = \"x\"\n").unwrap();
        let refused = Signer::of(&file).err().unwrap();
        assert!(refused.to_string().contains("no auth.jwt.hmac_secret"));
    }
}
