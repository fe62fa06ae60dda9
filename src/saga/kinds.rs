//! What the author of a step writes, and how a step comes back to life from the journal.

use std::{future::Future, time::Duration};

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{error::Error, outcome::Outcome, systems::Systems};

/// One effect on one system, with its undo. A step is data: it is written to the journal, and another process can undo it.
/// A secret is `#[serde(skip)]`: `run` has it, `fence` and `undo` do without.
pub trait Step: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Stands in journals for ever; a new meaning is a new name.
    const NAME: &'static str;
    /// Only what the other side chose.
    type Output: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// How long an unanswered call may still land; zero: `fence` is final.
    fn late(&self, to: &Systems) -> Duration;
    /// The effect. Run again after an unanswered call it recognises its own earlier effect and is done.
    fn run(&self, to: &Systems) -> impl Future<Output = Outcome<Self::Output>> + Send;
    /// On the way back after an unanswered call: what landed, if anything.
    fn fence(&self, to: &Systems) -> impl Future<Output = Outcome<Option<Self::Output>>> + Send;
    /// Puts it back. Succeeds when there is nothing to put back, and touches only what this operation made.
    fn undo(&self, to: &Systems, made: &Self::Output) -> impl Future<Output = Outcome<()>> + Send;

    /// Of an operation that is made of others, which stand each by itself: what is told when it was cut off after so many of
    /// them were done. Nothing is put back then.
    fn cut_off(&self, _done: u64) -> Option<Result<Value, Error>> {
        None
    }
}

/// An effect that cannot be taken back, kept after the commit. Self-contained and repeatable.
pub trait Promise: Serialize + DeserializeOwned + Send + Sync + 'static {
    const NAME: &'static str;

    /// As [`Step::late`].
    fn late(&self, to: &Systems) -> Duration;
    fn keep(&self, to: &Systems) -> impl Future<Output = Outcome<()>> + Send;
}

/// A name in the journal and how what stands under it comes back.
pub struct Kind {
    name: &'static str,
    revive: fn(Value) -> serde_json::Result<Revived>,
}

pub const fn step<S: Step>() -> Kind {
    Kind { name: S::NAME, revive: |body| Ok(Revived::Step(Box::new(serde_json::from_value::<S>(body)?))) }
}

pub const fn promise<P: Promise>() -> Kind {
    Kind { name: P::NAME, revive: |body| Ok(Revived::Promise(Box::new(serde_json::from_value::<P>(body)?))) }
}

pub(super) enum Revived {
    Step(Box<dyn AnyStep>),
    Promise(Box<dyn AnyPromise>),
}

pub(super) struct Kinds(pub &'static [Kind]);

impl Kinds {
    pub fn revive(&self, name: &str, body: Value) -> Result<Revived, String> {
        let kind = self.0.iter().find(|kind| kind.name == name).ok_or_else(|| format!("no step is called {name}"))?;
        // The error's own text may quote a value.
        (kind.revive)(body).map_err(|_| format!("what stands in the journal under {name} cannot be read"))
    }
}

/// A step without its type.
#[async_trait]
pub(super) trait AnyStep: Send + Sync {
    fn late(&self, to: &Systems) -> Duration;
    async fn fence(&self, to: &Systems) -> Outcome<Option<Value>>;
    async fn undo(&self, to: &Systems, made: &Value) -> Outcome<()>;
    fn cut_off(&self, done: u64) -> Option<Result<Value, Error>>;
}

#[async_trait]
impl<S: Step> AnyStep for S {
    fn late(&self, to: &Systems) -> Duration {
        Step::late(self, to)
    }

    async fn fence(&self, to: &Systems) -> Outcome<Option<Value>> {
        let made = Step::fence(self, to).await?;
        made.map(serde_json::to_value).transpose().map_err(unreadable)
    }

    async fn undo(&self, to: &Systems, made: &Value) -> Outcome<()> {
        let made = serde_json::from_value(made.clone()).map_err(unreadable)?;
        Step::undo(self, to, &made).await
    }

    fn cut_off(&self, done: u64) -> Option<Result<Value, Error>> {
        Step::cut_off(self, done)
    }
}

#[async_trait]
pub(super) trait AnyPromise: Send + Sync {
    fn late(&self, to: &Systems) -> Duration;
    async fn keep(&self, to: &Systems) -> Outcome<()>;
}

#[async_trait]
impl<P: Promise> AnyPromise for P {
    fn late(&self, to: &Systems) -> Duration {
        Promise::late(self, to)
    }

    async fn keep(&self, to: &Systems) -> Outcome<()> {
        Promise::keep(self, to).await
    }
}

fn unreadable(error: serde_json::Error) -> crate::outcome::Failure {
    crate::outcome::Failure::not_done(crate::error::internal(error))
}
