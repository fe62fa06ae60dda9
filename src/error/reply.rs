//! How an [`Error`] is written down for the caller: status, headers, body, plain or as RFC 9457 `problem+json`.
//! Knows the frame of the answer, not the request that it answers.

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{Code, Error, FINDINGS, Fault};

/// What an error needs to know of the request, and of the settings that move statuses.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    pub request_id: &'a str,
    /// The operation that this request began.
    pub operation_id: Option<&'a str>,
    /// The caller asked for `application/problem+json`.
    pub problem: bool,
    /// `UPSTREAM_STATUS=precise`.
    pub precise: bool,
    /// `LOGIN_REFUSED_STATUS`.
    pub login_refused: u16,
}

/// The error rides in the extensions until the frame writes it: only there the request's id and its form are known.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.code.row().1;
        response.extensions_mut().insert(Box::new(self));
        response
    }
}

/// The error that a response stands for, where it does.
pub fn of(response: &mut Response) -> Option<Error> {
    response.extensions_mut().remove::<Box<Error>>().map(|error| *error)
}

/// The whole answer but for the headers that every answer has.
pub fn write(error: &Error, frame: &Frame<'_>) -> Response {
    let status = error.status(frame);
    let mut response = Response::new(Body::from(error.body(status, frame).to_string()));
    *response.status_mut() = status;
    let form = if frame.problem { "application/problem+json" } else { "application/json; charset=utf-8" };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    error.challenge(status, headers);
    if let Some(seconds) = error.retry_after.or_else(|| error.code.patience()) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.code.closes() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only those named are failures of other systems")]
    fn status(&self, frame: &Frame<'_>) -> StatusCode {
        let usual = self.code.row().1;
        if self.code == Code::LoginRefused {
            return StatusCode::from_u16(frame.login_refused).unwrap_or(usual);
        }
        if !frame.precise {
            return usual;
        }
        match self.code {
            Code::OutcomePending => StatusCode::GATEWAY_TIMEOUT,
            Code::UpstreamRefused => StatusCode::BAD_GATEWAY,
            Code::UpstreamFailed | Code::Resumable => match self.upstream.as_ref().map(|upstream| upstream.fault) {
                Some(Fault::NoAnswer) => StatusCode::GATEWAY_TIMEOUT,
                Some(Fault::Unreachable) => StatusCode::SERVICE_UNAVAILABLE,
                Some(Fault::Status(_) | Fault::Garbled) | None => StatusCode::BAD_GATEWAY,
            },
            _ => usual,
        }
    }

    fn body(&self, status: StatusCode, frame: &Frame<'_>) -> Value {
        let word = self.code.row().0;
        let reason = status.canonical_reason().unwrap_or_default();
        let mut body = if frame.problem {
            json!({
                "type": format!("urn:user-manager:error:{word}"),
                "status": status.as_u16(),
                "title": reason,
                "detail": self.message,
                "instance": format!("urn:request:{}", frame.request_id),
            })
        } else {
            json!({ "statusCode": status.as_u16(), "error": reason, "message": self.message })
        };
        if let Some(members) = body.as_object_mut() {
            self.further_members(members, frame);
        }
        body
    }

    fn further_members(&self, members: &mut Map<String, Value>, frame: &Frame<'_>) {
        let mut member = |name: &str, value: Value| members.insert(name.to_owned(), value);
        member("code", self.code.row().0.into());
        member("requestId", frame.request_id.into());
        if let Some(operation) = frame.operation_id {
            member("operationId", operation.into());
        }
        if let Some(field) = &self.field
            && self.code != Code::PermissionRequired
        {
            member("field", field.as_str().into());
        }
        if !self.findings.is_empty() {
            member("errors", json!(self.findings.iter().take(FINDINGS).collect::<Vec<_>>()));
        }
    }

    /// RFC 9110 11.6.1 asks for it with every 401; RFC 6750 3 says what stands in it.
    fn challenge(&self, status: StatusCode, headers: &mut HeaderMap) {
        let token_came = matches!(self.code, Code::TokenInvalid | Code::TokenExpired | Code::TokenRevoked);
        let challenge = match (&self.field, self.code) {
            (Some(permission), Code::PermissionRequired) => {
                format!(r#"Bearer realm="user-manager", error="insufficient_scope", scope="{permission}""#)
            }
            _ if token_came => r#"Bearer realm="user-manager", error="invalid_token""#.to_owned(),
            _ if status == StatusCode::UNAUTHORIZED => r#"Bearer realm="user-manager""#.to_owned(),
            _ => return,
        };
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
    }
}

impl Code {
    /// Every status that it is told with, whatever the settings and the fault are.
    #[expect(clippy::wildcard_enum_match_arm, reason = "no setting moves another one")]
    pub fn statuses(self) -> Vec<StatusCode> {
        use StatusCode as S;
        let moved: &[StatusCode] = match self {
            Self::LoginRefused => &[S::FORBIDDEN],
            Self::OutcomePending => &[S::GATEWAY_TIMEOUT],
            Self::UpstreamRefused => &[S::BAD_GATEWAY],
            Self::UpstreamFailed | Self::Resumable => &[S::BAD_GATEWAY, S::SERVICE_UNAVAILABLE, S::GATEWAY_TIMEOUT],
            _ => &[],
        };
        [&[self.row().1], moved].concat()
    }

    /// Whether its reply may say when to come again.
    pub fn may_wait(self) -> bool {
        self.patience().is_some() || matches!(self, Self::Throttled | Self::UpstreamFailed)
    }

    /// Whether its reply may say what credentials are asked for.
    pub fn may_challenge(self) -> bool {
        self == Self::PermissionRequired || self.row().1 == StatusCode::UNAUTHORIZED
    }

    /// When to come again, where the situation itself says so. Seconds.
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other one is mended by waiting")]
    fn patience(self) -> Option<u64> {
        match self {
            Self::StateUnavailable | Self::OutcomePending => Some(5),
            Self::Busy | Self::Draining | Self::Overloaded | Self::OperationInProgress | Self::IdempotencyRunning => {
                Some(1)
            }
            _ => None,
        }
    }

    /// After which the rest of the request cannot be told from the next one, or nothing more is taken.
    fn closes(self) -> bool {
        matches!(self, Self::TooSlow | Self::TooLarge | Self::HeadTooLarge | Self::TargetTooLarge | Self::Draining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Upstream, invalid, name_taken, upstream};

    const FRAME: Frame<'static> =
        Frame { request_id: "r-1", operation_id: None, problem: false, precise: false, login_refused: 401 };

    fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
        response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    #[test]
    fn the_same_error_in_both_forms() {
        let error = name_taken("email");
        let frame = Frame { operation_id: Some("o-1"), ..FRAME };
        assert_eq!(
            error.body(StatusCode::CONFLICT, &frame),
            json!({ "statusCode": 409, "error": "Conflict", "message": "The email is taken", "code": "name-taken",
                    "requestId": "r-1", "operationId": "o-1", "field": "email" })
        );
        assert_eq!(
            error.body(StatusCode::CONFLICT, &Frame { problem: true, ..FRAME }),
            json!({ "type": "urn:user-manager:error:name-taken", "status": 409, "title": "Conflict",
                    "detail": "The email is taken", "instance": "urn:request:r-1", "code": "name-taken",
                    "requestId": "r-1", "field": "email" })
        );
    }

    #[test]
    fn the_settings_move_the_statuses_of_other_systems_and_of_refused_logins() {
        let failed = |fault| {
            upstream(Code::UpstreamFailed, Upstream { system: "CRUD", method: "GET", template: "/users".into(), fault })
        };
        let precise = Frame { precise: true, login_refused: 403, ..FRAME };
        for (error, usual, moved) in [
            (failed(Fault::Status(500)), 500, 502),
            (failed(Fault::Garbled), 500, 502),
            (failed(Fault::NoAnswer), 500, 504),
            (failed(Fault::Unreachable), 500, 503),
            (failed(Fault::NoAnswer).resumable(), 500, 504),
            (Error::new(Code::UpstreamRefused, ""), 500, 502),
            (Error::new(Code::OutcomePending, ""), 500, 504),
            (Error::new(Code::LoginRefused, ""), 401, 403),
            (Error::new(Code::Internal, ""), 500, 500),
            (Error::new(Code::NameTaken, ""), 409, 409),
        ] {
            assert_eq!(write(&error, &FRAME).status(), usual, "{error:?}");
            assert_eq!(write(&error, &precise).status(), moved, "{error:?}");
            let known: Vec<u16> = error.code().statuses().iter().map(StatusCode::as_u16).collect();
            assert!(known.contains(&usual) && known.contains(&moved), "{error:?}");
        }
    }

    #[test]
    fn a_challenge_says_what_was_missing() {
        let challenge = |error: Error| header(&write(&error, &FRAME), "www-authenticate").map(str::to_owned);
        let realm = |rest: &str| Some(format!(r#"Bearer realm="user-manager"{rest}"#));
        assert_eq!(challenge(Error::new(Code::TokenRequired, "")), realm(""));
        assert_eq!(challenge(Error::new(Code::LoginRefused, "")), realm(""));
        assert_eq!(challenge(Error::new(Code::TokenExpired, "")), realm(r#", error="invalid_token""#));
        assert_eq!(
            challenge(Error::new(Code::PermissionRequired, "").field("users:read")),
            realm(r#", error="insufficient_scope", scope="users:read""#)
        );
        assert_eq!(challenge(Error::new(Code::PersonAbove, "")), None);
    }

    #[test]
    fn errors_are_never_stored_and_say_when_to_come_again() {
        let response = write(&Error::new(Code::OutcomePending, ""), &FRAME);
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
        assert_eq!(header(&response, "retry-after"), Some("5"));
        let told = write(&Error::new(Code::OperationInProgress, "").retry_after(7), &FRAME);
        assert_eq!(header(&told, "retry-after"), Some("7"));
        assert_eq!(header(&write(&invalid(Code::InvalidValue, "/a", "no"), &FRAME), "retry-after"), None);
    }

    #[test]
    fn at_most_twenty_findings_are_told() {
        let mut error = invalid(Code::ValidationFailed, "/a", "no");
        error.findings = vec![error.findings[0].clone(); 30];
        let body = error.body(StatusCode::BAD_REQUEST, &FRAME);
        assert_eq!(body["errors"].as_array().unwrap().len(), 20);
        assert_eq!(body["errors"][0], json!({ "pointer": "/a", "keyword": "validation-failed", "message": "no" }));
    }
}
