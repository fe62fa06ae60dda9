//! The database that is ours: the journal, documents for the embedded drivers, granted permissions, mails to be sent,
//! signing keys.
//! Traits here, an engine a file: `sqlite` now.

pub mod failures;
pub mod journal;
pub mod ledger;
pub mod mails;
pub mod revocations;
pub mod sessions;
pub mod sqlite;
pub mod storage;

pub use failures::Failures;
pub use journal::Journal;
pub use ledger::Ledger;
pub use mails::Mails;
pub use revocations::Revocations;
pub use sessions::SessionStore;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{clock, outcome::Failure, query::Query};

/// Why our own state could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing was written.
    #[error("the state cannot be used: {0}")]
    Unavailable(String),
    /// A commit failed: nobody can say what is on the disk. The process must end; the next start looks.
    #[error("a write of the state failed and must not be repeated: {0}")]
    Fatal(String),
    #[error("a query took longer than it may")]
    TooCostly,
}

impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        if matches!(error, Error::TooCostly) {
            return crate::error::query_too_costly();
        }
        tracing::error!(%error, "state");
        crate::error::state_unavailable()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let unknown = matches!(error, Error::Fatal(_));
        let told = crate::error::Error::from(error);
        if unknown { Self::unknown(told) } else { Self::not_done(told) }
    }
}

/// A kind of documents, and which of their fields nobody may share. [`Documents::define`] makes it usable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Collection {
    pub name: &'static str,
    /// Each entry is one namespace: no two documents may have the same folded value in any of its fields. A field that is
    /// absent or null has no value.
    pub unique: Vec<Vec<String>>,
    /// Further fields that are looked up by exact value.
    pub indexed: Vec<String>,
    /// Which documents keep nobody from having their values too.
    pub released: Option<Released>,
}

/// Documents that have this value in that field and lack another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Released {
    pub field: &'static str,
    pub value: &'static str,
    pub lacks: &'static str,
}

/// A document and when it was changed last; that grows strictly per document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub id: String,
    pub body: Map<String, Value>,
    pub created_ms: i64,
    pub updated_ms: i64,
}

impl Document {
    /// As it is shown, and as filters see it: with `_id`, `createdAt`, `updatedAt`.
    pub fn whole(self) -> Map<String, Value> {
        let mut body = self.body;
        body.insert("_id".to_owned(), self.id.into());
        body.insert("createdAt".to_owned(), clock::rfc3339(self.created_ms).into());
        body.insert("updatedAt".to_owned(), clock::rfc3339(self.updated_ms).into());
        body
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Insert {
    Stored(Document),
    /// The id stands already.
    Exists(Document),
    /// [`Documents::close`] was here first.
    Closed,
    /// The field whose value somebody else has.
    Taken(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Replace {
    Stored(Document),
    /// Not there at that time of change.
    Elsewhere(Option<Document>),
    Taken(String),
}

/// Counts what is committed, so that whoever read something can tell that it still stands as he read it. Cheap to copy.
#[derive(Debug, Clone, Default)]
pub struct Commits(Arc<AtomicU64>);

impl Commits {
    /// The same as before means: whatever was read since then stands. Nothing while a commit is under way, or when nobody
    /// knows what became of one.
    pub fn so_far(&self) -> Option<u64> {
        let count = self.0.load(Ordering::SeqCst);
        count.is_multiple_of(2).then_some(count)
    }

    /// Before the first moment in which a commit may be seen.
    fn begins(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// After the last one in which it may not be seen yet.
    fn ends(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Collections of JSON documents with unique fields.
#[async_trait]
pub trait Documents: Send + Sync + 'static {
    /// What is committed, where nobody but this process writes.
    fn commits(&self) -> Option<Commits>;

    /// Sees to it that every document of the collection is found and kept apart by the fields named there, also those
    /// which were stored when other fields were. `Unavailable` when two of them share what is to be unique now.
    async fn define(&self, collection: Collection) -> Result<Arc<Collection>, Error>;

    async fn insert(&self, into: &Arc<Collection>, id: &str, body: Map<String, Value>) -> Result<Insert, Error>;

    /// The whole body anew, where the document was last changed at `at`.
    async fn replace(
        &self,
        of: &Arc<Collection>,
        id: &str,
        at: i64,
        body: Map<String, Value>,
    ) -> Result<Replace, Error>;

    /// Moves the time of change, where it is `at`; nothing else.
    async fn touch(&self, of: &Arc<Collection>, id: &str, at: i64) -> Result<Replace, Error>;

    /// Whether it was there. `member`, where given: a field and the value that it must have.
    async fn delete(
        &self,
        from: &Arc<Collection>,
        id: &str,
        member: Option<(&'static str, Value)>,
    ) -> Result<bool, Error>;

    /// After this no insert of that id can succeed. The document, where one stands already (then nothing is closed).
    async fn close(&self, of: &Arc<Collection>, id: &str) -> Result<Option<Document>, Error>;

    async fn get(&self, of: &Arc<Collection>, id: &str) -> Result<Option<Document>, Error>;

    /// By the exact value of an indexed or unique field, at most 100. Nothing for any other field.
    async fn find(&self, of: &Arc<Collection>, field: &str, value: &str) -> Result<Vec<Document>, Error>;

    /// Those that are meant, each as [`Document::whole`]. `TooCostly` when it takes longer than `within`.
    async fn list(
        &self,
        of: &Arc<Collection>,
        query: &Query,
        within: Duration,
    ) -> Result<Vec<Map<String, Value>>, Error>;

    /// How many are meant, whatever the limit. `TooCostly` as above.
    async fn count(&self, of: &Arc<Collection>, query: &Query, within: Duration) -> Result<u64, Error>;

    /// By the folded value in any field of the namespace with that field.
    async fn find_unique(&self, of: &Arc<Collection>, field: &str, value: &str) -> Result<Option<Document>, Error>;
}

/// Permissions given to single users beside what their roles give.
#[async_trait]
pub trait Grants: Send + Sync + 'static {
    async fn of(&self, user: &str) -> Result<Vec<String>, Error>;
    /// Those which the user did not have before.
    async fn grant(&self, user: &str, permissions: &[String]) -> Result<Vec<String>, Error>;
    async fn revoke(&self, user: &str, permissions: &[String]) -> Result<(), Error>;
    /// Every user who was granted it.
    async fn holders(&self, permission: &str) -> Result<Vec<String>, Error>;
}

/// When a person's time is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Milliseconds since 1970.
    pub due_ms: i64,
    /// The identity that he had when it was set.
    pub identity: Option<String>,
}

/// At most one timer a person.
#[async_trait]
pub trait Timers: Send + Sync + 'static {
    async fn of(&self, user: &str) -> Result<Option<Timer>, Error>;
    /// In place of the one there is; `None` takes it away.
    async fn set(&self, user: &str, timer: Option<Timer>) -> Result<(), Error>;
    /// Whose time is up by then, the longest first; at most so many, and none of `except`.
    async fn due(&self, by_ms: i64, except: Vec<String>, most: usize) -> Result<Vec<String>, Error>;
    /// When the first time after this is up.
    async fn next(&self, after_ms: i64) -> Result<Option<i64>, Error>;
}

/// Small things that must last: signing keys, the secret of the hash chain.
#[async_trait]
pub trait Keys: Send + Sync + 'static {
    /// The one stored under that name, else what `fresh` is, stored durably first.
    async fn get_or_put(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, Error>;

    async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, Error>;

    /// Every one whose name begins so, with its name.
    async fn beginning(&self, with: &str) -> Result<Vec<(String, Vec<u8>)>, Error>;

    /// In one write: another value under that name, a further one under its own, and what goes.
    async fn exchange(
        &self,
        name: &str,
        value: Vec<u8>,
        further: (String, Vec<u8>),
        gone: Vec<String>,
    ) -> Result<(), Error>;
}
