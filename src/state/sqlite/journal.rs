//! The journal in SQLite: operations, steps, held names, and the hash chain over every write.

mod chain;
mod rows;

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use self::chain::Chain;
use super::Sqlite;
use crate::{
    clock::Clock,
    state::{
        Error, Journal,
        journal::{Appended, Begun, Entry, Happened, ListQuery, New, Record, State, Unsettled},
    },
};

/// The journal of one process life.
pub struct SqliteJournal {
    state: Arc<Sqlite>,
    chain: Arc<Chain>,
    fence: i64,
    clock: Clock,
}

impl SqliteJournal {
    /// Begins a new life: whoever came before can write no more. Reads the chain since the last checkpoint and refuses a
    /// journal that was tampered with or damaged.
    pub async fn open(state: Arc<Sqlite>, key: Vec<u8>, clock: Clock) -> Result<Self, OpenError> {
        let chain = Arc::new(Chain::new(&key));
        let verifying = Arc::clone(&chain);
        let now_ms = clock.now_ms();
        let fence = state
            .write(move |db| {
                if let Err(damage) = verifying.verify(db)? {
                    return Ok(Err(damage));
                }
                db.execute("INSERT INTO lease (began_ms) VALUES (?1)", [now_ms])?;
                Ok(Ok(db.last_insert_rowid()))
            })
            .await??;
        Ok(Self { state, chain, fence, clock })
    }
}

/// Why a journal is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    State(#[from] Error),
    #[error("the journal is damaged: {0}; restore a backup, nothing has been changed")]
    Damaged(#[from] Damage),
}

/// What does not fit together.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Damage(pub String);

#[async_trait]
impl Journal for SqliteJournal {
    async fn begin(&self, new: New) -> Result<Begun, Error> {
        let (chain, fence) = (Arc::clone(&self.chain), self.fence);
        self.state
            .write(move |db| {
                if held(db, &new.names, &new.id)? {
                    return Ok(Begun::Held);
                }
                let origin = rows::json(&new.origin);
                db.prepare_cached(
                    "INSERT INTO operation (id, kind, state, fence, origin, actor, request_id, subject, began_ms) \
                     VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    new.id,
                    new.kind,
                    fence,
                    origin,
                    new.origin.actor,
                    new.origin.request_id,
                    new.subject,
                    new.began_ms
                ])?;
                hold(db, &new.names, &new.id)?;
                chain.link(db, fence, &new.id, "begin", new.kind.as_bytes())?;
                Ok(Begun::Fresh)
            })
            .await
    }

    async fn append(&self, operation: &str, records: Vec<Record>) -> Result<Appended, Error> {
        let (chain, fence, operation) = (Arc::clone(&self.chain), self.fence, operation.to_owned());
        let now_ms = self.clock.now_ms();
        self.state
            .write(move |db| {
                let ours = db
                    .prepare_cached(
                        "SELECT 1 FROM operation WHERE id = ?1 AND fence = ?2 AND state NOT IN ('done', 'undone')",
                    )?
                    .exists(params![operation, fence])?;
                if !ours {
                    return Ok(Appended::TakenOver);
                }
                for record in &records {
                    if let Record::Hold { names } = record
                        && held(db, names, &operation)?
                    {
                        return Ok(Appended::Held);
                    }
                }
                let mut kinds = Vec::with_capacity(records.len());
                let mut digested = Vec::new();
                for record in &records {
                    kinds.push(write(db, &chain, &operation, record, now_ms, &mut digested)?);
                }
                chain.link(db, fence, &operation, &kinds.join(" "), &digested)?;
                Ok(Appended::Written)
            })
            .await
    }

    async fn take_over(&self, alive: Vec<String>) -> Result<Vec<Unsettled>, Error> {
        let (chain, fence) = (Arc::clone(&self.chain), self.fence);
        self.state
            .write(move |db| {
                let found =
                    rows::ids(db, "SELECT id FROM operation WHERE state NOT IN ('done', 'undone') ORDER BY id")?;
                let mut left = Vec::new();
                for id in found.into_iter().filter(|id| !alive.contains(id)) {
                    db.prepare_cached("UPDATE operation SET fence = ?2 WHERE id = ?1")?.execute(params![id, fence])?;
                    chain.link(db, fence, &id, "taken-over", &[])?;
                    left.extend(rows::entry(db, &id)?.map(|entry| Unsettled { entry }));
                }
                Ok(left)
            })
            .await
    }

    async fn read(&self, operation: &str) -> Result<Option<Entry>, Error> {
        let operation = operation.to_owned();
        self.state.read(move |db| rows::entry(db, &operation)).await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<Entry>, Error> {
        self.state.read(move |db| rows::list(db, &query)).await
    }

    async fn unsettled(&self) -> Result<u64, Error> {
        self.state
            .read(|db| {
                db.query_row("SELECT count(*) FROM operation WHERE state NOT IN ('done', 'undone')", [], |row| {
                    row.get::<_, i64>(0).map(i64::unsigned_abs)
                })
            })
            .await
    }
}

fn held(db: &Connection, names: &[String], by_others_than: &str) -> rusqlite::Result<bool> {
    let mut holder = db.prepare_cached("SELECT operation FROM hold WHERE name = ?1")?;
    for name in names {
        let operation: Option<String> = holder.query_row([name], |row| row.get(0)).optional()?;
        if operation.is_some_and(|operation| operation != by_others_than) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn hold(db: &Connection, names: &[String], operation: &str) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO hold (name, operation) VALUES (?1, ?2)")?;
    for name in names {
        insert.execute(params![name, operation])?;
    }
    Ok(())
}

/// Carries one record out; answers its word in the chain and adds what the chain's code covers.
fn write(
    db: &Connection,
    chain: &Chain,
    operation: &str,
    record: &Record,
    now_ms: i64,
    digested: &mut Vec<u8>,
) -> rusqlite::Result<&'static str> {
    let word = match record {
        Record::Intent { seq, name, body } => {
            let body = body.to_string();
            let mac = chain.body_mac(operation, *seq, name, &body);
            digested.extend_from_slice(&mac);
            insert_step(db, operation, *seq, false, name, &body, &mac, now_ms)?;
            "intent"
        }
        Record::Outcome { seq, happened } => {
            let (word, output) = match happened {
                Happened::Done(output) => ("done", Some(output.to_string())),
                Happened::Found(output) => ("found", Some(output.to_string())),
                Happened::NotDone => ("not-done", None),
                Happened::Unknown => ("unknown", None),
            };
            digested.extend_from_slice(word.as_bytes());
            digested.extend_from_slice(output.as_deref().unwrap_or_default().as_bytes());
            db.prepare_cached(
                "UPDATE step SET happened = ?3, output = ?4, ended_ms = ?5 WHERE operation = ?1 AND seq = ?2",
            )?
            .execute(params![operation, seq, word, output, now_ms])?;
            "outcome"
        }
        Record::Hold { names } => {
            hold(db, names, operation)?;
            "hold"
        }
        Record::Commit { promises } => {
            for (seq, name, body) in promises {
                let body = body.to_string();
                let mac = chain.body_mac(operation, *seq, name, &body);
                digested.extend_from_slice(&mac);
                insert_step(db, operation, *seq, true, name, &body, &mac, now_ms)?;
            }
            set_state(db, operation, State::Committed)?;
            "commit"
        }
        Record::RollBack { error } => {
            set_state(db, operation, State::RollingBack)?;
            db.prepare_cached("UPDATE operation SET error = ?2 WHERE id = ?1")?.execute(params![operation, error])?;
            "roll-back"
        }
        Record::Failed { seq, error, attention } => {
            db.prepare_cached("UPDATE step SET failures = failures + 1, error = ?3 WHERE operation = ?1 AND seq = ?2")?
                .execute(params![operation, seq, error])?;
            if *attention {
                db.prepare_cached("UPDATE operation SET attention = ?2 WHERE id = ?1")?
                    .execute(params![operation, error])?;
            }
            "failed"
        }
        Record::Settled { seq } => {
            db.prepare_cached("UPDATE step SET settled = 1, error = NULL WHERE operation = ?1 AND seq = ?2")?
                .execute(params![operation, seq])?;
            db.prepare_cached("UPDATE operation SET attention = NULL WHERE id = ?1 AND attention IS NOT NULL")?
                .execute([operation])?;
            "settled"
        }
        Record::Quiet { until_ms } => {
            db.prepare_cached("UPDATE operation SET quiet_until_ms = ?2 WHERE id = ?1")?
                .execute(params![operation, until_ms])?;
            "quiet"
        }
        Record::End => {
            db.prepare_cached(
                "UPDATE operation SET state = CASE state WHEN 'committed' THEN 'done' ELSE 'undone' END, \
                 settled_ms = ?2, attention = NULL WHERE id = ?1",
            )?
            .execute(params![operation, now_ms])?;
            db.prepare_cached("UPDATE step SET body = NULL, output = NULL WHERE operation = ?1")?
                .execute([operation])?;
            db.prepare_cached("DELETE FROM hold WHERE operation = ?1")?.execute([operation])?;
            "end"
        }
    };
    Ok(word)
}

fn set_state(db: &Connection, operation: &str, state: State) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE operation SET state = ?2 WHERE id = ?1")?.execute(params![operation, state.as_str()])?;
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the columns of a row")]
fn insert_step(
    db: &Connection,
    operation: &str,
    seq: u32,
    promise: bool,
    name: &str,
    body: &str,
    mac: &[u8],
    now_ms: i64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO step (operation, seq, promise, name, body, mac, began_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![operation, seq, promise, name, body, mac, now_ms])?;
    Ok(())
}
