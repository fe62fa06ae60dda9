//! Errors of the token endpoint as RFC 6749 5.2 writes them, for callers who speak it.

use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{Code, Error};

/// What that RFC has no word for is told as everywhere else.
pub fn told(error: Error) -> Response {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only those named have a word there")]
    let (word, status) = match error.code {
        Code::LoginRefused | Code::RefreshRefused => ("invalid_grant", StatusCode::BAD_REQUEST),
        Code::UnsupportedGrantType => ("unsupported_grant_type", StatusCode::BAD_REQUEST),
        Code::ValidationFailed | Code::InvalidValue => ("invalid_request", StatusCode::BAD_REQUEST),
        // The word of RFC 8628 3.5, the status of RFC 6585 4.
        Code::Throttled => ("slow_down", StatusCode::TOO_MANY_REQUESTS),
        _ => return error.into_response(),
    };
    let mut response =
        Response::new(Body::from(json!({ "error": word, "error_description": error.message }).to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
