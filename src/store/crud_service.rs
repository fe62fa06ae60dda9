//! Users, groups and roles in a remote crud-service (6.9 or newer, for its import route). Knows its paths, its statuses and how each of our
//! writes is closed: an insert by its `_id`, a change by the `updatedAt` that it is bound to.

mod names;
mod pages;
mod reading;
mod shape;

pub use reading::Reading;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use serde_json::{Map, Value, json};
use url::Url;

use super::{Collection, Landed, Store, Write};
use crate::{
    clock::Clock,
    config::Calls,
    error, metrics,
    outcome::{Failure, Outcome},
    query::{Filter, Query, parse::invalid_query},
    remote::{Answer, Body, Call, Error, Remote},
    users::{Change, Revision, State, User, UserId},
};

/// [`Collection::marker`] of the row that [`Store::close`] leaves behind, with its `_id` where that member is unique. It is
/// in state DELETED, and nobody.
const FENCE: &str = "__fence";
/// As the platform names it; the service takes `creatorId` and `updaterId` from it.
const USER_HEADER: &str = "miauserid";
const EVERY_STATE: &str = "PUBLIC,DRAFT,TRASH,DELETED";
/// Answered by one batch of the database, which cannot be cut off unnoticed.
const PAGE: u32 = 100;
/// Bytes of the parameters and headers of a read: the service takes a head of 16 KiB.
const LARGEST: usize = 15_000;
/// Its times have milliseconds: so often do we write again until the time has moved.
const TOUCHES: u32 = 100;

pub struct CrudService {
    remote: Remote,
    /// `/users`
    path: String,
    of: Collection,
    clock: Clock,
    /// Of the collection, once read.
    shape: shape::Cached,
}

impl CrudService {
    /// `path`: that of the collection of users, `/users`. Refused, with a sentence, when `CA_FILE` cannot be used.
    pub fn new(base: &Url, path: &str, calls: &Calls, clock: Clock) -> Result<Self, String> {
        Ok(Self {
            remote: Remote::new("CRUD", base, calls, clock.clone())?,
            path: path.trim_end_matches('/').to_owned(),
            of: Collection::Users,
            clock,
            shape: shape::Cached::default(),
        })
    }

    /// The same, but that it is another collection which lies under that path.
    pub fn keeping(self, of: Collection) -> Self {
        Self { of, ..self }
    }

    /// The same, but that its calls are counted there.
    pub fn counted(self, calls: &metrics::Calls) -> Self {
        Self { remote: self.remote.counted(calls), ..self }
    }

    /// For tests that count calls.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    fn call(&self, method: Method, below: &str, values: &[&str]) -> Call {
        Call::new(method, format!("{}/{below}", self.path), values)
    }

    /// One row under its own `_id`: stored whole, or refused.
    async fn import(&self, row: Value, by: Option<&str>) -> Result<(), Error> {
        let bytes = Bytes::from(json!([row]).to_string());
        let file = Body::File { name: "rows.json", content_type: "application/json", bytes };
        let call = self.call(Method::POST, "import", &[]).body(file);
        let call = if let Some(by) = by { call.header(USER_HEADER, by) } else { call };
        let answer = self.remote.send(call).await?;
        let object = answer.json::<Map<String, Value>>().is_ok();
        if answer.status == 201 && object { Ok(()) } else { Err(answer.garbled()) }
    }

    /// Whoever stands under that id, fences too.
    async fn read(&self, id: &UserId) -> Result<Option<User>, Error> {
        self.one(self.read_of(id)).await
    }

    fn read_of(&self, id: &UserId) -> Call {
        self.call(Method::GET, ":id", &[id.as_str()]).query("_st", EVERY_STATE)
    }

    /// The document that it answers with, where it finds one.
    async fn one(&self, call: Call) -> Result<Option<User>, Error> {
        match self.remote.send(call).await {
            Ok(answer) => document(&answer).map(Some),
            Err(error) if not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The write under its condition; nothing when the condition does not hold.
    async fn patch(
        &self,
        id: &UserId,
        at: &Revision,
        change: &Change,
        by: Option<&str>,
    ) -> Result<Option<User>, Error> {
        let mut commands = Map::new();
        if !change.set.is_empty() {
            commands.insert("$set".to_owned(), Value::Object(change.set.clone()));
        }
        if !change.unset.is_empty() {
            let unset = change.unset.iter().map(|field| (field.clone(), Value::Bool(true)));
            commands.insert("$unset".to_owned(), Value::Object(unset.collect()));
        }
        let mut call = self
            .call(Method::PATCH, ":id", &[id.as_str()])
            .query("updatedAt", &at.0)
            .query("_st", EVERY_STATE)
            .body(Body::Json(Value::Object(commands)));
        if let Some(by) = by {
            call = call.header(USER_HEADER, by);
        }
        self.one(call).await
    }

    /// Written, but in the millisecond of the revision it was bound to: a late write would still find that. So it is
    /// written again until the time has moved.
    async fn moved(&self, mut user: User, at: &Revision, by: &str) -> Outcome<Write> {
        for _ in 0..TOUCHES {
            if user.revision != *at {
                return Ok(Write::Now(Box::new(user)));
            }
            self.clock.pause(Duration::from_millis(1)).await;
            // Our write stands already, so nothing from here on can be "not done".
            user =
                match self.patch(&user.id, at, &Change::default(), Some(by)).await.map_err(|error| error.unknown())? {
                    Some(user) => user,
                    // Somebody else has moved it.
                    None => self.read(&user.id).await.map_err(|error| error.unknown())?.ok_or_else(gone)?,
                };
        }
        Err(Failure::unknown(error::internal("the clock of the CRUD service stands still")))
    }

    fn is_fence(&self, row: &User) -> bool {
        row.text(self.of.marker()) == Some(&fence_name(self.of, &row.id))
    }

    /// A conflict, told in one way or another: who has the name.
    async fn refused_change(&self, id: &UserId, at: &Revision, change: &Change, refusal: Error) -> Failure {
        // What is answered after a write that went through is no proof that it did not.
        let Ok(now) = self.read(id).await else { return refusal.unknown() };
        if now.is_none_or(|user| user.revision != *at) {
            return refusal.unknown();
        }
        match names::holder(self, id, &change.set).await {
            Ok(Some(field)) => Failure::not_done(self.of.taken(field)),
            Ok(None) if refusal.status() == Some(500) => refusal.unknown(),
            Ok(None) => refusal.not_done(),
            Err(_) => refusal.unknown(),
        }
    }
}

#[async_trait]
impl Store for CrudService {
    async fn insert(&self, id: &UserId, fields: &Map<String, Value>, by: &str) -> Outcome<()> {
        self.knows(fields).await?;
        let mut row = fields.clone();
        row.insert("_id".to_owned(), json!(id));
        row.entry("__STATE__").or_insert_with(|| json!(State::Public));
        let refusal = match self.import(Value::Object(row), Some(by)).await {
            Ok(()) => return Ok(()),
            Err(error) if conflict(&error) => error,
            Err(error) => return Err(error.failure()),
        };
        // Either the id is taken, and then by us, or another unique field is.
        match self.read(id).await {
            Ok(Some(user)) if self.is_fence(&user) => Err(refusal.not_done()),
            Ok(Some(_)) => Ok(()),
            Ok(None) => match names::holder(self, id, fields).await {
                Ok(Some(field)) => Err(Failure::not_done(self.of.taken(field))),
                Ok(None) | Err(_) => Err(refusal.not_done()),
            },
            Err(_) => Err(refusal.unknown()),
        }
    }

    async fn close(&self, id: &UserId, fields: &Map<String, Value>) -> Outcome<Landed> {
        let row = self.shape().await?.fence(self.of, id, fields);
        let refusal = match self.import(row, None).await {
            Ok(()) => return Ok(Landed::Never),
            Err(error) if conflict(&error) => error,
            Err(error) => {
                // Perhaps the collection asks for more than it did.
                self.shape.keep(None);
                return Err(error.failure());
            }
        };
        match self.read(id).await {
            Ok(Some(user)) if self.is_fence(&user) => Ok(Landed::Never),
            Ok(Some(_)) => Ok(Landed::There),
            Ok(None) => Err(refusal.not_done()),
            Err(_) => Err(refusal.unknown()),
        }
    }

    async fn get(&self, id: &UserId, rows: &Filter) -> Outcome<Option<User>> {
        let mut call = self.read_of(id);
        if *rows != Filter::Everything {
            call = call.query("_q", rows.print().to_string());
            fits(&call).map_err(Failure::not_done)?;
        }
        let user = self.one(call).await?;
        Ok(user.filter(|user| !self.is_fence(user)))
    }

    async fn find(&self, any: &[(&str, &str)]) -> Outcome<Vec<User>> {
        if any.is_empty() {
            return Ok(Vec::new());
        }
        let any: Vec<_> = any.iter().map(|&(field, value)| json!({ field: value })).collect();
        let call = self
            .call(Method::GET, "", &[])
            .query("_q", json!({ "$or": any }).to_string())
            .query("_st", EVERY_STATE)
            .query("_l", PAGE.to_string())
            .query("_s", "_id");
        let answer = self.remote.send(call).await?;
        Ok(documents(&answer)?.into_iter().filter(|user| !self.is_fence(user)).collect())
    }

    async fn list(&self, query: &Query) -> Outcome<Vec<User>> {
        pages::list(self, query).await
    }

    async fn count(&self, query: &Query) -> Outcome<u64> {
        pages::count(self, query).await
    }

    async fn change(&self, id: &UserId, at: &Revision, change: &Change, by: &str) -> Outcome<Write> {
        match self.patch(id, at, change, Some(by)).await {
            Ok(None) => Ok(Write::Elsewhere),
            Ok(Some(user)) => self.moved(user, at, by).await,
            Err(error) if conflict(&error) || duplicate(&error) => {
                Err(self.refused_change(id, at, change, error).await)
            }
            Err(error) => Err(error.failure()),
        }
    }

    async fn set_state(&self, id: &UserId, at: &Revision, to: State, by: &str) -> Outcome<Write> {
        let call = self
            .call(Method::POST, ":id/state", &[id.as_str()])
            .query("updatedAt", &at.0)
            .header(USER_HEADER, by)
            .body(Body::Json(json!({ "stateTo": to })));
        match self.remote.send(call).await {
            Ok(answer) if answer.status == 204 => {}
            Ok(answer) => return Err(answer.garbled().unknown()),
            Err(error) if not_found(&error) => return Ok(Write::Elsewhere),
            Err(error) if conflict(&error) => return Err(self.refused_change(id, at, &Change::default(), error).await),
            Err(error) => return Err(error.failure()),
        }
        // It tells no new revision.
        let user = self.read(id).await.map_err(|error| error.unknown())?;
        self.moved(user.ok_or_else(gone)?, at, by).await
    }

    async fn delete(&self, id: &UserId, state: State) -> Outcome<()> {
        let call = self.call(Method::DELETE, ":id", &[id.as_str()]).query("_st", state.as_str());
        match self.remote.send(call).await {
            Ok(answer) if answer.status == 204 => Ok(()),
            Ok(answer) => Err(answer.garbled().unknown()),
            Err(error) if not_found(&error) => Ok(()),
            // Which is no answer of its own to this; so whether it is gone decides.
            Err(error) if conflict(&error) => match self.read(id).await {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err(error.failure()),
                Err(_) => Err(error.unknown()),
            },
            Err(error) => Err(error.failure()),
        }
    }

    async fn check(&self) -> Outcome<()> {
        // Its own probes say nothing of the database, or wait for it longer than we would.
        let call = self.call(Method::GET, "", &[]).query("_l", "1").query("_st", EVERY_STATE);
        self.remote.send(call).await?.json::<Vec<Value>>()?;
        Ok(())
    }

    fn name(&self) -> &'static str {
        "crud-service"
    }
}

/// A read that the service would refuse for its length is told in words of ours, before it is sent.
fn fits(read: &Call) -> Result<(), error::Error> {
    if read.size() <= LARGEST {
        return Ok(());
    }
    Err(invalid_query("The query is longer than the store takes: ask for fewer values at once"))
}

fn document(answer: &Answer) -> Result<User, Error> {
    User::from_document(answer.json()?).ok_or_else(|| answer.garbled())
}

fn documents(answer: &Answer) -> Result<Vec<User>, Error> {
    let documents: Vec<Map<String, Value>> = answer.json()?;
    let users: Option<Vec<_>> = documents.into_iter().map(User::from_document).collect();
    users.ok_or_else(|| answer.garbled())
}

/// What a fence is called.
fn fence_name(of: Collection, id: &UserId) -> String {
    if of.unique().contains(&of.marker()) { format!("{FENCE}-{id}") } else { FENCE.to_owned() }
}

/// Gone right after we had written it.
fn gone() -> Failure {
    Failure::unknown(error::changed_meanwhile())
}

/// The service's own 404, `{"error":"not found"}`; a page of something in between says nothing about the document.
fn not_found(error: &Error) -> bool {
    let own = || serde_json::from_slice::<Value>(error.body()).is_ok_and(|body| body["error"] == "not found");
    error.status() == Some(404) && own()
}

/// 422 before version 7.
fn conflict(error: &Error) -> bool {
    matches!(error.status(), Some(409 | 422))
}

/// A unique field on a PATCH: a 500 with the database's own code (MongoDB's, or the general one of another).
fn duplicate(error: &Error) -> bool {
    let code = || {
        let body = serde_json::from_slice::<Value>(error.body()).ok()?;
        Some(matches!(body.get("code")?.as_str()?, "11000" | "1"))
    };
    error.status() == Some(500) && code() == Some(true)
}
