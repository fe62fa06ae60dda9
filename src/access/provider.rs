//! Tokens that the identity provider made: verified by its published keys. Knows no provider by name.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::tokens::{Claims, Door, checked, invalid};
use crate::{
    clock::Clock,
    error::Error,
    identity::{Identity, Issuer},
};

/// By so much the provider's clock may differ from ours.
pub(super) const SKEW_MS: i64 = 30_000;
/// An unknown key id makes us ask the provider again, but a flood of invented ones must not.
const ASK_AGAIN_MS: i64 = 5_000;
/// Keys that the provider has withdrawn are forgotten after so long.
const STALE_MS: i64 = 600_000;

/// The issuer that is trusted by itself: the provider whose identities we keep.
pub(super) struct Provider {
    identity: Arc<dyn Identity>,
    issuer: Issuer,
    clock: Clock,
    keys: Mutex<Arc<KeySet>>,
    /// One question at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct KeySet {
    asked_ms: Option<i64>,
    by_id: HashMap<String, (Algorithm, DecodingKey)>,
    /// Why the last question brought nothing.
    failure: Option<Error>,
}

impl Provider {
    /// Nothing where the provider makes no tokens.
    pub(super) fn of(identity: Arc<dyn Identity>, clock: Clock) -> Option<Self> {
        let issuer = identity.issuer()?;
        Some(Self { identity, issuer, clock, keys: Mutex::default(), asking: tokio::sync::Mutex::new(()) })
    }

    pub(super) async fn verify(&self, token: &str, header: &Header) -> Result<Claims, Error> {
        let id = header.kid.as_deref().ok_or_else(invalid)?;
        let keys = self.keys_with(id).await?;
        match (keys.by_id.get(id), &keys.failure) {
            (Some((algorithm, key)), _) if *algorithm == header.alg => judge(token, *algorithm, key, &self.issuer),
            (None, Some(failure)) => Err(failure.clone()),
            _ => Err(invalid()),
        }
    }

    /// Whether the key that signed is still one of the provider's, as far as we have heard.
    pub(super) async fn knows(&self, header: &Header) -> Result<(), Error> {
        let id = header.kid.as_deref().ok_or_else(invalid)?;
        let keys = self.keys_with(id).await?;
        if keys.by_id.contains_key(id) { Ok(()) } else { Err(keys.failure.clone().unwrap_or_else(invalid)) }
    }

    /// The keys as they are known, asked for when this one is not among them or they have become old.
    async fn keys_with(&self, id: &str) -> Result<Arc<KeySet>, Error> {
        if let Some(keys) = self.fresh_enough(id) {
            return Ok(keys);
        }
        let _one_at_a_time = self.asking.lock().await;
        if let Some(keys) = self.fresh_enough(id) {
            return Ok(keys);
        }
        let asked = match self.identity.keys().await {
            Ok(document) => KeySet { by_id: read(&document), failure: None, asked_ms: Some(self.clock.now_ms()) },
            // What is known stays good while the provider is away.
            Err(failure) => {
                tracing::warn!(why = failure.sentence(), "the provider's keys could not be read");
                let by_id = self.known().by_id.clone();
                KeySet { by_id, failure: Some(failure.into_error()), asked_ms: Some(self.clock.now_ms()) }
            }
        };
        let asked = Arc::new(asked);
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = asked.clone();
        Ok(asked)
    }

    fn fresh_enough(&self, id: &str) -> Option<Arc<KeySet>> {
        let keys = self.known();
        let age = self.clock.now_ms() - keys.asked_ms?;
        let limit = if keys.by_id.contains_key(id) { STALE_MS } else { ASK_AGAIN_MS };
        (age < limit).then_some(keys)
    }

    fn known(&self) -> Arc<KeySet> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn judge(token: &str, algorithm: Algorithm, key: &DecodingKey, issuer: &Issuer) -> Result<Claims, Error> {
    let claims: TheirClaims = checked(token, key, algorithm)?;
    // The realm signs ID tokens with the same keys; they are for its clients to read, not to ask with.
    let access_token = claims.typ.as_deref().is_none_or(|typ| typ == "Bearer");
    let for_us = claims.azp.as_ref() == Some(&issuer.audience) || claims.aud.names(&issuer.audience);
    if claims.iss != issuer.issuer || !access_token || !for_us || claims.sub.is_empty() {
        return Err(invalid());
    }
    let issued_ms = milliseconds(claims.iat.unwrap_or_default());
    Ok(Claims {
        subject: claims.sub,
        session: claims.sid,
        door: Door::Provider,
        issued_ms,
        not_before_ms: claims.nbf.map_or(issued_ms, milliseconds),
        expires_ms: milliseconds(claims.exp),
    })
}

/// The keys of the set that sign with an algorithm we take. An entry that we cannot read is no reason to drop the rest.
fn read(document: &Value) -> HashMap<String, (Algorithm, DecodingKey)> {
    let entries = document.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            let key: Jwk = serde_json::from_value(entry.clone()).ok()?;
            let id = key.common.key_id.clone()?;
            Some((id, (algorithm(&key)?, DecodingKey::from_jwk(&key).ok()?)))
        })
        .collect()
}

/// RS256 or ES256, from the key itself and never from the token: else the holder of a token could choose.
fn algorithm(key: &Jwk) -> Option<Algorithm> {
    if key.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let (usual, algorithm) = if matches!(key.algorithm, AlgorithmParameters::RSA(_)) {
        (KeyAlgorithm::RS256, Algorithm::RS256)
    } else if matches!(&key.algorithm, AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256)
    {
        (KeyAlgorithm::ES256, Algorithm::ES256)
    } else {
        return None;
    };
    key.common.key_algorithm.is_none_or(|stated| stated == usual).then_some(algorithm)
}

#[derive(Deserialize)]
struct TheirClaims {
    iss: String,
    sub: String,
    #[serde(default)]
    aud: Audience,
    azp: Option<String>,
    /// OpenID Connect Front-Channel Logout 1.0, 3.
    sid: Option<String>,
    /// Keycloak's own word for what kind of token this is.
    typ: Option<String>,
    /// A NumericDate may have a fraction (RFC 7519 2).
    exp: f64,
    iat: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Audience {
    #[default]
    Nobody,
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}

fn milliseconds(seconds: f64) -> i64 {
    // Saturates: a time too large for the type is still the far future.
    (seconds * 1000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use jsonwebtoken::{EncodingKey, encode};
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn issuer() -> Issuer {
        Issuer { issuer: "https://id.example.org/realms/people".to_owned(), audience: "login".to_owned() }
    }

    /// A key of the provider: what signs, and its published half.
    fn key_pair() -> (EncodingKey, Value) {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[..32]), URL_SAFE_NO_PAD.encode(&point[32..]));
        let published = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "kid": "k1" });
        (EncodingKey::from_ec_der(pkcs8.as_ref()), published)
    }

    fn verdict(change: impl FnOnce(&mut Value)) -> Result<Claims, Error> {
        let (signing, published) = key_pair();
        let mut claims = json!({ "iss": issuer().issuer, "sub": "id-1", "aud": "account", "azp": "login",
            "typ": "Bearer", "exp": NOW + 300, "iat": NOW });
        change(&mut claims);
        let token = encode(&Header::new(Algorithm::ES256), &claims, &signing).unwrap();
        let keys = read(&json!({ "keys": [published] }));
        let (algorithm, key) = &keys["k1"];
        judge(&token, *algorithm, key, &issuer())
    }

    #[test]
    fn an_access_token_for_our_client_is_taken() {
        let expected = Claims {
            subject: "id-1".to_owned(),
            session: None,
            door: Door::Provider,
            issued_ms: NOW * 1000,
            not_before_ms: NOW * 1000,
            expires_ms: (NOW + 300) * 1000,
        };
        assert_eq!(verdict(|_| ()).unwrap(), expected);
        let audience = |claims: &mut Value| {
            claims["azp"] = json!("spa");
            claims["aud"] = json!(["account", "login"]);
        };
        assert_eq!(verdict(audience).unwrap(), expected);
    }

    #[test]
    fn everything_else_is_refused_alike() {
        let refused = |what: &str, change: fn(&mut Value)| {
            let error = verdict(change).expect_err(what);
            assert_eq!(error.message(), invalid().message(), "{what}");
        };
        refused("another realm", |claims| claims["iss"] = json!("https://id.example.org/realms/other"));
        refused("another client", |claims| claims["azp"] = json!("spa"));
        refused("an ID token", |claims| claims["typ"] = json!("ID"));
        refused("a logout token", |claims| claims["typ"] = json!("Logout"));
        refused("nobody", |claims| claims["sub"] = json!(""));
        refused("no end", |claims| claims["exp"] = json!(null));
        refused("an end in words", |claims| claims["exp"] = json!("tomorrow"));
    }

    #[test]
    fn only_keys_that_sign_with_a_known_algorithm_are_taken() {
        let (_, good) = key_pair();
        let with = |member: &str, value: Value| {
            let mut key = good.clone();
            key[member] = value;
            key
        };
        let set = |key: Value| read(&json!({ "keys": [key, 7, {"kty": "EC"}] })).len();
        assert_eq!(set(good.clone()), 1);
        assert_eq!(set(with("alg", json!("ES256"))), 1);
        assert_eq!(set(with("alg", json!("RS256"))), 0);
        assert_eq!(set(with("use", json!("enc"))), 0);
        assert_eq!(set(with("crv", json!("P-384"))), 0);
        assert_eq!(set(json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "HS256" })), 0);
        assert_eq!(set(json!({ "kty": "OKP", "crv": "Ed25519", "x": good["x"], "kid": "k1" })), 0);
        assert_eq!(read(&json!([])).len(), 0);
    }
}
