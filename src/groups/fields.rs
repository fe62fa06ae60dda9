//! The fields that users have, over all groups: what a filter may name. Knows no filter.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Groups;
use crate::{
    error::Error,
    lately::REMEMBERED_MS,
    query::{Fields, Kind},
};

/// As they were found, and when.
pub type Found = (i64, Arc<Fields>);

impl Groups {
    /// The standard fields, and those of the schema of every group, as they stood at most a second ago.
    pub async fn fields(&self) -> Result<Arc<Fields>, Error> {
        let inside = &self.0;
        let now_ms = inside.clock.now_ms();
        if let Some((at_ms, fields)) = &*inside.fields()
            && (0..REMEMBERED_MS).contains(&(now_ms - at_ms))
        {
            return Ok(Arc::clone(fields));
        }
        let fields = Arc::new(of_documents(&self.documents().await?));
        *inside.fields() = Some((now_ms, Arc::clone(&fields)));
        Ok(fields)
    }
}

fn of_documents(documents: &[Map<String, Value>]) -> Fields {
    let schemas = documents.iter().filter_map(|document| document.get("crudSchema"));
    let fields = schemas.fold(Fields::default(), Fields::with_schema);
    let texts = ["creatorId", "updaterId", "__STATE__", "username", "email", "userGroup", "authUserId", "expirationId"];
    fields
        .with(&["_id"], &Kind::Id)
        .with(&texts, &Kind::Text)
        .with(&["createdAt", "updatedAt", "expirationDate"], &Kind::Date)
        .with(&["blocked"], &Kind::Bool)
        .with(&["roles"], &Kind::Array(Box::new(Kind::Text)))
}
