//! Errors of the token endpoint as RFC 6749 5.2 writes them, for callers who speak it.

use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{Code, Error};

/// What that RFC has no word for is told as everywhere else.
pub fn told(error: Error) -> Response {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only those named have a word there")]
    let word = match error.code {
        Code::LoginRefused | Code::RefreshRefused => "invalid_grant",
        Code::UnsupportedGrantType => "unsupported_grant_type",
        Code::ValidationFailed | Code::InvalidValue => "invalid_request",
        _ => return error.into_response(),
    };
    let mut response =
        Response::new(Body::from(json!({ "error": word, "error_description": error.message }).to_string()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
