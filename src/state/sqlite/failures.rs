//! The table of failed tries.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};

use super::Sqlite;
use crate::state::{
    Error, Failures,
    failures::{Code, Failed, Tally},
};

#[async_trait]
impl Failures for Sqlite {
    async fn of(&self, code: &Code) -> Result<Option<Tally>, Error> {
        let code = *code;
        self.read(move |db| {
            db.prepare_cached("SELECT failed_ms, clear_ms FROM failure WHERE code = ?1")?
                .query_row([code], |row| Ok(Tally { failed_ms: row.get(0)?, clear_ms: row.get(1)? }))
                .optional()
        })
        .await
    }

    async fn add(&self, failed: Vec<Failed>, now_ms: i64) -> Result<(), Error> {
        self.write(move |db| {
            let mut add = db.prepare_cached(
                "INSERT INTO failure (code, failed_ms, clear_ms) VALUES (?1, ?2, ?2 + ?3) \
                 ON CONFLICT (code) DO UPDATE SET failed_ms = excluded.failed_ms, \
                 clear_ms = min(max(clear_ms, ?2) + ?3, ?2 + ?4)",
            )?;
            for Failed { code, each_ms, most_ms } in &failed {
                add.execute(params![code, now_ms, each_ms, most_ms])?;
            }
            Ok(())
        })
        .await
    }

    async fn clear(&self, code: &Code) -> Result<(), Error> {
        let code = *code;
        self.write(move |db| db.prepare_cached("DELETE FROM failure WHERE code = ?1")?.execute([code]).map(drop)).await
    }

    async fn forget(&self, by_ms: i64, most: u32) -> Result<bool, Error> {
        let sql = "DELETE FROM failure WHERE code IN (SELECT code FROM failure INDEXED BY failure_clear \
                   WHERE clear_ms <= ?1 ORDER BY clear_ms LIMIT ?2)";
        self.take_away(sql, by_ms, most).await
    }
}
