//! `Idempotency-Key`: a handler that takes `Keyed<Object>` in place of `Object` answers a repeated request as it answered the
//! first. Every POST and PATCH of an authenticated caller that changes something takes it; a test reads the route table.

use std::{marker::PhantomData, sync::Arc};

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    body::{self, Parsed},
    frame::wants_problem,
    signature::{Part, Says, text},
};
use crate::{
    access::{Caller, gate::Arrival},
    app::App,
    error::{self, Code, Error, kept::Kept, reply::Frame},
    idempotency::{self, Once},
    saga::Answering,
};

pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const LONGEST: usize = 255;

/// A request whose body is a `B`, perhaps under a key.
pub struct Keyed<B> {
    key: Option<String>,
    method: Method,
    /// Without prefix and closing slash.
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    request_id: String,
    parsed: PhantomData<B>,
}

impl<B: Send> FromRequest<Arc<App>> for Keyed<B> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        let key = key(request.headers())?;
        let arrival = request.extensions().get::<Arrival>();
        let request_id = arrival.map(|arrival| arrival.request_id.clone()).unwrap_or_default();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (headers, body) = body::read(request, app).await?;
        Ok(Self { key, method, uri, headers, body: body.freeze(), request_id, parsed: PhantomData })
    }
}

impl<B: Part> Part for Keyed<B> {
    fn note(says: &mut Says) {
        B::note(says);
        let key = text().min_length(Some(1)).max_length(Some(LONGEST)).pattern(Some("^[!-~]+$"));
        says.in_header(
            "Idempotency-Key",
            key,
            "Whatever is sent again under it is carried out once and answered alike",
        );
        (says.keyed, says.operation) = (true, true);
        says.codes(&[
            Code::InvalidIdempotencyKey,
            Code::IdempotencyRunning,
            Code::IdempotencyMismatch,
            Code::Interrupted,
        ]);
    }
}

impl<B: Parsed> Keyed<B> {
    /// What `work` makes of the body, told by `reply`, which may call it an error: now, or as it was told before.
    pub async fn answer<T>(
        self,
        app: &App,
        caller: Caller,
        reply: fn(T) -> Result<Response, Error>,
        work: impl AsyncFnOnce(Caller, B) -> Result<T, Error>,
    ) -> Response
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let (headers, body) = (&self.headers, &self.body);
        let parse_and_work = move |caller| async move { work(caller, B::parse(headers, body)?).await };
        let Some(key) = &self.key else {
            return parse_and_work(caller).await.and_then(reply).unwrap_or_else(Error::into_response);
        };
        if caller.is_nobody() {
            let sentence = "Nobody in particular asks, and an idempotency key is somebody's";
            return Error::new(Code::InvalidIdempotencyKey, sentence).into_response();
        }
        let query = self.uri.query().unwrap_or_default();
        let request = [self.method.as_str(), self.uri.path(), query].map(str::as_bytes);
        let request = [&request[..], &[self.body.as_ref()]].concat();
        let key = app.codes.key(&caller, key, &request, app.clock.now_ms());
        let answering = Arc::new(Written {
            reply,
            request_id: self.request_id.clone(),
            problem: wants_problem(&self.headers),
            precise: app.config.precise_upstream_status,
            login_refused: app.config.login_refused_status,
        });
        match idempotency::once(app, caller, key, answering, parse_and_work).await {
            Once::Now(result) => result.and_then(reply).unwrap_or_else(Error::into_response),
            Once::Again(kept) => {
                let mut response = kept.into_response();
                response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
                response
            }
        }
    }
}

/// Answers as this request would write them.
struct Written<T> {
    reply: fn(T) -> Result<Response, Error>,
    request_id: String,
    problem: bool,
    precise: bool,
    login_refused: u16,
}

impl<T: DeserializeOwned> Answering for Written<T> {
    fn success(&self, operation: Option<&str>, value: Value) -> Result<String, Error> {
        let value = serde_json::from_value(value)
            .map_err(|_| error::internal("an operation's value is not what its route answers"))?;
        match (self.reply)(value) {
            Ok(response) => Ok(Kept::of(response)?.text()),
            Err(error) => Ok(self.failure(operation, &error)),
        }
    }

    fn failure(&self, operation: Option<&str>, error: &Error) -> String {
        let frame = Frame {
            request_id: &self.request_id,
            operation_id: operation,
            problem: self.problem,
            precise: self.precise,
            login_refused: self.login_refused,
        };
        Kept::of_error(error, &frame).text()
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut given = headers.get_all(&KEY).iter();
    let Some(key) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Error::new(Code::AmbiguousHeader, format!("The header {KEY} stands twice")));
    }
    let key = key.as_bytes();
    if !(1..=LONGEST).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        let sentence = format!("An idempotency key has 1 to {LONGEST} visible ASCII characters");
        return Err(Error::new(Code::InvalidIdempotencyKey, sentence));
    }
    Ok(String::from_utf8(key.to_vec()).ok())
}
