//! Permissions given to a single user. They stand in our own state, whose writes are done or not done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    outcome::Outcome,
    saga::{Promise, Step},
    systems::Systems,
    users::UserId,
};

/// The user has these permissions too.
#[derive(Debug, Serialize, Deserialize)]
pub struct GrantPermissions {
    pub user: UserId,
    pub permissions: Vec<String>,
    /// Those that he had already, which undo leaves.
    pub before: Vec<String>,
}

impl Step for GrantPermissions {
    const NAME: &'static str = "grant-permissions";
    type Output = ();

    fn late(&self, _to: &Systems) -> Duration {
        Duration::ZERO
    }

    async fn run(&self, to: &Systems) -> Outcome<()> {
        to.grants.grant(self.user.as_str(), &self.permissions).await?;
        Ok(())
    }

    async fn fence(&self, to: &Systems) -> Outcome<Option<()>> {
        let granted = to.grants.of(self.user.as_str()).await?;
        Ok(self.ours().any(|permission| granted.contains(permission)).then_some(()))
    }

    async fn undo(&self, to: &Systems, (): &()) -> Outcome<()> {
        let ours: Vec<String> = self.ours().cloned().collect();
        to.grants.revoke(self.user.as_str(), &ours).await?;
        Ok(())
    }
}

impl GrantPermissions {
    fn ours(&self) -> impl Iterator<Item = &String> {
        self.permissions.iter().filter(|permission| !self.before.contains(permission))
    }
}

/// Nothing is granted to the user any more.
#[derive(Debug, Serialize, Deserialize)]
pub struct DropGrants {
    pub user: UserId,
}

impl Promise for DropGrants {
    const NAME: &'static str = "drop-grants";

    fn late(&self, _to: &Systems) -> Duration {
        Duration::ZERO
    }

    async fn keep(&self, to: &Systems) -> Outcome<()> {
        let granted = to.grants.of(self.user.as_str()).await?;
        to.grants.revoke(self.user.as_str(), &granted).await?;
        Ok(())
    }
}
