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
    frame, no_route,
    target::OfUser,
};
use crate::{
    access::gate::{Allowed, OwnPassword, UsersDelete, UsersRead, UsersWrite},
    app::App,
    error::{Code, Error},
    identity::PasswordChange,
    users::{self, create::Draft, passwords},
};

pub async fn create(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    Object(mut fields): Object,
) -> Result<Response, Error> {
    let password = if fields.contains_key("password") { Some(secret(&mut fields, "password")?) } else { None };
    let id = users::create(&app, &caller, Draft { fields, password, grant: Vec::new() }).await?;
    Ok(frame::json(&json!({ "_id": id })))
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
    Object(change): Object,
) -> Result<Response, Error> {
    let user = users::update(&app, &caller, &id, change, only_if).await?;
    Ok(tagged_user(&user))
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
