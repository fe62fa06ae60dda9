//! The table of revocations.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};

use super::Sqlite;
use crate::state::{Error, Revocations};

#[async_trait]
impl Revocations for Sqlite {
    async fn before(&self, identity: &str) -> Result<Option<i64>, Error> {
        let identity = identity.to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached("SELECT before_ms FROM revocation WHERE identity = ?1")?;
            select.query_row([identity], |row| row.get(0)).optional()
        })
        .await
    }

    async fn revoke(&self, identity: &str, before_ms: i64, until_ms: i64) -> Result<(), Error> {
        let identity = identity.to_owned();
        self.write(move |db| {
            let mut insert = db.prepare_cached(
                "INSERT INTO revocation (identity, before_ms, until_ms) VALUES (?1, ?2, ?3) ON CONFLICT (identity) \
                 DO UPDATE SET before_ms = max(before_ms, excluded.before_ms), until_ms = max(until_ms, excluded.until_ms)",
            )?;
            insert.execute(params![identity, before_ms, until_ms]).map(drop)
        })
        .await
    }

    async fn forget(&self, by_ms: i64, most: u32) -> Result<bool, Error> {
        let sql = "DELETE FROM revocation WHERE identity IN (SELECT identity FROM revocation INDEXED BY revocation_until \
                   WHERE until_ms <= ?1 ORDER BY until_ms LIMIT ?2)";
        self.take_away(sql, by_ms, most).await
    }
}
