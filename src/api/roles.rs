//! `/roles/`: reads the request, calls the domain, replies.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;

use super::{
    body::{Nothing, Object},
    conditions::{IfMatch, IfNoneMatch, tagged_user},
    frame,
    keyed::Keyed,
    target::OfRole,
    wanted::{RoleCount, RoleList, Wanted},
};
use crate::{
    access::{
        Caller,
        gate::{Allowed, RolesRead, RolesWrite},
    },
    app::App,
    documents,
    error::Error,
    roles,
    store::Collection,
};

pub async fn list(
    State(app): State<Arc<App>>,
    _: Allowed<RolesRead>,
    asked: Wanted<RoleList>,
) -> Result<Response, Error> {
    let mut rows = documents::list(&app, Collection::Roles, &asked.query).await?;
    rows.iter_mut().for_each(|row| asked.projection.cut(&mut row.document));
    Ok(frame::json(&rows.iter().map(|row| &row.document).collect::<Vec<_>>()))
}

pub async fn count(
    State(app): State<Arc<App>>,
    _: Allowed<RolesRead>,
    asked: Wanted<RoleCount>,
) -> Result<Response, Error> {
    Ok(frame::json(&documents::count(&app, Collection::Roles, &asked.query).await?))
}

pub async fn create(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<RolesWrite>,
    asked: Keyed<Object>,
) -> Response {
    let create = async |caller: Caller, Object(fields)| roles::documents::create(&app, &caller, fields).await;
    asked.answer(&app, caller, |id| Ok(frame::json(&json!({ "_id": id }))), create).await
}

pub async fn get(
    State(app): State<Arc<App>>,
    _: Allowed<RolesRead>,
    OfRole(id): OfRole,
    known: IfNoneMatch,
) -> Result<Response, Error> {
    Ok(known.answer(&documents::get(&app, Collection::Roles, &id).await?))
}

pub async fn update(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<RolesWrite>,
    OfRole(id): OfRole,
    IfMatch(only_if): IfMatch,
    asked: Keyed<Object>,
) -> Response {
    let update =
        async |caller: Caller, Object(change)| roles::documents::update(&app, &caller, &id, change, only_if).await;
    asked.answer(&app, caller, |row| Ok(tagged_user(&row)), update).await
}

pub async fn delete(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<RolesWrite>,
    OfRole(id): OfRole,
    IfMatch(only_if): IfMatch,
    _: Nothing,
) -> Result<StatusCode, Error> {
    roles::documents::delete(&app, &caller, &id, only_if).await?;
    Ok(StatusCode::NO_CONTENT)
}
