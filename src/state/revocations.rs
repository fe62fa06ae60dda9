//! From when on the tokens of an identity count, where somebody else makes them: what was issued before is refused, whatever
//! its own time says.

use async_trait::async_trait;

use super::Error;

#[async_trait]
pub trait Revocations: Send + Sync + 'static {
    /// Milliseconds since 1970; nothing where every token counts.
    async fn before(&self, identity: &str) -> Result<Option<i64>, Error>;

    /// Never moves back. Remembered until that time.
    async fn revoke(&self, identity: &str, before_ms: i64, until_ms: i64) -> Result<(), Error>;

    /// Takes away those which need not be remembered any more; whether there may be more.
    async fn forget(&self, by_ms: i64, most: u32) -> Result<bool, Error>;
}
