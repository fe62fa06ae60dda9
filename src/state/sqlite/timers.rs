//! The table of timers.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, params};

use super::Sqlite;
use crate::state::{Error, Timer, Timers};

#[async_trait]
impl Timers for Sqlite {
    async fn of(&self, user: &str) -> Result<Option<Timer>, Error> {
        let user = user.to_owned();
        self.read(move |db| {
            db.prepare_cached("SELECT due_ms, identity FROM timer WHERE user = ?1")?.query_row([user], timer).optional()
        })
        .await
    }

    async fn set(&self, user: &str, timer: Option<Timer>) -> Result<(), Error> {
        let user = user.to_owned();
        self.write(move |db| {
            match timer {
                Some(Timer { due_ms, identity }) => db
                    .prepare_cached(
                        "INSERT INTO timer (user, due_ms, identity) VALUES (?1, ?2, ?3) \
                         ON CONFLICT (user) DO UPDATE SET due_ms = excluded.due_ms, identity = excluded.identity",
                    )?
                    .execute(params![user, due_ms, identity])?,
                None => db.prepare_cached("DELETE FROM timer WHERE user = ?1")?.execute([user])?,
            };
            Ok(())
        })
        .await
    }

    async fn due(&self, by_ms: i64, except: Vec<String>, most: usize) -> Result<Vec<String>, Error> {
        self.read(move |db| {
            let mut due = db.prepare_cached("SELECT user FROM timer WHERE due_ms <= ?1 ORDER BY due_ms, user")?;
            let due = due.query_map([by_ms], |row| row.get::<_, String>(0))?;
            due.filter(|user| user.as_ref().map_or(true, |user| !except.contains(user))).take(most).collect()
        })
        .await
    }

    async fn next(&self, after_ms: i64) -> Result<Option<i64>, Error> {
        self.read(move |db| {
            db.prepare_cached("SELECT min(due_ms) FROM timer WHERE due_ms > ?1")?
                .query_row([after_ms], |row| row.get(0))
        })
        .await
    }
}

fn timer(row: &Row<'_>) -> rusqlite::Result<Timer> {
    Ok(Timer { due_ms: row.get(0)?, identity: row.get(1)? })
}
