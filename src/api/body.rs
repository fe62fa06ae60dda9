//! Reading a request's body, with all its limits. What the members mean is for others to say.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{
        HeaderMap,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{
    json,
    signature::{Body as Comes, Part, Says},
};
use crate::{
    app::App,
    error::{Code, Error, Finding, invalid, segment},
    identity::AuthUserId,
    users::UserId,
};

/// Characters of an `authUserId`.
const LONGEST_ID: usize = 255;

/// A body that is a JSON object.
pub struct Object(pub Map<String, Value>);

/// No body, or one that says nothing: empty, or an empty object.
pub struct Nothing;

/// The members of a body that need not be there: of none, none. A back office posts more than it is asked for.
pub struct Members(pub Map<String, Value>);

/// A body that is a JSON array with something in it.
pub struct List(pub Vec<Value>);

/// What can be made of a body that has been read.
pub trait Parsed: Sized {
    fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Self, Error>;
}

impl Parsed for Object {
    fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Self, Error> {
        expect_body(headers, bytes, "object")?;
        json::object(bytes).map(Self)
    }
}

impl Parsed for List {
    fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Self, Error> {
        expect_body(headers, bytes, "array")?;
        match json::array(bytes)? {
            items if items.is_empty() => Err(invalid(Code::ValidationFailed, "", "the list must not be empty")),
            items => Ok(Self(items)),
        }
    }
}

impl Parsed for Members {
    fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        if headers.contains_key(CONTENT_TYPE) || headers.contains_key(CONTENT_ENCODING) {
            expect_json(headers)?;
        }
        json::object(bytes).map(Self)
    }
}

impl Parsed for Nothing {
    fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Self, Error> {
        let Members(members) = Members::parse(headers, bytes)?;
        match members.keys().next() {
            None => Ok(Self),
            Some(member) => {
                let pointer = format!("/{}", segment(member));
                Err(invalid(Code::ValidationFailed, pointer, "no members are expected here"))
            }
        }
    }
}

fn expect_body(headers: &HeaderMap, bytes: &[u8], what: &str) -> Result<(), Error> {
    if bytes.is_empty() {
        return Err(Error::new(Code::InvalidJson, format!("The body is missing; a JSON {what} is expected")));
    }
    expect_json(headers)
}

impl FromRequest<Arc<App>> for Object {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        let (headers, bytes) = read(request, app).await?;
        Self::parse(&headers, &bytes)
    }
}

impl FromRequest<Arc<App>> for Nothing {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        let (headers, bytes) = read(request, app).await?;
        Self::parse(&headers, &bytes)
    }
}

/// Of every body.
pub const OF_A_BODY: [Code; 7] = [
    Code::InvalidJson,
    Code::InvalidValue,
    Code::DuplicateKey,
    Code::TooDeep,
    Code::ValidationFailed,
    Code::TooLarge,
    Code::UnsupportedMediaType,
];

macro_rules! bodies {
    ($($what:ident $comes:expr;)*) => {$(
        impl Part for $what {
            fn note(says: &mut Says) {
                says.body = $comes;
                says.codes(&OF_A_BODY);
            }
        }
    )*};
}

bodies! {
    Object Some(Comes::Required);
    List Some(Comes::Required);
    Members Some(Comes::Optional);
    Nothing None;
}

/// The member as text.
///
/// # Errors
/// `validation-failed` when it is missing, no text or empty.
pub fn text(members: &mut Map<String, Value>, name: &str) -> Result<String, Error> {
    let (keyword, message) = match members.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => return Ok(text),
        Some(Value::String(_)) => ("minLength", format!("{name} must not be empty")),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            ("type", format!("{name} must be a string"))
        }
        None => ("required", format!("{name} is missing")),
    };
    let mut error = Error::new(Code::ValidationFailed, message.clone());
    error.findings = vec![Finding { pointer: format!("/{name}"), keyword: keyword.to_owned(), message }];
    Err(error)
}

/// As [`text`], for what must never be seen again.
pub fn secret(members: &mut Map<String, Value>, name: &str) -> Result<SecretString, Error> {
    text(members, name).map(SecretString::from)
}

/// As [`text`], for the id that a provider gave an identity.
///
/// # Errors
/// `invalid-value` for what can be no id: longer than 255 characters, with control characters, or a step in a path.
pub fn auth_user_id(members: &mut Map<String, Value>) -> Result<AuthUserId, Error> {
    let id = text(members, "authUserId")?;
    let step = id == "." || id == "..";
    if step || id.chars().count() > LONGEST_ID || id.chars().any(char::is_control) {
        return Err(invalid(Code::InvalidValue, "/authUserId", "is no id of an identity"));
    }
    Ok(id)
}

/// `_id` of a user.
///
/// # Errors
/// `invalid-value` when it can be none.
pub fn user_id(members: &mut Map<String, Value>) -> Result<UserId, Error> {
    let id = UserId::parse(&text(members, "_id")?);
    id.ok_or_else(|| invalid(Code::InvalidValue, "/_id", "is no _id of a user"))
}

/// All of it, within the limits.
pub async fn read(request: Request, app: &App) -> Result<(HeaderMap, BytesMut), Error> {
    let (parts, mut body) = request.into_parts();
    let limit = app.config.limits.body;
    let too_large = || Error::new(Code::TooLarge, format!("The body is larger than {limit} bytes"));
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(part) = next_part(&mut body, app).await? {
        if bytes.len() + part.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&part);
    }
    Ok((parts.headers, bytes))
}

/// Nothing at the end.
async fn next_part(body: &mut Body, app: &App) -> Result<Option<bytes::Bytes>, Error> {
    let patience = app.config.limits.body_timeout;
    loop {
        let frame = app.clock.within(patience, body.frame()).await.ok_or_else(|| {
            Error::new(Code::TooSlow, format!("No byte of the body came for {} ms", patience.as_millis()))
        })?;
        match frame {
            None => return Ok(None),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return Ok(Some(data)),
                // Trailers say nothing to us.
                Err(_) => continue,
            },
            Some(Err(_)) => return Err(Error::new(Code::InvalidJson, "The body breaks off")),
        }
    }
}

fn expect_json(headers: &HeaderMap) -> Result<(), Error> {
    let refused = |message| Err(Error::new(Code::UnsupportedMediaType, message));
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return refused("A body is taken without content-encoding only");
    }
    let stated = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = stated.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if json && utf8 { Ok(()) } else { refused("A body is taken as application/json in UTF-8 only") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde_json::json;

    #[test]
    fn only_json_in_utf8_is_taken() {
        let verdict = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            expect_json(&headers).is_ok()
        };
        for taken in [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json; charset=\"UTF-8\"; x=y",
        ] {
            assert!(verdict(taken), "{taken}");
        }
        for refused in [
            "",
            "text/plain",
            "application/jsonp",
            "application/problem+json",
            "application/json; charset=latin1",
            "application/x-www-form-urlencoded",
            "text/plain; application/json",
        ] {
            assert!(!verdict(refused), "{refused}");
        }
        assert!(expect_json(&HeaderMap::new()).is_err());
        let packed = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CONTENT_ENCODING, HeaderValue::from_static("gzip")),
        ]);
        assert!(expect_json(&packed).is_err());
    }

    #[test]
    fn a_missing_or_ill_typed_member_is_named() {
        let members = json!({ "a": 7, "b": "", "c": "x", "d": null });
        let finding = |name: &str| {
            let error = text(&mut members.as_object().unwrap().clone(), name).unwrap_err();
            assert_eq!(error.code(), Code::ValidationFailed);
            (error.findings[0].pointer.clone(), error.findings[0].keyword.clone())
        };
        assert_eq!(finding("a"), ("/a".into(), "type".into()));
        assert_eq!(finding("b"), ("/b".into(), "minLength".into()));
        assert_eq!(finding("d"), ("/d".into(), "type".into()));
        assert_eq!(finding("e"), ("/e".into(), "required".into()));
        assert_eq!(text(&mut members.as_object().unwrap().clone(), "c").unwrap(), "x");
    }
}
