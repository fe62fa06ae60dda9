//! What stands in a request's target: ids in the path, parameters in the query.

use std::{borrow::Cow, collections::BTreeMap, convert::Infallible, sync::Arc};

use axum::{
    extract::{FromRequestParts, MatchedPath, Path, Request},
    http::{Method, request::Parts},
    middleware::Next,
    response::Response,
};
use url::form_urlencoded;
use utoipa::openapi::{ObjectBuilder, SchemaFormat};
use uuid::Uuid;

use super::{
    signature::{Part, Says, boolean as flag, one_of, text, whole},
    wanted::number,
};
use crate::{
    access::gate::Arrival,
    app::App,
    error::{self, Code, Error},
    state::{
        journal::{ListQuery, State},
        ledger::EventQuery,
    },
    store::Collection,
    users::{UserId, Welcome},
};

/// The `_id` of a user. One that cannot be is as unknown as one that is not.
pub struct OfUser(pub UserId);

/// The `_id` of a group document.
pub struct OfGroup(pub UserId);

/// The `_id` of a role.
pub struct OfRole(pub UserId);

/// The id of an operation, as we write them: lower case.
pub struct OfOperation(pub String);

/// The id of a session, which a provider may have given.
pub struct OfSession(pub String);

impl FromRequestParts<Arc<App>> for OfUser {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let id = segment(parts, app, "id").await.and_then(|text| UserId::parse(&text));
        id.map(Self).ok_or_else(error::user_not_found)
    }
}

impl FromRequestParts<Arc<App>> for OfGroup {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let id = segment(parts, app, "id").await.and_then(|text| UserId::parse(&text));
        id.map(Self).ok_or_else(|| Collection::Groups.not_found())
    }
}

impl FromRequestParts<Arc<App>> for OfRole {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let id = segment(parts, app, "id").await.and_then(|text| UserId::parse(&text));
        id.map(Self).ok_or_else(|| Collection::Roles.not_found())
    }
}

impl FromRequestParts<Arc<App>> for OfOperation {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let id = segment(parts, app, "id").await.and_then(|text| uuid(&text));
        id.map(Self).ok_or_else(|| Error::new(Code::OperationNotFound, "Operation not found"))
    }
}

impl FromRequestParts<Arc<App>> for OfSession {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let id = segment(parts, app, "sid").await.filter(|text| !text.chars().any(char::is_control));
        id.map(Self).ok_or_else(|| Error::new(Code::SessionNotFound, "The person has no such session"))
    }
}

/// 24 hexadecimal digits.
pub const ID: &str = "^[0-9a-fA-F]{24}$";

macro_rules! ids {
    ($($what:ident $of:literal $unknown:ident;)*) => {$(
        impl Part for $what {
            fn note(says: &mut Says) {
                says.in_path("id", text().pattern(Some(ID)), concat!("`_id` of the ", $of));
                says.codes(&[Code::$unknown]);
            }
        }
    )*};
}

ids! {
    OfUser "user" UserNotFound;
    OfGroup "group document" GroupNotFound;
    OfRole "role" RoleNotFound;
}

impl Part for OfOperation {
    fn note(says: &mut Says) {
        says.in_path("id", uuids(), "Id of the operation, as in `x-operation-id`");
        says.codes(&[Code::OperationNotFound]);
    }
}

impl Part for OfSession {
    fn note(says: &mut Says) {
        says.in_path("sid", text(), "Id of the session");
        says.codes(&[Code::SessionNotFound]);
    }
}

fn uuids() -> ObjectBuilder {
    text().format(Some(SchemaFormat::Custom("uuid".to_owned())))
}

/// The variable segment of the path with that name, decoded; nothing when the path is not UTF-8.
async fn segment(parts: &mut Parts, app: &Arc<App>, name: &str) -> Option<String> {
    let Path(mut segments) = Path::<BTreeMap<String, String>>::from_request_parts(parts, app).await.ok()?;
    segments.remove(name)
}

fn uuid(text: &str) -> Option<String> {
    let id = (text.len() == 36).then(|| Uuid::try_parse(text).ok())??;
    Some(id.hyphenated().to_string())
}

/// In front of every route: writes it into the span.
pub async fn seen(matched: MatchedPath, request: Request, next: Next) -> Response {
    tracing::Span::current().record("route", matched.as_str());
    if let Some(arrival) = request.extensions().get::<Arrival>() {
        arrival.seen.route.get_or_init(|| matched);
    }
    next.run(request).await
}

/// In front of every route: refuses parameters that it does not know. A mistyped filter must not become no filter.
pub async fn known_parameters(matched: MatchedPath, request: Request, next: Next) -> Result<Response, Error> {
    let route = matched.as_str();
    let changes = request.method() == Method::PATCH && route == super::USER;
    if changes || route == super::RESET || request.method().is_safe() && super::SPEAKING.contains(&route) {
        return Ok(next.run(request).await);
    }
    let known: &[&str] = match (request.method(), route) {
        (_, super::OPERATIONS) => &LIST_PARAMETERS,
        (_, super::EVENTS) => &EVENT_PARAMETERS,
        (&Method::POST, super::USERS) => &[POSTPONED, WELCOME],
        (&Method::POST, super::REGISTER) => &[WELCOME],
        (&Method::POST, super::STATES) => &[EXPECT],
        _ => &[],
    };
    let mut seen = Vec::new();
    for (name, _) in pairs(request.uri().query()) {
        if !known.contains(&name.as_ref()) {
            return Err(invalid_parameter(&name, "is not known here"));
        }
        if seen.contains(&name) {
            return Err(invalid_parameter(&name, "stands twice"));
        }
        seen.push(name);
    }
    Ok(next.run(request).await)
}

const EXPECT: &str = "expect";

/// How many users the caller expects to be meant, where he says so.
pub struct Expected(pub Option<u64>);

impl FromRequestParts<Arc<App>> for Expected {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Error> {
        let Some((_, said)) = pairs(parts.uri.query()).find(|(name, _)| name == EXPECT) else { return Ok(Self(None)) };
        number(&said).map(|count| Self(Some(count))).ok_or_else(|| invalid_parameter(EXPECT, "is a whole number"))
    }
}

impl Part for Expected {
    fn note(says: &mut Says) {
        let told = "How many users are meant, so far as the caller knows; needed for more than `BULK_CAP`";
        says.in_query(EXPECT, whole(0, None, None), told);
    }
}

const POSTPONED: &str = "postponeAuthUserCreation";

/// Whether only the user is to be made, and his identity later.
pub struct Postponed(pub bool);

impl FromRequestParts<Arc<App>> for Postponed {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Error> {
        boolean(parts, POSTPONED).map(|said| Self(said.unwrap_or(false)))
    }
}

impl Part for Postponed {
    fn note(says: &mut Says) {
        says.in_query(POSTPONED, flag(false), "Whether only the user is made, and his identity later");
    }
}

const WELCOME: &str = "sendResetPwdEmail";

/// Whether somebody new is mailed a link to choose a password: he is, unless that is false.
pub struct Welcomed(pub Welcome);

impl FromRequestParts<Arc<App>> for Welcomed {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Error> {
        let mailed = boolean(parts, WELCOME)?.unwrap_or(true);
        Ok(Self(if mailed { Welcome::Mailed } else { Welcome::Silent }))
    }
}

impl Part for Welcomed {
    fn note(says: &mut Says) {
        says.in_query(WELCOME, flag(true), "Whether he is mailed a link to choose a password");
    }
}

/// What a link that was mailed bears, which may be nothing.
pub struct Linked(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Linked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let code = pairs(parts.uri.query()).find(|(name, _)| name == "code").map(|(_, code)| code.into_owned());
        Ok(Self(code.unwrap_or_default()))
    }
}

impl Part for Linked {
    fn note(says: &mut Says) {
        says.in_query("code", text(), "As the link has it");
        says.fields("Whatever others hang on a link says nothing");
    }
}

fn boolean(parts: &Parts, name: &str) -> Result<Option<bool>, Error> {
    match pairs(parts.uri.query()).find(|(given, _)| given == name).map(|(_, value)| value).as_deref() {
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        None => Ok(None),
        Some(_) => Err(invalid_parameter(name, "is true or false")),
    }
}

const LIST_PARAMETERS: [&str; 6] = ["state", "kind", "subject", "request", "after", "_l"];
const EVENT_PARAMETERS: [&str; 5] = ["after", "actor", "subject", "action", "_l"];
/// As at the CRUD service: so many at most, and where nothing is asked.
const PAGE: u32 = 200;

const STATES: [State; 5] = [State::Running, State::Committed, State::RollingBack, State::Done, State::Undone];
/// A note beside the state, but asked for like one.
const ATTENTION: &str = "needs-attention";

/// Which operations to list.
pub struct Listed(pub ListQuery);

impl FromRequestParts<Arc<App>> for Listed {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Error> {
        list_query(parts.uri.query()).map(Self)
    }
}

/// Which events to list.
pub struct ListedEvents(pub EventQuery);

impl FromRequestParts<Arc<App>> for ListedEvents {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Error> {
        event_query(parts.uri.query()).map(Self)
    }
}

const LIMIT: &str = "How many";

impl Part for Listed {
    fn note(says: &mut Says) {
        says.in_query("state", one_of(STATES.map(State::as_str).into_iter().chain([ATTENTION])), "The state");
        says.in_query("kind", text(), "The kind, such as `create-user`");
        says.in_query("subject", text().pattern(Some(ID)), "`_id` of the person");
        says.in_query("request", text(), "The `x-request-id` of the request that began it");
        says.in_query("after", uuids(), "Those older than this operation");
        says.in_query("_l", whole(1, Some(PAGE as usize), Some(PAGE as usize)), LIMIT);
    }
}

impl Part for ListedEvents {
    fn note(says: &mut Says) {
        says.in_query("after", uuids(), "Those later than this event");
        says.in_query("actor", text(), "Who asked");
        says.in_query("subject", text(), "`_id` of the person");
        says.in_query("action", text(), "What was done, such as `log-in`");
        says.in_query("_l", whole(1, Some(PAGE as usize), Some(PAGE as usize)), LIMIT);
    }
}

fn event_query(query: Option<&str>) -> Result<EventQuery, Error> {
    let mut asked = EventQuery { limit: PAGE, ..EventQuery::default() };
    for (name, value) in pairs(query) {
        let ill_typed = |what: &str| invalid_parameter(&name, what);
        let value = value.into_owned();
        let text = |value: String| Some(value).filter(|value| !value.is_empty()).ok_or_else(|| ill_typed("is empty"));
        match name.as_ref() {
            "after" => asked.after = Some(uuid(&value).ok_or_else(|| ill_typed("is the id of an event"))?),
            "actor" => asked.actor = Some(text(value)?),
            "subject" => asked.subject = Some(text(value)?),
            "action" => asked.action = Some(text(value)?),
            "_l" => asked.limit = limit(&name, &value)?,
            _ => return Err(ill_typed("is not known here")),
        }
    }
    Ok(asked)
}

fn limit(name: &str, value: &str) -> Result<u32, Error> {
    let limit = value.parse().ok().filter(|limit| (1..=PAGE).contains(limit));
    limit.ok_or_else(|| invalid_parameter(name, &format!("is a number from 1 to {PAGE}")))
}

fn list_query(query: Option<&str>) -> Result<ListQuery, Error> {
    let mut asked = ListQuery { limit: PAGE, ..ListQuery::default() };
    for (name, value) in pairs(query) {
        let ill_typed = |what: &str| invalid_parameter(&name, what);
        let value = value.into_owned();
        match name.as_ref() {
            "state" => {
                let known = STATES.map(State::as_str).contains(&value.as_str()) || value == ATTENTION;
                let state = known.then_some(value);
                asked.state = Some(state.ok_or_else(|| ill_typed("is no state of an operation"))?);
            }
            "kind" => asked.kind = Some(value),
            "request" => asked.request = Some(value),
            "subject" => {
                let subject = UserId::parse(&value).ok_or_else(|| ill_typed("is an _id"))?;
                asked.subject = Some(subject.to_string());
            }
            "after" => asked.after = Some(uuid(&value).ok_or_else(|| ill_typed("is the id of an operation"))?),
            "_l" => asked.limit = limit(&name, &value)?,
            _ => return Err(ill_typed("is not known here")),
        }
    }
    Ok(asked)
}

fn pairs(query: Option<&str>) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
}

pub fn invalid_parameter(name: &str, what: &str) -> Error {
    // A name that nobody knows comes from outside: not all of it needs to be said.
    let name: Cow<'_, str> = name.chars().filter(|c| !c.is_control()).take(60).collect();
    Error::new(Code::InvalidParameter, format!("The parameter {name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_events_to_list_is_read_strictly() {
        let asked =
            event_query(Some("after=019AA000-0000-7000-8000-000000000000&actor=a&subject=s&action=log-in&_l=3"));
        let asked = asked.unwrap();
        assert_eq!(asked.after.as_deref(), Some("019aa000-0000-7000-8000-000000000000"));
        assert_eq!((asked.actor.as_deref(), asked.subject.as_deref()), (Some("a"), Some("s")));
        assert_eq!((asked.action.as_deref(), asked.limit), (Some("log-in"), 3));
        for wrong in ["after=", "after=7", "actor=", "subject=", "action=", "_l=0", "_l=201", "_l=", "kind=x", "x"] {
            assert_eq!(event_query(Some(wrong)).unwrap_err().code(), Code::InvalidParameter, "{wrong}");
        }
    }

    #[test]
    fn what_to_list_is_read_strictly() {
        let asked = list_query(Some(
            "state=needs-attention&kind=create-user&subject=5F0C00000000000000000001&request=r-1\
             &after=019AA000-0000-7000-8000-000000000000&_l=7",
        ))
        .unwrap();
        assert_eq!(asked.state.as_deref(), Some("needs-attention"));
        assert_eq!(asked.subject.as_deref(), Some("5f0c00000000000000000001"));
        assert_eq!(asked.after.as_deref(), Some("019aa000-0000-7000-8000-000000000000"));
        assert_eq!((asked.kind.as_deref(), asked.request.as_deref()), (Some("create-user"), Some("r-1")));
        assert_eq!((asked.limit, asked.actor), (7, None));
        assert_eq!(list_query(None).unwrap().limit, PAGE);

        for wrong in [
            "state=Done",
            "state=",
            "subject=7",
            "after=7",
            "after={019aa000-0000-7000-8000-000000000000}",
            "_l=0",
            "_l=201",
            "_l=-1",
            "_l=x",
            "_l=",
            "actor=x",
            "x",
        ] {
            assert_eq!(list_query(Some(wrong)).unwrap_err().code(), Code::InvalidParameter, "{wrong}");
        }
    }
}
