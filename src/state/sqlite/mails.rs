//! The table of mails.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::Sqlite;
use crate::state::{
    Error, Mails,
    mails::{Due, Kind, Limit, Mail},
};

#[async_trait]
impl Mails for Sqlite {
    async fn put(&self, mail: Mail, limit: Limit, now_ms: i64) -> Result<bool, Error> {
        self.write(move |db| {
            let Mail { id, identity, kind, locale } = mail;
            if db.prepare_cached("SELECT 1 FROM mail WHERE id = ?1")?.exists([&id])? {
                return Ok(true);
            }
            let kept = db
                .prepare_cached(
                    "INSERT INTO mail (id, identity, kind, locale, created_ms, next_ms) SELECT ?1, ?2, ?3, ?4, ?5, ?5 \
                     WHERE (SELECT count(*) FROM mail WHERE identity = ?2 AND created_ms > ?6) < ?7",
                )?
                .execute(params![id, identity, kind.as_str(), locale, now_ms, limit.since_ms, limit.most])?;
            Ok(kept > 0)
        })
        .await
    }

    async fn due(&self, by_ms: i64, most: u32) -> Result<Vec<Due>, Error> {
        self.read(move |db| {
            db.prepare_cached(
                "SELECT id, identity, kind, locale, created_ms, attempts FROM mail \
                 WHERE next_ms <= ?1 ORDER BY next_ms LIMIT ?2",
            )?
            .query_map(params![by_ms, most], due)?
            .collect()
        })
        .await
    }

    async fn next(&self) -> Result<Option<i64>, Error> {
        self.read(move |db| {
            db.prepare_cached("SELECT min(next_ms) FROM mail WHERE next_ms IS NOT NULL")?
                .query_row([], |row| row.get(0))
        })
        .await
    }

    async fn try_again(&self, id: &str, at_ms: i64) -> Result<(), Error> {
        let id = id.to_owned();
        self.write(move |db| {
            db.prepare_cached(
                "UPDATE mail SET attempts = attempts + 1, next_ms = ?2 WHERE id = ?1 AND next_ms IS NOT NULL",
            )?
            .execute(params![id, at_ms])?;
            Ok(())
        })
        .await
    }

    async fn end(&self, id: &str, sent_ms: Option<i64>) -> Result<(), Error> {
        let id = id.to_owned();
        self.write(move |db| {
            db.prepare_cached("UPDATE mail SET next_ms = NULL, sent_ms = ?2 WHERE id = ?1")?
                .execute(params![id, sent_ms])?;
            Ok(())
        })
        .await
    }

    async fn forget(&self, created_before_ms: i64, most: u32) -> Result<bool, Error> {
        let sql = "DELETE FROM mail WHERE id IN (SELECT id FROM mail WHERE next_ms IS NULL AND created_ms < ?1 \
                   ORDER BY created_ms LIMIT ?2)";
        self.take_away(sql, created_before_ms, most).await
    }
}

fn due(row: &Row<'_>) -> rusqlite::Result<Due> {
    let kind: String = row.get(2)?;
    // The table holds no other.
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind).unwrap_or(Kind::Reset);
    let mail = Mail { id: row.get(0)?, identity: row.get(1)?, kind, locale: row.get(3)? };
    Ok(Due { mail, created_ms: row.get(4)?, attempts: row.get(5)? })
}
