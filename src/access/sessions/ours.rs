//! Sessions of ours: their rows, their tokens.
//!
//! A refresh token is good once. For a while the one before is answered as it was, so that whoever lost the answer, or asked
//! twice, is no thief; later it ends the session (RFC 9700 4.14.2). Whether the person may still act is asked each time.

use secrecy::{ExposeSecret, SecretString};
use uuid::Builder;

use super::{Opened, Sessions, Shown, Way, refresh_token::RefreshToken, refused};
use crate::{
    access::{
        gate::Arrival,
        people::{self, Person},
        tokens::{Claims, Grant},
    },
    app::App,
    clock::{self, after, milliseconds},
    error::{Code, Error},
    identity::{AuthUserId, Standing},
    state::{
        ledger::NewEvent,
        sessions::{Session, Turn, Turned, Which},
    },
};

/// For the person who has shown at that time who he is.
pub async fn open(
    app: &App,
    arrival: &Arrival,
    way: Way,
    identity: AuthUserId,
    at_ms: i64,
    person: &Person,
) -> Result<Opened, Error> {
    let Sessions { maker, lengths, .. } = &app.sessions;
    let id = clock::uuid(at_ms);
    let token = maker.first(id)?;
    let ends_ms = after(at_ms, lengths.most);
    let session = Session {
        id: id.hyphenated().to_string(),
        identity,
        door: way.name().to_owned(),
        address: arrival.address.map(|address| address.to_string()),
        began_ms: at_ms,
        ends_ms,
        turn: 0,
        turned_ms: at_ms,
        lapses_ms: after(at_ms, lengths.idle).min(ends_ms),
    };
    app.journal.sessions().open(session.clone(), token.digest(), super::logged_in(arrival, person)).await?;
    answer(app, &session, person, &token)
}

pub async fn refresh(
    app: &App,
    arrival: &Arrival,
    way: Way,
    token: &SecretString,
    access: Option<&Claims>,
) -> Result<Opened, Error> {
    let shown = app.sessions.maker.read(token.expose_secret()).ok_or_else(refused)?;
    let id = shown.session.hyphenated().to_string();
    if access.is_some_and(|access| access.session.as_ref() != Some(&id)) {
        return Err(refused());
    }
    // Taken before anything is looked at, and the time of issue of what is given: whatever ends the session meanwhile ends
    // that too.
    let now_ms = app.clock.now_ms();
    let session = app.journal.sessions().get(&id).await?.ok_or_else(refused)?;
    let person = standing(app, &session).await?.ok_or_else(refused)?;
    let successor = app.sessions.maker.successor(&shown);
    match app.journal.sessions().turn(turn(app, way, &shown, now_ms)).await? {
        Turned::Done(session) => answer(app, &session, &person, &successor),
        Turned::Refused => Err(refused()),
        Turned::Reused => {
            tracing::warn!("a refresh token was used again; its session ends");
            let user = person.user.as_str();
            let event = super::noted(arrival, "refresh-token-reuse", "refused", user, "refresh-token");
            end_these(app, Which::One { identity: session.identity, id: session.id }, event).await?;
            Err(refused())
        }
    }
}

/// Whose session it is, in which that refresh token counts. Turns nothing: what a cookie opens.
pub async fn seen(app: &App, way: Way, token: &SecretString) -> Result<Option<(Session, Person)>, Error> {
    let Some(shown) = app.sessions.maker.read(token.expose_secret()) else { return Ok(None) };
    let turn = turn(app, way, &shown, app.clock.now_ms());
    let Some(session) = app.journal.sessions().shows(turn).await? else { return Ok(None) };
    Ok(standing(app, &session).await?.map(|person| (session, person)))
}

fn turn(app: &App, way: Way, shown: &RefreshToken, now_ms: i64) -> Turn {
    let Sessions { maker, lengths, started_ms, .. } = &app.sessions;
    Turn {
        session: shown.session.hyphenated().to_string(),
        door: way.name().to_owned(),
        turn: shown.turn,
        shown: shown.digest(),
        successor: maker.successor(shown).digest(),
        now_ms,
        idle_ms: milliseconds(lengths.idle),
        grace_ms: milliseconds(lengths.grace),
        started_ms: *started_ms,
    }
}

pub async fn revoke(app: &App, arrival: &Arrival, token: &SecretString) -> Result<(), Error> {
    let Some(id) = session_of(app, token).await? else { return Ok(()) };
    let Some(session) = app.journal.sessions().get(&id).await? else { return Ok(()) };
    let event = super::left(app, arrival, &session.identity, "refresh-token").await?;
    end_these(app, Which::One { identity: session.identity, id }, event).await.map(drop)
}

/// Of a token of ours, of either kind.
async fn session_of(app: &App, token: &SecretString) -> Result<Option<String>, Error> {
    if let Some(refresh) = app.sessions.maker.read(token.expose_secret()) {
        return Ok(Some(refresh.session.hyphenated().to_string()));
    }
    match app.tokens.verify(token.expose_secret()).await {
        Ok(claims) => Ok(claims.session.clone()),
        Err(error) if matches!(error.code(), Code::TokenInvalid | Code::TokenExpired) => Ok(None),
        Err(error) => Err(error),
    }
}

pub async fn of(app: &App, identity: &AuthUserId) -> Result<Vec<Shown>, Error> {
    let sessions = app.journal.sessions().of(identity, app.clock.now_ms()).await?;
    let Some(standing) = app.systems.identity.standing(identity).await? else { return Ok(Vec::new()) };
    let shown = |session: Session| Shown {
        id: session.id,
        way: Some(session.door),
        address: session.address,
        began_ms: session.began_ms,
        used_ms: session.turned_ms,
        lapses_ms: Some(session.lapses_ms),
    };
    Ok(sessions.into_iter().filter(|session| counts(session, &standing)).map(shown).collect())
}

/// How many there were.
pub async fn end_these(app: &App, which: Which, event: NewEvent) -> Result<usize, Error> {
    let ended = app.journal.sessions().end(which, event).await?;
    ended.iter().for_each(|id| app.sessions.standing.forget(id));
    Ok(ended.len())
}

/// Whose session it is, if he may still act in it.
async fn standing(app: &App, session: &Session) -> Result<Option<Person>, Error> {
    let standing = app.systems.identity.standing(&session.identity).await?;
    if !standing.is_some_and(|standing| counts(session, &standing)) {
        return Ok(None);
    }
    people::find(app, &session.identity).await
}

/// Not where a block, a new password or the like came after it began.
fn counts(session: &Session, standing: &Standing) -> bool {
    standing.enabled && session.began_ms >= standing.not_before_ms
}

/// The same for the same turn, however often it is given.
fn answer(app: &App, session: &Session, person: &Person, refresh: &RefreshToken) -> Result<Opened, Error> {
    let random = app.sessions.maker.random_of(refresh.session, session.turn);
    let at_ms = u64::try_from(session.turned_ms).unwrap_or_default();
    let issued = app.tokens.issue(&Grant {
        subject: &session.identity,
        session: &session.id,
        at_ms: session.turned_ms,
        ends_ms: session.ends_ms,
        id: Builder::from_unix_timestamp_millis(at_ms, &random).into_uuid(),
        user: &person.user,
        permissions: &person.permissions,
    })?;
    let refresh_token = Some(app.sessions.maker.text(refresh));
    Ok(Opened { access_token: issued.token, expires_ms: issued.expires_ms, refresh_token })
}
