//! The sessions of an account, as the Admin API shows and ends them.

use reqwest::Method;
use serde::Deserialize;

use super::{
    admin::{Admin, Asked, Miss},
    failed, nobody,
};
use crate::{identity::TheirSession, outcome::Outcome};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: String,
    ip_address: Option<String>,
    /// Milliseconds, as the other.
    start: i64,
    last_access: i64,
}

/// None where the account is gone.
pub async fn of(admin: &Admin, id: &str) -> Outcome<Vec<TheirSession>> {
    match admin.send(Asked::new(Method::GET, "/users/:id/sessions", &[id])).await {
        Ok(answer) => {
            let shown: Vec<Shown> = answer.json()?;
            let session = |shown: Shown| TheirSession {
                id: shown.id,
                address: shown.ip_address,
                began_ms: shown.start,
                used_ms: shown.last_access,
            };
            Ok(shown.into_iter().map(session).collect())
        }
        Err(Miss::Call(error)) if nobody(&error) => Ok(Vec::new()),
        Err(miss) => Err(miss.failure()),
    }
}

/// Done when there is none.
pub async fn end(admin: &Admin, session: &str) -> Outcome<()> {
    match admin.send(Asked::new(Method::DELETE, "/sessions/:sid", &[session])).await {
        Ok(_) => Ok(()),
        Err(Miss::Call(error)) if nobody(&error) => Ok(()),
        Err(Miss::Call(error)) => Err(failed(&error)),
        Err(miss @ Miss::NoToken(_)) => Err(miss.failure()),
    }
}
