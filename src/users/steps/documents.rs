//! Effects on the documents of groups and roles: what is done to a user, over another collection.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{InsertUser, MoveUser, PatchUser};
use crate::{
    outcome::Outcome,
    saga::{Promise, Step},
    store::Collection,
    systems::Systems,
    users::{State, UserId},
};

/// A step of a user, with a document of that collection in his place.
#[derive(Debug, Serialize, Deserialize)]
pub struct Over<S> {
    pub of: Collection,
    pub step: S,
}

/// What a step is called over other collections. Stands in journals for ever.
pub trait OfDocuments: Step {
    const OVER: &'static str;
}

impl OfDocuments for InsertUser {
    const OVER: &'static str = "insert-document";
}

impl OfDocuments for PatchUser {
    const OVER: &'static str = "patch-document";
}

impl OfDocuments for MoveUser {
    const OVER: &'static str = "move-document";
}

impl<S: OfDocuments> Step for Over<S> {
    const NAME: &'static str = S::OVER;
    type Output = S::Output;

    fn late(&self, to: &Systems) -> Duration {
        to.over(self.of).map_or(Duration::ZERO, |to| self.step.late(&to))
    }

    async fn run(&self, to: &Systems) -> Outcome<Self::Output> {
        self.step.run(&to.over(self.of)?).await
    }

    async fn fence(&self, to: &Systems) -> Outcome<Option<Self::Output>> {
        self.step.fence(&to.over(self.of)?).await
    }

    async fn undo(&self, to: &Systems, made: &Self::Output) -> Outcome<()> {
        self.step.undo(&to.over(self.of)?, made).await
    }
}

/// The document is gone. It stands in TRASH, as the step before left it.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeleteDocument {
    pub of: Collection,
    pub id: UserId,
}

impl Promise for DeleteDocument {
    const NAME: &'static str = "delete-document";

    fn late(&self, to: &Systems) -> Duration {
        to.over(self.of).map_or(Duration::ZERO, |to| to.store.late())
    }

    async fn keep(&self, to: &Systems) -> Outcome<()> {
        to.over(self.of)?.store.delete(&self.id, State::Trash).await
    }
}
