//! Where identities live: the trait, a file a driver.

pub mod embedded;
pub mod keycloak;

use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::outcome::Outcome;

/// `authUserId`: opaque, 1 to 255 characters.
pub type AuthUserId = String;

/// What we keep in step of an account. The provider has more; that is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub username: Option<String>,
    pub email: Option<String>,
    pub enabled: bool,
    /// The operation that wrote it last (`um_operation`): how our own effects are told from others'.
    pub mark: Option<String>,
    /// What a conditional write is bound to, where the provider has such a thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// What became of an attempt to log in.
#[derive(Debug, Clone)]
pub enum Login {
    /// Name and password are right; the token is ours to make.
    Verified {
        id: AuthUserId,
        /// When that was so, in milliseconds since 1970 and not before [`Standing::not_before_ms`]: the token's time of
        /// issue, so that a password changed while the token is being made ends it like any other.
        at_ms: i64,
    },
    /// The provider's own tokens.
    Token { access_token: SecretString, expires_at_ms: i64, refresh_token: Option<SecretString> },
    /// One answer for wrong, unknown, blocked and locked.
    Refused,
}

/// A session at the provider. Times in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TheirSession {
    pub id: String,
    pub address: Option<String>,
    pub began_ms: i64,
    pub used_ms: i64,
}

/// What our own token's holder may do at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub enabled: bool,
    /// Tokens issued before (milliseconds since 1970) count no more.
    pub not_before_ms: i64,
    /// Only good for changing the password.
    pub must_change_password: bool,
}

/// Whose tokens are believed beside our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    pub issuer: String,
    /// A token counts when one of these stands in its `aud` or is its `azp`.
    pub audience: String,
}

/// Stands for an account as it is at one moment: another one as soon as its password, its e-mail, its enablement or the end
/// of its sessions is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Vec<u8>);

impl Stamp {
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Self(context.finish().as_ref().to_vec())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[async_trait]
pub trait Identity: Send + Sync + 'static {
    /// An id chosen before the call, where the provider takes one.
    fn choose_id(&self) -> Option<AuthUserId>;

    /// Makes an account bearing `account.mark`. Asked again it recognises the one that it made (chosen id, else mark) and
    /// answers its id. `NotDone` with `name-taken` when somebody else has the name.
    async fn create(
        &self,
        chosen: Option<&AuthUserId>,
        account: &Account,
        password: Option<&SecretString>,
    ) -> Outcome<AuthUserId>;

    /// The way back of a create: the account that it made, if one is there. Where [`Identity::late`] is zero, nothing can
    /// land any more once this has answered `None`.
    async fn close_create(&self, chosen: Option<&AuthUserId>, account: &Account) -> Outcome<Option<AuthUserId>>;

    async fn get(&self, id: &AuthUserId) -> Outcome<Option<Account>>;

    /// Whose e-mail this is; for the first administrator only, and only of a provider that others fill too.
    async fn find_by_email(&self, _email: &str) -> Outcome<Option<AuthUserId>> {
        Ok(None)
    }

    /// Writes `to` over an account that stands as in `from` (its revision, where there is one). An account that bears
    /// `to.mark` and shows `to` already is done. Becoming disabled ends every session. `NotDone` when it is not there, was
    /// changed meanwhile, or the name is taken.
    async fn change(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<()>;

    /// The way back of a change: whether it landed (the account bears `to.mark`). Where [`Identity::late`] is zero, nothing
    /// can land any more once this has answered `false`.
    async fn close_change(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<bool>;

    /// Puts `from` back over an account that bears `to.mark`; done when it bears another one or is not there.
    async fn restore(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<()>;

    /// Done when it is not there.
    async fn delete(&self, id: &AuthUserId) -> Outcome<()>;

    /// Whether a new account whose password nobody chose gets a random one. Not where an account may stand without.
    fn wants_password(&self) -> bool {
        true
    }

    /// How long an unanswered call may still land after we looked. Zero: the fences above are final.
    fn late(&self) -> Duration;

    /// `name` is a username or an e-mail.
    async fn log_in(&self, name: &str, password: &SecretString) -> Outcome<Login>;

    /// What the provider tells of an account (OpenID Connect Core 5.1), to whoever holds that token of its own; `None` when
    /// the account is gone or the token counts no more.
    async fn claims(&self, id: &AuthUserId, token: Option<&SecretString>) -> Outcome<Option<Map<String, Value>>>;

    /// New tokens for a refresh token of the provider's. Where those are good once, a repeat ends the session: nobody sends
    /// one again whose answer was lost.
    async fn refresh(&self, token: &SecretString) -> Outcome<Login>;

    /// Ends the session of a refresh token of the provider's (RFC 7009); done when there is none.
    async fn revoke(&self, token: &SecretString) -> Outcome<()>;

    /// The provider's sessions of an account.
    async fn sessions(&self, id: &AuthUserId) -> Outcome<Vec<TheirSession>>;

    /// Ends one of them; done when there is none.
    async fn end_session(&self, session: &str) -> Outcome<()>;

    /// Of a token of ours; `None` when the account is gone. A provider with tokens of its own has nothing to say.
    async fn standing(&self, id: &AuthUserId) -> Outcome<Option<Standing>>;

    /// Whose tokens to believe beside ours, if any.
    fn issuer(&self) -> Option<Issuer> {
        None
    }

    /// The issuer's JSON Web Key Set (RFC 7517).
    async fn keys(&self) -> Outcome<Value> {
        Ok(serde_json::json!({ "keys": [] }))
    }

    /// Whether the current password is right, then the new one instead; every session ends. `None`: the provider has no
    /// such thing.
    async fn change_password(
        &self,
        id: &AuthUserId,
        current: &SecretString,
        new: &SecretString,
    ) -> Outcome<PasswordChange>;

    /// Has the provider mail that person a link of its own to choose a password. Each time is one more mail. `false`: there is
    /// nobody to mail to, or the provider mails nothing.
    async fn mail_link(&self, _id: &AuthUserId) -> Outcome<bool> {
        Ok(false)
    }

    async fn check(&self) -> Outcome<()>;

    /// Its name in check-up: `embedded`, `keycloak`.
    fn name(&self) -> &'static str;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordChange {
    Changed,
    Wrong,
    /// The provider keeps its passwords to itself.
    NotHere,
}
