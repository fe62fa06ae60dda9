//! The sessions of a person: one's own, and those of others.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    body::Nothing,
    frame::{self, cached},
    target::{OfSession, OfUser},
};
use crate::{
    access::{
        Caller,
        gate::{Allowed, Own, UsersRead, UsersWrite},
        sessions::{self, Shown},
    },
    app::App,
    clock::rfc3339,
    error::{self, Code, Error},
    identity::AuthUserId,
    users::{self, UserId},
};

/// A session as it is answered.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Session)]
pub struct Row {
    sid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    door: Option<String>,
    created_at: String,
    last_used_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_at: Option<String>,
    address: Option<String>,
}

impl Row {
    fn of(session: Shown) -> Self {
        Self {
            sid: session.id,
            door: session.way,
            created_at: rfc3339(session.began_ms),
            last_used_at: rfc3339(session.used_ms),
            expire_at: session.lapses_ms.map(rfc3339),
            address: session.address,
        }
    }
}

pub async fn list_own(State(app): State<Arc<App>>, Allowed { caller, .. }: Allowed<Own>) -> Result<Response, Error> {
    let (identity, _) = own(&caller)?;
    list_of(&app, &identity).await
}

pub async fn end_own(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Own>,
    OfSession(session): OfSession,
    Nothing: Nothing,
) -> Result<Response, Error> {
    let (identity, user) = own(&caller)?;
    end_one(&app, &caller, identity, session, &user).await
}

pub async fn end_all_own(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Own>,
    Nothing: Nothing,
) -> Result<Response, Error> {
    let (identity, user) = own(&caller)?;
    sessions::end_all(&app, &caller, identity, user.into()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub async fn list(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersRead>,
    OfUser(id): OfUser,
) -> Result<Response, Error> {
    match users::identity_of(&app, &caller, &id).await? {
        Some(identity) => list_of(&app, &identity).await,
        None => Ok(cached(frame::json(&[(); 0]), "no-store")),
    }
}

pub async fn end(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    OfUser(id): OfUser,
    OfSession(session): OfSession,
    Nothing: Nothing,
) -> Result<Response, Error> {
    match users::identity_not_above(&app, &caller, &id).await? {
        Some(identity) => end_one(&app, &caller, identity, session, &id).await,
        None => Err(unknown()),
    }
}

pub async fn end_all(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    OfUser(id): OfUser,
    Nothing: Nothing,
) -> Result<Response, Error> {
    if let Some(identity) = users::identity_not_above(&app, &caller, &id).await? {
        sessions::end_all(&app, &caller, identity, id.into()).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn own(caller: &Caller) -> Result<(AuthUserId, UserId), Error> {
    caller.identity.clone().zip(caller.user.clone()).ok_or_else(error::user_not_found)
}

async fn list_of(app: &App, identity: &AuthUserId) -> Result<Response, Error> {
    let rows: Vec<Row> = sessions::of(app, identity).await?.into_iter().map(Row::of).collect();
    Ok(cached(frame::json(&rows), "no-store"))
}

async fn end_one(
    app: &App,
    caller: &Caller,
    identity: AuthUserId,
    session: String,
    user: &UserId,
) -> Result<Response, Error> {
    match sessions::end(app, caller, identity, session, user.to_string()).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(unknown()),
    }
}

fn unknown() -> Error {
    Error::new(Code::SessionNotFound, "The person has no such session")
}
