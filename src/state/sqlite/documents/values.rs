//! The values of documents that stand in tables of their own: unique ones folded, indexed ones as they are.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};

use super::document;
use crate::{fold::fold, state::Collection};

/// Writes all values of the collection anew where its definition is another one than they were written by. The
/// namespace that two documents share, if any; then nothing may be kept of it.
pub fn define(connection: &Connection, collection: &Collection) -> rusqlite::Result<Option<String>> {
    let definition =
        serde_json::to_string(collection).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let known: Option<String> = connection
        .query_row("SELECT definition FROM collection WHERE name = ?1", [collection.name], |row| row.get(0))
        .optional()?;
    if known.as_ref() == Some(&definition) {
        return Ok(None);
    }
    let mut all = connection.prepare("SELECT id, body, created_ms, updated_ms FROM document WHERE collection = ?1")?;
    // Looked for first: what this job writes is kept once it answers anything.
    let mut seen = BTreeSet::new();
    for document in all.query_map([collection.name], document)? {
        for (space, value) in keys(collection, &document?.body) {
            if !seen.insert((space.clone(), value)) {
                return Ok(Some(space));
            }
        }
    }
    connection.execute("DELETE FROM unique_value WHERE collection = ?1", [collection.name])?;
    connection.execute("DELETE FROM indexed_value WHERE collection = ?1", [collection.name])?;
    for document in all.query_map([collection.name], document)? {
        let document = document?;
        write(connection, collection, &document.id, &document.body)?;
    }
    connection.execute(
        "INSERT INTO collection (name, definition) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET definition = excluded.definition",
        params![collection.name, definition],
    )?;
    Ok(None)
}

/// The first field whose value another document has.
pub fn taken(
    connection: &Connection,
    collection: &Collection,
    id: &str,
    body: &Map<String, Value>,
) -> rusqlite::Result<Option<String>> {
    for (space, value, field) in unique(collection, body) {
        if folded_holder(connection, collection.name, &space, &value)?.is_some_and(|holder| holder != id) {
            return Ok(Some(field));
        }
    }
    Ok(None)
}

/// Of a document without values yet.
pub fn write(
    connection: &Connection,
    collection: &Collection,
    id: &str,
    body: &Map<String, Value>,
) -> rusqlite::Result<()> {
    rewrite(connection, collection, id, &Map::new(), body)
}

pub fn remove(
    connection: &Connection,
    collection: &Collection,
    id: &str,
    body: &Map<String, Value>,
) -> rusqlite::Result<()> {
    rewrite(connection, collection, id, body, &Map::new())
}

/// Only what differs is written. That nobody else has the new values has been seen to.
pub fn rewrite(
    connection: &Connection,
    collection: &Collection,
    id: &str,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
) -> rusqlite::Result<()> {
    let (old, new) = (keys(collection, from), keys(collection, to));
    let mut gone = connection
        .prepare_cached("DELETE FROM unique_value WHERE collection = ?1 AND space = ?2 AND value = ?3 AND id = ?4")?;
    for (space, value) in old.difference(&new) {
        gone.execute(params![collection.name, space, value, id])?;
    }
    let mut fresh =
        connection.prepare_cached("INSERT INTO unique_value (collection, space, value, id) VALUES (?1, ?2, ?3, ?4)")?;
    for (space, value) in new.difference(&old) {
        fresh.execute(params![collection.name, space, value, id])?;
    }

    let (old, new) = (indexed(collection, from), indexed(collection, to));
    let mut gone = connection
        .prepare_cached("DELETE FROM indexed_value WHERE collection = ?1 AND field = ?2 AND value = ?3 AND id = ?4")?;
    for (field, value) in old.difference(&new) {
        gone.execute(params![collection.name, field, value, id])?;
    }
    let mut fresh = connection
        .prepare_cached("INSERT INTO indexed_value (collection, field, value, id) VALUES (?1, ?2, ?3, ?4)")?;
    for (field, value) in new.difference(&old) {
        fresh.execute(params![collection.name, field, value, id])?;
    }
    Ok(())
}

/// The namespace of that field.
pub fn space_of(collection: &Collection, field: &str) -> Option<String> {
    collection.unique.iter().find(|fields| fields.iter().any(|one| one == field)).map(|fields| fields.join("+"))
}

/// Who has that value there, folded as it is stored.
pub fn holder(connection: &Connection, collection: &str, space: &str, value: &str) -> rusqlite::Result<Option<String>> {
    folded_holder(connection, collection, space, &fold(value))
}

/// Whose field has exactly that value; at most 100.
pub fn ids(connection: &Connection, collection: &str, field: &str, value: &str) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached(
            "SELECT id FROM indexed_value WHERE collection = ?1 AND field = ?2 AND value = ?3 ORDER BY id LIMIT 100",
        )?
        .query_map([collection, field, value], |row| row.get(0))?
        .collect()
}

fn folded_holder(
    connection: &Connection,
    collection: &str,
    space: &str,
    value: &str,
) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT id FROM unique_value WHERE collection = ?1 AND space = ?2 AND value = ?3")?
        .query_row([collection, space, value], |row| row.get(0))
        .optional()
}

/// Namespace, folded value and field of each.
fn unique(collection: &Collection, body: &Map<String, Value>) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    if is_released(collection, body) {
        return found;
    }
    for fields in &collection.unique {
        for field in fields {
            let value = match body.get(field) {
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) => fold(text),
                Some(other) => other.to_string(),
            };
            found.push((fields.join("+"), value, field.clone()));
        }
    }
    found
}

fn is_released(collection: &Collection, body: &Map<String, Value>) -> bool {
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    let released = collection.released.as_ref();
    released.is_some_and(|those| text(those.field) == Some(those.value) && !body.contains_key(those.lacks))
}

/// A document may have one value in several fields of a namespace: then it has it once.
fn keys(collection: &Collection, body: &Map<String, Value>) -> BTreeSet<(String, String)> {
    unique(collection, body).into_iter().map(|(space, value, _)| (space, value)).collect()
}

/// The texts; of an array each of its elements.
fn indexed<'a>(collection: &'a Collection, body: &'a Map<String, Value>) -> BTreeSet<(&'a str, &'a str)> {
    // What is no longer unique is still looked for.
    let released = collection.unique.iter().flatten().filter(|_| is_released(collection, body));
    let mut found = BTreeSet::new();
    for field in collection.indexed.iter().chain(released) {
        let value = body.get(field);
        let items = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        found.extend(value.into_iter().chain(items).filter_map(Value::as_str).map(|text| (field.as_str(), text)));
    }
    found
}
