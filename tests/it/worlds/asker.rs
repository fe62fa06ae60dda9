//! Somebody who sends requests to a world, and what he is answered.

use std::net::SocketAddr;

use reqwest::{Client, Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use user_manager::metrics::KIND;

use crate::documented::{Exchange, undocumented};

/// Somebody with a token, or nobody in particular.
#[derive(Clone)]
pub struct Asker {
    address: SocketAddr,
    client: Client,
    /// `_id` of the person, where there is one.
    pub id: String,
    pub token: Option<String>,
    headers: Vec<(String, String)>,
}

impl Asker {
    pub fn nobody(address: SocketAddr) -> Self {
        let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        Self { address, client, id: String::new(), token: None, headers: Vec::new() }
    }

    /// The same with a token of that person.
    pub fn holding(&self, id: &str, token: &str) -> Self {
        Self { id: id.to_owned(), token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same, with one more header on every request.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut with = self.clone();
        with.headers.push((name.to_owned(), value.to_owned()));
        with
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.ask(Method::DELETE, path, None).await
    }

    pub async fn logs_in(&self, name: &str, password: &str) -> Reply {
        self.post("/oauth/token", json!({ "username": name, "password": password })).await
    }

    /// Its status, and whether the answer is cut off before it is whole.
    #[expect(clippy::disallowed_methods, reason = "this is a caller of the program, not the program")]
    pub async fn cut(&self, path: &str) -> (u16, bool) {
        let token = self.token.as_deref().unwrap_or_default();
        let request = self.client.get(format!("http://{}{path}", self.address)).bearer_auth(token);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.is_err())
    }

    /// A page for people, as a browser would ask for it.
    pub async fn page(&self, path: &str) -> Page {
        self.page_of("GET", path, |request| request).await
    }

    /// The form of a page, as a browser would send it.
    pub async fn submits(&self, path: &str, form: &[(&str, &str)]) -> Page {
        self.page_of("POST", path, |request| request.form(form)).await
    }

    /// The same with any body.
    pub async fn submits_body(&self, path: &str, kind: &str, body: &str) -> Page {
        self.page_of("POST", path, |request| request.header("content-type", kind).body(body.to_owned())).await
    }

    #[expect(clippy::disallowed_methods, reason = "this is a caller of the program, not the program")]
    async fn page_of(&self, method: &str, path: &str, with: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Page {
        let url = format!("http://{}{path}", self.address);
        let mut request = with(self.client.request(method.parse().unwrap(), url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let html = response.text().await.unwrap();
        documented(method, path, None, status, &headers, html.as_bytes());
        Page { status, headers, html }
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let (line, mut request) = self.request(method, path);
        if let Some(body) = &body {
            request = request.json(body);
        }
        Self::answered(line, request, body.as_ref()).await
    }

    /// As RFC 6749 has it.
    pub async fn sends_form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.sends("application/x-www-form-urlencoded", Method::POST, path, body.into()).await
    }

    /// A body of that type.
    pub async fn sends(&self, kind: &str, method: Method, path: &str, body: Vec<u8>) -> Reply {
        let (line, request) = self.request(method, path);
        Self::answered(line, request.header("content-type", kind).body(body), None).await
    }

    fn request(&self, method: Method, path: &str) -> (String, RequestBuilder) {
        let line = format!("{method} {path}");
        let path = silently(&method, path);
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        (line, request)
    }

    #[expect(clippy::disallowed_methods, reason = "this is a caller of the program, not the program")]
    async fn answered(line: String, request: RequestBuilder, sent: Option<&Value>) -> Reply {
        let response = request.send().await.unwrap_or_else(|error| panic!("{line}: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap_or_else(|error| panic!("{line}: {error:?}"));
        let (method, path) = line.split_once(' ').unwrap();
        documented(method, path, sent, status, &headers, &body);
        let metrics = headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(KIND.as_bytes()));
        let body = match body.as_ref() {
            [] => Value::Null,
            bytes if metrics => String::from_utf8_lossy(bytes).into(),
            bytes => serde_json::from_slice(bytes).unwrap_or_else(|_| panic!("{line}: no JSON: {body:?}")),
        };
        Reply { line, status, headers, body }
    }
}

fn documented(method: &str, target: &str, sent: Option<&Value>, status: u16, headers: &HeaderMap, body: &[u8]) {
    let header = |name: &str| Some(headers.get(name)?.to_str().unwrap().to_owned());
    let missed = undocumented(&Exchange { method, target, sent, status, header: &header, body });
    assert_eq!(missed, None, "the document does not know of this");
}

/// Nobody new is mailed to unless the story says so: what goes on by itself would meet the faults that were planned for others.
/// Under any other spelling of the path it is as it is.
fn silently(method: &Method, path: &str) -> String {
    match path {
        "/users" | "/users/" | "/users/register" if method == Method::POST => format!("{path}?sendResetPwdEmail=false"),
        other => other.to_owned(),
    }
}

/// What people see.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub html: String,
}

impl Page {
    /// Must be this status, and a page.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.html);
        assert_eq!(self.headers["content-type"], "text/html; charset=utf-8", "{}", self.html);
        self
    }
}

/// Status, headers and body; `Null` where there is none.
#[derive(Debug, Clone)]
pub struct Reply {
    line: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    /// Must be this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} was answered {}", self.line, self.body);
        self
    }

    /// Must be this error.
    #[track_caller]
    pub fn refuses(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{} was answered {}", self.line, self.body);
        self
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// `_id` of the body.
    #[track_caller]
    pub fn id(&self) -> String {
        self.text("_id")
    }

    /// A member of the body.
    #[track_caller]
    pub fn text(&self, member: &str) -> String {
        let text = self.body[member].as_str();
        text.unwrap_or_else(|| panic!("{} was answered {} without {member}", self.line, self.body)).to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `x-operation-id`
    #[track_caller]
    pub fn operation(&self) -> String {
        let operation = self.header("x-operation-id");
        operation.unwrap_or_else(|| panic!("{} began no operation: {}", self.line, self.body)).to_owned()
    }
}
