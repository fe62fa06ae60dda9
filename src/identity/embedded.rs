//! Identities in our own state. Knows neither users nor tokens: it tells who logged in and what he may still do.
//!
//! Usernames and e-mails are one namespace, since either is a name to log in with. A `Record` has a version of its own
//! which conditional writes are bound to, so that somebody who changes his password meanwhile disturbs no operation.

mod hashing;
mod link;
mod phc;
mod stored;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::hashing::{Hashing, Verified};
use super::{Account, AuthUserId, Identity, Login, PasswordChange, Standing, TheirSession};
use crate::{
    clock::Clock,
    error::{self, Code, Error},
    lately::Lately,
    outcome::{Failure, Outcome},
    state::{self, Collection, Document, Documents, Insert, Replace},
};

pub struct Embedded {
    documents: Arc<dyn Documents>,
    identities: Arc<Collection>,
    hashing: Hashing,
    /// Of our own tokens.
    standing: Lately<Option<Standing>>,
    clock: Clock,
}

/// How long a password that somebody else set is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    Lasting,
    /// Only for changing it.
    MustChange,
}

impl Embedded {
    /// Over that state. At most `concurrency` passwords are hashed at a time, 19 MiB each; at most `queue` wait.
    pub async fn open(
        documents: Arc<dyn Documents>,
        clock: Clock,
        concurrency: usize,
        queue: usize,
    ) -> Result<Self, state::Error> {
        let names = vec!["email".to_owned(), "username".to_owned()];
        let collection = Collection { name: "identities", unique: vec![names], indexed: Vec::new(), released: None };
        let identities = documents.define(collection).await?;
        let hashing =
            Hashing::start(concurrency, queue).map_err(|error| state::Error::Unavailable(error.to_string()))?;
        let standing = Lately::new(documents.commits());
        Ok(Self { documents, identities, hashing, standing, clock })
    }

    /// How many passwords are hashed at this moment, and how many wait for that.
    pub fn hashing(&self) -> (usize, usize) {
        self.hashing.load()
    }

    /// Sets a password without knowing the old one and ends every session. Whether the account is there.
    pub async fn set_password(&self, id: &AuthUserId, new: &SecretString, good: Password) -> Outcome<bool> {
        let hash = self.hashing.admit()?.hash(new).await?;
        let set = |record: &mut Record| {
            record.password = Some(hash.clone());
            record.must_change_password = good == Password::MustChange;
            record.end_sessions(self.clock.now_ms());
            Edit::Write(())
        };
        Ok(self.edit(id, set).await?.is_some())
    }

    /// The password that it was created with is only good for changing it. Whether the account is there.
    pub async fn require_password_change(&self, id: &AuthUserId) -> Outcome<bool> {
        let require = |record: &mut Record| {
            record.must_change_password = true;
            Edit::Write(())
        };
        Ok(self.edit(id, require).await?.is_some())
    }

    async fn record(&self, id: &AuthUserId) -> Outcome<Option<Record>> {
        self.documents.get(&self.identities, id).await?.map(Record::of).transpose()
    }

    /// What `edit` makes of the record as it is at that moment; nothing when there is none.
    async fn edit<T: Send>(
        &self,
        id: &AuthUserId,
        mut edit: impl FnMut(&mut Record) -> Edit<T> + Send,
    ) -> Outcome<Option<T>> {
        loop {
            let Some(document) = self.documents.get(&self.identities, id).await? else { return Ok(None) };
            let at = document.updated_ms;
            let mut record = Record::of(document)?;
            let value = match edit(&mut record) {
                Edit::Keep(value) => return Ok(Some(value)),
                Edit::Write(value) => value,
            };
            match self.documents.replace(&self.identities, id, at, record.body()?).await? {
                Replace::Stored(_) => return Ok(Some(value)),
                Replace::Taken(field) => return Err(Failure::not_done(error::name_taken(&field))),
                // Somebody wrote in between; nothing of ours is there.
                Replace::Elsewhere(_) => {}
            }
        }
    }
}

#[async_trait]
impl Identity for Embedded {
    fn choose_id(&self) -> Option<AuthUserId> {
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        Some(uuid::Builder::from_random_bytes(random).into_uuid().to_string())
    }

    async fn create(
        &self,
        chosen: Option<&AuthUserId>,
        account: &Account,
        password: Option<&SecretString>,
    ) -> Outcome<AuthUserId> {
        let id = chosen.ok_or_else(|| Failure::not_done(error::internal("no id was chosen for an identity")))?;
        let ours = |record: &Record| record.mark == account.mark;
        if self.record(id).await?.as_ref().is_some_and(ours) {
            return Ok(id.clone());
        }
        let hash = match password {
            Some(password) => Some(self.hashing.admit()?.hash(password).await?),
            None => None,
        };
        let record = Record::new(account, hash);
        match self.documents.insert(&self.identities, id, record.body()?).await? {
            Insert::Stored(_) => Ok(id.clone()),
            Insert::Exists(document) => {
                let ours = ours(&Record::of(document)?);
                let linked = || Failure::not_done(Error::new(Code::IdentityLinked, "The identity is another one's"));
                ours.then(|| id.clone()).ok_or_else(linked)
            }
            Insert::Closed => {
                Err(Failure::not_done(Error::new(Code::OperationSettled, "The creation of this identity was given up")))
            }
            Insert::Taken(field) => Err(Failure::not_done(error::name_taken(&field))),
        }
    }

    async fn close_create(&self, chosen: Option<&AuthUserId>, account: &Account) -> Outcome<Option<AuthUserId>> {
        // Without an id nothing was made.
        let Some(id) = chosen else { return Ok(None) };
        let landed = self.documents.close(&self.identities, id).await?.map(Record::of).transpose()?;
        Ok(landed.is_some_and(|record| record.mark == account.mark).then(|| id.clone()))
    }

    async fn get(&self, id: &AuthUserId) -> Outcome<Option<Account>> {
        Ok(self.record(id).await?.map(|record| record.account()))
    }

    async fn change(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<()> {
        let changed = self.edit(id, |record| {
            if record.bears(to) && record.shows(to) {
                Edit::Keep(true)
            } else if !record.stands_at(from) {
                Edit::Keep(false)
            } else {
                record.put(to, self.clock.now_ms());
                Edit::Write(true)
            }
        });
        match changed.await? {
            Some(true) => Ok(()),
            Some(false) => Err(Failure::not_done(error::changed_meanwhile())),
            None => Err(Failure::not_done(Error::new(Code::IdentityUnknown, "The identity is not there"))),
        }
    }

    async fn close_change(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<bool> {
        let landed = self.edit(id, |record| {
            if record.bears(to) {
                Edit::Keep(true)
            } else if record.stands_at(from) {
                record.version += 1;
                Edit::Write(false)
            } else {
                Edit::Keep(false)
            }
        });
        Ok(landed.await?.unwrap_or(false))
    }

    async fn restore(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<()> {
        let restored = self.edit(id, |record| {
            if record.bears(to) {
                record.put(from, self.clock.now_ms());
                Edit::Write(())
            } else {
                Edit::Keep(())
            }
        });
        restored.await?;
        Ok(())
    }

    async fn delete(&self, id: &AuthUserId) -> Outcome<()> {
        self.documents.delete(&self.identities, id, None).await?;
        Ok(())
    }

    fn wants_password(&self) -> bool {
        false
    }

    fn late(&self) -> Duration {
        Duration::ZERO
    }

    async fn log_in(&self, name: &str, password: &SecretString) -> Outcome<Login> {
        // Before the look-up, so that a full queue says nothing about the name.
        let place = self.hashing.admit()?;
        let found = self.documents.find_unique(&self.identities, "email", name).await?;
        let id = found.as_ref().map(|document| document.id.clone());
        let hash = found.map(Record::of).transpose()?.and_then(|record| record.password);
        let verified = place.verify(password, hash.clone()).await?;
        // Hashing takes its time; the account may have been blocked or its password changed meanwhile. Whoever is refused is
        // looked at again too, so that each of them costs the same.
        let now_ms = self.clock.now_ms();
        let id = id.unwrap_or_default();
        let shown = self.edit(&id, |record| {
            let Verified::Right { anew } = &verified else { return Edit::Keep(None) };
            if !record.enabled || record.password != hash {
                return Edit::Keep(None);
            }
            // Sessions that ended in this very millisecond, or before the clock went back, ended before this one.
            let at_ms = Some(now_ms.max(record.not_before_ms));
            match anew {
                Some(anew) => {
                    record.password = Some(anew.clone());
                    Edit::Write(at_ms)
                }
                None => Edit::Keep(at_ms),
            }
        });
        Ok(match shown.await?.flatten() {
            Some(at_ms) => Login::Verified { id, at_ms },
            None => Login::Refused,
        })
    }

    async fn claims(&self, id: &AuthUserId, _token: Option<&SecretString>) -> Outcome<Option<Map<String, Value>>> {
        let Some(record) = self.record(id).await? else { return Ok(None) };
        let mut claims = Map::from_iter([("sub".to_owned(), Value::from(id.as_str()))]);
        claims.extend(record.username.map(|username| ("preferred_username".to_owned(), username.into())));
        claims.extend(record.email.map(|email| ("email".to_owned(), email.into())));
        Ok(Some(claims))
    }

    // Its sessions are not its own affair: it makes no tokens.

    async fn refresh(&self, _: &SecretString) -> Outcome<Login> {
        Ok(Login::Refused)
    }

    async fn revoke(&self, _: &SecretString) -> Outcome<()> {
        Ok(())
    }

    async fn sessions(&self, _: &AuthUserId) -> Outcome<Vec<TheirSession>> {
        Ok(Vec::new())
    }

    async fn end_session(&self, _: &str) -> Outcome<()> {
        Ok(())
    }

    async fn standing(&self, id: &AuthUserId) -> Outcome<Option<Standing>> {
        let standing = async || Outcome::Ok(self.record(id).await?.map(|record| record.standing()));
        self.standing.recent_or(id, self.clock.now_ms(), standing).await
    }

    async fn change_password(
        &self,
        id: &AuthUserId,
        current: &SecretString,
        new: &SecretString,
    ) -> Outcome<PasswordChange> {
        let place = self.hashing.admit()?;
        let old = self.record(id).await?.and_then(|record| record.password);
        let Some(hash) = place.exchange(current, old.clone(), new).await? else { return Ok(PasswordChange::Wrong) };
        let changed = self.edit(id, |record| {
            // Only the one that was verified is replaced.
            if record.password != old {
                return Edit::Keep(PasswordChange::Wrong);
            }
            record.password = Some(hash.clone());
            record.must_change_password = false;
            record.end_sessions(self.clock.now_ms());
            Edit::Write(PasswordChange::Changed)
        });
        Ok(changed.await?.unwrap_or(PasswordChange::Wrong))
    }

    async fn check(&self) -> Outcome<()> {
        self.documents.get(&self.identities, "").await?;
        Ok(())
    }

    fn name(&self) -> &'static str {
        "embedded"
    }
}

enum Edit<T> {
    /// Nothing is to be written.
    Keep(T),
    Write(T),
}

/// An account as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<String>,
    /// A PHC string.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    must_change_password: bool,
    not_before_ms: i64,
    /// Grows with every change of what an [`Account`] shows.
    version: u64,
}

impl Record {
    fn standing(&self) -> Standing {
        Standing {
            enabled: self.enabled,
            not_before_ms: self.not_before_ms,
            must_change_password: self.must_change_password,
        }
    }

    fn new(account: &Account, password: Option<String>) -> Self {
        Self {
            username: account.username.clone(),
            email: account.email.clone(),
            enabled: account.enabled,
            mark: account.mark.clone(),
            password,
            must_change_password: false,
            not_before_ms: 0,
            version: 1,
        }
    }

    fn of(document: Document) -> Outcome<Self> {
        serde_json::from_value(Value::Object(document.body))
            .map_err(|_| Failure::not_done(error::internal("a stored identity that cannot be read")))
    }

    fn body(&self) -> Outcome<serde_json::Map<String, Value>> {
        match serde_json::to_value(self) {
            Ok(Value::Object(body)) => Ok(body),
            Ok(_) | Err(_) => Err(Failure::not_done(error::internal("an identity that is no JSON object"))),
        }
    }

    fn account(&self) -> Account {
        Account {
            username: self.username.clone(),
            email: self.email.clone(),
            enabled: self.enabled,
            mark: self.mark.clone(),
            revision: Some(self.version.to_string()),
        }
    }

    fn bears(&self, account: &Account) -> bool {
        self.mark == account.mark
    }

    fn shows(&self, account: &Account) -> bool {
        (&self.username, &self.email, self.enabled) == (&account.username, &account.email, account.enabled)
    }

    fn stands_at(&self, account: &Account) -> bool {
        account.revision.as_ref().is_none_or(|revision| *revision == self.version.to_string())
    }

    fn put(&mut self, account: &Account, now_ms: i64) {
        if self.enabled && !account.enabled {
            self.end_sessions(now_ms);
        }
        self.username.clone_from(&account.username);
        self.email.clone_from(&account.email);
        self.enabled = account.enabled;
        self.mark.clone_from(&account.mark);
        self.version += 1;
    }

    /// One more than any time at which a token can have been issued until now, so that even one of this very millisecond
    /// counts no more.
    fn end_sessions(&mut self, now_ms: i64) {
        self.not_before_ms = self.not_before_ms.max(now_ms) + 1;
    }
}
