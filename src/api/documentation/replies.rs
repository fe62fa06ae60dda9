//! The replies of an endpoint: how it succeeds, and every status that its codes have, with what they look like.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Responses,
    ResponsesBuilder, Schema, Type,
    schema::{AllOfBuilder, AnyOfBuilder},
};

use super::{
    shapes::{Problem, Refused},
    words::{Given, Words, of as shape},
};
use crate::{
    api::{RESET, routes::Endpoint, signature::Says},
    error::Code,
};

/// Of every route.
const ANYWHERE: [Code; 6] = [
    Code::AmbiguousHeader,
    Code::MethodNotAllowed,
    Code::TooSlow,
    Code::TargetTooLarge,
    Code::HeadTooLarge,
    Code::Internal,
];
/// Of every route but those that tell how the program is.
const AT_WORK: [Code; 3] = [Code::Draining, Code::Overloaded, Code::StateUnavailable];

/// Errors that look alike wherever they are told.
const ALIKE: [(&str, &[Code]); 8] = [
    ("MethodNotAllowed", &[Code::MethodNotAllowed]),
    ("TooSlow", &[Code::TooSlow]),
    ("TooLarge", &[Code::TooLarge]),
    ("TargetTooLarge", &[Code::TargetTooLarge]),
    ("HeadTooLarge", &[Code::HeadTooLarge]),
    ("UnsupportedMediaType", &[Code::UnsupportedMediaType]),
    ("Unauthenticated", &[Code::TokenRequired, Code::TokenInvalid, Code::TokenExpired, Code::TokenRevoked]),
    ("Unavailable", &AT_WORK),
];

const REQUEST_ID: &str = "x-request-id";
const VERSION: &str = "x-user-manager-version";
const OPERATION_ID: &str = "x-operation-id";
const REPLAYED: &str = "idempotency-replayed";
const TAG: &str = "ETag";
const AGAIN: &str = "Retry-After";
const CHALLENGE: &str = "WWW-Authenticate";
const ALLOW: &str = "Allow";
const COOKIE: &str = "Set-Cookie";

const HEADERS: [(&str, &str); 9] = [
    (REQUEST_ID, "The caller's own where it is harmless, else one of ours"),
    (VERSION, "Which version answers"),
    (OPERATION_ID, "The operation that this request began: `GET /operations/{id}`"),
    (REPLAYED, "`true` where it was answered before under the same `Idempotency-Key`"),
    (TAG, "`updatedAt` in quotes. Not over the CRUD Service"),
    (AGAIN, "Whole seconds after which it may be tried again, where waiting helps"),
    (CHALLENGE, "RFC 6750 3"),
    (ALLOW, "The methods of this route"),
    (COOKIE, "Where `SESSION_COOKIE=true`: the session, or that it has ended"),
];

/// Everything that is answered there.
pub fn of(endpoint: &Endpoint, words: &Words) -> Responses {
    let says = &endpoint.says;
    let mut responses = ResponsesBuilder::new();
    let mut refused = codes(endpoint, words);
    for given in &words.gives {
        responses = responses.response(given.status.to_string(), success(says, given));
        refused.remove(&given.status);
    }
    if says.unchanged {
        let response =
            headed(ResponseBuilder::new().description("The asker has it already"), &[REQUEST_ID, VERSION, TAG]);
        responses = responses.response("304", response);
    }
    for (status, codes) in refused {
        responses = match alike(&codes).filter(|_| !words.page) {
            Some(name) => responses.response(status.to_string(), Ref::from_response_name(name)),
            None => responses.response(status.to_string(), error(status, &codes, says, Some(words))),
        };
    }
    responses.build()
}

/// What the replies refer to.
pub fn shared(mut components: ComponentsBuilder) -> ComponentsBuilder {
    for (name, told) in HEADERS {
        let header = HeaderBuilder::new().schema(Some(text())).description(Some(told));
        components = components.header(name, header.build());
    }
    for (name, codes) in ALIKE {
        let status = codes.first().map(|code| code.row().1.as_u16()).unwrap_or_default();
        components = components.response(name, error(status, codes, &Says::default(), None));
    }
    components
}

fn codes(endpoint: &Endpoint, words: &Words) -> BTreeMap<u16, Vec<Code>> {
    let parameters = (endpoint.path != RESET).then_some(Code::InvalidParameter);
    let at_work: &[Code] = if endpoint.path.starts_with("/-/") { &[] } else { &AT_WORK };
    let of_the_frame = ANYWHERE.into_iter().chain(parameters).chain(at_work.iter().copied());
    let of_its_own = endpoint.says.codes.iter().chain(&words.codes).copied();
    let mut all: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in of_its_own.chain(of_the_frame) {
        for status in code.statuses() {
            let codes = all.entry(status.as_u16()).or_default();
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
    }
    all
}

fn alike(codes: &[Code]) -> Option<&'static str> {
    ALIKE.iter().find(|(_, alike)| *alike == codes).map(|(name, _)| *name)
}

fn success(says: &Says, given: &Given) -> Response {
    let mut response = ResponseBuilder::new().description(given.told);
    if let Some((kind, schema)) = &given.content {
        response = response.content(*kind, ContentBuilder::new().schema(Some(schema.clone())).build());
    }
    let mut headers = vec![REQUEST_ID, VERSION];
    headers.extend(says.operation.then_some(OPERATION_ID));
    headers.extend(says.keyed.then_some(REPLAYED));
    headers.extend(given.cookie.then_some(COOKIE));
    headers.extend((says.tagged && given.content.is_some()).then_some(TAG));
    headed(response, &headers)
}

fn error(status: u16, codes: &[Code], says: &Says, words: Option<&Words>) -> Response {
    let mut named: Vec<&str> = codes.iter().map(|code| code.row().0).collect();
    named.dedup();
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    let told: Vec<String> = named.iter().map(|code| format!("`{code}`")).collect();
    let response = ResponseBuilder::new().description(format!("{reason}: {}", told.join(", ")));

    let with_code = |whole: RefOr<Schema>| {
        let code = ObjectBuilder::new().property("code", text().enum_values(Some(named.iter().copied())));
        RefOr::T(Schema::AllOf(AllOfBuilder::new().item(whole).item(code).build()))
    };
    let also = |kind: &str| {
        let refuses = words.map(|words| words.refuses.as_slice()).unwrap_or_default();
        refuses.iter().find(|(at, as_kind, _)| *at == status && *as_kind == kind).map(|(_, _, schema)| schema.clone())
    };
    let plain = match also("application/json") {
        Some(also) => {
            let either = AnyOfBuilder::new().item(with_code(shape::<Refused>())).item(also);
            RefOr::T(Schema::AnyOf(either.build()))
        }
        None => with_code(shape::<Refused>()),
    };
    let content = |schema: RefOr<Schema>| ContentBuilder::new().schema(Some(schema)).build();
    let mut response = response
        .content("application/json", content(plain))
        .content("application/problem+json", content(shape::<Problem>()));
    if words.is_some_and(|words| words.page) {
        response = response.content("text/html", content(text().into()));
    }

    let begun = codes.iter().any(|code| code.lasts() || code.row().1.is_server_error());
    let mut headers = vec![REQUEST_ID, VERSION];
    headers.extend((says.operation && begun).then_some(OPERATION_ID));
    headers.extend((says.keyed && begun).then_some(REPLAYED));
    headers.extend(codes.iter().any(|code| code.may_wait()).then_some(AGAIN));
    headers.extend(codes.iter().any(|code| code.may_challenge()).then_some(CHALLENGE));
    let ended = codes.iter().any(|code| matches!(code, Code::TokenRevoked | Code::RefreshRefused));
    headers.extend(ended.then_some(COOKIE));
    headers.extend(codes.contains(&Code::MethodNotAllowed).then_some(ALLOW));
    headed(response, &headers)
}

fn headed(mut response: ResponseBuilder, headers: &[&'static str]) -> Response {
    for name in headers {
        response = response.header_ref(*name, Ref::new(format!("#/components/headers/{name}")));
    }
    response.build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
