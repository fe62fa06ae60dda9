//! A request under an idempotency key is carried out once: whoever sends it again gets the answer of the first. Owns how
//! caller, key and request become codes, and when an answer is kept. Knows no HTTP but as an answer that is kept.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;

use crate::{
    access::Caller,
    app::App,
    clock::milliseconds,
    error::{self, Code, Error, kept::Kept},
    saga::{Answering, Key},
    state::{
        self, Ledger,
        ledger::{self, Remembered},
    },
};

/// What makes codes of keys and requests, so that the state holds neither.
pub struct Codes {
    secret: hmac::Key,
    /// How long an answer is kept.
    life: Duration,
}

impl Codes {
    pub fn new(secret: &[u8], life: Duration) -> Self {
        Self { secret: hmac::Key::new(hmac::HMAC_SHA256, secret), life }
    }

    /// `request`: whatever makes it another one.
    pub fn key(&self, caller: &Caller, key: &str, request: &[&[u8]], now_ms: i64) -> ledger::Key {
        ledger::Key {
            slot: self.code(&[b"key", caller.origin.actor.as_bytes(), key.as_bytes()]),
            request: self.code(&[&[b"request".as_slice()], request].concat()),
            forgotten_before_ms: self.forgotten_before_ms(now_ms),
        }
    }

    pub fn forgotten_before_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(milliseconds(self.life))
    }

    fn code(&self, parts: &[&[u8]]) -> String {
        let mut context = hmac::Context::with_key(&self.secret);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        BASE64_URL_SAFE_NO_PAD.encode(context.sign().as_ref())
    }
}

/// What a request under a key comes to.
pub enum Once<T> {
    /// It was carried out, or refused, now.
    Now(Result<T, Error>),
    /// An earlier one was.
    Again(Kept),
}

/// Does `work` unless it was done before under this key.
///
/// An answer is kept with the operation that it tells of, before anybody hears it; one that tells of no operation where the
/// same request would be told the same for good. What is not kept is carried out anew.
pub async fn once<T, W>(
    app: &App,
    mut caller: Caller,
    key: ledger::Key,
    answering: Arc<dyn Answering>,
    work: impl FnOnce(Caller) -> W,
) -> Once<T>
where
    T: Serialize,
    W: Future<Output = Result<T, Error>>,
{
    let ledger = app.journal.ledger();
    match ledger.recall(&key).await {
        Ok(None) => {}
        Ok(Some(found)) => return again(&caller, &key, found),
        Err(error) => return Once::Now(Err(error.into())),
    }
    let begun = Arc::clone(&caller.operation);
    caller.key = Some(Key { key: key.clone(), answering: Arc::clone(&answering) });
    let asked = caller.clone();
    let result = work(caller).await;
    if begun.get().is_some() {
        return Once::Now(result);
    }
    match remember(ledger.as_ref(), &key, answering.as_ref(), &result).await {
        Ok(None) => Once::Now(result),
        // Somebody was faster with the same.
        Ok(Some(found)) => again(&asked, &key, found),
        Err(error) => {
            tracing::warn!(%error, "an answer could not be kept");
            Once::Now(result)
        }
    }
}

/// Of what began no operation. What stands there already.
async fn remember<T: Serialize>(
    ledger: &dyn Ledger,
    key: &ledger::Key,
    answering: &dyn Answering,
    result: &Result<T, Error>,
) -> Result<Option<Remembered>, state::Error> {
    let text = match result {
        Ok(value) => serde_json::to_value(value).ok().and_then(|value| answering.success(None, value).ok()),
        Err(error) => error.lasts().then(|| answering.failure(None, error)),
    };
    match text {
        Some(text) => ledger.keep(key.clone(), text).await,
        None => ledger.recall(key).await,
    }
}

fn again<T>(caller: &Caller, key: &ledger::Key, found: Remembered) -> Once<T> {
    if found.request != key.request {
        return Once::Now(Err(Error::new(
            Code::IdempotencyMismatch,
            "Something else was asked under this key: another request needs another key",
        )));
    }
    if let Some(operation) = found.operation {
        // Its own request began it.
        let _ = caller.operation.set(operation);
    }
    match found.answer.as_deref().map(Kept::parse) {
        Some(Ok(kept)) => Once::Again(kept),
        Some(Err(error)) => Once::Now(Err(error)),
        None => Once::Now(Err(error::idempotency_running())),
    }
}
