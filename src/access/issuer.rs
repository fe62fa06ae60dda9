//! Tokens that somebody else made: the identity provider, or an issuer that the settings trust. Verified by the keys which that
//! one publishes. Knows no provider by name.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Permissions,
    tokens::{Claims, Door, checked, invalid, sha256},
};
use crate::{
    clock::Clock,
    config::{Calls, ForeignIssuer},
    error::Error,
    identity::Identity,
    metrics,
    outcome::Outcome,
    remote::{Call, Remote},
};

/// An unknown key id makes us ask again, but a flood of invented ones must not.
const ASK_AGAIN_MS: i64 = 5_000;
/// Keys that were withdrawn are forgotten after so long.
const STALE_MS: i64 = 600_000;

/// Somebody whose tokens count.
pub(super) struct Issuer {
    published: Published,
    trust: Trust,
    clock: Clock,
    keys: Mutex<Arc<KeySet>>,
    /// One question at a time.
    asking: tokio::sync::Mutex<()>,
}

/// Where the keys are.
enum Published {
    ByProvider(Arc<dyn Identity>),
    /// A JSON Web Key Set (RFC 7517 5).
    At(Remote),
}

/// What a token must be.
struct Trust {
    door: Door,
    issuer: String,
    audience: String,
    /// Whether it is enough that the token was made for that client (`azp`).
    by_client: bool,
    algorithms: Vec<Algorithm>,
    /// The claim that is the `authUserId`.
    identity_claim: String,
    /// The claim that says what the holder may, in the place of his roles.
    permissions_claim: Option<String>,
}

#[derive(Default)]
struct KeySet {
    asked_ms: Option<i64>,
    by_id: HashMap<String, Key>,
    /// Why the last question brought nothing.
    failure: Option<Error>,
}

/// A key, and the algorithms that it may have signed with.
#[derive(Clone)]
struct Key {
    algorithms: Vec<Algorithm>,
    verifying: DecodingKey,
}

impl Issuer {
    /// The provider whose identities we keep. Nothing where he makes no tokens.
    pub(super) fn provider(identity: Arc<dyn Identity>, clock: Clock) -> Option<Self> {
        let made = identity.issuer()?;
        let trust = Trust {
            door: Door::Provider,
            issuer: made.issuer,
            audience: made.audience,
            by_client: true,
            algorithms: vec![Algorithm::RS256, Algorithm::ES256],
            identity_claim: "sub".to_owned(),
            permissions_claim: None,
        };
        Some(Self::new(Published::ByProvider(identity), trust, clock))
    }

    /// The nth of those which the settings name.
    pub(super) fn foreign(
        n: usize,
        settings: &ForeignIssuer,
        permissions_claim: Option<&str>,
        calls: &Calls,
        clock: Clock,
        counted: &metrics::Calls,
    ) -> Result<Self, String> {
        let trust = Trust {
            door: Door::Foreign(n),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            by_client: false,
            algorithms: settings.algorithms.clone(),
            identity_claim: settings.identity_claim.clone(),
            permissions_claim: permissions_claim.map(str::to_owned),
        };
        let remote = Remote::new("Issuer", &settings.jwks, calls, clock.clone())?.counted(counted);
        Ok(Self::new(Published::At(remote), trust, clock))
    }

    fn new(published: Published, trust: Trust, clock: Clock) -> Self {
        Self { published, trust, clock, keys: Mutex::default(), asking: tokio::sync::Mutex::new(()) }
    }

    /// Its `iss`.
    pub(super) fn name(&self) -> &str {
        &self.trust.issuer
    }

    pub(super) async fn verify(&self, token: &str, header: &Header) -> Result<Claims, Error> {
        // Other kinds of JWT may bear the same signature (RFC 8725 3.11).
        let access =
            |typ: &str| ["jwt", "at+jwt", "application/at+jwt"].iter().any(|ours| typ.eq_ignore_ascii_case(ours));
        if !header.typ.as_deref().is_none_or(access) {
            return Err(invalid());
        }
        let id = header.kid.as_deref().ok_or_else(invalid)?;
        let keys = self.keys_with(id).await?;
        match (keys.by_id.get(id), &keys.failure) {
            (Some(key), _) if key.algorithms.contains(&header.alg) => {
                judge(token, header.alg, &key.verifying, &self.trust)
            }
            (None, Some(failure)) => Err(failure.clone()),
            _ => Err(invalid()),
        }
    }

    /// Whether the key that signed is still one of the published ones, as far as we have heard.
    pub(super) async fn knows(&self, header: &Header) -> Result<(), Error> {
        let id = header.kid.as_deref().ok_or_else(invalid)?;
        let keys = self.keys_with(id).await?;
        if keys.by_id.contains_key(id) { Ok(()) } else { Err(keys.failure.clone().unwrap_or_else(invalid)) }
    }

    async fn key_set(&self) -> Outcome<Value> {
        match &self.published {
            Published::ByProvider(identity) => identity.keys().await,
            Published::At(remote) => Ok(remote.send(Call::new(Method::GET, "", &[])).await?.json()?),
        }
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
        let asked = match self.key_set().await {
            Ok(document) => KeySet {
                by_id: read(&document, &self.trust.algorithms),
                failure: None,
                asked_ms: Some(self.clock.now_ms()),
            },
            // What is known stays good while the issuer is away.
            Err(failure) => {
                tracing::warn!(issuer = self.name(), why = failure.sentence(), "the issuer's keys could not be read");
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

fn judge(token: &str, algorithm: Algorithm, key: &DecodingKey, trust: &Trust) -> Result<Claims, Error> {
    let claims: TheirClaims = checked(token, key, algorithm)?;
    // Some sign ID tokens with the same keys; they are for clients to read, not to ask with.
    let access_token = claims.typ.as_deref().is_none_or(|typ| typ == "Bearer");
    let for_us = claims.aud.names(&trust.audience) || trust.by_client && claims.azp.as_ref() == Some(&trust.audience);
    let subject = claims.rest.get(&trust.identity_claim).and_then(Value::as_str).filter(|name| !name.is_empty());
    let (Some(subject), true, true, true) = (subject, claims.iss == trust.issuer, access_token, for_us) else {
        return Err(invalid());
    };
    let issued_ms = milliseconds(claims.iat.unwrap_or_default());
    let session = match trust.door {
        // Their sessions have names of their own; a token of none is one by itself.
        Door::Foreign(_) => {
            // Of what is signed: the signature of one token may be written in two ways.
            let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
            let name = claims.sid.unwrap_or_else(|| URL_SAFE_NO_PAD.encode(sha256(signed.as_bytes())));
            Some(format!("{} {name}", trust.issuer))
        }
        Door::Ours | Door::Provider => claims.sid,
    };
    Ok(Claims {
        subject: subject.to_owned(),
        session,
        door: trust.door,
        permissions: trust.permissions_claim.as_deref().map(|claim| permissions(claims.rest.get(claim))),
        issued_ms,
        not_before_ms: claims.nbf.map_or(issued_ms, milliseconds),
        expires_ms: milliseconds(claims.exp),
    })
}

/// A list of texts, or one text with spaces between (as `scope`, RFC 8693 4.2); whatever else it is gives nothing.
fn permissions(claim: Option<&Value>) -> Permissions {
    let mut named: Vec<String> = match claim {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(names)) => names.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(_) | None => Vec::new(),
    };
    named.sort();
    named.dedup();
    Permissions(named)
}

/// The keys of the set that sign with an algorithm we take. An entry that we cannot read is no reason to drop the rest.
fn read(document: &Value, taken: &[Algorithm]) -> HashMap<String, Key> {
    let entries = document.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            let jwk: Jwk = serde_json::from_value(entry.clone()).ok()?;
            let id = jwk.common.key_id.clone()?;
            let mut algorithms = algorithms(&jwk);
            algorithms.retain(|algorithm| taken.contains(algorithm));
            let key = Key { verifying: DecodingKey::from_jwk(&jwk).ok()?, algorithms };
            (!key.algorithms.is_empty()).then_some((id, key))
        })
        .collect()
}

/// What a key may have signed with, from the key itself: by the token alone its holder could choose.
fn algorithms(key: &Jwk) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    if key.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return Vec::new();
    }
    let mut able = match &key.algorithm {
        AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => vec![ES256],
            EllipticCurve::P384 => vec![ES384],
            EllipticCurve::P521 | EllipticCurve::Ed25519 | _ => Vec::new(),
        },
        AlgorithmParameters::OctetKeyPair(_) => vec![EdDSA],
        AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_) | _ => Vec::new(),
    };
    if let Some(stated) = key.common.key_algorithm {
        able.retain(|algorithm| stated.to_string().parse() == Ok(*algorithm));
    }
    able
}

#[derive(Deserialize)]
struct TheirClaims {
    iss: String,
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
    #[serde(flatten)]
    rest: Map<String, Value>,
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
mod tests;
