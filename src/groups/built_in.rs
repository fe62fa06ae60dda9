//! The groups that come with the program. Over our own state they are put into it at its first start, to be changed there
//! like any other; over a store elsewhere they are known where no document there has their name, so that there can be a first
//! administrator.

use serde_json::{Map, Value};

use crate::{
    error,
    outcome::{Failure, Outcome},
    state::Keys,
    store::Store,
    users::UserId,
};

const DOCUMENTS: [&str; 2] =
    [include_str!("../../schemas/groups/administrators.json"), include_str!("../../schemas/groups/users.json")];

/// Under this name stands in the state that they have been put there.
const PUT: &str = "built-in-groups";

pub fn documents() -> Result<Vec<Map<String, Value>>, String> {
    DOCUMENTS.iter().map(|document| serde_json::from_str(document).map_err(|error| error.to_string())).collect()
}

/// Once in the life of a state: whoever removes one later does not find it again. Cut off, it is done at the next start.
pub async fn put(keys: &dyn Keys, groups: &dyn Store, now_ms: i64) -> Outcome<()> {
    if keys.kept(PUT).await?.is_some() {
        return Ok(());
    }
    for document in documents().map_err(|why| Failure::not_done(error::internal(why)))? {
        let name = document.get("userGroup").and_then(Value::as_str).unwrap_or_default();
        if groups.find(&[("userGroup", name)]).await?.is_empty() {
            groups.insert(&UserId::new(now_ms), &document, "system").await?;
        }
    }
    keys.get_or_put(PUT, b"put".to_vec()).await?;
    Ok(())
}
