//! Rows of the journal as entries of the log.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, types::Type};
use serde::Serialize;
use serde_json::Value;

use crate::state::journal::{Entry, Happened, ListQuery, Origin, Parts, State, StepEntry};

/// Serialising our own plain structs cannot fail; what would is no JSON and is found at the first read.
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub fn ids(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
}

const COLUMNS: &str = "id, kind, state, origin, subject, began_ms, settled_ms, quiet_until_ms, attention, error";

pub fn entry(db: &Connection, id: &str) -> rusqlite::Result<Option<Entry>> {
    let sql = format!("SELECT {COLUMNS} FROM operation WHERE id = ?1");
    let entry = db.prepare_cached(&sql)?.query_row([id], operation).optional()?;
    entry.map(|entry| with_steps(db, entry)).transpose()
}

pub fn list(db: &Connection, query: &ListQuery) -> rusqlite::Result<Vec<Entry>> {
    let mut wheres = Vec::new();
    let mut values: Vec<&dyn ToSql> = Vec::new();
    if let Some(state) = &query.state {
        // A note beside the state, shown as the state.
        if state == "needs-attention" {
            wheres.push("attention IS NOT NULL".to_owned());
        } else {
            values.push(state);
            wheres.push(format!("attention IS NULL AND state = ?{}", values.len()));
        }
    }
    let columns = [
        ("kind =", &query.kind),
        ("subject =", &query.subject),
        ("request_id =", &query.request),
        ("json_extract(origin, '$.part_of') =", &query.part_of),
        ("actor =", &query.actor),
        ("id <", &query.after),
    ];
    for (column, value) in columns {
        if let Some(value) = value {
            values.push(value);
            wheres.push(format!("{column} ?{}", values.len()));
        }
    }
    let condition = if wheres.is_empty() { String::new() } else { format!("WHERE {}", wheres.join(" AND ")) };
    let sql = format!("SELECT {COLUMNS} FROM operation {condition} ORDER BY id DESC LIMIT {}", query.limit);
    let entries: Vec<Entry> =
        db.prepare_cached(&sql)?.query_map(values.as_slice(), operation)?.collect::<rusqlite::Result<_>>()?;
    entries.into_iter().map(|entry| with_steps(db, entry)).collect()
}

/// What only waits until nothing of it can land any more is not open: which way it went is known.
pub fn parts(db: &Connection, operation: &str, request: &str) -> rusqlite::Result<Parts> {
    db.prepare_cached(
        "SELECT count(*) FILTER (WHERE state IN ('done', 'committed')), count(*) FILTER (WHERE state = 'running' \
         OR state = 'committed' AND EXISTS (SELECT 1 FROM step WHERE operation = id AND promise = 1 AND settled = 0) \
         OR state = 'rolling-back' AND EXISTS \
         (SELECT 1 FROM step WHERE operation = id AND promise = 0 AND settled = 0 AND happened <> 'not-done')) \
         FROM operation WHERE request_id = ?2 AND json_extract(origin, '$.part_of') = ?1",
    )?
    .query_row([operation, request], |row| {
        let count = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
        Ok(Parts { done: count(0)?, open: count(1)? })
    })
}

fn with_steps(db: &Connection, mut entry: Entry) -> rusqlite::Result<Entry> {
    entry.steps = db
        .prepare_cached(
            "SELECT seq, promise, name, body, happened, output, settled, failures, error, began_ms, ended_ms \
             FROM step WHERE operation = ?1 ORDER BY seq",
        )?
        .query_map([&entry.id], step)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(entry)
}

fn operation(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let state: String = row.get(2)?;
    let state = match state.as_str() {
        "running" => State::Running,
        "committed" => State::Committed,
        "rolling-back" => State::RollingBack,
        "done" => State::Done,
        "undone" => State::Undone,
        other => return Err(unreadable(2, format!("no state is called {other}"))),
    };
    let origin: String = row.get(3)?;
    let origin: Origin = serde_json::from_str(&origin).map_err(|error| unreadable(3, error))?;
    Ok(Entry {
        id: row.get(0)?,
        kind: row.get(1)?,
        state,
        origin,
        subject: row.get(4)?,
        began_ms: row.get(5)?,
        settled_ms: row.get(6)?,
        quiet_until_ms: row.get(7)?,
        attention: row.get(8)?,
        error: row.get(9)?,
        steps: Vec::new(),
    })
}

fn step(row: &Row<'_>) -> rusqlite::Result<StepEntry> {
    let happened: String = row.get(4)?;
    let value = |column: usize| -> rusqlite::Result<Value> {
        let text: Option<String> = row.get(column)?;
        text.map_or(Ok(Value::Null), |text| serde_json::from_str(&text).map_err(|error| unreadable(column, error)))
    };
    let happened = match happened.as_str() {
        "done" => Happened::Done(value(5)?),
        "found" => Happened::Found(value(5)?),
        "not-done" => Happened::NotDone,
        "unknown" => Happened::Unknown,
        other => return Err(unreadable(4, format!("no outcome is called {other}"))),
    };
    Ok(StepEntry {
        seq: row.get(0)?,
        promise: row.get(1)?,
        name: row.get(2)?,
        body: value(3)?,
        happened,
        settled: row.get(6)?,
        failures: row.get(7)?,
        error: row.get(8)?,
        began_ms: row.get(9)?,
        ended_ms: row.get(10)?,
    })
}

fn unreadable(column: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}
