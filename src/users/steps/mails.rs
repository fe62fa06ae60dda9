//! Mails that are promised. They stand aside: whatever becomes of them changes nothing of the person.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    identity::{Account, AuthUserId},
    outcome::Outcome,
    saga::Promise,
    state::mails::{Kind, Mail},
    systems::Systems,
    users::Welcome,
};

/// A link to choose a password is kept to be mailed.
#[derive(Debug, Serialize, Deserialize)]
pub struct MailLink {
    pub mail: Mail,
}

impl MailLink {
    /// What is promised to somebody new; nothing where he is not to be mailed, or cannot be or may not log in.
    pub fn welcoming(
        welcome: Welcome,
        identity: &AuthUserId,
        account: &Account,
        locale: Option<String>,
        clock: &Clock,
    ) -> Option<Self> {
        let mailed = welcome == Welcome::Mailed && account.enabled && account.email.is_some();
        let id = clock.uuid().to_string();
        mailed.then(|| Self { mail: Mail { id, identity: identity.clone(), kind: Kind::Welcome, locale } })
    }
}

impl Promise for MailLink {
    const NAME: &'static str = "mail-link";

    fn late(&self, _to: &Systems) -> Duration {
        Duration::ZERO
    }

    async fn keep(&self, to: &Systems) -> Outcome<()> {
        Ok(to.mails.put(self.mail.clone()).await?)
    }
}
