//! The fields that users have, over all groups: what a filter may name. Knows no filter.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{ALL, Groups};
use crate::{
    error::Error,
    query::{Fields, Kind},
};

impl Groups {
    /// The standard fields, and those of the schema of every group, as they stood at most a second ago.
    pub async fn fields(&self) -> Result<Arc<Fields>, Error> {
        let find = async || Ok(Arc::new(of_documents(&self.documents().await?)));
        self.0.fields.recent_or(ALL, self.0.clock.now_ms(), find).await
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
