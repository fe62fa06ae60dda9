//! An answer written down to be given again: status, headers, body. Not the headers that every answer gets anew.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Error, internal,
    reply::{self, Frame},
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Kept {
    /// # Errors
    /// `internal`: its body is no text that is there as a whole, which none of ours is.
    pub fn of(response: Response) -> Result<Self, Error> {
        let (parts, body) = response.into_parts();
        let whole = body.collect().now_or_never().and_then(Result::ok);
        let body = whole.and_then(|body| String::from_utf8(body.to_bytes().to_vec()).ok());
        let body = body.ok_or_else(|| internal("an answer cannot be kept"))?;
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = parts.headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)));
        Ok(Self { status: parts.status.as_u16(), headers: headers.collect(), body })
    }

    /// A value by itself, as a success is answered.
    pub fn of_value(value: &Value) -> Self {
        let kind = ("content-type".to_owned(), "application/json; charset=utf-8".to_owned());
        Self { status: StatusCode::OK.as_u16(), headers: vec![kind], body: value.to_string() }
    }

    pub fn of_error(error: &Error, frame: &Frame<'_>) -> Self {
        // What an error is written as is a text.
        let unkept = || Self { status: error.code().row().1.as_u16(), headers: Vec::new(), body: String::new() };
        Self::of(reply::write(error, frame)).unwrap_or_else(|_| unkept())
    }

    /// As it lies in the state.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn parse(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|_| internal("an answer that was kept cannot be read"))
    }

    pub fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}
