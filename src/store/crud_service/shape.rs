//! What the service tells of its collection: which fields it has, and which of them a row must have.

use std::sync::{Arc, PoisonError, RwLock};

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{CrudService, FENCE, fence_name};
use crate::{
    error::{self, Code},
    outcome::{Failure, Outcome},
    remote::Error,
    store::Collection,
    users::{METADATA, NAMES, State, UserId},
};

/// The answer of `GET /schema`.
#[derive(Debug, Deserialize)]
pub(super) struct Shape {
    properties: Map<String, Value>,
    #[serde(default)]
    required: Vec<String>,
}

impl Shape {
    /// The first field that the collection does not have.
    pub fn lacks(&self, fields: &Map<String, Value>) -> Option<String> {
        let known =
            |field: &str| field == "__STATE__" || (self.properties.contains_key(field) && !METADATA.contains(&field));
        fields.keys().find(|field| !known(field)).cloned()
    }

    /// The row under that id which keeps an insert of `fields` out for ever. It says nothing of the person, unless the
    /// collection asks for a field whose values are not free: then that field stands as in the insert.
    pub fn fence(&self, of: Collection, id: &UserId, fields: &Map<String, Value>) -> Value {
        let mut row = Map::new();
        for field in self.required.iter().filter(|field| !METADATA.contains(&field.as_str())) {
            let given = fields.get(field);
            let value = self.properties.get(field).and_then(|schema| neutral(field, schema, id)).or(given.cloned());
            row.insert(field.clone(), value.unwrap_or_else(|| json!(format!("{FENCE}-{id}"))));
        }
        row.insert("_id".to_owned(), json!(id));
        row.insert(of.marker().to_owned(), json!(fence_name(of, id)));
        row.insert("__STATE__".to_owned(), json!(State::Deleted));
        Value::Object(row)
    }
}

/// A value that tells nothing and that nobody else has. Nothing where the schema allows certain values only.
fn neutral(field: &str, schema: &Value, id: &UserId) -> Option<Value> {
    // No real one ends so (RFC 2606), and the names of a person who is not there must be free for others.
    if NAMES.contains(&field) {
        return Some(json!(format!("{FENCE}-{id}@fence.invalid")));
    }
    let free = schema.as_object()?.keys().all(|key| ["type", "nullable", "description"].contains(&key.as_str()));
    match schema["type"].as_str() {
        Some("string") if free => Some(json!(format!("{FENCE}-{id}"))),
        Some("boolean") => Some(json!(false)),
        Some("number" | "integer") if free => Some(json!(0)),
        Some(_) | None => None,
    }
}

impl CrudService {
    /// The import route drops what the collection does not know, silently: so we look before anything leaves.
    pub(super) async fn knows(&self, fields: &Map<String, Value>) -> Outcome<()> {
        if self.shape.cached().is_some_and(|shape| shape.lacks(fields).is_none()) {
            return Ok(());
        }
        match self.read_shape().await.map_err(|error| error.not_done())?.lacks(fields) {
            None => Ok(()),
            Some(field) => {
                let why = "the collection of the CRUD service has no such field";
                Err(Failure::not_done(error::invalid(Code::ValidationFailed, format!("/{field}"), why)))
            }
        }
    }

    /// As it was read last, or now.
    pub(super) async fn shape(&self) -> Result<Arc<Shape>, Error> {
        match self.shape.cached() {
            Some(shape) => Ok(shape),
            None => self.read_shape().await,
        }
    }

    async fn read_shape(&self) -> Result<Arc<Shape>, Error> {
        let answer = self.remote.send(self.call(Method::GET, "schema", &[])).await?;
        let shape = Arc::new(answer.json()?);
        self.shape.keep(Some(Arc::clone(&shape)));
        Ok(shape)
    }
}

/// The shape as it was read last.
#[derive(Default)]
pub(super) struct Cached(RwLock<Option<Arc<Shape>>>);

impl Cached {
    fn cached(&self) -> Option<Arc<Shape>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `None`: it is read anew when it is needed next.
    pub fn keep(&self, shape: Option<Arc<Shape>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = shape;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_has_what_the_collection_requires_and_tells_nothing_that_it_need_not() {
        let shape: Shape = serde_json::from_value(json!({
            "type": "object",
            "required": ["_id", "__STATE__", "userGroup", "email", "city", "born", "age", "vip", "tags", "kind"],
            "properties": {
                "userGroup": { "type": "string" }, "email": { "type": "string", "pattern": "@" },
                "city": { "type": "string", "nullable": true }, "born": { "type": "string", "format": "date-time" },
                "age": { "type": "number" }, "vip": { "type": "boolean" },
                "tags": { "type": "array" }, "kind": { "enum": ["a", "b"] }, "phone": { "type": "string" }
            }
        }))
        .unwrap();
        let id = UserId::parse("650000000000000000000001").unwrap();
        let fields = json!({ "userGroup": "staff", "email": "ada@x.org", "city": "Rome", "born": "1815-12-10T00:00:00Z",
            "age": 36, "vip": true, "tags": ["x"], "kind": "b", "phone": "1" });
        let fence = shape.fence(Collection::Users, &id, fields.as_object().unwrap());
        assert_eq!(
            fence,
            json!({
                "_id": id, "__STATE__": "DELETED", "userGroup": "__fence",
                "email": "__fence-650000000000000000000001@fence.invalid", "city": "__fence-650000000000000000000001",
                "born": "1815-12-10T00:00:00Z", "age": 0, "vip": false, "tags": ["x"], "kind": "b"
            })
        );
    }
}
