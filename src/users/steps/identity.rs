//! Effects on the identity. Its provider may offer no fence: then an operation keeps its names until nothing can land.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    identity::{Account, AuthUserId},
    outcome::Outcome,
    saga::{Promise, Step},
    systems::Systems,
};

/// An account for the user.
#[derive(Serialize, Deserialize)]
pub struct CreateIdentity {
    /// Where the provider takes an id of our choice.
    pub chosen: Option<AuthUserId>,
    /// Bears the operation's mark.
    pub account: Account,
    /// Never journalled; undo does without.
    #[serde(skip)]
    pub password: Option<SecretString>,
}

impl Step for CreateIdentity {
    const NAME: &'static str = "create-identity";
    type Output = AuthUserId;

    fn late(&self, to: &Systems) -> Duration {
        to.identity.late()
    }

    async fn run(&self, to: &Systems) -> Outcome<AuthUserId> {
        to.identity.create(self.chosen.as_ref(), &self.account, self.password.as_ref()).await
    }

    async fn fence(&self, to: &Systems) -> Outcome<Option<AuthUserId>> {
        to.identity.close_create(self.chosen.as_ref(), &self.account).await
    }

    async fn undo(&self, to: &Systems, made: &AuthUserId) -> Outcome<()> {
        to.identity.delete(made).await
    }
}

/// The account as it should be now: names and whether it may log in.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeIdentity {
    pub id: AuthUserId,
    pub from: Account,
    /// Bears the operation's mark.
    pub to: Account,
}

impl ChangeIdentity {
    /// Who may log in from then on, or no more; marked by that operation.
    pub fn enabling(id: AuthUserId, from: Account, enabled: bool, operation: &str) -> Self {
        let to = Account { enabled, mark: Some(operation.to_owned()), ..from.clone() };
        Self { id, from, to }
    }
}

impl Step for ChangeIdentity {
    const NAME: &'static str = "change-identity";
    type Output = ();

    fn late(&self, to: &Systems) -> Duration {
        to.identity.late()
    }

    async fn run(&self, to: &Systems) -> Outcome<()> {
        if self.to.enabled && !self.from.enabled {
            to.revoke_tokens(&self.id).await?;
        }
        to.identity.change(&self.id, &self.from, &self.to).await
    }

    async fn fence(&self, to: &Systems) -> Outcome<Option<()>> {
        let landed = to.identity.close_change(&self.id, &self.from, &self.to).await?;
        Ok(landed.then_some(()))
    }

    async fn undo(&self, to: &Systems, (): &()) -> Outcome<()> {
        to.identity.restore(&self.id, &self.from, &self.to).await
    }
}

/// The account is gone, and its password with it: no way back.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeleteIdentity {
    pub id: AuthUserId,
}

impl Promise for DeleteIdentity {
    const NAME: &'static str = "delete-identity";

    fn late(&self, to: &Systems) -> Duration {
        to.identity.late()
    }

    async fn keep(&self, to: &Systems) -> Outcome<()> {
        to.identity.delete(&self.id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_journal_gets_of_a_creation_holds_no_password() {
        let password = Some(SecretString::from("correct horse"));
        let step = CreateIdentity { chosen: None, account: Account::default(), password };
        let journalled = serde_json::to_string(&step).unwrap();
        assert!(!journalled.contains("horse"), "{journalled}");
        let revived: CreateIdentity = serde_json::from_str(&journalled).unwrap();
        assert!(revived.password.is_none());
    }
}
