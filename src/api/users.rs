//! `/users/`: reads the request, calls the domain, replies.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::{
    body::{List as ListBody, Members, Nothing, Object, auth_user_id, secret, text, user_id},
    conditions::{IfMatch, IfNoneMatch, tagged_user},
    frame,
    keyed::Keyed,
    no_route,
    target::{Expected, OfUser, Postponed, Welcomed},
    wanted::{Changed, Count, List, One, Wanted, fields_of_users},
};
use crate::{
    access::{
        Caller,
        gate::{Allowed, Arrival, OwnPassword, UsersDelete, UsersRead, UsersWrite},
        sessions,
        throttle::Whose,
    },
    app::App,
    error::{self, Code, Error, invalid, segment},
    events,
    identity::PasswordChange,
    query::{self, Fields},
    users::{
        self, UserId,
        change_states::{Came, Move},
        create::Draft,
        passwords,
    },
};

pub async fn create(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    Postponed(postponed): Postponed,
    Welcomed(welcome): Welcomed,
    asked: Keyed<Object>,
) -> Response {
    let create = async |caller: Caller, Object(mut fields): Object| {
        let draft = Draft { password: password(&app, &mut fields)?, fields, grant: Vec::new(), welcome };
        match postponed {
            true => users::create_user_only(&app, &caller, draft).await,
            false => users::create(&app, &caller, draft).await,
        }
    };
    asked.answer(&app, caller, made, create).await
}

fn made(id: UserId) -> Result<Response, Error> {
    Ok(frame::json(&json!({ "_id": id })))
}

/// `authUserId` names an identity that exists; the other members are its user's.
pub async fn create_with_id(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    asked: Keyed<Object>,
) -> Response {
    let adopt = async |caller: Caller, Object(mut fields): Object| {
        let identity = auth_user_id(&mut fields)?;
        users::adopt(&app, &caller, identity, Draft { fields, ..Draft::default() }).await
    };
    asked.answer(&app, caller, made, adopt).await
}

/// `_id` names a user without an identity; `password` may be given with it, other members say nothing.
pub async fn register(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    Welcomed(welcome): Welcomed,
    asked: Keyed<Object>,
) -> Response {
    let register = async |caller: Caller, Object(mut members): Object| {
        let id = user_id(&mut members)?;
        let password = password(&app, &mut members)?;
        users::register(&app, &caller, &id, password, welcome).await
    };
    asked.answer(&app, caller, done, register).await
}

/// `authUserId` names who is mailed a link to choose another password; other members say nothing, as a back office posts more
/// than it is asked for.
pub async fn mail_link(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    asked: Keyed<Object>,
) -> Response {
    let mail_link = async |caller: Caller, Object(mut members): Object| {
        let identity = auth_user_id(&mut members)?;
        users::mail_link(&app, &caller, identity).await
    };
    asked.answer(&app, caller, done, mail_link).await
}

pub async fn soft_delete(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersDelete>,
    OfUser(id): OfUser,
    IfMatch(only_if): IfMatch,
    asked: Keyed<Members>,
) -> Response {
    let soft_delete = async |caller: Caller, _: Members| users::soft_delete(&app, &caller, &id, only_if).await;
    asked.answer(&app, caller, done, soft_delete).await
}

/// `stateTo` may be PUBLIC, which it is where nothing is said, or DRAFT; other members say nothing.
pub async fn restore(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    OfUser(id): OfUser,
    IfMatch(only_if): IfMatch,
    asked: Keyed<Members>,
) -> Response {
    let restore = async |caller: Caller, Members(mut members): Members| {
        let to = restored_to(&mut members)?;
        users::restore(&app, &caller, &id, to, only_if).await
    };
    asked.answer(&app, caller, done, restore).await
}

fn done((): ()) -> Result<Response, Error> {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Each is a look at the store.
pub const MOST_ENTRIES: usize = 100;

/// `[{"filter", "stateTo"}, …]`: how many changed.
pub async fn change_states(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    Expected(expect): Expected,
    asked: Keyed<ListBody>,
) -> Response {
    let change = async |caller: Caller, ListBody(entries): ListBody| {
        if entries.len() > MOST_ENTRIES {
            let sentence = format!("must have at most {MOST_ENTRIES} entries");
            return Err(invalid(Code::ValidationFailed, "", sentence));
        }
        let fields = fields_of_users(&app).await?;
        let entries = entries.into_iter().enumerate().map(|(nth, entry)| moved(nth, entry, &fields));
        users::change_states(&app, &caller, entries.collect::<Result<_, _>>()?, expect).await
    };
    let reply = |came: Came| came.told().map(|changed| frame::json(&changed));
    asked.answer(&app, caller, reply, change).await
}

/// One entry of a change of states.
fn moved(nth: usize, entry: Value, fields: &Fields) -> Result<Move, Error> {
    let wrong = |below: &str, why: &str| invalid(Code::ValidationFailed, format!("/{nth}{below}"), why);
    let Value::Object(mut members) = entry else { return Err(wrong("", "must be an object")) };
    let Some(Value::Object(filter)) = members.remove("filter") else {
        return Err(wrong("/filter", "must be an object"));
    };
    let to = members.remove("stateTo");
    let to = to.as_ref().and_then(Value::as_str).and_then(users::State::parse);
    let to = to.ok_or_else(|| wrong("/stateTo", "must be PUBLIC, DRAFT, TRASH or DELETED"))?;
    if let Some(name) = members.keys().next() {
        return Err(wrong(&format!("/{}", segment(name)), "no further members are expected here"));
    }
    Ok(Move { filter: query::parse::filter(&filter, fields)?, to })
}

pub async fn get(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersRead>,
    OfUser(id): OfUser,
    known: IfNoneMatch,
    asked: Wanted<One>,
) -> Result<Response, Error> {
    if let Some(proxy) = &app.proxy {
        return proxy.get(&id, &asked.parameters, &caller).await;
    }
    let mut user = users::get_if(&app, &caller, &id, asked.query).await?;
    asked.projection.cut(&mut user.document);
    caller.cut(&mut user.document);
    Ok(known.answer(&user))
}

pub async fn list(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersRead>,
    asked: Wanted<List>,
) -> Result<Response, Error> {
    if let Some(proxy) = &app.proxy {
        return proxy.list(&asked.parameters, &caller).await;
    }
    let mut found = users::list(&app, &caller, asked.query).await?;
    for user in &mut found {
        asked.projection.cut(&mut user.document);
        caller.cut(&mut user.document);
    }
    Ok(frame::json(&found.iter().map(|user| &user.document).collect::<Vec<_>>()))
}

pub async fn count(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersRead>,
    asked: Wanted<Count>,
) -> Result<Response, Error> {
    match &app.proxy {
        Some(proxy) => proxy.count(&asked.parameters, &caller).await,
        None => Ok(frame::json(&users::count(&app, &caller, asked.query).await?)),
    }
}

pub async fn update(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<UsersWrite>,
    OfUser(id): OfUser,
    IfMatch(only_if): IfMatch,
    wanted: Wanted<Changed>,
    asked: Keyed<Object>,
) -> Response {
    let update = async |caller: Caller, Object(change)| {
        users::update_if(&app, &caller, &id, wanted.query, change, only_if).await
    };
    asked.answer(&app, caller, |user| Ok(tagged_user(&user)), update).await
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

/// One that is given, unless those that are given do not count.
fn password(app: &App, members: &mut Map<String, Value>) -> Result<Option<SecretString>, Error> {
    let given = if members.contains_key("password") { Some(secret(members, "password")?) } else { None };
    Ok(given.filter(|_| !app.config.random_passwords))
}

fn restored_to(members: &mut Map<String, Value>) -> Result<users::State, Error> {
    if !members.contains_key("stateTo") {
        return Ok(users::State::Public);
    }
    match users::State::parse(&text(members, "stateTo")?) {
        Some(to @ (users::State::Public | users::State::Draft)) => Ok(to),
        Some(users::State::Trash | users::State::Deleted) | None => {
            Err(invalid(Code::ValidationFailed, "/stateTo", "must be PUBLIC or DRAFT"))
        }
    }
}

/// `{"currentPassword","newPassword"}`. Where the provider makes the tokens it keeps the passwords to itself too, and there is
/// no such route.
pub async fn change_password(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<OwnPassword>,
    Extension(arrival): Extension<Arrival>,
    Object(mut members): Object,
) -> Result<Response, Error> {
    let identity = caller.identity.clone().filter(|_| app.systems.identity.issuer().is_none()).ok_or_else(no_route)?;
    let current = secret(&mut members, "currentPassword")?;
    let new = secret(&mut members, "newPassword")?;
    let policy = passwords::own_policy(&app, &caller).await?;
    passwords::check(&new, policy).map_err(|error| error.field("newPassword"))?;
    passwords::check_changed(&current, &new)?;
    let own = caller.user.clone().ok_or_else(error::user_not_found)?;
    let tell = async |outcome| events::tell(&app, &caller.origin, "change-password", outcome, &own).await;
    let attempt = app.throttle.admit(Whose::Identity(&identity), arrival.address).await?;
    tell("begun").await?;
    let told = app.systems.identity.change_password(&identity, &current, &new).await;
    match told {
        Ok(PasswordChange::Changed) => {
            // It is changed, whether that can be told or not; that it was tried stands there already.
            let (passed, told) = (attempt.passed().await, tell("done").await);
            if let Err(error) = passed.and(told) {
                tracing::error!(error = error.message(), "that a password was changed cannot be written");
            }
            sessions::end_for_a_new_password(&app, &identity, caller.origin.clone(), own.to_string()).await;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Ok(PasswordChange::Wrong) => {
            attempt.failed().await?;
            tell("refused").await?;
            Err(Error::new(Code::PasswordWrong, "The current password is wrong"))
        }
        Ok(PasswordChange::NotHere) => {
            attempt.undecided();
            Err(no_route())
        }
        Err(failure) => {
            attempt.undecided();
            Err(failure.into_error().doing("changing password"))
        }
    }
}
