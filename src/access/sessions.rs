//! Sessions: opened by a login, refreshed, listed, ended; our own, or those of an identity provider that has its own.
//! Knows no HTTP and no password.

pub mod ours;
pub mod refresh_token;
mod theirs;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use self::{refresh_token::Maker, theirs::Flights};
use super::{
    Caller,
    gate::Arrival,
    people::{self, Person},
    tokens::{Claims, Door},
};
use crate::{
    app::App,
    error::{Code, Error},
    identity::AuthUserId,
    lately::Lately,
    state::{Commits, journal::Origin, ledger::NewEvent, sessions::Which},
};

/// By which kind of request a session is opened and refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The seed's: JSON.
    Json,
    /// That of RFC 6749: a form.
    Form,
    /// As JSON, and the refresh token in a cookie (`SESSION_COOKIE`).
    Cookie,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Form => "form",
            Self::Cookie => "cookie",
        }
    }
}

/// How long sessions last.
#[derive(Debug, Clone, Copy)]
pub struct Lengths {
    /// `REFRESH_IDLE`
    pub idle: Duration,
    /// `SESSION_MAX`
    pub most: Duration,
    /// `REFRESH_GRACE`
    pub grace: Duration,
}

/// What whoever has shown who he is gets.
#[derive(Debug, Clone)]
pub struct Opened {
    pub access_token: SecretString,
    /// Milliseconds since 1970.
    pub expires_ms: i64,
    /// Not where the provider gives none.
    pub refresh_token: Option<SecretString>,
}

/// A session as it is shown. Times in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub id: String,
    /// By which way it was opened; the provider does not say.
    pub way: Option<String>,
    pub address: Option<String>,
    pub began_ms: i64,
    pub used_ms: i64,
    /// From when on it can be refreshed no more; the provider does not say.
    pub lapses_ms: Option<i64>,
}

/// What is known of sessions beside their rows.
pub struct Sessions {
    maker: Maker,
    lengths: Lengths,
    /// When this process began: whoever waited for it to come back is no thief.
    started_ms: i64,
    /// Whether a session stood, by its id.
    standing: Lately<bool>,
    /// From when on an identity's tokens count, where they are the provider's.
    revoked: Lately<Option<i64>>,
    /// Refreshes that the provider is asked for, or was.
    flights: Flights,
}

impl Sessions {
    /// `key` is one of the state's, and `commits` are those of the state.
    pub fn new(key: &[u8], lengths: Lengths, started_ms: i64, commits: Option<Commits>) -> Self {
        Self {
            maker: Maker::new(key),
            lengths,
            started_ms,
            standing: Lately::default(),
            revoked: Lately::new(commits),
            flights: Flights::default(),
        }
    }

    /// Whether that is a refresh token of ours, good or not.
    pub fn has_made(&self, token: &str) -> bool {
        self.maker.read(token).is_some()
    }

    /// Whether neither the token nor its session has been ended: as it was at most a second ago, where another process did it.
    pub async fn stands(&self, app: &App, claims: &Claims) -> Result<bool, Error> {
        if claims.door != Door::Ours {
            let revocations = &app.systems.revocations;
            let before = async || revocations.before(&claims.subject).await;
            let before = self.revoked.recent_or(&claims.subject, app.clock.now_ms(), before).await?;
            if before.is_some_and(|before_ms| claims.issued_ms < before_ms) {
                return Ok(false);
            }
        }
        // Only a token of the provider's may be of no session: its own affair.
        let Some(id) = claims.session.as_deref() else { return Ok(claims.door != Door::Ours) };
        let sessions = app.journal.sessions();
        let standing = async || match claims.door {
            Door::Ours => sessions.get(id).await.map(|session| session.is_some()),
            Door::Provider | Door::Foreign(_) => sessions.refused(id).await.map(|refused| !refused),
        };
        Ok(self.standing.recent_or(id, app.clock.now_ms(), standing).await?)
    }
}

/// New tokens for that refresh token. `access` is a token of the same session, where the way asks for one.
///
/// # Errors
/// `refresh-refused`, one for all that may be wrong. What failed at the provider or the store.
pub async fn refresh(
    app: &App,
    arrival: &Arrival,
    way: Way,
    token: &SecretString,
    access: Option<&Claims>,
) -> Result<Opened, Error> {
    if way == Way::Json && access.is_none() {
        return Err(refused());
    }
    let refreshed = match app.tokens.are_ours() {
        true => ours::refresh(app, arrival, way, token, access).await,
        false => theirs::refresh(app, token, access).await,
    };
    refreshed.map_err(|error| error.doing("refreshing token"))
}

/// Ends the session of that token, whoever asks (RFC 7009 2.1). What is none is nothing to end.
pub async fn revoke(app: &App, arrival: &Arrival, token: &SecretString) -> Result<(), Error> {
    if app.tokens.are_of_others(token.expose_secret()) {
        return match app.tokens.verify(token.expose_secret()).await {
            Ok(claims) => match claims.session.clone() {
                Some(session) => {
                    theirs::refuse(app, &[session], left(app, arrival, &claims.subject, "token").await?).await
                }
                None => Ok(()),
            },
            Err(error) if matches!(error.code(), Code::TokenInvalid | Code::TokenExpired) => Ok(()),
            Err(error) => Err(error.doing("logging out")),
        };
    }
    match app.tokens.are_ours() {
        true => ours::revoke(app, arrival, token).await,
        false => theirs::revoke(app, arrival, token).await,
    }
}

/// Ends the one in which the caller asks.
pub async fn log_out(app: &App, caller: &Caller) -> Result<(), Error> {
    let (Some(identity), Some((door, id))) = (caller.identity.clone(), caller.session.clone()) else { return Ok(()) };
    let event = told(caller, "log-out", caller.origin.actor.clone());
    match door {
        // Whoever keeps it is not told: it is refused here.
        Door::Foreign(_) => theirs::refuse(app, &[id], event).await,
        Door::Ours | Door::Provider => end_one(app, identity, id, event).await.map(drop),
    }
}

/// Those of an identity that can still be used, the oldest first.
pub async fn of(app: &App, identity: &AuthUserId) -> Result<Vec<Shown>, Error> {
    match app.tokens.are_ours() {
        true => ours::of(app, identity).await,
        false => theirs::of(app, identity).await,
    }
}

/// Ends one of that person; whether it was there.
pub async fn end(app: &App, caller: &Caller, identity: AuthUserId, id: String, subject: String) -> Result<bool, Error> {
    let there = match app.tokens.are_ours() {
        true => ours::of(app, &identity).await?.iter().any(|session| session.id == id),
        false => theirs::kept(app, &identity).await?.contains(&id),
    };
    if !there {
        return Ok(false);
    }
    end_one(app, identity, id, told(caller, "end-session", subject)).await
}

/// Ends all of them.
pub async fn end_all(app: &App, caller: &Caller, identity: AuthUserId, subject: String) -> Result<(), Error> {
    let event = told(caller, "end-sessions", subject);
    match app.tokens.are_ours() {
        true => ours::end_these(app, Which::All { identity }, event).await.map(drop),
        false => theirs::end_all(app, &identity, event).await,
    }
}

/// Those of somebody whose password has just become another one. They count no more already, unless the clock went back since
/// they began; so what cannot be written here is only told.
pub async fn end_for_a_new_password(app: &App, identity: &AuthUserId, origin: Origin, subject: String) {
    let event = NewEvent { action: "end-sessions", outcome: "done", origin, subject: Some(subject) };
    if let Err(error) = ours::end_these(app, Which::All { identity: identity.clone() }, event).await {
        tracing::error!(error = error.message(), "the sessions before a new password cannot be taken away");
    }
}

async fn end_one(app: &App, identity: AuthUserId, id: String, event: NewEvent) -> Result<bool, Error> {
    match app.tokens.are_ours() {
        true => ours::end_these(app, Which::One { identity, id }, event).await.map(|ended| ended > 0),
        false => theirs::end(app, &[id], event).await.map(|()| true),
    }
}

fn told(caller: &Caller, action: &'static str, subject: String) -> NewEvent {
    NewEvent { action, outcome: "done", origin: caller.origin.clone(), subject: Some(subject) }
}

/// That somebody has logged in. Nobody gets a token of which no event tells.
pub fn logged_in(arrival: &Arrival, person: &Person) -> NewEvent {
    noted(arrival, "log-in", "done", person.user.as_str(), "password")
}

/// That somebody who holds a token has left its session. Who may not act any more has no user to name.
async fn left(app: &App, arrival: &Arrival, identity: &AuthUserId, by: &str) -> Result<NewEvent, Error> {
    let person = people::find(app, identity).await?;
    let actor = person.as_ref().map_or(identity.as_str(), |person| person.user.as_str());
    Ok(noted(arrival, "log-out", "done", actor, by))
}

/// What somebody does to his own session by what he sends.
fn noted(arrival: &Arrival, action: &'static str, outcome: &'static str, actor: &str, by: &str) -> NewEvent {
    NewEvent { action, outcome, origin: arrival.origin(actor, by), subject: Some(actor.to_owned()) }
}

fn refused() -> Error {
    Error::new(Code::RefreshRefused, "The session is not refreshed")
}
