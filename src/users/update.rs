//! Changing a person.

use crate::{
    access::Caller,
    app::App,
    error::Error,
    users::{User, UserId, rules::Precondition},
};
use serde_json::{Map, Value};

/// `body` is the change language: `{"$set": {…}, "$unset": {…}}`.
pub async fn update(
    _app: &App,
    _caller: &Caller,
    _id: &UserId,
    _body: Map<String, Value>,
    _only_if: Precondition,
) -> Result<User, Error> {
    Err(crate::error::internal("to be written"))
}
