//! Who has a name that the service has refused: its messages are the database's own, so we ask instead of reading them.

use serde_json::{Map, Value};

use super::CrudService;
use crate::{outcome::Outcome, store::Store, users::UserId};

/// The field of `wanted` whose value somebody else than `id` has, in whatever state.
pub(super) async fn holder(
    store: &CrudService,
    id: &UserId,
    wanted: &Map<String, Value>,
) -> Outcome<Option<&'static str>> {
    let pairs: Vec<_> =
        store.of.unique().iter().filter_map(|&field| Some((field, wanted.get(field)?.as_str()?))).collect();
    let found = store.find(&pairs).await?;
    let taken = |(field, value): &&(&'static str, &str)| {
        found.iter().any(|user| user.id != *id && user.text(field) == Some(*value))
    };
    Ok(pairs.iter().find(taken).map(|(field, _)| *field))
}
