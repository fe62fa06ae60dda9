//! Rows of events. One thread writes them, each under a greater id than the last: whoever has read up to one has missed none
//! before it.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, types::Type};
use uuid::Uuid;

use super::{
    chain::{Chain, Code},
    rows,
    told::Word,
};
use crate::{
    clock,
    state::{
        journal::Origin,
        ledger::{Event, EventQuery, NewEvent},
    },
};

/// The outcome of an operation, where it stands in that state.
pub fn outcome(
    db: &Connection,
    chain: &Chain,
    operation: &str,
    state: &str,
    outcome: &str,
    now_ms: i64,
) -> rusqlite::Result<Option<Word>> {
    let id = next_id(db, now_ms)?;
    let written = db
        .prepare_cached(
            "INSERT INTO event (id, at_ms, action, outcome, origin, actor, subject, operation) \
             SELECT ?3, ?4, kind, ?5, origin, actor, subject, id FROM operation WHERE id = ?1 AND state = ?2",
        )?
        .execute(params![operation, state, id, now_ms, outcome])?;
    if written == 0 {
        return Ok(None);
    }
    Ok(shown(db, operation, |text| chain.code(operation, text))?.map(|(id, code)| Word::Event(id, code)))
}

/// An event by itself. Its id, and its word.
pub fn note(db: &Connection, chain: &Chain, event: &NewEvent, now_ms: i64) -> rusqlite::Result<(String, Word)> {
    let id = next_id(db, now_ms)?;
    db.prepare_cached(
        "INSERT INTO event (id, at_ms, action, outcome, origin, actor, subject) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        id,
        now_ms,
        event.action,
        event.outcome,
        rows::json(&event.origin),
        event.origin.actor,
        event.subject
    ])?;
    let code = shown_alone(db, &id, |text| chain.code(&id, text))?.unwrap_or_default();
    Ok((id, Word::Noted(code)))
}

pub fn list(db: &Connection, query: &EventQuery) -> rusqlite::Result<Vec<Event>> {
    let mut wheres = Vec::new();
    let mut values: Vec<&dyn ToSql> = Vec::new();
    let columns =
        [("id >", &query.after), ("actor =", &query.actor), ("subject =", &query.subject), ("action =", &query.action)];
    for (column, value) in columns {
        if let Some(value) = value {
            values.push(value);
            wheres.push(format!("{column} ?{}", values.len()));
        }
    }
    let condition = if wheres.is_empty() { String::new() } else { format!("WHERE {}", wheres.join(" AND ")) };
    let sql = format!(
        "SELECT id, at_ms, action, outcome, origin, subject, operation FROM event {condition} ORDER BY id LIMIT {}",
        query.limit
    );
    db.prepare_cached(&sql)?.query_map(values.as_slice(), event)?.collect()
}

/// That of an operation, as its row shows it: its id and the code of all the rest.
pub fn shown(
    db: &Connection,
    operation: &str,
    code: impl Fn(&str) -> Code,
) -> rusqlite::Result<Option<(String, Code)>> {
    let sql = format!("SELECT id, {ALL} FROM event WHERE operation = ?1");
    let shown = |row: &Row<'_>| Ok((row.get(0)?, code(&told(row, 1)?)));
    db.prepare_cached(&sql)?.query_row([operation], shown).optional()
}

/// One that is no operation's, as its row shows it.
pub fn shown_alone(db: &Connection, id: &str, code: impl Fn(&str) -> Code) -> rusqlite::Result<Option<Code>> {
    let sql = format!("SELECT {ALL} FROM event WHERE id = ?1 AND operation IS NULL");
    db.prepare_cached(&sql)?.query_row([id], |row| Ok(code(&told(row, 0)?))).optional()
}

const ALL: &str = "at_ms, action, outcome, origin, actor, subject, operation";

fn told(row: &Row<'_>, from: usize) -> rusqlite::Result<String> {
    let text = |at: usize| row.get::<_, Option<String>>(from + at);
    let at_ms: i64 = row.get(from)?;
    Ok(rows::json(&(at_ms, [text(1)?, text(2)?, text(3)?, text(4)?, text(5)?, text(6)?])))
}

/// A UUID v7 that is greater than every one before, whatever the clock does.
fn next_id(db: &Connection, now_ms: i64) -> rusqlite::Result<String> {
    let last: Option<String> = db
        .prepare_cached("SELECT id FROM event ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let fresh = clock::uuid(now_ms);
    let last = last.and_then(|last| Uuid::try_parse(&last).ok());
    let id = last.filter(|last| *last >= fresh).map_or(fresh, |last| Uuid::from_u128(last.as_u128().wrapping_add(1)));
    Ok(id.hyphenated().to_string())
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let origin: String = row.get(4)?;
    let origin: Origin = serde_json::from_str(&origin)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, error.into()))?;
    Ok(Event {
        id: row.get(0)?,
        at_ms: row.get(1)?,
        action: row.get(2)?,
        outcome: row.get(3)?,
        origin,
        subject: row.get(5)?,
        operation: row.get(6)?,
    })
}
