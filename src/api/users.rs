//! `/users/`: reads the request, calls the domain, replies.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    body::{Nothing, Object, secret},
    conditions::{IfMatch, IfNoneMatch, tagged_user},
    frame,
    keyed::Keyed,
    no_route,
    target::OfUser,
};
use crate::{
    access::{
        Caller,
        gate::{Allowed, OwnPassword, UsersDelete, UsersRead, UsersWrite},
    },
    app::App,
    error::{Code, Error},
    identity::PasswordChange,
    users::{self, UserId, create::Draft, passwords},
};

pub async fn create(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    asked: Keyed<Object>,
) -> Response {
    let create = async |caller: Caller, Object(mut fields): Object| {
        let password = if fields.contains_key("password") { Some(secret(&mut fields, "password")?) } else { None };
        users::create(&app, &caller, Draft { fields, password, grant: Vec::new() }).await
    };
    asked.answer(&app, caller, made, create).await
}

fn made(id: UserId) -> Response {
    frame::json(&json!({ "_id": id }))
}

pub async fn get(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersRead>,
    OfUser(id): OfUser,
    known: IfNoneMatch,
) -> Result<Response, Error> {
    let user = users::get(&app, &caller, &id).await?;
    Ok(known.answer(&user))
}

pub async fn update(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    OfUser(id): OfUser,
    IfMatch(only_if): IfMatch,
    asked: Keyed<Object>,
) -> Response {
    let update = async |caller: Caller, Object(change)| users::update(&app, &caller, &id, change, only_if).await;
    asked.answer(&app, caller, |user| tagged_user(&user), update).await
}

pub async fn delete(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersDelete>,
    OfUser(id): OfUser,
    IfMatch(only_if): IfMatch,
    _: Nothing,
) -> Result<StatusCode, Error> {
    users::delete(&app, &caller, &id, only_if).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `{"currentPassword","newPassword"}`. Where the provider makes the tokens it keeps the passwords to itself too, and there is
/// no such route.
pub async fn change_password(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<OwnPassword>,
    Object(mut members): Object,
) -> Result<Response, Error> {
    let identity = caller.identity.filter(|_| app.systems.identity.issuer().is_none()).ok_or_else(no_route)?;
    let current = secret(&mut members, "currentPassword")?;
    let new = secret(&mut members, "newPassword")?;
    passwords::check(&new).map_err(|error| error.field("newPassword"))?;
    passwords::check_changed(&current, &new)?;
    let told = app.systems.identity.change_password(&identity, &current, &new).await;
    match told.map_err(|failure| failure.into_error().doing("changing password"))? {
        PasswordChange::Changed => Ok(StatusCode::NO_CONTENT.into_response()),
        PasswordChange::Wrong => Err(Error::new(Code::PasswordWrong, "The current password is wrong")),
        PasswordChange::NotHere => Err(no_route()),
    }
}
