//! Rows of requests under idempotency keys.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    chain::{Chain, Code},
    rows,
    told::{KeyTold, Word},
};
use crate::state::ledger::{Key, Remembered};

/// What stands under the key and counts still. What is not answered yet is never too old.
pub fn standing(db: &Connection, key: &Key) -> rusqlite::Result<Option<Remembered>> {
    let remembered = |row: &Row<'_>| {
        let answered_ms: Option<i64> = row.get(3)?;
        let answer: Option<String> = row.get(2)?;
        Ok((
            answered_ms,
            Remembered {
                request: row.get(0)?,
                operation: row.get(1)?,
                answer: answer.filter(|_| answered_ms.is_some()),
            },
        ))
    };
    let found = db
        .prepare_cached("SELECT request, operation, answer, answered_ms FROM idempotency_key WHERE slot = ?1")?
        .query_row([&key.slot], remembered)
        .optional()?;
    Ok(found.filter(|(at, _)| at.is_none_or(|at| at >= key.forgotten_before_ms)).map(|(_, found)| found))
}

/// Makes room where something too old stands. What is gone then, by the name that the chain has for it.
pub fn make_room(db: &Connection, slot: &str) -> rusqlite::Result<Option<String>> {
    let operation: Option<Option<String>> = db
        .prepare_cached("DELETE FROM idempotency_key WHERE slot = ?1 RETURNING operation")?
        .query_row([slot], |row| row.get(0))
        .optional()?;
    Ok(operation.map(|operation| name(slot, operation.as_deref())))
}

/// How the chain calls a row that goes.
pub fn name(slot: &str, operation: Option<&str>) -> String {
    operation.map_or_else(|| slot.to_owned(), of_operation)
}

/// The key of that operation.
pub fn of_operation(operation: &str) -> String {
    format!("{operation}/key")
}

/// Whose key that is, where it is an operation's.
pub fn operation_of(name: &str) -> Option<&str> {
    name.strip_suffix("/key")
}

/// The key of an operation that begins.
pub fn begin(db: &Connection, chain: &Chain, key: &Key, operation: &str, now_ms: i64) -> rusqlite::Result<Word> {
    db.prepare_cached("INSERT INTO idempotency_key (slot, request, operation, began_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![key.slot, key.request, operation, now_ms])?;
    Ok(Word::Key(chain.code(operation, &asked(&key.slot, &key.request, now_ms))))
}

/// An answer to what began no operation.
pub fn keep(db: &Connection, chain: &Chain, key: &Key, answer: &str, now_ms: i64) -> rusqlite::Result<Word> {
    db.prepare_cached(
        "INSERT INTO idempotency_key (slot, request, began_ms, answer, answered_ms) VALUES (?1, ?2, ?3, ?4, ?3)",
    )?
    .execute(params![key.slot, key.request, now_ms, answer])?;
    Ok(Word::Kept(chain.code(&key.slot, &kept(&key.request, now_ms, Some(answer), Some(now_ms)))))
}

pub fn answer(db: &Connection, operation: &str, text: &str) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE idempotency_key SET answer = ?2 WHERE operation = ?1")?
        .execute(params![operation, text])?;
    Ok(())
}

pub fn answered(db: &Connection, operation: &str, now_ms: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE idempotency_key SET answered_ms = ?2 WHERE operation = ?1 AND answered_ms IS NULL")?
        .execute(params![operation, now_ms])?;
    Ok(())
}

/// The key of that operation, as its row shows it.
pub fn shown(db: &Connection, operation: &str, code: impl Fn(&str) -> Code) -> rusqlite::Result<Option<KeyTold>> {
    db.prepare_cached("SELECT slot, request, began_ms, answer, answered_ms FROM idempotency_key WHERE operation = ?1")?
        .query_row([operation], |row| {
            let (slot, request): (String, String) = (row.get(0)?, row.get(1)?);
            let answer: Option<String> = row.get(3)?;
            Ok(KeyTold {
                asked: code(&asked(&slot, &request, row.get(2)?)),
                answer: answer.map(|answer| code(&answer)),
                answered_ms: row.get(4)?,
            })
        })
        .optional()
}

/// An answer to what began no operation, as its row shows it.
pub fn shown_kept(db: &Connection, slot: &str, code: impl Fn(&str) -> Code) -> rusqlite::Result<Option<Code>> {
    db.prepare_cached(
        "SELECT request, began_ms, answer, answered_ms FROM idempotency_key WHERE slot = ?1 AND operation IS NULL",
    )?
    .query_row([slot], |row| {
        let (request, answer): (String, Option<String>) = (row.get(0)?, row.get(2)?);
        Ok(code(&kept(&request, row.get(1)?, answer.as_deref(), row.get(3)?)))
    })
    .optional()
}

fn asked(slot: &str, request: &str, began_ms: i64) -> String {
    rows::json(&(slot, request, began_ms))
}

fn kept(request: &str, began_ms: i64, answer: Option<&str>, answered_ms: Option<i64>) -> String {
    rows::json(&(request, began_ms, answer, answered_ms))
}
