//! A request as a driver writes it down, and the answer to it.

use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Client, Method,
    header::{HeaderName, HeaderValue},
    multipart,
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::{Error, What};

/// What RFC 3986 leaves unreserved stays as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One request. Not `Debug`: headers and bodies hold secrets.
pub struct Call {
    pub(super) method: Method,
    pub(super) template: String,
    pub(super) values: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Body,
    pub(super) repeat: Repeat,
}

/// What a request carries.
pub enum Body {
    None,
    Json(Value),
    Form(Vec<(&'static str, SecretString)>),
    /// A file in `multipart/form-data`, under the field name `file`.
    File {
        name: &'static str,
        content_type: &'static str,
        bytes: Bytes,
    },
}

/// Whether a request may be sent again although the first one may have been carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    Safe,
    Never,
}

impl Call {
    /// `template` has `:name` for each variable part and is what sentences show (`/users/:id/state`); `values` are put in
    /// their place, in order, percent-encoded. GET, PUT and DELETE may be repeated, all else not.
    pub fn new(method: Method, template: impl Into<String>, values: &[&str]) -> Self {
        let repeat = if method.is_idempotent() { Repeat::Safe } else { Repeat::Never };
        Self {
            method,
            template: template.into(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Body::None,
            repeat,
        }
    }

    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// A value that is not plain ASCII is percent-encoded: servers differ in what they make of other bytes.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let text = if plain { value.to_owned() } else { utf8_percent_encode(value, SEGMENT).to_string() };
        if let Ok(value) = HeaderValue::from_str(&text) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    pub fn bearer(mut self, token: &SecretString) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())) {
            value.set_sensitive(true);
            self.headers.push((reqwest::header::AUTHORIZATION, value));
        }
        self
    }

    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// Bytes of its parameters and headers, as they are sent.
    pub fn size(&self) -> usize {
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).map(str::len).sum::<usize>();
        let query = self.query.iter().map(|(name, value)| encoded(name) + encoded(value) + 2);
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        query.chain(headers).sum()
    }

    /// Nothing where a value would turn the path into another one (`""`, `.`, `..`), or one is missing.
    pub(super) fn url(&self, base: &str) -> Option<Url> {
        let mut values = self.values.iter();
        let mut path = String::new();
        for segment in self.template.split('/').skip(1) {
            path.push('/');
            if segment.starts_with(':') {
                let value = values.next().filter(|value| !matches!(value.as_str(), "" | "." | ".."))?;
                path.extend(utf8_percent_encode(value, SEGMENT));
            } else {
                path.push_str(segment);
            }
        }
        if values.next().is_some() {
            return None;
        }
        let mut url = Url::parse(&format!("{base}{path}")).ok()?;
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Some(url)
    }

    pub(super) fn request(&self, client: &Client, url: &Url) -> reqwest::Result<reqwest::Request> {
        let mut request = client.request(self.method.clone(), url.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match &self.body {
            Body::None => request,
            Body::Json(value) => request.json(value),
            Body::Form(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.expose_secret())).collect();
                request.form(&pairs)
            }
            Body::File { name, content_type, bytes } => {
                let length = bytes.len() as u64;
                let part = multipart::Part::stream_with_length(bytes.clone(), length);
                let part = part.file_name(*name).mime_str(content_type)?;
                request.multipart(multipart::Form::new().part("file", part))
            }
        }
        .build()
    }
}

/// Which call it was, in the words of a sentence.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) system: &'static str,
    pub(super) method: &'static str,
    pub(super) template: String,
}

impl Line {
    pub(super) fn of(system: &'static str, call: &Call) -> Self {
        Self { system, method: word(&call.method), template: call.template.clone() }
    }
}

/// The few methods that there are, as words that live for ever.
fn word(method: &Method) -> &'static str {
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let words = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    known.iter().position(|one| one == method).map_or("HEAD", |at| words[at])
}

/// A 2xx, read to its end.
#[derive(Clone)]
pub struct Answer {
    pub(super) line: Arc<Line>,
    pub status: u16,
    pub location: Option<String>,
    pub body: Bytes,
}

impl Answer {
    /// `Garbled` when it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|_| self.garbled())
    }

    /// For a driver that cannot make sense of it.
    pub fn garbled(&self) -> Error {
        Error::new(&self.line, What::Garbled, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_parts_cannot_leave_their_place() {
        let check = |template: &str, values: &[&str], expected: Option<&str>| {
            let url = Call::new(Method::GET, template, values).query("_st", "A,B").url("http://h/base");
            assert_eq!(url.map(|url| url.to_string()).as_deref(), expected, "{template} {values:?}");
        };
        check("/users/:id/state", &["a b"], Some("http://h/base/users/a%20b/state?_st=A%2CB"));
        check("/users/:id", &["../../x?y#z;"], Some("http://h/base/users/..%2F..%2Fx%3Fy%23z%3B?_st=A%2CB"));
        check("/users/", &[], Some("http://h/base/users/?_st=A%2CB"));
        // Each of these would name the whole collection, or something above it.
        check("/users/:id", &[""], None);
        check("/users/:id", &[".."], None);
        check("/users/:id", &["."], None);
        check("/users/:id", &[], None);
        check("/users/:id", &["a", "b"], None);
    }
}
