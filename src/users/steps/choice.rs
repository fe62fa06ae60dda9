//! Whom an operation that is made of others is about. Changes nothing: each of the others does that for itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::Error,
    outcome::Outcome,
    saga::Step,
    systems::Systems,
    users::{State, UserId, change_states::Came},
};

/// These are to go to these states, one entry after the other.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChooseTargets {
    pub entries: Vec<(State, Vec<UserId>)>,
}

impl Step for ChooseTargets {
    const NAME: &'static str = "choose-targets";
    type Output = ();

    fn late(&self, _to: &Systems) -> Duration {
        Duration::ZERO
    }

    async fn run(&self, _to: &Systems) -> Outcome<()> {
        Ok(())
    }

    async fn fence(&self, _to: &Systems) -> Outcome<Option<()>> {
        Ok(None)
    }

    async fn undo(&self, _to: &Systems, (): &()) -> Outcome<()> {
        Ok(())
    }

    fn cut_off(&self, done: u64) -> Option<Result<Value, Error>> {
        let of = self.entries.iter().map(|(_, ids)| ids.len() as u64).sum();
        Some(Came { changed: done, of, failed: of.saturating_sub(done) }.told().map(Value::from))
    }
}
