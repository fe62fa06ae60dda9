//! The log of operations: what was asked, how far it is, what comes next. Reading it, and asking for another try.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    app::App,
    clock::rfc3339,
    error::{Code, Error},
    events::Actor,
    query::Filter,
    state::journal::{Entry, Happened, ListQuery, State, StepEntry},
    users::{UserId, rules},
};

/// Every kind of operation that there is.
#[rustfmt::skip]
pub const KINDS: [&str; 19] = [
    "create-user", "adopt-identity", "register-user", "update-user", "delete-user", "soft-delete-user", "restore-user",
    "change-state", "change-states", "expire-user", "grant-permissions", "create-identity", "mail-password-link",
    "create-group", "update-group", "delete-group", "create-role", "update-role", "delete-role",
];

/// So many parts of an operation are tried again by one request.
const PARTS: u32 = 1000;

/// An operation as it is answered. No secrets, no e-mails, no values of the user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Operation)]
pub struct Shown {
    id: String,
    kind: String,
    state: &'static str,
    subject: Option<String>,
    actor: Actor,
    request_id: String,
    /// The operation that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    part_of: Option<String>,
    started_at: String,
    settled_at: Option<String>,
    /// A sentence: what happens next.
    next: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    steps: Vec<ShownStep>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Step)]
struct ShownStep {
    name: String,
    state: &'static str,
    attempts: u32,
    started_at: String,
    ended_at: Option<String>,
    error: Option<String>,
    undo_error: Option<String>,
}

/// Newest first; one's own where one may not see those of others.
pub async fn list(app: &App, caller: &Caller, mut query: ListQuery) -> Result<Vec<Shown>, Error> {
    if !sees_all(caller) {
        if caller.is_nobody() {
            return Ok(Vec::new());
        }
        query.actor = Some(caller.origin.actor.clone());
    }
    let entries = app.journal.list(query).await?;
    Ok(entries.into_iter().map(shown).collect())
}

pub async fn get(app: &App, caller: &Caller, id: &str) -> Result<Shown, Error> {
    Ok(shown(find(app, caller, id).await?))
}

/// Tries an unsettled operation again at once, in the direction that its state says. Needs what the operation itself needed.
pub async fn retry(app: &App, caller: &Caller, id: &str) -> Result<Shown, Error> {
    let entry = find(app, caller, id).await?;
    if matches!(entry.state, State::Done | State::Undone) {
        return Err(Error::new(Code::OperationSettled, "The operation is settled"));
    }
    may_retry(app, caller, &entry).await?;
    let parts = ListQuery {
        part_of: Some(entry.id.clone()),
        request: Some(entry.origin.request_id.clone()),
        limit: PARTS,
        ..ListQuery::default()
    };
    for part in app.journal.list(parts).await? {
        let open = !matches!(part.state, State::Done | State::Undone);
        if open && may_retry(app, caller, &part).await.is_ok() {
            app.sagas.nudge(&part.id);
        }
    }
    if !app.sagas.nudge(id) {
        app.sagas.recover().await?;
    }
    get(app, caller, id).await
}

async fn may_retry(app: &App, caller: &Caller, entry: &Entry) -> Result<(), Error> {
    caller.require(permission(&entry.kind))?;
    match entry.subject.as_deref().and_then(UserId::parse) {
        Some(subject) => rules::not_above_whoever(&app.systems, caller, &subject).await,
        None => Ok(()),
    }
}

/// What is still owed to that person is tried at once: somebody asks for it again.
pub async fn resume(app: &App, subject: &UserId) -> Result<(), Error> {
    let newest = ListQuery { subject: Some(subject.to_string()), limit: 1, ..ListQuery::default() };
    for entry in app.journal.list(newest).await? {
        if entry.state == State::Committed {
            app.sagas.nudge(&entry.id);
        }
    }
    Ok(())
}

async fn find(app: &App, caller: &Caller, id: &str) -> Result<Entry, Error> {
    let entry = app.journal.read(id).await?;
    let own = |entry: &Entry| !caller.is_nobody() && entry.origin.actor == caller.origin.actor;
    let visible = entry.filter(|entry| sees_all(caller) || own(entry));
    visible.ok_or_else(|| Error::new(Code::OperationNotFound, "Operation not found"))
}

fn sees_all(caller: &Caller) -> bool {
    caller.rows == Filter::Everything && caller.may("operations:read")
}

/// What a caller needs for an operation of this kind.
fn permission(kind: &str) -> &'static str {
    match kind {
        "delete-user" | "soft-delete-user" => "users:delete",
        "grant-permissions" => "users:admin",
        "create-group" | "update-group" | "delete-group" => "groups:write",
        "create-role" | "update-role" | "delete-role" => "roles:write",
        _ => "users:write",
    }
}

fn shown(entry: Entry) -> Shown {
    let state = if entry.attention.is_some() { "needs-attention" } else { entry.state.as_str() };
    Shown {
        state,
        next: next(&entry),
        actor: Actor::of(&entry.origin),
        request_id: entry.origin.request_id,
        part_of: entry.origin.part_of,
        started_at: rfc3339(entry.began_ms),
        settled_at: entry.settled_ms.map(rfc3339),
        steps: entry.steps.into_iter().map(|step| shown_step(entry.state, step)).collect(),
        id: entry.id,
        kind: entry.kind,
        subject: entry.subject,
        error: entry.error,
    }
}

fn shown_step(operation: State, step: StepEntry) -> ShownStep {
    let goes_back = matches!(operation, State::RollingBack | State::Undone);
    let settled = step.settled || matches!(operation, State::Done | State::Undone);
    let state = match (&step.happened, step.promise) {
        (_, true) => {
            if settled {
                "kept"
            } else {
                "promised"
            }
        }
        (Happened::NotDone, false) => "not-done",
        (_, false) if goes_back && settled => "undone",
        (Happened::Done(_) | Happened::Found(_), false) => "done",
        (Happened::Unknown, false) => "unknown",
    };
    let (error, undo_error) = if step.promise { (step.error, None) } else { (None, step.error) };
    ShownStep {
        name: step.name,
        state,
        attempts: step.failures + 1,
        started_at: rfc3339(step.began_ms),
        ended_at: step.ended_ms.map(rfc3339),
        error,
        undo_error,
    }
}

fn next(entry: &Entry) -> String {
    let waits = |what: &str| match &entry.attention {
        Some(why) => format!("{what} is tried again and again, and fails: {why}"),
        None => format!("{what} goes on by itself"),
    };
    match entry.state {
        State::Running => "its steps are being carried out".to_owned(),
        State::Committed => waits("keeping what was promised"),
        State::RollingBack if entry.steps.iter().all(|step| step.settled || step.happened == Happened::NotDone) => {
            format!(
                "everything is put back; names are kept until {}, then it is looked at again",
                rfc3339(entry.quiet_until_ms)
            )
        }
        State::RollingBack => waits("putting back what was done"),
        State::Done if entry.error.is_some() => "nothing: what failed is told by its parts".to_owned(),
        State::Done => "nothing: everything was done".to_owned(),
        State::Undone => "nothing: everything was put back".to_owned(),
    }
}
