//! Effects on the store. Every write after the insert is conditional on the revision that was read, so an empty change at
//! that revision fences off whatever is still under way.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    error,
    outcome::{Failure, Outcome},
    query::Filter,
    saga::{Promise, Step},
    store::{Landed, Write},
    systems::Systems,
    users::{Change, Revision, State, User, UserId},
};

/// So often in a row is somebody read and written where others write him too; then we pause first.
pub(super) const MEETINGS: u32 = 8;

/// The user stands in the store: PUBLIC, or in the state that his fields name.
#[derive(Debug, Serialize, Deserialize)]
pub struct InsertUser {
    pub id: UserId,
    pub fields: Map<String, Value>,
    pub by: String,
}

impl Step for InsertUser {
    const NAME: &'static str = "insert-user";
    type Output = ();

    fn late(&self, to: &Systems) -> Duration {
        to.store.late()
    }

    async fn run(&self, to: &Systems) -> Outcome<()> {
        to.store.insert(&self.id, &self.fields, &self.by).await
    }

    async fn fence(&self, to: &Systems) -> Outcome<Option<()>> {
        Ok(match to.store.close(&self.id, &self.fields).await? {
            Landed::There => Some(()),
            Landed::Never => None,
        })
    }

    async fn undo(&self, to: &Systems, (): &()) -> Outcome<()> {
        // We made him, so he goes, also where somebody at the store has moved him to another state.
        let Some(user) = to.store.get(&self.id, &Filter::Everything).await? else { return Ok(()) };
        to.store.delete(&self.id, user.state).await
    }
}

/// The user names his identity. Goes when the insert before it is undone.
#[derive(Debug, Serialize, Deserialize)]
pub struct LinkIdentity {
    pub id: UserId,
    pub at: Revision,
    pub identity: String,
    pub by: String,
}

impl LinkIdentity {
    fn change(&self) -> Change {
        let set = Map::from_iter([("authUserId".to_owned(), Value::from(self.identity.clone()))]);
        Change { set, unset: Vec::new() }
    }
}

impl Step for LinkIdentity {
    const NAME: &'static str = "link-identity";
    type Output = ();

    fn late(&self, to: &Systems) -> Duration {
        to.store.late()
    }

    async fn run(&self, to: &Systems) -> Outcome<()> {
        write(to, &self.id, &self.at, &self.change(), &self.by).await.map(|_| ())
    }

    async fn fence(&self, _to: &Systems) -> Outcome<Option<()>> {
        Ok(None)
    }

    async fn undo(&self, _to: &Systems, (): &()) -> Outcome<()> {
        Ok(())
    }
}

/// Fields of a user, changed.
#[derive(Debug, Serialize, Deserialize)]
pub struct PatchUser {
    pub id: UserId,
    pub at: Revision,
    pub change: Change,
    /// What puts the changed fields back.
    pub inverse: Change,
    pub by: String,
}

impl PatchUser {
    pub fn new(user: &User, change: Change, by: &str) -> Self {
        let inverse = change.inverse(&user.document);
        Self { id: user.id.clone(), at: user.revision.clone(), change, inverse, by: by.to_owned() }
    }

    /// What puts back the fields that show what we wrote; somebody else's later value stays, and a field that we wrote as it
    /// was has nothing to put back.
    fn way_back(&self, document: &Map<String, Value>) -> Change {
        let shows = |change: &Change, field: &str| match change.set.get(field) {
            Some(value) => document.get(field) == Some(value),
            None => !document.contains_key(field),
        };
        let ours = |field: &str| shows(&self.change, field) && !shows(&self.inverse, field);
        let mut back = self.inverse.clone();
        back.set.retain(|field, _| ours(field));
        back.unset.retain(|field| ours(field));
        back
    }
}

impl Step for PatchUser {
    const NAME: &'static str = "patch-user";
    type Output = Revision;

    fn late(&self, to: &Systems) -> Duration {
        to.store.late()
    }

    async fn run(&self, to: &Systems) -> Outcome<Revision> {
        write(to, &self.id, &self.at, &self.change, &self.by).await
    }

    async fn fence(&self, to: &Systems) -> Outcome<Option<Revision>> {
        let found = fence(to, &self.id, &self.at, &self.by).await?;
        Ok(found.filter(|user| !self.way_back(&user.document).is_empty()).map(|user| user.revision))
    }

    async fn undo(&self, to: &Systems, _made: &Revision) -> Outcome<()> {
        for _ in 0..MEETINGS {
            let Some(user) = to.store.get(&self.id, &Filter::Everything).await? else { return Ok(()) };
            let back = self.way_back(&user.document);
            if back.is_empty() {
                return Ok(());
            }
            if let Write::Now(_) = to.store.change(&self.id, &user.revision, &back, &self.by).await? {
                return Ok(());
            }
        }
        Err(always_elsewhere())
    }
}

/// A user's state, changed.
#[derive(Debug, Serialize, Deserialize)]
pub struct MoveUser {
    pub id: UserId,
    pub at: Revision,
    pub from: State,
    pub to: State,
    pub by: String,
}

impl Step for MoveUser {
    const NAME: &'static str = "move-user";
    type Output = Revision;

    fn late(&self, to: &Systems) -> Duration {
        to.store.late()
    }

    async fn run(&self, to: &Systems) -> Outcome<Revision> {
        match to.store.set_state(&self.id, &self.at, self.to, &self.by).await? {
            Write::Now(user) => Ok(user.revision),
            Write::Elsewhere => {
                let user = to.store.get(&self.id, &Filter::Everything).await?;
                let ours = user.filter(|user| user.state == self.to && user.revision != self.at);
                ours.map(|user| user.revision).ok_or_else(|| Failure::not_done(error::changed_meanwhile()))
            }
        }
    }

    async fn fence(&self, to: &Systems) -> Outcome<Option<Revision>> {
        let found = fence(to, &self.id, &self.at, &self.by).await?;
        Ok(found.filter(|user| self.way_back(user.state).is_some()).map(|user| user.revision))
    }

    async fn undo(&self, to: &Systems, _made: &Revision) -> Outcome<()> {
        for _ in 0..MEETINGS {
            let Some(user) = to.store.get(&self.id, &Filter::Everything).await? else { return Ok(()) };
            let Some(next) = self.way_back(user.state) else { return Ok(()) };
            to.store.set_state(&self.id, &user.revision, next, &self.by).await?;
        }
        Err(always_elsewhere())
    }
}

impl MoveUser {
    /// Where he goes next on the way back; nothing where he is back already, or where he stands by another step than this one:
    /// an earlier one of ours that was put back too, or somebody else's.
    fn way_back(&self, state: State) -> Option<State> {
        match (state, self.from) {
            (state, from) if state == from => None,
            // No way leads from TRASH to PUBLIC but over DRAFT.
            (State::Trash, State::Public) if self.to == State::Trash => Some(State::Draft),
            (State::Draft, State::Public) => Some(State::Public),
            (state, from) if state == self.to => Some(from),
            _ => None,
        }
    }
}

/// The user is gone from the store. He stands in TRASH, as the steps before left him.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeleteUser {
    pub id: UserId,
}

impl Promise for DeleteUser {
    const NAME: &'static str = "delete-user";

    fn late(&self, to: &Systems) -> Duration {
        to.store.late()
    }

    async fn keep(&self, to: &Systems) -> Outcome<()> {
        to.store.delete(&self.id, State::Trash).await
    }
}

/// Each time he is read he stands at another revision when he is to be written.
pub(super) fn always_elsewhere() -> Failure {
    Failure::unknown(error::changed_meanwhile())
}

/// Writes at a revision; when the user is elsewhere, looks whether an earlier call of ours brought him there.
async fn write(to: &Systems, id: &UserId, at: &Revision, change: &Change, by: &str) -> Outcome<Revision> {
    match to.store.change(id, at, change, by).await? {
        Write::Now(user) => Ok(user.revision),
        Write::Elsewhere => {
            let user = to.store.get(id, &Filter::Everything).await?;
            let ours = user.filter(|user| user.revision != *at && change.shows_in(&user.document));
            ours.map(|user| user.revision).ok_or_else(|| Failure::not_done(error::changed_meanwhile()))
        }
    }
}

/// Moves the revision on, so that nothing conditional on it can land any more. Whoever stands there then: also where the
/// fence met the old revision he may show our write, when it landed in the same millisecond.
async fn fence(to: &Systems, id: &UserId, at: &Revision, by: &str) -> Outcome<Option<User>> {
    match to.store.change(id, at, &Change::default(), by).await? {
        Write::Now(user) => Ok(Some(*user)),
        Write::Elsewhere => to.store.get(id, &Filter::Everything).await,
    }
}
