//! Documents in tables: the body as JSON text, beside it the values that are unique or looked up.
//! Which values those are is told by the collection; how they are written and taken away: [`values`].

mod lower;
mod select;
mod values;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use serde_json::{Map, Value};

use super::Sqlite;
use crate::{
    clock::Clock,
    query::Query,
    state::{Collection, Commits, Document, Documents, Error, Insert, Replace},
};

#[async_trait]
impl Documents for Sqlite {
    fn commits(&self) -> Option<Commits> {
        Some(self.writer.commits())
    }

    async fn define(&self, collection: Collection) -> Result<Arc<Collection>, Error> {
        let collection = Arc::new(collection);
        let defined = Arc::clone(&collection);
        let shared = self.write(move |connection| values::define(connection, &defined)).await?;
        match shared {
            None => Ok(collection),
            Some(space) => Err(Error::Unavailable(format!(
                "two documents of {} share a value of {space}, which is to be unique",
                collection.name
            ))),
        }
    }

    async fn insert(&self, into: &Arc<Collection>, id: &str, body: Map<String, Value>) -> Result<Insert, Error> {
        let (into, id, clock) = (Arc::clone(into), id.to_owned(), self.clock.clone());
        self.write(move |connection| insert(connection, &clock, &into, id, body)).await
    }

    async fn replace(
        &self,
        of: &Arc<Collection>,
        id: &str,
        at: i64,
        body: Map<String, Value>,
    ) -> Result<Replace, Error> {
        let (of, id, clock) = (Arc::clone(of), id.to_owned(), self.clock.clone());
        self.write(move |connection| replace(connection, &clock, &of, &id, at, Some(body))).await
    }

    async fn touch(&self, of: &Arc<Collection>, id: &str, at: i64) -> Result<Replace, Error> {
        let (of, id, clock) = (Arc::clone(of), id.to_owned(), self.clock.clone());
        self.write(move |connection| replace(connection, &clock, &of, &id, at, None)).await
    }

    async fn delete(
        &self,
        from: &Arc<Collection>,
        id: &str,
        member: Option<(&'static str, Value)>,
    ) -> Result<bool, Error> {
        let (from, id) = (Arc::clone(from), id.to_owned());
        self.write(move |connection| delete(connection, &from, &id, member)).await
    }

    async fn close(&self, of: &Arc<Collection>, id: &str) -> Result<Option<Document>, Error> {
        let (of, id, clock) = (Arc::clone(of), id.to_owned(), self.clock.clone());
        self.write(move |connection| close(connection, &clock, &of, &id)).await
    }

    async fn get(&self, of: &Arc<Collection>, id: &str) -> Result<Option<Document>, Error> {
        let (of, id) = (Arc::clone(of), id.to_owned());
        self.read(move |connection| stored(connection, of.name, &id)).await
    }

    async fn find(&self, of: &Arc<Collection>, field: &str, value: &str) -> Result<Vec<Document>, Error> {
        let (of, field, value) = (Arc::clone(of), field.to_owned(), value.to_owned());
        self.read(move |connection| {
            let mut ids = values::ids(connection, of.name, &field, &value)?;
            if let Some(space) = values::space_of(&of, &field) {
                // Folding only ever brings more values together, so the exact one is among what it finds.
                ids.extend(values::holder(connection, of.name, &space, &value)?);
            }
            let mut found = Vec::new();
            for id in ids {
                let document = stored(connection, of.name, &id)?;
                found.extend(document.filter(|document| has(document, &field, &Value::from(value.as_str()))));
            }
            Ok(found)
        })
        .await
    }

    async fn list(
        &self,
        of: &Arc<Collection>,
        query: &Query,
        within: Duration,
    ) -> Result<Vec<Map<String, Value>>, Error> {
        let (of, query) = (Arc::clone(of), query.clone());
        self.queries.read_within(within, move |connection| select::list(connection, &of, &query)).await
    }

    async fn count(&self, of: &Arc<Collection>, query: &Query, within: Duration) -> Result<u64, Error> {
        let (of, query) = (Arc::clone(of), query.clone());
        self.queries.read_within(within, move |connection| select::count(connection, &of, &query)).await
    }

    async fn find_unique(&self, of: &Arc<Collection>, field: &str, value: &str) -> Result<Option<Document>, Error> {
        let (of, space, value) = (Arc::clone(of), values::space_of(of, field), value.to_owned());
        let Some(space) = space else { return Ok(None) };
        self.read(move |connection| match values::holder(connection, of.name, &space, &value)? {
            Some(id) => stored(connection, of.name, &id),
            None => Ok(None),
        })
        .await
    }
}

fn insert(
    connection: &Connection,
    clock: &Clock,
    into: &Collection,
    id: String,
    body: Map<String, Value>,
) -> rusqlite::Result<Insert> {
    if is_closed(connection, into.name, &id)? {
        return Ok(Insert::Closed);
    }
    if let Some(document) = stored(connection, into.name, &id)? {
        return Ok(Insert::Exists(document));
    }
    if let Some(field) = values::taken(connection, into, &id, &body)? {
        return Ok(Insert::Taken(field));
    }
    let now = clock.now_ms();
    connection
        .prepare_cached(
            "INSERT INTO document (collection, id, body, created_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, ?4)",
        )?
        .execute(params![into.name, id, text(&body)?, now])?;
    values::write(connection, into, &id, &body)?;
    Ok(Insert::Stored(Document { id, body, created_ms: now, updated_ms: now }))
}

/// Without a body only the time of change moves.
fn replace(
    connection: &Connection,
    clock: &Clock,
    of: &Collection,
    id: &str,
    at: i64,
    body: Option<Map<String, Value>>,
) -> rusqlite::Result<Replace> {
    let document = match stored(connection, of.name, id)? {
        Some(document) if document.updated_ms == at => document,
        elsewhere => return Ok(Replace::Elsewhere(elsewhere)),
    };
    // The clock may stand still or go back; a revision may not come twice.
    let updated_ms = clock.now_ms().max(at + 1);
    let Some(body) = body else {
        connection
            .prepare_cached("UPDATE document SET updated_ms = ?3 WHERE collection = ?1 AND id = ?2")?
            .execute(params![of.name, id, updated_ms])?;
        return Ok(Replace::Stored(Document { updated_ms, ..document }));
    };
    if let Some(field) = values::taken(connection, of, id, &body)? {
        return Ok(Replace::Taken(field));
    }
    connection
        .prepare_cached("UPDATE document SET body = ?3, updated_ms = ?4 WHERE collection = ?1 AND id = ?2")?
        .execute(params![of.name, id, text(&body)?, updated_ms])?;
    values::rewrite(connection, of, id, &document.body, &body)?;
    Ok(Replace::Stored(Document { body, updated_ms, ..document }))
}

fn delete(
    connection: &Connection,
    from: &Collection,
    id: &str,
    member: Option<(&'static str, Value)>,
) -> rusqlite::Result<bool> {
    let Some(document) = stored(connection, from.name, id)? else { return Ok(false) };
    if member.is_some_and(|(field, value)| !has(&document, field, &value)) {
        return Ok(false);
    }
    connection
        .prepare_cached("DELETE FROM document WHERE collection = ?1 AND id = ?2")?
        .execute(params![from.name, id])?;
    values::remove(connection, from, id, &document.body)?;
    Ok(true)
}

fn close(connection: &Connection, clock: &Clock, of: &Collection, id: &str) -> rusqlite::Result<Option<Document>> {
    if let Some(document) = stored(connection, of.name, id)? {
        return Ok(Some(document));
    }
    connection
        .prepare_cached("INSERT INTO closed (collection, id, at_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![of.name, id, clock.now_ms()])?;
    Ok(None)
}

fn is_closed(connection: &Connection, collection: &str, id: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM closed WHERE collection = ?1 AND id = ?2")?.exists([collection, id])
}

fn stored(connection: &Connection, collection: &str, id: &str) -> rusqlite::Result<Option<Document>> {
    connection
        .prepare_cached("SELECT id, body, created_ms, updated_ms FROM document WHERE collection = ?1 AND id = ?2")?
        .query_row([collection, id], document)
        .optional()
}

fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    let body = row.get_ref(1)?.as_str()?;
    let body = serde_json::from_str(body)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, Type::Text, Box::new(error)))?;
    Ok(Document { id: row.get(0)?, body, created_ms: row.get(2)?, updated_ms: row.get(3)? })
}

fn text(body: &Map<String, Value>) -> rusqlite::Result<String> {
    serde_json::to_string(body).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn has(document: &Document, field: &str, value: &Value) -> bool {
    document.body.get(field) == Some(value)
}
