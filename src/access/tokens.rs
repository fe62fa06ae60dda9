//! Tokens of ours (EdDSA JWT, `at+jwt`, RFC 9068): made, and verified together with those of the identity provider.
//! Knows whom a token names, not what he may do, and no HTTP.

mod ring;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation, crypto::aws_lc::DEFAULT_PROVIDER, dangerous::insecure_decode_claims,
    decode, decode_header,
};
use quick_cache::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use self::ring::Ring;
use super::{Permissions, issuer::Issuer};
use crate::{
    clock::{Clock, milliseconds},
    config::{self, Calls},
    error::{self, Code, Error},
    identity::Identity,
    metrics,
    state::Keys,
    users::UserId,
};

const TYPE: &str = "at+jwt";
/// How many verified signatures are remembered.
const REMEMBERED: usize = 8192;

/// Signs and verifies.
pub struct Tokens {
    settings: Settings,
    clock: Clock,
    ring: ArcSwap<Ring>,
    /// One rotation at a time: what signs is what was stored last.
    rotating: tokio::sync::Mutex<()>,
    provider: Option<Issuer>,
    /// In the order of the settings.
    foreign: Vec<Issuer>,
    /// By SHA-256 of the token. Only that the signature is right is remembered: the time is always asked anew.
    verified: Cache<[u8; 32], Arc<Claims>>,
}

/// What our own tokens say of themselves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `TOKEN_ISSUER`
    pub issuer: String,
    /// `TOKEN_AUDIENCE`
    pub audience: String,
    /// `ACCESS_TOKEN_TTL`
    pub ttl: Duration,
    /// `REFRESH_IDLE`
    pub session: Duration,
    /// `CLOCK_SKEW`: by how much the clock of whoever else made a token may differ from ours.
    pub skew: Duration,
}

/// Whose tokens count beside ours.
#[derive(Default)]
pub struct Others {
    provider: Option<Issuer>,
    foreign: Vec<Issuer>,
}

impl Others {
    /// The identity provider, where he makes tokens, and those which the settings name. Refused, with a sentence, when
    /// `CA_FILE` cannot be used.
    pub fn of(
        identity: Arc<dyn Identity>,
        trusted: &config::Token,
        calls: &Calls,
        clock: &Clock,
        counted: &metrics::Calls,
    ) -> Result<Self, String> {
        let claim = trusted.permissions_claim.as_deref();
        let foreign = trusted.issuers.iter().enumerate();
        let foreign = foreign.map(|(n, settings)| Issuer::foreign(n, settings, claim, calls, clock.clone(), counted));
        let foreign: Vec<Issuer> = foreign.collect::<Result<_, _>>()?;
        let provider = Issuer::provider(identity, clock.clone());
        let twice = foreign.iter().find(|foreign| provider.as_ref().is_some_and(|own| own.name() == foreign.name()));
        match twice {
            Some(issuer) => {
                Err(format!("TOKEN_ISSUERS: {} is the identity provider, whose tokens count already", issuer.name()))
            }
            None => Ok(Self { provider, foreign }),
        }
    }
}

/// Whom a verified token names, and from when until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `authUserId`.
    pub subject: String,
    /// In which it was made; a token of the provider may have none.
    pub session: Option<String>,
    pub door: Door,
    /// What the token itself says that he may, where that counts.
    pub permissions: Option<Permissions>,
    /// Milliseconds since 1970.
    pub issued_ms: i64,
    pub not_before_ms: i64,
    pub expires_ms: i64,
}

/// Who made the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Ours,
    /// The identity provider, which alone knows whether the session still lives.
    Provider,
    /// The nth of those which the settings trust besides; he keeps his sessions, and is not asked about them.
    Foreign(usize),
}

/// For whom and in which session a token is made. Times in milliseconds since 1970.
#[derive(Debug)]
pub struct Grant<'a> {
    pub subject: &'a str,
    pub session: &'a str,
    /// When he had shown who he is, or his session was refreshed.
    pub at_ms: i64,
    /// The token does not outlive this.
    pub ends_ms: i64,
    /// A UUID of version 7 with the time above.
    pub id: Uuid,
    pub user: &'a UserId,
    pub permissions: &'a Permissions,
}

/// A token just made.
#[derive(Debug)]
pub struct Issued {
    pub token: SecretString,
    /// Milliseconds since 1970.
    pub expires_ms: i64,
}

impl Tokens {
    /// The signing key is made at the very first start and kept in the state.
    pub async fn open(keys: &dyn Keys, others: Others, clock: Clock, settings: Settings) -> Result<Self, Error> {
        install_cryptography();
        Ok(Self {
            ring: ArcSwap::from_pointee(Ring::open(keys).await?),
            rotating: tokio::sync::Mutex::default(),
            provider: others.provider,
            foreign: others.foreign,
            verified: Cache::new(REMEMBERED),
            settings,
            clock,
        })
    }

    /// The same token for the same grant.
    pub fn issue(&self, grant: &Grant<'_>) -> Result<Issued, Error> {
        // In whole seconds; never from later on than now, though a session may have begun in the next millisecond.
        let from = grant.at_ms.min(self.clock.now_ms()) / 1000;
        let until = from + i64::try_from(self.settings.ttl.as_secs()).unwrap_or_default();
        let expires = until.min(grant.ends_ms / 1000);
        let ring = self.ring.load();
        let header =
            Header { typ: Some(TYPE.to_owned()), kid: Some(ring.kid().to_owned()), ..Header::new(Algorithm::EdDSA) };
        let claims = OurClaims {
            iss: self.settings.issuer.clone(),
            sub: grant.subject.to_owned(),
            aud: self.settings.audience.clone(),
            exp: expires,
            iat: grant.at_ms / 1000,
            nbf: from,
            jti: grant.id,
            sid: grant.session.to_owned(),
            user_id: grant.user.as_str().to_owned(),
            permissions: grant.permissions.0.clone(),
        };
        let token = jsonwebtoken::encode(&header, &claims, &ring.signing).map_err(error::internal)?;
        Ok(Issued { token: token.into(), expires_ms: expires * 1000 })
    }

    /// Whom the token names. Whether he still stands is for others to say.
    ///
    /// # Errors
    /// `token-invalid`, not which of all that must hold; `token-expired`; what kept us from the provider's keys.
    pub async fn verify(&self, token: &str) -> Result<Arc<Claims>, Error> {
        let claims = self.verify_expired(token).await?;
        if self.clock.now_ms() >= claims.expires_ms.saturating_add(self.skew_ms(claims.door)) {
            return Err(Error::new(Code::TokenExpired, "The token has expired"));
        }
        Ok(claims)
    }

    /// Of one that the provider has just given somebody through us: one that we would not take is no use to anybody.
    pub async fn verify_given(&self, token: &SecretString) -> Result<Arc<Claims>, Error> {
        self.verify(token.expose_secret()).await.map_err(|error| {
            let useless = matches!(error.code(), Code::TokenInvalid | Code::TokenExpired);
            if useless { error::internal("the provider's own token does not hold here") } else { error }
        })
    }

    /// The same of one that may have expired: what a session is refreshed with.
    pub async fn verify_expired(&self, token: &str) -> Result<Arc<Claims>, Error> {
        let fingerprint = sha256(token.as_bytes());
        let claims = match self.verified.get(&fingerprint) {
            Some(claims) => {
                self.key_stands(token, claims.door).await?;
                claims
            }
            None => {
                let claims = Arc::new(self.verify_signature(token).await?);
                self.verified.insert(fingerprint, claims.clone());
                claims
            }
        };
        if self.clock.now_ms() < claims.not_before_ms.saturating_sub(self.skew_ms(claims.door)) {
            return Err(invalid());
        }
        Ok(claims)
    }

    /// Whether that is the token of an issuer whom the settings trust, as it says itself: nobody else is to see it.
    pub fn are_of_others(&self, token: &str) -> bool {
        let named = insecure_decode_claims::<Named>(token);
        named.is_ok_and(|named| self.foreign.iter().any(|issuer| issuer.name() == named.iss))
    }

    /// Whether sessions are ours, and not the identity provider's.
    pub fn are_ours(&self) -> bool {
        self.provider.is_none()
    }

    /// Our public keys, for others to verify our tokens.
    pub fn key_set(&self) -> Value {
        self.ring.load().published(self.clock.now_ms())
    }

    /// Another key signs from now on; what the present one has signed holds until it ends.
    pub async fn rotate(&self, keys: &dyn Keys) -> Result<(), Error> {
        let _one_at_a_time = self.rotating.lock().await;
        let ring = self.ring.load_full();
        let rotated = ring.rotated(keys, self.clock.now_ms(), self.settings.session).await?;
        self.ring.store(Arc::new(rotated));
        Ok(())
    }

    /// Others withdraw keys, and with them whatever they have signed. Ours stay until their last token has ended.
    async fn key_stands(&self, token: &str, door: Door) -> Result<(), Error> {
        match self.issuer(door) {
            Some(issuer) => issuer.knows(&decode_header(token).map_err(|_| invalid())?).await,
            None => Ok(()),
        }
    }

    fn issuer(&self, door: Door) -> Option<&Issuer> {
        match door {
            Door::Ours => None,
            Door::Provider => self.provider.as_ref(),
            Door::Foreign(n) => self.foreign.get(n),
        }
    }

    async fn verify_signature(&self, token: &str) -> Result<Claims, Error> {
        let header = decode_header(token).map_err(|_| invalid())?;
        // Extensions that must be understood are not (RFC 7515 4.1.11).
        if header.crit.is_some() {
            return Err(invalid());
        }
        // Only to know who is to be asked: whether it is true is seen by his keys.
        let named: Named = insecure_decode_claims(token).map_err(|_| invalid())?;
        if let Some(issuer) = self.provider.iter().chain(&self.foreign).find(|issuer| issuer.name() == named.iss) {
            return issuer.verify(token, &header).await;
        }
        match &self.provider {
            // Then we make none, and whether the person of an old one still stands nobody could say.
            Some(_) => Err(invalid()),
            None => self.verify_ours(token, &header),
        }
    }

    fn skew_ms(&self, door: Door) -> i64 {
        if door == Door::Ours { 0 } else { milliseconds(self.settings.skew) }
    }

    fn verify_ours(&self, token: &str, header: &Header) -> Result<Claims, Error> {
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return Err(invalid());
        }
        let ring = self.ring.load();
        let key = header.kid.as_deref().and_then(|kid| ring.verifying(kid));
        let claims: OurClaims = checked(token, key.ok_or_else(invalid)?, Algorithm::EdDSA)?;
        let issued_ms = issued_ms(&claims.jti).filter(|ms| ms / 1000 == claims.iat).ok_or_else(invalid)?;
        if claims.iss != self.settings.issuer || claims.aud != self.settings.audience || claims.sub.is_empty() {
            return Err(invalid());
        }
        Ok(Claims {
            subject: claims.sub,
            session: Some(claims.sid),
            door: Door::Ours,
            permissions: None,
            issued_ms,
            not_before_ms: claims.nbf * 1000,
            expires_ms: claims.exp * 1000,
        })
    }
}

/// Said aloud, since jsonwebtoken panics at the first token when a dependency has made the choice ambiguous.
fn install_cryptography() {
    // A second call in a process is refused, and then nothing is missing.
    DEFAULT_PROVIDER.install_default().ok();
}

/// The claims of a token whose signature is right. Nothing else is asked here: jsonwebtoken would read the system's clock.
pub(super) fn checked<C: DeserializeOwned>(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<C, Error> {
    let mut only_the_signature = Validation::new(algorithm);
    only_the_signature.required_spec_claims.clear();
    only_the_signature.validate_exp = false;
    only_the_signature.validate_nbf = false;
    only_the_signature.validate_aud = false;
    decode(token, key, &only_the_signature).map(|data| data.claims).map_err(|_| invalid())
}

/// One sentence for all that can be wrong, so that nobody learns which.
pub(super) fn invalid() -> Error {
    Error::new(Code::TokenInvalid, "The token is not valid here")
}

#[derive(Deserialize)]
struct Named {
    iss: String,
}

#[derive(Serialize, Deserialize)]
struct OurClaims {
    iss: String,
    sub: String,
    aud: String,
    /// Seconds, as the three times below.
    exp: i64,
    iat: i64,
    nbf: i64,
    /// A UUID of version 7: it carries the milliseconds that `iat`, whole seconds for the sake of other readers, drops.
    /// Without them a token made in the second of a change of password could not be told from one made before it.
    jti: Uuid,
    /// The session; nobody else knows its refresh token.
    sid: String,
    #[serde(rename = "userId")]
    user_id: String,
    /// For other services to read. We ask our own records each time.
    permissions: Vec<String>,
}

fn issued_ms(jti: &Uuid) -> Option<i64> {
    let (seconds, nanos) = jti.get_timestamp()?.to_unix();
    i64::try_from(seconds * 1000 + u64::from(nanos / 1_000_000)).ok()
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sum
}

#[cfg(test)]
mod tests;
