//! Sessions of an identity provider that has its own. Where its refresh tokens are good once, to send one again ends the
//! session: so of many who bring the same one the first has it sent, and all get his answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jsonwebtoken::dangerous::insecure_decode_claims;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::{Opened, Shown, refused};
use crate::{
    access::{
        gate::Arrival,
        people,
        tokens::{Claims, sha256},
    },
    app::App,
    clock::milliseconds,
    error::{self, Error},
    identity::{AuthUserId, Login, TheirSession},
    outcome::{Failure, Outcome},
    state::{ledger::NewEvent, sessions::Digest},
    systems::REVOKED_MS,
    trace,
};

/// What the provider answers to one token.
type Flight = Arc<OnceCell<Outcome<Login>>>;

/// By SHA-256 of the token, with the time at which it was brought first.
#[derive(Default)]
pub struct Flights(Mutex<HashMap<Digest, (i64, Flight)>>);

impl Flights {
    /// The one of that token, if it was brought so lately, else a new one.
    fn of(&self, token: Digest, now_ms: i64, grace_ms: i64) -> Flight {
        let mut flights = self.lock();
        flights.retain(|_, (began_ms, flight)| {
            let over = now_ms >= began_ms.saturating_add(grace_ms);
            // One that has not arrived is waited for by everybody who brings the token.
            !(over && flight.initialized())
        });
        flights.entry(token).or_insert_with(|| (now_ms, Flight::default())).1.clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, (i64, Flight)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The provider's answer, asked for by whoever comes first. In a task of its own: a caller who hangs up stops nothing.
    async fn answer(&self, app: &App, token: &SecretString) -> Result<Login, Error> {
        let digest = sha256(token.expose_secret().as_bytes());
        let flight = self.of(digest, app.clock.now_ms(), milliseconds(app.sessions.lengths.grace));
        let arrived = flight.clone();
        let (identity, token) = (Arc::clone(&app.systems.identity), token.clone());
        let ask = async move || identity.refresh(&token).await;
        let asking = tokio::spawn(trace::carried(async move { arrived.get_or_init(ask).await.clone() }));
        let told = asking.await.map_err(error::internal)?;
        if matches!(told, Ok(Login::Refused) | Err(Failure::NotDone(_))) {
            // Nothing was used up, so that whoever comes with it again may ask again.
            self.lock().remove(&digest);
        }
        told.map_err(|failure| failure.into_error())
    }
}

pub async fn refresh(app: &App, token: &SecretString, access: Option<&Claims>) -> Result<Opened, Error> {
    if let Some(access) = access {
        // The provider would be asked in vain, and a token that is good once would be gone.
        let of_another = payload_session(token).is_some_and(|session| access.session.as_ref() != Some(&session));
        let ended = !app.sessions.stands(app, access).await?;
        if of_another || ended || people::find(app, &access.subject).await?.is_none() {
            return Err(refused());
        }
    }
    let Login::Token { access_token, expires_at_ms, refresh_token } = app.sessions.flights.answer(app, token).await?
    else {
        return Err(refused());
    };
    let claims = app.tokens.verify_given(&access_token).await?;
    let ended = !app.sessions.stands(app, &claims).await?;
    let same = |access: &Claims| (&access.subject, &access.session) == (&claims.subject, &claims.session);
    if ended || access.is_some_and(|access| !same(access)) || people::find(app, &claims.subject).await?.is_none() {
        return Err(refused());
    }
    // Without rotation some providers give none: the old one stays good.
    let refresh_token = refresh_token.or_else(|| Some(token.clone()));
    Ok(Opened { access_token, expires_ms: expires_at_ms, refresh_token })
}

/// Of an access token we know the session, and refuse what is of it; of a refresh token only the provider does.
pub async fn revoke(app: &App, arrival: &Arrival, token: &SecretString) -> Result<(), Error> {
    if let Ok(claims) = app.tokens.verify(token.expose_secret()).await
        && let Some(session) = claims.session.clone()
    {
        let event = super::left(app, arrival, &claims.subject, "token").await?;
        return end(app, &[session], event).await;
    }
    app.systems.identity.revoke(token).await.map_err(|failure| failure.into_error().doing("logging out"))
}

pub async fn of(app: &App, identity: &AuthUserId) -> Result<Vec<Shown>, Error> {
    let mut shown = Vec::new();
    for session in listed(app, identity).await? {
        let ended = app.journal.sessions().refused(&session.id).await?;
        if !ended {
            shown.push(Shown {
                id: session.id,
                way: None,
                address: session.address,
                began_ms: session.began_ms,
                used_ms: session.used_ms,
                lapses_ms: None,
            });
        }
    }
    Ok(shown)
}

/// What is of these sessions counts here no more.
pub async fn refuse(app: &App, ids: &[String], event: NewEvent) -> Result<(), Error> {
    let until_ms = app.clock.now_ms().saturating_add(REVOKED_MS);
    app.journal.sessions().refuse(ids.to_vec(), until_ms, event).await?;
    ids.iter().for_each(|id| app.sessions.standing.forget(id));
    Ok(())
}

/// Here first: what is refused here is refused, whatever becomes of the calls; and to ask again is to tell the provider again.
pub async fn end(app: &App, ids: &[String], event: NewEvent) -> Result<(), Error> {
    refuse(app, ids, event).await?;
    let mut first = Ok(());
    for id in ids {
        let ended = app.systems.identity.end_session(id).await;
        first = first.and(ended.map_err(|failure| failure.into_error().doing("ending session")));
    }
    first
}

pub async fn end_all(app: &App, identity: &AuthUserId, event: NewEvent) -> Result<(), Error> {
    let ids = kept(app, identity).await?;
    if ids.is_empty() { Ok(()) } else { end(app, &ids, event).await }
}

/// Also those which were ended here and of which the provider could not be told.
pub async fn kept(app: &App, identity: &AuthUserId) -> Result<Vec<String>, Error> {
    Ok(listed(app, identity).await?.into_iter().map(|session| session.id).collect())
}

async fn listed(app: &App, identity: &AuthUserId) -> Result<Vec<TheirSession>, Error> {
    let sessions = app.systems.identity.sessions(identity).await;
    sessions.map_err(|failure| failure.into_error().doing("listing sessions"))
}

/// `sid` of a token that is a JWT, unverified: only to refuse, never to believe.
fn payload_session(token: &SecretString) -> Option<String> {
    insecure_decode_claims::<Payload>(token.expose_secret()).ok()?.sid
}

#[derive(Deserialize)]
struct Payload {
    sid: Option<String>,
}
