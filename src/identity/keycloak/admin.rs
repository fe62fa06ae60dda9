//! Calls to the Admin REST API: each bears the service account's token, which is fetched, kept and renewed here.

use std::sync::Arc;

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    Granted, nobody,
    person::{MARK, Person},
    token_call,
};
use crate::{
    clock::Clock,
    config::{self, KeycloakCreate},
    error::{Code, Error},
    fold::fold,
    outcome::{Failure, Outcome},
    remote::{self, Answer, Body, Call, Remote, Repeat},
};

/// A token is not used in the last tenth of its life, nor in its last seconds.
const MARGIN_MS: i64 = 5_000;

pub struct Admin {
    remote: Arc<Remote>,
    clock: Clock,
    realm: String,
    client_id: String,
    client_secret: SecretString,
    /// Locked while it is fetched, so that one fetch serves all who wait.
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    /// Counts up, so that one refusal drops the token that was refused and no newer one.
    number: u64,
    secret: SecretString,
    fresh_until_ms: i64,
}

/// Why a call brought nothing.
pub enum Miss {
    /// There was no token to send it with: it never left.
    NoToken(Failure),
    Call(remote::Error),
}

impl Admin {
    pub fn new(config: &config::Keycloak, remote: Arc<Remote>, clock: Clock) -> Self {
        Self {
            remote,
            clock,
            realm: config.realm.clone(),
            client_id: config.client_id.clone(),
            client_secret: config.client_secret.clone(),
            token: Mutex::new(None),
        }
    }

    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// `path` is what follows the realm: `/users/:id`.
    pub async fn send(&self, asked: Asked<'_>) -> Result<Answer, Miss> {
        let token = self.token().await?;
        match self.remote.send(asked.call(&self.realm, &token.secret)).await {
            // The token is looked at before anything is done, so a refused call was not carried out.
            Err(error) if error.status() == Some(401) && !error.unsure() => {
                self.forget(token.number).await;
                let token = self.token().await?;
                self.remote.send(asked.call(&self.realm, &token.secret)).await.map_err(Miss::Call)
            }
            other => other.map_err(Miss::Call),
        }
    }

    /// By id; nothing when nobody has it.
    pub async fn person(&self, id: &str) -> Outcome<Option<Person>> {
        match self.send(Asked::new(Method::GET, "/users/:id", &[id])).await {
            Ok(answer) => {
                let person = Person::from_body(answer.json()?);
                Ok(Some(person.ok_or_else(|| answer.garbled().failure())?))
            }
            Err(Miss::Call(error)) if nobody(&error) => Ok(None),
            Err(miss) => Err(miss.failure()),
        }
    }

    /// All that bear the mark, alone or torn.
    pub async fn marked(&self, mark: &str) -> Outcome<Vec<Person>> {
        let people = self.search(&[("q", format!("{MARK}:{mark}"))]).await?;
        // The search ignores the case of a value, and ignores a condition that it does not understand.
        Ok(people.into_iter().filter(|person| person.bears(Some(mark))).collect())
    }

    /// Whoever has that e-mail, in whatever case it was written.
    pub async fn with_email(&self, email: &str) -> Outcome<Option<Person>> {
        let people = self.search(&[("email", email.to_owned()), ("exact", "true".to_owned())]).await?;
        Ok(people.into_iter().find(|person| person.account().email.is_some_and(|theirs| fold(&theirs) == fold(email))))
    }

    async fn search(&self, conditions: &[(&str, String)]) -> Outcome<Vec<Person>> {
        let query = [conditions, &[("briefRepresentation", "false".to_owned())]].concat();
        let answer = self.send(Asked::new(Method::GET, "/users", &[]).query(&query)).await.map_err(Miss::failure)?;
        let rows: Vec<Value> = answer.json()?;
        let people: Option<Vec<_>> = rows.into_iter().map(Person::from_body).collect();
        people.ok_or_else(|| answer.garbled().failure())
    }

    /// Whether the realm keeps our mark; a realm that would drop it silently cannot be used.
    pub async fn keeps_marks(&self) -> Outcome<()> {
        #[derive(Deserialize)]
        struct Profile {
            #[serde(default)]
            attributes: Vec<Attribute>,
            #[serde(default, rename = "unmanagedAttributePolicy")]
            unmanaged: Option<String>,
        }
        #[derive(Deserialize)]
        struct Attribute {
            name: String,
        }
        let answer = self.send(Asked::new(Method::GET, "/users/profile", &[])).await.map_err(Miss::failure)?;
        let profile: Profile = answer.json()?;
        let kept = matches!(profile.unmanaged.as_deref(), Some("ENABLED" | "ADMIN_EDIT"));
        if kept || profile.attributes.iter().any(|attribute| attribute.name == MARK) {
            return Ok(());
        }
        let remedy = "The realm drops attributes that its user profile does not declare: \
                      set unmanagedAttributePolicy to ADMIN_EDIT there";
        Err(Failure::not_done(Error::new(Code::UpstreamRefused, remedy)))
    }

    /// Whether we may import, and so choose ids: an import of nobody is refused without the right `manage-realm`.
    pub async fn probe_create(&self) -> Outcome<KeycloakCreate> {
        let nobody = json!({ "ifResourceExists": "SKIP", "users": [] });
        let asked = Asked::new(Method::POST, "/partialImport", &[]).json(&nobody).repeat(Repeat::Safe);
        match self.send(asked).await {
            Ok(_) => Ok(KeycloakCreate::PartialImport),
            Err(Miss::Call(error)) if matches!(error.status(), Some(400 | 403 | 404 | 405)) => {
                Ok(KeycloakCreate::Marker)
            }
            Err(miss) => Err(miss.failure()),
        }
    }

    async fn token(&self) -> Result<Token, Miss> {
        let mut held = self.token.lock().await;
        let now = self.clock.now_ms();
        if let Some(token) = held.as_ref().filter(|token| now < token.fresh_until_ms) {
            return Ok(token.clone());
        }
        let form = vec![
            ("grant_type", SecretString::from("client_credentials")),
            ("client_id", self.client_id.clone().into()),
            ("client_secret", self.client_secret.clone()),
        ];
        // Whatever becomes of this call, the one that it is for has not left.
        let missed = |error: remote::Error| Miss::NoToken(error.not_done());
        let answer = self.remote.send(token_call(&self.realm, form).repeat(Repeat::Safe)).await.map_err(missed)?;
        let Granted { access_token, expires_in, .. } = answer.json().map_err(missed)?;
        let life = expires_in.clamp(0, 86_400) * 1000;
        let margin = (life / 10).max(MARGIN_MS);
        let number = held.as_ref().map_or(0, |token| token.number + 1);
        let token = Token { number, secret: access_token, fresh_until_ms: now + life - margin };
        *held = Some(token.clone());
        Ok(token)
    }

    async fn forget(&self, number: u64) {
        if let Some(token) = self.token.lock().await.as_mut().filter(|token| token.number == number) {
            token.fresh_until_ms = 0;
        }
    }
}

impl Miss {
    pub fn failure(self) -> Failure {
        match self {
            Self::NoToken(failure) => failure,
            Self::Call(error) => error.failure(),
        }
    }
}

/// Of a look that was to tell what became of an earlier call: that it was refused says nothing of the other.
pub fn unsure(failure: Failure) -> Failure {
    match failure {
        Failure::NotDone(reason) | Failure::Unknown(reason) => Failure::Unknown(reason),
    }
}

/// A call as it is asked for; it may have to be sent twice, the second time with a new token.
pub struct Asked<'a> {
    method: Method,
    path: &'a str,
    values: &'a [&'a str],
    query: &'a [(&'a str, String)],
    body: Option<&'a Value>,
    repeat: Repeat,
}

impl<'a> Asked<'a> {
    /// What changes something is not repeated below us: a second sending would hide that the first may still land.
    pub fn new(method: Method, path: &'a str, values: &'a [&'a str]) -> Self {
        let repeat = if method == Method::GET { Repeat::Safe } else { Repeat::Never };
        Self { method, path, values, query: &[], body: None, repeat }
    }

    pub fn query(mut self, query: &'a [(&'a str, String)]) -> Self {
        self.query = query;
        self
    }

    pub fn json(mut self, body: &'a Value) -> Self {
        self.body = Some(body);
        self
    }

    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    fn call(&self, realm: &str, token: &SecretString) -> Call {
        let template = format!("/admin/realms/:realm{}", self.path);
        let values: Vec<&str> = std::iter::once(realm).chain(self.values.iter().copied()).collect();
        let mut call = Call::new(self.method.clone(), template, &values).bearer(token).repeat(self.repeat);
        for (name, value) in self.query {
            call = call.query(*name, value.clone());
        }
        match self.body {
            Some(body) => call.body(Body::Json(body.clone())),
            None => call,
        }
    }
}
