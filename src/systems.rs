//! The systems that an operation touches, and nothing else: what a step gets to see of the world.

use std::sync::Arc;

use crate::{
    clock::Clock,
    identity::{Account, AuthUserId, Identity},
    lately::OnceASecond,
    mail::Outbox,
    metrics::Metrics,
    outcome::{Failure, Outcome},
    query::{Filter, Query},
    roles::Roles,
    state::{Grants, Revocations, Timer, Timers},
    store::{Collection, Store},
    users::{User, UserId},
};

/// For so long it is remembered which tokens and sessions of a provider were ended here: longer than it lets one live, also
/// where it could not be told.
pub const REVOKED_MS: i64 = 400 * 24 * 60 * 60 * 1000;

#[derive(Clone)]
pub struct Systems {
    pub store: Arc<dyn Store>,
    /// The documents of groups.
    pub groups: Arc<dyn Store>,
    pub roles: Roles,
    pub identity: Arc<dyn Identity>,
    pub grants: Arc<dyn Grants>,
    pub timers: Arc<dyn Timers>,
    pub revocations: Arc<dyn Revocations>,
    pub mails: Outbox,
    /// Whether a date that has come blocks (`EXPIRY`).
    pub expiry: bool,
    pub clock: Clock,
    /// Where what happens to them is counted.
    pub metrics: Metrics,
}

impl Systems {
    pub fn view(&self) -> View<'_> {
        View(self)
    }

    /// Milliseconds since 1970: whose date has come by then is blocked.
    pub fn expired_until_ms(&self) -> i64 {
        if self.expiry { self.clock.now_ms() } else { i64::MIN }
    }

    /// Whatever the provider has issued to that identity before now counts no more: for whoever is let in again, before he is.
    /// While he was shut out he was given nothing, so it takes away nothing that he has a right to. A provider whose tokens
    /// are ours remembers it himself.
    pub async fn revoke_tokens(&self, identity: &AuthUserId) -> Outcome<()> {
        if self.identity.issuer().is_none() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        // Tokens tell whole seconds.
        let before_ms = now_ms - now_ms.rem_euclid(1000);
        Ok(self.revocations.revoke(identity, before_ms, now_ms.saturating_add(REVOKED_MS)).await?)
    }

    /// Where that collection lies; there may be no catalogue of roles.
    pub fn collection(&self, of: Collection) -> Option<&Arc<dyn Store>> {
        match of {
            Collection::Users => Some(&self.store),
            Collection::Groups => Some(&self.groups),
            Collection::Roles => self.roles.store(),
        }
    }

    /// The same, with that collection in the place of the users.
    pub fn over(&self, of: Collection) -> Outcome<Self> {
        let store = self.collection(of).ok_or_else(|| Failure::not_done(of.not_found()))?;
        Ok(Self { store: store.clone(), ..self.clone() })
    }
}

/// Whether each system answers, asked at most once a second however many want to know: whoever asks us must not be able to
/// make us ask them.
#[derive(Default)]
pub struct Health(OnceASecond<Checked>);

/// What the systems answered.
#[derive(Debug, Clone)]
pub struct Checked {
    pub store: Outcome<()>,
    pub identity: Outcome<()>,
}

impl Health {
    pub async fn check(&self, systems: &Systems) -> Checked {
        let check = async || {
            let (store, identity) = tokio::join!(systems.store.check(), systems.identity.check());
            Checked { store, identity }
        };
        self.0.recent_or(&systems.clock, check).await
    }
}

/// The systems, to be read only.
#[derive(Clone, Copy)]
pub struct View<'a>(&'a Systems);

impl View<'_> {
    pub async fn user(&self, id: &UserId, rows: &Filter) -> Outcome<Option<User>> {
        self.0.store.get(id, rows).await
    }

    /// Everybody whose field has one of these values exactly.
    pub async fn users(&self, any: &[(&str, &str)]) -> Outcome<Vec<User>> {
        self.0.store.find(any).await
    }

    /// A document of that collection, in any state.
    pub async fn document(&self, of: Collection, id: &UserId) -> Outcome<Option<User>> {
        self.0.over(of)?.store.get(id, &Filter::Everything).await
    }

    /// How many documents of that collection are meant.
    pub async fn count(&self, of: Collection, query: &Query) -> Outcome<u64> {
        self.0.over(of)?.store.count(query).await
    }

    pub async fn account(&self, id: &AuthUserId) -> Outcome<Option<Account>> {
        self.0.identity.get(id).await
    }

    pub async fn timer(&self, user: &UserId) -> Outcome<Option<Timer>> {
        Ok(self.0.timers.of(user.as_str()).await?)
    }

    pub fn now_ms(&self) -> i64 {
        self.0.clock.now_ms()
    }

    /// As [`Systems::expired_until_ms`].
    pub fn expired_until_ms(&self) -> i64 {
        self.0.expired_until_ms()
    }
}
