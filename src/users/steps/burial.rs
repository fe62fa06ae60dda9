//! What is promised of somebody who is to stand DELETED. Past the point of no return: whoever finds it half done goes on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::store::{MEETINGS, always_elsewhere};
use crate::{
    outcome::Outcome,
    query::Filter,
    saga::Promise,
    store::Write,
    systems::Systems,
    users::{Change, State, UserId},
};

/// The user names that identity no more: it is gone.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnlinkUser {
    pub id: UserId,
    pub identity: String,
    pub by: String,
}

impl Promise for UnlinkUser {
    const NAME: &'static str = "unlink-user";

    fn late(&self, to: &Systems) -> Duration {
        to.store.late()
    }

    async fn keep(&self, to: &Systems) -> Outcome<()> {
        let change = Change { unset: vec!["authUserId".to_owned()], ..Change::default() };
        for _ in 0..MEETINGS {
            let Some(user) = to.store.get(&self.id, &Filter::Everything).await? else { return Ok(()) };
            if user.auth_user_id() != Some(&self.identity) {
                return Ok(());
            }
            if let Write::Now(_) = to.store.change(&self.id, &user.revision, &change, &self.by).await? {
                return Ok(());
            }
        }
        Err(always_elsewhere())
    }
}

/// The user stands DELETED. He stands in TRASH, as the steps before left him; elsewhere only where somebody at the store has
/// moved him, and his identity does not come back.
#[derive(Debug, Serialize, Deserialize)]
pub struct BuryUser {
    pub id: UserId,
    pub by: String,
}

impl Promise for BuryUser {
    const NAME: &'static str = "bury-user";

    fn late(&self, to: &Systems) -> Duration {
        to.store.late()
    }

    async fn keep(&self, to: &Systems) -> Outcome<()> {
        for _ in 0..MEETINGS {
            let Some(user) = to.store.get(&self.id, &Filter::Everything).await? else { return Ok(()) };
            let next = match user.state {
                State::Deleted => return Ok(()),
                State::Trash => State::Deleted,
                State::Public | State::Draft => State::Trash,
            };
            to.store.set_state(&self.id, &user.revision, next, &self.by).await?;
        }
        Err(always_elsewhere())
    }
}
