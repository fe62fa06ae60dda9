//! What has happened, for those who may see it: every operation's outcome and every change of a single system, in the order
//! of their commits. Reading them; they are written with what they tell of.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    app::App,
    clock::rfc3339,
    error::Error,
    query::Filter,
    state::{
        journal::Origin,
        ledger::{Event, EventQuery, NewEvent},
    },
    users::UserId,
};

/// An event as it is answered. No secrets, no e-mails, no values of the user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub struct Shown {
    id: String,
    at: String,
    actor: Actor,
    request_id: String,
    /// The kind of an operation, or what was done to a single system.
    action: String,
    /// `_id` of the person.
    subject: Option<String>,
    outcome: String,
    operation: Option<String>,
}

/// Who asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct Actor {
    id: String,
    by: String,
    address: Option<String>,
}

impl Actor {
    pub fn of(origin: &Origin) -> Self {
        Self { id: origin.actor.clone(), by: origin.by.clone(), address: origin.address.clone() }
    }
}

/// Tells what is done to a single system, and is no operation. Durable when it answers: nothing is done of which none tells.
pub async fn tell(
    app: &App,
    origin: &Origin,
    action: &'static str,
    outcome: &'static str,
    subject: &UserId,
) -> Result<(), Error> {
    let (origin, subject) = (origin.clone(), Some(subject.to_string()));
    Ok(app.journal.ledger().note(NewEvent { action, outcome, origin, subject }).await?)
}

/// Oldest first. Nothing for a caller who sees only some persons: an event tells of any.
pub async fn list(app: &App, caller: &Caller, query: EventQuery) -> Result<Vec<Shown>, Error> {
    if caller.rows != Filter::Everything {
        return Ok(Vec::new());
    }
    let events = app.journal.ledger().events(query).await?;
    Ok(events.into_iter().map(shown).collect())
}

fn shown(event: Event) -> Shown {
    let Event { id, at_ms, action, outcome, origin, subject, operation } = event;
    Shown {
        id,
        at: rfc3339(at_ms),
        actor: Actor::of(&origin),
        request_id: origin.request_id,
        action,
        subject,
        outcome,
        operation,
    }
}
