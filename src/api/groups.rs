//! `/ums-config/`: reads the request, calls the domain, replies.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;

use super::{
    body::{Nothing, Object},
    conditions::{IfMatch, IfNoneMatch, tagged_user},
    frame,
    keyed::Keyed,
    target::OfGroup,
    wanted::{GroupCount, GroupList, Wanted},
};
use crate::{
    access::{
        Caller,
        gate::{Allowed, GroupsRead, GroupsWrite, UsersRead},
    },
    app::App,
    documents,
    error::{Code, Error, Finding, segment},
    groups::{self, trial},
    store::Collection,
};

pub async fn list(
    State(app): State<Arc<App>>,
    _: Allowed<GroupsRead>,
    asked: Wanted<GroupList>,
) -> Result<Response, Error> {
    let mut rows = documents::list(&app, Collection::Groups, &asked.query).await?;
    rows.iter_mut().for_each(|row| asked.projection.cut(&mut row.document));
    Ok(frame::json(&rows.iter().map(|row| &row.document).collect::<Vec<_>>()))
}

pub async fn count(
    State(app): State<Arc<App>>,
    _: Allowed<GroupsRead>,
    asked: Wanted<GroupCount>,
) -> Result<Response, Error> {
    Ok(frame::json(&documents::count(&app, Collection::Groups, &asked.query).await?))
}

pub async fn create(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<GroupsWrite>,
    asked: Keyed<Object>,
) -> Response {
    let create = async |caller: Caller, Object(fields)| groups::documents::create(&app, &caller, fields).await;
    asked.answer(&app, caller, |id| Ok(frame::json(&json!({ "_id": id }))), create).await
}

pub async fn get(
    State(app): State<Arc<App>>,
    _: Allowed<GroupsRead>,
    OfGroup(id): OfGroup,
    known: IfNoneMatch,
) -> Result<Response, Error> {
    Ok(known.answer(&documents::get(&app, Collection::Groups, &id).await?))
}

pub async fn update(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<GroupsWrite>,
    OfGroup(id): OfGroup,
    IfMatch(only_if): IfMatch,
    asked: Keyed<Object>,
) -> Response {
    let update =
        async |caller: Caller, Object(change)| groups::documents::update(&app, &caller, &id, change, only_if).await;
    asked.answer(&app, caller, |row| Ok(tagged_user(&row)), update).await
}

pub async fn delete(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<GroupsWrite>,
    OfGroup(id): OfGroup,
    IfMatch(only_if): IfMatch,
    _: Nothing,
) -> Result<StatusCode, Error> {
    groups::documents::delete(&app, &caller, &id, only_if).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `{"crudSchema": {…}}`: whom it would break. It shows users, so it asks for both permissions.
pub async fn check(
    State(app): State<Arc<App>>,
    _: Allowed<GroupsRead>,
    Allowed { caller, .. }: Allowed<UsersRead>,
    OfGroup(id): OfGroup,
    Object(mut members): Object,
) -> Result<Response, Error> {
    let schema = members.remove("crudSchema");
    let lacking = || (String::new(), "required", "crudSchema is required");
    let further = |name: &String| (format!("/{}", segment(name)), "unknown-member", "is not expected here");
    let (schema, wrong) = (schema.as_ref(), members.keys().next().map(further).or(schema.is_none().then(lacking)));
    match (schema, wrong) {
        (Some(schema), None) => Ok(frame::json(&trial::check(&app, &caller, &id, schema.clone()).await?)),
        (_, wrong) => {
            let (pointer, keyword, message) = wrong.unwrap_or_else(lacking);
            let mut error = Error::new(Code::ValidationFailed, message);
            error.findings = vec![Finding { pointer, keyword: keyword.to_owned(), message: message.to_owned() }];
            Err(error)
        }
    }
}
