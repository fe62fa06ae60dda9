//! Making a person.

use crate::{access::Caller, app::App, error::Error, users::UserId};
use secrecy::SecretString;
use serde_json::{Map, Value};

/// What is asked for a new person.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The user's members as given, without `password`.
    pub fields: Map<String, Value>,
    pub password: Option<SecretString>,
}

pub async fn create(_app: &App, _caller: &Caller, _draft: Draft) -> Result<UserId, Error> {
    Err(crate::error::internal("to be written"))
}
