//! The keys of our tokens: one that signs, and those before it, of which only the public half is left: until the last token
//! that they signed has ended they verify, and until the last session with such a token has they tell whose it was.

use std::time::Duration;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Value, json};

use super::sha256;
use crate::{
    clock::after,
    error::{self, Error},
    state::Keys,
};

/// Under this name the signing key lies in the state (PKCS#8).
const KEY: &str = "token-signing-key";
/// Under this, and since when and whose, the public half of one that was before it.
const FORMER: &str = "token-former-key-";
/// No token lives longer (`ACCESS_TOKEN_TTL`).
const LONGEST: Duration = Duration::from_hours(1);

pub struct Ring {
    pub signing: EncodingKey,
    current: Public,
    former: Vec<Former>,
}

struct Former {
    key: Public,
    /// When another took its place. Milliseconds since 1970.
    since_ms: i64,
}

struct Public {
    kid: String,
    /// As a JSON Web Key has it.
    x: String,
    verifying: DecodingKey,
}

impl Ring {
    /// The signing key is made at the very first start.
    pub async fn open(keys: &dyn Keys) -> Result<Self, Error> {
        let stored = keys.get_or_put(KEY, fresh()?).await?;
        let former = keys.beginning(FORMER).await?;
        let former = former.into_iter().filter_map(|(name, key)| {
            let (since_ms, _) = name.strip_prefix(FORMER)?.split_once('-')?;
            Some(Former { key: Public::of(&key), since_ms: since_ms.parse().ok()? })
        });
        Ok(Self {
            current: Public::of(&public(&stored)?),
            signing: EncodingKey::from_ed_der(&stored),
            former: former.collect(),
        })
    }

    /// Another key signs from now on. Durable once this has answered. `session` is how long one lasts that is not refreshed.
    pub async fn rotated(&self, keys: &dyn Keys, now_ms: i64, session: Duration) -> Result<Self, Error> {
        let over = |former: &&Former| now_ms >= after(after(former.since_ms, session), LONGEST);
        let over: Vec<String> = self.former.iter().filter(over).map(name).collect();
        let stored = keys.get_or_put(KEY, fresh()?).await?;
        let old = public(&stored)?;
        let kept = (name(&Former { key: Public::of(&old), since_ms: now_ms }), old);
        keys.exchange(KEY, fresh()?, kept, over).await?;
        Self::open(keys).await
    }

    /// The id of the key that signs.
    pub fn kid(&self) -> &str {
        &self.current.kid
    }

    /// Also of a key whose tokens have all ended: a session is refreshed beside such a token.
    pub fn verifying(&self, kid: &str) -> Option<&DecodingKey> {
        let former = self.former.iter().map(|former| &former.key);
        std::iter::once(&self.current).chain(former).find(|key| key.kid == kid).map(|key| &key.verifying)
    }

    /// RFC 7517, RFC 8037.
    pub fn published(&self, now_ms: i64) -> Value {
        let key = |key: &Public| json!({ "kty": "OKP", "crv": "Ed25519", "x": key.x, "use": "sig", "alg": "EdDSA", "kid": key.kid });
        json!({ "keys": self.at(now_ms).map(key).collect::<Vec<_>>() })
    }

    fn at(&self, now_ms: i64) -> impl Iterator<Item = &Public> {
        let former = self.former.iter().filter(move |former| now_ms < after(former.since_ms, LONGEST));
        std::iter::once(&self.current).chain(former.map(|former| &former.key))
    }
}

impl Public {
    fn of(key: &[u8]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(key);
        Self { kid: thumbprint(&x), verifying: DecodingKey::from_ed_der(key), x }
    }
}

fn name(former: &Former) -> String {
    format!("{FORMER}{}-{}", former.since_ms, former.key.kid)
}

fn fresh() -> Result<Vec<u8>, Error> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(error::internal)?;
    Ok(made.as_ref().to_vec())
}

fn public(pkcs8: &[u8]) -> Result<Vec<u8>, Error> {
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(error::internal)?;
    Ok(pair.public_key().as_ref().to_vec())
}

/// RFC 7638, for an Ed25519 key (RFC 8037 2).
pub(super) fn thumbprint(x: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes()))
}
