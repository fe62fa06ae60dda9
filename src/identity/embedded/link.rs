//! Passwords that are chosen by a link. What makes a link hold is the account as it stands.

use secrecy::SecretString;

use super::{AuthUserId, Edit, Embedded, Outcome, Record};
use crate::identity::Stamp;

impl Embedded {
    /// What a link for that account is bound to; nothing when it is not there or blocked.
    pub async fn stamp(&self, id: &AuthUserId) -> Outcome<Option<Stamp>> {
        Ok(self.record(id).await?.filter(|record| record.enabled).map(|record| stamp(&record)))
    }

    /// The new password instead, and every session ends; where the account still stands as in `stamp`. Whether it did.
    pub async fn choose_password(&self, id: &AuthUserId, stamped: &Stamp, new: &SecretString) -> Outcome<bool> {
        let hash = self.hashing.admit()?.hash(new).await?;
        let chosen = self.edit(id, |record| {
            if !record.enabled || stamp(record) != *stamped {
                return Edit::Keep(false);
            }
            record.password = Some(hash.clone());
            record.must_change_password = false;
            record.end_sessions(self.clock.now_ms());
            Edit::Write(true)
        });
        Ok(chosen.await?.unwrap_or(false))
    }
}

fn stamp(record: &Record) -> Stamp {
    let bytes = |text: &Option<String>| text.as_ref().map_or_else(Vec::new, |text| [b"+", text.as_bytes()].concat());
    let (password, email) = (bytes(&record.password), bytes(&record.email));
    Stamp::of(&[&password, &email, &[u8::from(record.enabled)], &record.not_before_ms.to_be_bytes()])
}
