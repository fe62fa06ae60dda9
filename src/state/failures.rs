//! Failed tries, counted under codes. Knows neither what a code stands for nor how long anybody waits.

use async_trait::async_trait;

use super::Error;

/// Stands for who is tried, or where from.
pub type Code = [u8; 32];

/// What has failed under a code. Times in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The last one.
    pub failed_ms: i64,
    /// When all of it will be forgotten, if no more comes.
    pub clear_ms: i64,
}

/// One more failure under a code.
#[derive(Debug, Clone, Copy)]
pub struct Failed {
    pub code: Code,
    /// So long it is remembered, beginning when those before it are forgotten.
    pub each_ms: i64,
    /// All of them together are not remembered for longer.
    pub most_ms: i64,
}

#[async_trait]
pub trait Failures: Send + Sync + 'static {
    async fn of(&self, code: &Code) -> Result<Option<Tally>, Error>;

    /// All in one write. Durable once this has answered.
    async fn add(&self, failed: Vec<Failed>, now_ms: i64) -> Result<(), Error>;

    async fn clear(&self, code: &Code) -> Result<(), Error>;

    /// Takes away what is forgotten by then; whether there may be more.
    async fn forget(&self, by_ms: i64, most: u32) -> Result<bool, Error>;
}
