//! What happened to a call that did not end well, and what a saga may make of it.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::header::HeaderValue;

use super::call::Line;
use crate::{
    clock::Clock,
    error::{self, Code, Fault, Upstream},
    metrics::Came,
    outcome::Failure,
};

/// A call that left, or could not, and what became of it.
pub struct Error {
    line: Arc<Line>,
    what: What,
    unsure: bool,
}

/// What is known of it.
#[derive(Clone)]
pub enum What {
    /// No connection stood: nothing left.
    NotSent,
    /// Time was up, or the connection was lost after something may have been sent.
    NoAnswer,
    /// Any answer but a 2xx; of the body as much as is needed to tell the reason. It goes no further than the driver.
    Status { status: u16, retry_after: Option<Wait>, body: Bytes },
    /// A 2xx that ended too early, was too long, or is not what was agreed.
    Garbled,
}

/// `Retry-After` (RFC 9110 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    Length(Duration),
    /// Milliseconds since 1970.
    Until(i64),
}

impl Wait {
    pub(super) fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Self::Length(Duration::from_secs(seconds)));
        }
        jiff::fmt::rfc2822::parse(text).ok().map(|at| Self::Until(at.timestamp().as_millisecond()))
    }

    pub(super) fn length(self, clock: &Clock) -> Duration {
        match self {
            Self::Length(length) => length,
            Self::Until(at) => Duration::from_millis(u64::try_from(at - clock.now_ms()).unwrap_or(0)),
        }
    }
}

impl Error {
    pub(super) fn new(line: &Arc<Line>, what: What, unsure: bool) -> Self {
        Self { line: Arc::clone(line), what, unsure }
    }

    /// An earlier sending of the same call went unanswered: whatever this answer says, that one may still land. A driver
    /// that reads a refusal out of the status must look at this first.
    pub fn unsure(&self) -> bool {
        self.unsure
    }

    pub fn what(&self) -> &What {
        &self.what
    }

    /// In the words of the metrics.
    pub(super) fn came(&self) -> Came {
        match self.what {
            What::NotSent => Came::NotSent,
            What::NoAnswer => Came::NoAnswer,
            What::Status { status, .. } => Came::Status(status),
            What::Garbled => Came::Garbled,
        }
    }

    /// The status, where there was an answer other than a 2xx.
    pub fn status(&self) -> Option<u16> {
        match self.what {
            What::Status { status, .. } => Some(status),
            What::NotSent | What::NoAnswer | What::Garbled => None,
        }
    }

    /// What came with that status; empty where nothing did.
    pub fn body(&self) -> &[u8] {
        match &self.what {
            What::Status { body, .. } => body,
            What::NotSent | What::NoAnswer | What::Garbled => &[],
        }
    }

    /// What holds where the driver does not know better: not sent, and 4xx but for 408, is not done; all else is unknown,
    /// and so is everything that follows an unanswered sending.
    pub fn failure(&self) -> Failure {
        match self.what {
            _ if self.unsure => self.unknown(),
            What::NotSent => self.not_done(),
            What::Status { status: 408, .. } => self.unknown(),
            What::Status { status: 400..=499, .. } => self.not_done(),
            What::Status { .. } | What::NoAnswer | What::Garbled => self.unknown(),
        }
    }

    /// The driver knows that nothing happened and nothing will.
    pub fn not_done(&self) -> Failure {
        Failure::not_done(self.told())
    }

    /// The driver knows that nobody can tell.
    pub fn unknown(&self) -> Failure {
        Failure::unknown(self.told())
    }

    /// What the caller is told.
    fn told(&self) -> error::Error {
        let (code, fault) = match self.what {
            What::NotSent => (Code::UpstreamFailed, Fault::Unreachable),
            What::NoAnswer => (Code::UpstreamFailed, Fault::NoAnswer),
            What::Garbled => (Code::UpstreamFailed, Fault::Garbled),
            What::Status { status, .. } if (400..500).contains(&status) && !matches!(status, 408 | 429) => {
                (Code::UpstreamRefused, Fault::Status(status))
            }
            What::Status { status, .. } => (Code::UpstreamFailed, Fault::Status(status)),
        };
        let Line { system, method, template } = &*self.line;
        let told = error::upstream(code, Upstream { system, method, template: template.clone(), fault });
        match self.what {
            What::Status { retry_after: Some(Wait::Length(wait)), .. } => told.retry_after(wait.as_secs()),
            What::Status { .. } | What::NotSent | What::NoAnswer | What::Garbled => told,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.failure()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.told().message())
    }
}

/// Without the body, which may hold anything.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remote::Error({self})")
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let check = |text: &str, expected: Option<Wait>| {
            let value = HeaderValue::from_str(text).unwrap();
            assert_eq!(Wait::parse(&value), expected, "{text}");
        };
        check("7", Some(Wait::Length(Duration::from_secs(7))));
        check("Thu, 01 Jan 1970 00:00:02 GMT", Some(Wait::Until(2000)));
        check("soon", None);
        check("-1", None);
    }
}
