//! A person's timer. It stands in our own state, whose writes are done or not done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    outcome::Outcome,
    saga::{Promise, Step},
    state::Timer,
    systems::Systems,
    users::UserId,
};

/// The timer is set, moved or taken away.
#[derive(Debug, Serialize, Deserialize)]
pub struct MoveTimer {
    pub user: UserId,
    pub before: Option<Timer>,
    pub after: Option<Timer>,
}

impl Step for MoveTimer {
    const NAME: &'static str = "move-timer";
    type Output = ();

    fn late(&self, _to: &Systems) -> Duration {
        Duration::ZERO
    }

    async fn run(&self, to: &Systems) -> Outcome<()> {
        Ok(to.timers.set(self.user.as_str(), self.after.clone()).await?)
    }

    async fn fence(&self, to: &Systems) -> Outcome<Option<()>> {
        let now = to.timers.of(self.user.as_str()).await?;
        Ok((now == self.after && now != self.before).then_some(()))
    }

    async fn undo(&self, to: &Systems, (): &()) -> Outcome<()> {
        if to.timers.of(self.user.as_str()).await? == self.after {
            to.timers.set(self.user.as_str(), self.before.clone()).await?;
        }
        Ok(())
    }
}

/// Nothing will happen to the person any more.
#[derive(Debug, Serialize, Deserialize)]
pub struct DropTimer {
    pub user: UserId,
}

impl Promise for DropTimer {
    const NAME: &'static str = "drop-timer";

    fn late(&self, _to: &Systems) -> Duration {
        Duration::ZERO
    }

    async fn keep(&self, to: &Systems) -> Outcome<()> {
        Ok(to.timers.set(self.user.as_str(), None).await?)
    }
}
