//! Sessions in SQLite. What is told of them is a link of the journal's chain, written with them; the rows themselves are
//! not: a digest that was changed opens nothing.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteJournal;
use crate::state::{
    Error, SessionStore,
    ledger::NewEvent,
    sessions::{Digest, Session, Turn, Turned, Which},
};

const COLUMNS: &str = "id, identity, door, address, began_ms, ends_ms, turn, turned_ms, lapses_ms";

#[async_trait]
impl SessionStore for SqliteJournal {
    async fn open(&self, session: Session, current: Digest, event: NewEvent) -> Result<(), Error> {
        let tell = self.telling(event);
        self.state
            .write(move |db| {
                let Session { id, identity, door, address, began_ms, ends_ms, turn, turned_ms, lapses_ms } = &session;
                db.prepare_cached(&format!(
                    "INSERT INTO session ({COLUMNS}, current) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
                ))?
                .execute(params![
                    id, identity, door, address, began_ms, ends_ms, turn, turned_ms, lapses_ms, current
                ])?;
                tell(db)
            })
            .await
    }

    async fn get(&self, id: &str) -> Result<Option<Session>, Error> {
        let id = id.to_owned();
        self.state.read(move |db| find(db, &id)).await
    }

    async fn shows(&self, shown: Turn) -> Result<Option<Session>, Error> {
        self.state
            .read(move |db| {
                Ok(match judge(db, &shown)? {
                    Judged::Current(session) | Judged::Before(session) => Some(session),
                    Judged::Reused | Judged::Refused => None,
                })
            })
            .await
    }

    async fn turn(&self, shown: Turn) -> Result<Turned, Error> {
        self.state.write(move |db| turn(db, &shown)).await
    }

    async fn of(&self, identity: &str, now_ms: i64) -> Result<Vec<Session>, Error> {
        let identity = identity.to_owned();
        self.state
            .read(move |db| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM session WHERE identity = ?1 AND lapses_ms > ?2 ORDER BY identity, id"
                );
                db.prepare_cached(&sql)?.query_map(params![identity, now_ms], session)?.collect()
            })
            .await
    }

    async fn end(&self, which: Which, event: NewEvent) -> Result<Vec<String>, Error> {
        let tell = self.telling(event);
        self.state
            .write(move |db| {
                let ended: Vec<String> = match &which {
                    Which::All { identity } => db
                        .prepare_cached("DELETE FROM session WHERE identity = ?1 RETURNING id")?
                        .query_map([identity], |row| row.get(0))?
                        .collect::<rusqlite::Result<_>>()?,
                    Which::One { identity, id } => db
                        .prepare_cached("DELETE FROM session WHERE id = ?1 AND identity = ?2 RETURNING id")?
                        .query_map([id, identity], |row| row.get(0))?
                        .collect::<rusqlite::Result<_>>()?,
                };
                if !ended.is_empty() {
                    tell(db)?;
                }
                Ok(ended)
            })
            .await
    }

    async fn refuse(&self, ids: Vec<String>, until_ms: i64, event: NewEvent) -> Result<(), Error> {
        let tell = self.telling(event);
        self.state
            .write(move |db| {
                let mut fresh = 0;
                for id in &ids {
                    fresh += db
                        .prepare_cached(
                            "INSERT INTO refused_session (id, until_ms) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING",
                        )?
                        .execute(params![id, until_ms])?;
                }
                if fresh > 0 { tell(db) } else { Ok(()) }
            })
            .await
    }

    async fn refused(&self, id: &str) -> Result<bool, Error> {
        let id = id.to_owned();
        self.state.read(move |db| db.prepare_cached("SELECT 1 FROM refused_session WHERE id = ?1")?.exists([id])).await
    }

    async fn forget(&self, lapsed_before_ms: i64, most: u32) -> Result<bool, Error> {
        let lapsed = "DELETE FROM session WHERE id IN (SELECT id FROM session INDEXED BY session_lapses \
                      WHERE lapses_ms < ?1 ORDER BY lapses_ms LIMIT ?2)";
        let ended = "DELETE FROM refused_session WHERE id IN (SELECT id FROM refused_session \
                     INDEXED BY refused_session_until WHERE until_ms < ?1 ORDER BY until_ms LIMIT ?2)";
        let more = self.state.take_away(lapsed, lapsed_before_ms, most).await?;
        Ok(self.state.take_away(ended, lapsed_before_ms, most).await? || more)
    }
}

/// What a token that is shown is to its session.
enum Judged {
    Current(Session),
    /// The one before, within the grace.
    Before(Session),
    Reused,
    Refused,
}

fn judge(db: &Connection, shown: &Turn) -> rusqlite::Result<Judged> {
    let Some(session) = find(db, &shown.session)? else { return Ok(Judged::Refused) };
    if session.door != shown.door || session.lapses_ms <= shown.at_ms(&session) || shown.turn > session.turn {
        return Ok(Judged::Refused);
    }
    if shown.turn == session.turn {
        let counts = digest(db, &session.id, "current")? == Some(shown.shown);
        return Ok(if counts { Judged::Current(session) } else { Judged::Refused });
    }
    let within = shown.at_ms(&session) < session.turned_ms.max(shown.started_ms).saturating_add(shown.grace_ms);
    let before = shown.turn + 1 == session.turn && digest(db, &session.id, "previous")? == Some(shown.shown);
    Ok(if within && before { Judged::Before(session) } else { Judged::Reused })
}

fn turn(db: &Connection, shown: &Turn) -> rusqlite::Result<Turned> {
    let session = match judge(db, shown)? {
        Judged::Current(session) => session,
        Judged::Before(session) => return Ok(Turned::Done(session)),
        Judged::Reused => return Ok(Turned::Reused),
        Judged::Refused => return Ok(Turned::Refused),
    };
    let turned_ms = shown.at_ms(&session);
    let turned = Session {
        turn: session.turn + 1,
        turned_ms,
        lapses_ms: turned_ms.saturating_add(shown.idle_ms).min(session.ends_ms),
        ..session
    };
    db.prepare_cached(
        "UPDATE session SET turn = ?2, turned_ms = ?3, lapses_ms = ?4, previous = current, current = ?5 WHERE id = ?1",
    )?
    .execute(params![turned.id, turned.turn, turned.turned_ms, turned.lapses_ms, shown.successor])?;
    Ok(Turned::Done(turned))
}

fn find(db: &Connection, id: &str) -> rusqlite::Result<Option<Session>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM session WHERE id = ?1"))?.query_row([id], session).optional()
}

fn digest(db: &Connection, id: &str, which: &str) -> rusqlite::Result<Option<Digest>> {
    db.prepare_cached(&format!("SELECT {which} FROM session WHERE id = ?1"))?.query_row([id], |row| row.get(0))
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        identity: row.get(1)?,
        door: row.get(2)?,
        address: row.get(3)?,
        began_ms: row.get(4)?,
        ends_ms: row.get(5)?,
        turn: row.get(6)?,
        turned_ms: row.get(7)?,
        lapses_ms: row.get(8)?,
    })
}
