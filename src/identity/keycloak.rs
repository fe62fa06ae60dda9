//! Keycloak 26 (24 and later should do) over its Admin REST API. Owns its paths and field names; knows nothing of users.
//!
//! - An account needs a username. Where ours has none, the e-mail is it, and follows the e-mail when that changes (the realm
//!   must have `editUsernameAllowed` for any change of a username).
//! - Our effects are told from others' by the attribute `um_operation`; the realm's user profile must keep it
//!   (`unmanagedAttributePolicy` of `ADMIN_EDIT`, or the attribute declared). That is looked at before the first effect.
//! - There is no fence: a request whose client has gone may still be carried out, for as long as [`Identity::late`].
//! - Keycloak takes no condition on a write, and two parallel writes of attributes leave both values. There is one writer a
//!   person on our side (the operation holds him); what was written is read back.

mod admin;
mod change;
mod create;
mod mail;
mod person;
mod refusal;
mod sessions;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::{Account, AuthUserId, Identity, Issuer, Login, PasswordChange, Standing, TheirSession};
use crate::{
    clock::Clock,
    config::{self, Calls, KeycloakCreate},
    error::{Code, Error},
    metrics,
    outcome::{Failure, Outcome},
    remote::{self, Body, Call, Remote},
};
use admin::Admin;
use refusal::Refusal;

/// A start does not wait longer for a provider that hangs; what could not be learnt is asked again at the first use.
const OPEN_WITHIN: Duration = Duration::from_secs(2);

pub struct Keycloak {
    config: config::Keycloak,
    remote: Arc<Remote>,
    admin: Admin,
    clock: Clock,
    /// How accounts are made; empty until it is known.
    mode: OnceLock<KeycloakCreate>,
    /// Whether the realm was looked at and keeps our mark.
    fit: OnceCell<()>,
}

impl Keycloak {
    /// Asks the provider what it allows; one that is away is asked again at the first use. Refused, with a sentence, when
    /// no connection to it could ever be made.
    pub async fn open(config: config::Keycloak, calls: &Calls, clock: Clock) -> Result<Self, String> {
        Self::open_counted(config, calls, clock, &metrics::Calls::default()).await
    }

    /// The same, with its calls counted there.
    pub async fn open_counted(
        config: config::Keycloak,
        calls: &Calls,
        clock: Clock,
        counted: &metrics::Calls,
    ) -> Result<Self, String> {
        let remote = Arc::new(Remote::new("Auth", &config.base, calls, clock.clone())?.counted(counted));
        let admin = Admin::new(&config, Arc::clone(&remote), clock.clone());
        let mode = config.create.map_or_else(OnceLock::new, OnceLock::from);
        let keycloak = Self { config, remote, admin, clock: clock.clone(), mode, fit: OnceCell::new() };
        match clock.within(OPEN_WITHIN, keycloak.fit()).await {
            Some(Ok(())) => {}
            Some(Err(failure)) => tracing::warn!(why = failure.sentence(), "Keycloak cannot be used yet"),
            None => tracing::warn!("Keycloak does not answer yet"),
        }
        Ok(keycloak)
    }

    /// The token endpoint's answer to the login client (RFC 6749 5).
    async fn granted(&self, form: Vec<(&'static str, SecretString)>) -> Outcome<Login> {
        let call = token_call(&self.config.realm, self.as_login_client(form));
        let asked_ms = self.clock.now_ms();
        match self.remote.send(call).await {
            Ok(answer) => {
                let Granted { access_token, expires_in, refresh_token } = answer.json()?;
                let expires_at_ms = asked_ms.saturating_add(expires_in.saturating_mul(1000));
                Ok(Login::Token { access_token, expires_at_ms, refresh_token })
            }
            // Wrong, unknown, locked, disabled, not fully set up, a session that has ended: 400, before Keycloak 20 some of
            // them 401.
            Err(error) if Refusal::of(&error).is("invalid_grant") => Ok(Login::Refused),
            Err(error) => Err(failed(&error)),
        }
    }

    fn as_login_client(&self, mut form: Vec<(&'static str, SecretString)>) -> Vec<(&'static str, SecretString)> {
        form.push(("client_id", self.config.login_client_id.clone().into()));
        form.extend(self.config.login_client_secret.clone().map(|secret| ("client_secret", secret)));
        form
    }

    /// Sees to it, once, that the realm keeps our mark and that we know how to make accounts.
    async fn fit(&self) -> Outcome<()> {
        let look = async {
            self.admin.keeps_marks().await?;
            if self.mode.get().is_none() {
                let mode = self.admin.probe_create().await?;
                tracing::info!(?mode, "how accounts are made was found out");
                let _ = self.mode.set(mode);
            }
            Ok(())
        };
        self.fit.get_or_try_init(|| look).await.copied()
    }
}

#[async_trait]
impl Identity for Keycloak {
    /// Only an import takes one. While it is not known whether we may import, accounts are made the other way.
    fn choose_id(&self) -> Option<AuthUserId> {
        match self.mode.get() {
            Some(KeycloakCreate::PartialImport) => Some(self.clock.uuid().to_string()),
            Some(KeycloakCreate::Marker) | None => None,
        }
    }

    async fn create(
        &self,
        chosen: Option<&AuthUserId>,
        account: &Account,
        password: Option<&SecretString>,
    ) -> Outcome<AuthUserId> {
        self.fit().await?;
        let new = create::New::of(account, password)?;
        match chosen {
            Some(id) => create::import(&self.admin, id, &new).await,
            None => create::insert(&self.admin, &new).await,
        }
    }

    async fn close_create(&self, chosen: Option<&AuthUserId>, account: &Account) -> Outcome<Option<AuthUserId>> {
        if let Some(id) = chosen
            && self.admin.person(id).await?.is_some()
        {
            return Ok(Some(id.clone()));
        }
        // An import may have ended as an insert, which has the mark alone.
        let new = create::New::of(account, None)?;
        create::find(&self.admin, &new).await
    }

    async fn get(&self, id: &AuthUserId) -> Outcome<Option<Account>> {
        Ok(self.admin.person(id).await?.map(|person| person.account()))
    }

    async fn find_by_email(&self, email: &str) -> Outcome<Option<AuthUserId>> {
        Ok(self.admin.with_email(email).await?.map(|person| person.id().to_owned()))
    }

    async fn change(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<()> {
        self.fit().await?;
        change::change(&self.admin, id, from, to).await
    }

    async fn close_change(&self, id: &AuthUserId, _from: &Account, to: &Account) -> Outcome<bool> {
        let person = self.admin.person(id).await?;
        Ok(person.is_some_and(|person| person.bears(to.mark.as_deref())))
    }

    async fn restore(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<()> {
        change::restore(&self.admin, id, from, to).await
    }

    async fn delete(&self, id: &AuthUserId) -> Outcome<()> {
        change::delete(&self.admin, id).await
    }

    fn late(&self) -> Duration {
        self.config.late_window
    }

    /// The password grant of the login client.
    async fn log_in(&self, name: &str, password: &SecretString) -> Outcome<Login> {
        // Keycloak takes an empty one for a request that is badly made.
        if name.is_empty() || password.expose_secret().is_empty() {
            return Ok(Login::Refused);
        }
        let form = vec![
            ("grant_type", SecretString::from("password")),
            ("username", name.into()),
            ("password", password.clone()),
            // Without it nobody is told anything by `/userinfo`.
            ("scope", "openid".into()),
        ];
        self.granted(form).await
    }

    async fn claims(&self, _id: &AuthUserId, token: Option<&SecretString>) -> Outcome<Option<Map<String, Value>>> {
        let Some(token) = token else { return Ok(None) };
        let template = "/realms/:realm/protocol/openid-connect/userinfo";
        match self.remote.send(Call::new(Method::GET, template, &[&self.config.realm]).bearer(token)).await {
            Ok(answer) => Ok(Some(answer.json()?)),
            Err(error) if error.status() == Some(401) && !error.unsure() => Ok(None),
            Err(error) if error.status() == Some(403) && !error.unsure() => {
                let message = "The token was not given for the scope openid";
                Err(Failure::not_done(Error::new(Code::PermissionRequired, message).field("openid")))
            }
            Err(error) => Err(error.failure()),
        }
    }

    async fn refresh(&self, token: &SecretString) -> Outcome<Login> {
        self.granted(vec![("grant_type", SecretString::from("refresh_token")), ("refresh_token", token.clone())]).await
    }

    async fn revoke(&self, token: &SecretString) -> Outcome<()> {
        let form = self.as_login_client(vec![("token", token.clone())]);
        let template = "/realms/:realm/protocol/openid-connect/revoke";
        let call = Call::new(Method::POST, template, &[&self.config.realm]).body(Body::Form(form));
        match self.remote.send(call).await {
            Ok(_) => Ok(()),
            // Not one of its tokens, or not of our client: nothing that we could end.
            Err(error) if error.status() == Some(400) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn sessions(&self, id: &AuthUserId) -> Outcome<Vec<TheirSession>> {
        sessions::of(&self.admin, id).await
    }

    async fn end_session(&self, session: &str) -> Outcome<()> {
        sessions::end(&self.admin, session).await
    }

    async fn standing(&self, _id: &AuthUserId) -> Outcome<Option<Standing>> {
        Ok(Some(Standing { enabled: true, not_before_ms: 0, must_change_password: false }))
    }

    fn issuer(&self) -> Option<Issuer> {
        const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        let base = self.config.base.as_str().trim_end_matches('/');
        let realm = utf8_percent_encode(&self.config.realm, UNRESERVED);
        Some(Issuer { issuer: format!("{base}/realms/{realm}"), audience: self.config.login_client_id.clone() })
    }

    async fn keys(&self) -> Outcome<Value> {
        let template = "/realms/:realm/protocol/openid-connect/certs";
        let answer = self.remote.send(Call::new(Method::GET, template, &[&self.config.realm])).await?;
        Ok(answer.json()?)
    }

    async fn change_password(
        &self,
        _id: &AuthUserId,
        _current: &SecretString,
        _new: &SecretString,
    ) -> Outcome<PasswordChange> {
        Ok(PasswordChange::NotHere)
    }

    async fn mail_link(&self, id: &AuthUserId) -> Outcome<bool> {
        mail::link(&self.admin, &self.config.mail, id).await
    }

    async fn check(&self) -> Outcome<()> {
        self.admin.keeps_marks().await
    }

    fn name(&self) -> &'static str {
        "keycloak"
    }
}

/// A successful answer of the token endpoint (RFC 6749 5.1), as far as it concerns us.
#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    /// Seconds.
    expires_in: i64,
    refresh_token: Option<SecretString>,
}

fn token_call(realm: &str, form: Vec<(&'static str, SecretString)>) -> Call {
    Call::new(Method::POST, "/realms/:realm/protocol/openid-connect/token", &[realm]).body(Body::Form(form))
}

/// Of a call in which no name can be taken. Keycloak itself refuses none of them with a conflict: whoever did does not say
/// whether it was carried out.
fn failed(error: &remote::Error) -> Failure {
    if error.status() == Some(409) { error.unknown() } else { error.failure() }
}

/// Whether a 404 speaks of what was asked for: Keycloak says so in its own words, and otherwise it is the realm that is
/// missing, or something in between that answers.
fn nobody(error: &remote::Error) -> bool {
    error.status() == Some(404) && Refusal::of(error).names_nobody()
}
