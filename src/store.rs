//! Where users live, and the documents of groups and roles beside them: the trait, a file a driver. A driver translates what its system answers into done, not done or
//! unknown; nothing above it sees more.

mod collection;
pub mod crud_service;
pub mod embedded;

pub use collection::Collection;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::{
    outcome::Outcome,
    query::{Filter, Query},
    state::Commits,
    users::{Change, Revision, State, User, UserId},
};

/// One collection. What is said of users holds for the documents of the others too: each is a row with `_id`, state and
/// revision.
///
/// Writes are conditional on the revision that was read, so that a late one can be closed out: once the revision has
/// moved, it matches nothing any more.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Stores a user under an id of our choice, in the state that the fields name under `__STATE__`, else PUBLIC. Asked again
    /// for the same id it changes nothing and is done. `NotDone` with [`Collection::taken`] when the store's own unique fields
    /// refuse it, and after [`Store::close`].
    async fn insert(&self, id: &UserId, fields: &Map<String, Value>, by: &str) -> Outcome<()>;

    /// The fence of an insert of these fields: whether it landed. Where it did not, it can never land any more.
    async fn close(&self, id: &UserId, fields: &Map<String, Value>) -> Outcome<Landed>;

    /// In any state; what [`Store::close`] left behind is nobody.
    async fn get(&self, id: &UserId, rows: &Filter) -> Outcome<Option<User>>;

    /// Somebody, in any state, whose field has one of these values exactly.
    async fn find(&self, any: &[(&str, &str)]) -> Outcome<Vec<User>>;

    /// Everybody who is meant, whole, in the order asked for; by `_id` where none is. Never what [`Store::close`] left.
    async fn list(&self, query: &Query) -> Outcome<Vec<User>>;

    /// How many are meant, whatever the limit.
    async fn count(&self, query: &Query) -> Outcome<u64>;

    /// `Elsewhere` when nobody stands there at that revision; then nothing happened, and this call can do nothing later.
    /// An empty change is the fence of all earlier ones at the same revision: it only moves the revision.
    async fn change(&self, id: &UserId, at: &Revision, change: &Change, by: &str) -> Outcome<Write>;

    /// As [`Store::change`]. The caller has seen to it that the transition is legal.
    async fn set_state(&self, id: &UserId, at: &Revision, to: State, by: &str) -> Outcome<Write>;

    /// Removes the document where it stands in that state; done when it is not there.
    async fn delete(&self, id: &UserId, state: State) -> Outcome<()>;

    /// How long an unanswered write may still land after its fence. Zero: the fence is final.
    fn late(&self) -> Duration {
        Duration::ZERO
    }

    /// For check-up: whether it answers.
    async fn check(&self) -> Outcome<()>;

    /// What is committed, where it lies in our own state and nobody but this process writes there.
    fn commits(&self) -> Option<Commits> {
        None
    }

    /// Its name in check-up: `embedded`, `crud-service`.
    fn name(&self) -> &'static str;
}

/// What became of an insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landed {
    There,
    Never,
}

/// What a conditional write met.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    Now(Box<User>),
    Elsewhere,
}
