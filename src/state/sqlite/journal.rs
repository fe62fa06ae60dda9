//! The journal in SQLite: operations, steps, held names, and the hash chain over every write.

mod chain;
mod events;
mod keys;
mod ledger;
mod retention;
mod rows;
mod sessions;
mod told;

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use self::{chain::Chain, told::Word};
use super::Sqlite;
use crate::{
    clock::Clock,
    state::{
        Error, Journal, Ledger, SessionStore,
        journal::{Appended, Begun, Entry, Happened, ListQuery, New, Parts, Record, State, Unsettled},
        ledger::NewEvent,
    },
};

/// By the index, since most operations are settled.
const UNSETTLED: &str = "SELECT id FROM operation INDEXED BY operation_unsettled WHERE state NOT IN ('done', 'undone')";

/// The journal of one process life, and what its chain tells of beside operations: the ledger, sessions. Cheap to copy.
#[derive(Clone)]
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

    /// What writes an event and links it into the chain.
    fn telling(&self, event: NewEvent) -> impl Fn(&Connection) -> rusqlite::Result<()> + Send + use<> {
        let (chain, fence, now_ms) = (Arc::clone(&self.chain), self.fence, self.clock.now_ms());
        move |db| {
            let (id, word) = events::note(db, &chain, &event, now_ms)?;
            chain.link(db, fence, now_ms, &id, &[word])
        }
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
        let now_ms = self.clock.now_ms();
        self.state
            .write(move |db| {
                if let Some(key) = &new.key
                    && keys::standing(db, key)?.is_some()
                {
                    return Ok(Begun::Repeat);
                }
                if held(db, &new.names, &new.id)? {
                    return Ok(Begun::Held);
                }
                if let Some(key) = &new.key
                    && let Some(gone) = keys::make_room(db, &key.slot)?
                {
                    chain.link(db, fence, now_ms, &key.slot, &[Word::Dropped(vec![gone])])?;
                }
                let origin = rows::json(&new.origin);
                db.prepare_cached(
                    "INSERT INTO operation (id, kind, state, fence, first_write, origin, actor, request_id, subject, \
                     began_ms) VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?
                .execute(params![
                    new.id,
                    new.kind,
                    fence,
                    Chain::next(db)?,
                    origin,
                    new.origin.actor,
                    new.origin.request_id,
                    new.subject,
                    new.began_ms
                ])?;
                let asked = told::asked(&origin, &new.origin.actor, &new.origin.request_id, new.subject.as_deref());
                let asked = chain.code(&new.id, &asked);
                let mut words = vec![Word::Begin(new.kind, new.began_ms, asked)];
                if let Some(key) = &new.key {
                    words.push(keys::begin(db, &chain, key, &new.id, now_ms)?);
                }
                hold(db, &chain, &new.names, &new.id, &mut words)?;
                chain.link(db, fence, now_ms, &new.id, &words)?;
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
                let mut words = Vec::with_capacity(records.len());
                for record in &records {
                    write(db, &chain, &operation, record, now_ms, &mut words)?;
                }
                chain.link(db, fence, now_ms, &operation, &words)?;
                Ok(Appended::Written)
            })
            .await
    }

    async fn take_over(&self, alive: Vec<String>) -> Result<Vec<Unsettled>, Error> {
        let (chain, fence) = (Arc::clone(&self.chain), self.fence);
        let now_ms = self.clock.now_ms();
        self.state
            .write(move |db| {
                let mut found = rows::ids(db, UNSETTLED)?;
                found.sort();
                let mut left = Vec::new();
                for id in found.into_iter().filter(|id| !alive.contains(id)) {
                    db.prepare_cached("UPDATE operation SET fence = ?2 WHERE id = ?1")?.execute(params![id, fence])?;
                    chain.link(db, fence, now_ms, &id, &[Word::TakenOver])?;
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

    async fn parts(&self, operation: &str, request: &str) -> Result<Parts, Error> {
        let (operation, request) = (operation.to_owned(), request.to_owned());
        self.state.read(move |db| rows::parts(db, &operation, &request)).await
    }

    async fn unsettled(&self) -> Result<u64, Error> {
        self.state
            .read(|db| {
                db.query_row("SELECT count(*) FROM operation INDEXED BY operation_unsettled WHERE state NOT IN ('done', 'undone')", [], |row| {
                    row.get::<_, i64>(0).map(i64::unsigned_abs)
                })
            })
            .await
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.clone())
    }

    fn sessions(&self) -> Arc<dyn SessionStore> {
        Arc::new(self.clone())
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

fn hold(
    db: &Connection,
    chain: &Chain,
    names: &[String],
    operation: &str,
    words: &mut Vec<Word>,
) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO hold (name, operation) VALUES (?1, ?2)")?;
    for name in names {
        insert.execute(params![name, operation])?;
        words.push(Word::Hold(chain.code(operation, name)));
    }
    Ok(())
}

/// Carries one record out, and says it in the words of the chain.
fn write(
    db: &Connection,
    chain: &Chain,
    operation: &str,
    record: &Record,
    now_ms: i64,
    words: &mut Vec<Word>,
) -> rusqlite::Result<()> {
    let code = |text: &str| chain.code(operation, text);
    let word = match record {
        Record::Intent { seq, name, body } => {
            let body = body.to_string();
            insert_step(db, operation, *seq, false, name, &body, now_ms)?;
            Word::Intent(*seq, (*name).to_owned(), code(&body))
        }
        Record::Outcome { seq, happened } => {
            let (word, output) = match happened {
                Happened::Done(output) => ("done", Some(output.to_string())),
                Happened::Found(output) => ("found", Some(output.to_string())),
                Happened::NotDone => ("not-done", None),
                Happened::Unknown => ("unknown", None),
            };
            db.prepare_cached(
                "UPDATE step SET happened = ?3, output = ?4, ended_ms = ?5 WHERE operation = ?1 AND seq = ?2",
            )?
            .execute(params![operation, seq, word, output, now_ms])?;
            Word::Outcome(*seq, word.to_owned(), output.map(|output| code(&output)))
        }
        Record::Hold { names } => return hold(db, chain, names, operation, words),
        Record::Commit { promises } => {
            for (seq, name, body) in promises {
                let body = body.to_string();
                insert_step(db, operation, *seq, true, name, &body, now_ms)?;
                words.push(Word::Promise(*seq, (*name).to_owned(), code(&body)));
            }
            set_state(db, operation, State::Committed)?;
            words.extend(events::outcome(db, chain, operation, "committed", "done", now_ms)?);
            Word::Commit
        }
        Record::Answer { text } => {
            keys::answer(db, operation, text)?;
            Word::Answer(code(text))
        }
        Record::Answered => {
            keys::answered(db, operation, now_ms)?;
            Word::Answered
        }
        Record::Remark { text } => {
            set_error(db, operation, text)?;
            Word::Remark(code(text))
        }
        Record::RollBack { error } => {
            set_state(db, operation, State::RollingBack)?;
            set_error(db, operation, error)?;
            Word::RollBack(code(error))
        }
        Record::Failed { seq, error, attention } => {
            db.prepare_cached("UPDATE step SET failures = failures + 1, error = ?3 WHERE operation = ?1 AND seq = ?2")?
                .execute(params![operation, seq, error])?;
            if *attention {
                db.prepare_cached("UPDATE operation SET attention = ?2 WHERE id = ?1")?
                    .execute(params![operation, error])?;
            }
            Word::Failed(*seq, code(error), *attention)
        }
        Record::Attention { why } => {
            db.prepare_cached("UPDATE operation SET attention = ?2 WHERE id = ?1")?.execute(params![operation, why])?;
            Word::Attention(code(why))
        }
        Record::Settled { seq } => {
            db.prepare_cached("UPDATE step SET settled = 1, error = NULL WHERE operation = ?1 AND seq = ?2")?
                .execute(params![operation, seq])?;
            db.prepare_cached("UPDATE operation SET attention = NULL WHERE id = ?1 AND attention IS NOT NULL")?
                .execute([operation])?;
            Word::Settled(*seq)
        }
        Record::Quiet { until_ms } => {
            db.prepare_cached("UPDATE operation SET quiet_until_ms = ?2 WHERE id = ?1")?
                .execute(params![operation, until_ms])?;
            Word::Quiet(*until_ms)
        }
        Record::End => {
            words.extend(events::outcome(db, chain, operation, "rolling-back", "undone", now_ms)?);
            keys::answered(db, operation, now_ms)?;
            db.prepare_cached(
                "UPDATE operation SET state = CASE state WHEN 'committed' THEN 'done' ELSE 'undone' END, \
                 settled_ms = ?2, attention = NULL WHERE id = ?1",
            )?
            .execute(params![operation, now_ms])?;
            db.prepare_cached("UPDATE step SET body = NULL, output = NULL WHERE operation = ?1")?
                .execute([operation])?;
            db.prepare_cached("DELETE FROM hold WHERE operation = ?1")?.execute([operation])?;
            Word::End
        }
    };
    words.push(word);
    Ok(())
}

fn set_state(db: &Connection, operation: &str, state: State) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE operation SET state = ?2 WHERE id = ?1")?.execute(params![operation, state.as_str()])?;
    Ok(())
}

fn set_error(db: &Connection, operation: &str, error: &str) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE operation SET error = ?2 WHERE id = ?1")?.execute(params![operation, error])?;
    Ok(())
}

fn insert_step(
    db: &Connection,
    operation: &str,
    seq: u32,
    promise: bool,
    name: &str,
    body: &str,
    now_ms: i64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO step (operation, seq, promise, name, body, began_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![operation, seq, promise, name, body, now_ms])?;
    Ok(())
}

#[cfg(test)]
mod tests;
