//! The only source of time. A parameter of everything that waits, so that tests own it.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use jiff::Timestamp;

/// Time as one thing that can be passed around.
#[derive(Clone)]
pub struct Clock(Arc<dyn Time>);

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a clock can do. Two ways to wait, because a test moves them differently.
pub trait Time: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
    /// Work that has nothing to do before the time has passed: a back-off, a window. A test clock jumps.
    fn pause(&self, length: Duration) -> Wait;
    /// The end of somebody's patience. A test clock comes there only when pauses have carried it so far.
    fn deadline(&self, length: Duration) -> Wait;
}

impl Clock {
    pub fn system() -> Self {
        Self(Arc::new(SystemTime))
    }

    pub fn new(time: impl Time) -> Self {
        Self(Arc::new(time))
    }

    pub fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    /// RFC 3339, UTC, milliseconds: `2026-11-21T05:44:00.123Z`.
    pub fn now_text(&self) -> String {
        rfc3339(self.now_ms())
    }

    /// As `uuid`, by this clock's time.
    pub fn uuid(&self) -> uuid::Uuid {
        uuid(self.now_ms())
    }

    pub async fn pause(&self, length: Duration) {
        self.0.pause(length).await;
    }

    pub async fn deadline(&self, length: Duration) {
        self.0.deadline(length).await;
    }

    /// The value, or nothing when the time is up first.
    pub async fn within<T>(&self, length: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            value = work => Some(value),
            () = self.deadline(length) => None,
        }
    }
}

/// How long work of ours has really been going on, whatever the clock says: to limit what may be done, never to wait.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// A UUID of version 7 (RFC 9562 5.7): sorts by that time, the rest is random.
pub fn uuid(ms: i64) -> uuid::Uuid {
    let ms = u64::try_from(ms).unwrap_or_default();
    let nanos = u32::try_from(ms % 1000).unwrap_or_default() * 1_000_000;
    uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, ms / 1000, nanos))
}

/// What is too long for the type is as long as that allows.
pub fn milliseconds(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// The time so long after that one.
pub fn after(ms: i64, length: Duration) -> i64 {
    ms.saturating_add(milliseconds(length))
}

/// Milliseconds since 1970 as RFC 3339 text with three decimals.
pub fn rfc3339(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

/// The inverse of [`rfc3339`]; any offset and precision is understood, the rest below a millisecond is dropped.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(|at| at.as_millisecond())
}

struct SystemTime;

impl Time for SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now_ms(&self) -> i64 {
        Timestamp::now().as_millisecond()
    }

    fn pause(&self, length: Duration) -> Wait {
        Box::pin(sleep(length))
    }

    fn deadline(&self, length: Duration) -> Wait {
        Box::pin(sleep(length))
    }
}

/// The thread that calls it rests really so long, whatever the clock says. Not for a thread of the runtime.
pub fn rest(length: Duration) {
    std::thread::sleep(length);
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn sleep(length: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_round_trip() {
        for ms in [0, 1, 999, 1_795_239_840_123, 253_402_207_199_999] {
            let text = rfc3339(ms);
            assert_eq!(parse_rfc3339(&text), Some(ms), "{text}");
            assert!(text.ends_with('Z') && text.as_bytes()[text.len() - 5] == b'.', "{text}");
        }
    }
}
