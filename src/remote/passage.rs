//! An answer that is not read by us but handed on as it comes. It is cut off where the other system cuts it off. Knows no
//! meaning of any byte.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::header;

use super::{
    Error, Remote, What,
    call::{Call, Line},
};
use crate::{clock::Stopwatch, metrics::Came};

/// What has begun to come.
pub struct Passed {
    pub status: u16,
    first: Option<Bytes>,
    rest: reqwest::Response,
    remote: Remote,
}

impl Remote {
    /// Sends a request that only reads. An answer with one of these statuses is handed on, once its first bytes are there;
    /// every other one is read and is an error. Each further part may take as long as a whole call.
    pub async fn pass(&self, call: Call, through: &[u16]) -> Result<Passed, Error> {
        let watch = Stopwatch::start();
        let passed = self.try_to_pass(call, through).await;
        let came = passed.as_ref().map_or_else(Error::came, |passed| Came::Status(passed.status));
        self.counted.ended(came, watch.elapsed());
        passed
    }

    async fn try_to_pass(&self, call: Call, through: &[u16]) -> Result<Passed, Error> {
        let line = Arc::new(Line::of(self.system, &call));
        let url = call.url(&self.base).ok_or_else(|| Error::new(&line, What::NotSent, false))?;
        let mut sendings = 0;
        loop {
            sendings += 1;
            let begun = self.clock.within(self.timeout, self.begin(&call, &url, &line, through)).await;
            match begun.unwrap_or(Err(What::NoAnswer)) {
                Ok(passed) => return Ok(passed),
                // The service closes the connection where its database refuses, or dies.
                Err(What::NoAnswer) if sendings < super::SENDINGS => {}
                Err(what) => return Err(Error::new(&line, what, false)),
            }
        }
    }

    async fn begin(&self, call: &Call, url: &url::Url, line: &Line, through: &[u16]) -> Result<Passed, What> {
        let mut response = self.execute(call, url, line).await?;
        let status = response.status().as_u16();
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let json = kind.is_some_and(|kind| kind.starts_with("application/json"));
        if status == 200 && !json {
            return Err(What::Garbled);
        }
        // A page of something in between is no answer of the system's.
        if !through.contains(&status) || !json {
            let body = super::read(&mut response, super::REFUSAL_LIMIT).await.unwrap_or_default();
            return Err(What::Status { status, retry_after: None, body });
        }
        let first = response.chunk().await.map_err(|_| What::NoAnswer)?;
        Ok(Passed { status, first, rest: response, remote: self.clone() })
    }
}

impl Passed {
    /// Its bytes; an error where they were cut off.
    pub fn body(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let Self { first, rest, remote, .. } = self;
        stream::unfold((first, Some((rest, remote))), async |(first, rest)| {
            if let Some(first) = first {
                return Some((Ok(first), (None, rest)));
            }
            let (mut response, remote) = rest?;
            match remote.clock.within(remote.timeout, response.chunk()).await {
                Some(Ok(Some(bytes))) => Some((Ok(bytes), (None, Some((response, remote))))),
                Some(Ok(None)) => None,
                Some(Err(_)) | None => {
                    tracing::warn!(system = remote.system, "an answer was cut off while it was handed on");
                    Some((Err(io::ErrorKind::UnexpectedEof.into()), (None, None)))
                }
            }
        })
    }
}
