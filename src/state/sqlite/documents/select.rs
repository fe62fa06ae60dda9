//! Documents by a query. Knows the tables; what a filter means is told by the query language.

use rusqlite::Connection;
use serde_json::{Map, Value};

use super::document;
use crate::{
    query::{Key, Query, State, sort_key},
    state::Collection,
};

type Whole = Map<String, Value>;

pub fn list(connection: &Connection, of: &Collection, query: &Query) -> rusqlite::Result<Vec<Whole>> {
    let mut found: Vec<(Key, Whole)> = Vec::new();
    each(connection, of, query, |whole| found.push((sort_key(&whole, &query.sort), whole)))?;
    // Stable: what came by `_id` stays so between equals.
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
    let limit = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found.into_iter().skip(skip).take(limit).map(|(_, whole)| whole).collect())
}

pub fn count(connection: &Connection, of: &Collection, query: &Query) -> rusqlite::Result<u64> {
    let mut count = 0;
    each(connection, of, query, |_| count += 1)?;
    Ok(count)
}

/// Those that are meant, by `_id`.
fn each(connection: &Connection, of: &Collection, query: &Query, mut meet: impl FnMut(Whole)) -> rusqlite::Result<()> {
    let mut all = connection
        .prepare_cached("SELECT id, body, created_ms, updated_ms FROM document WHERE collection = ?1 ORDER BY id")?;
    for document in all.query_map([of.name], document)? {
        let whole = document?.whole();
        let state = whole.get("__STATE__").and_then(Value::as_str).and_then(State::parse);
        if state.is_some_and(|state| query.states.contains(&state)) && query.filter.matches(&whole) {
            meet(whole);
        }
    }
    Ok(())
}
