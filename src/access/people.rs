//! Whose identity it is that a token or a login names, and what he may do.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use quick_cache::sync::Cache;

use super::Permissions;
use crate::{app::App, error::Error, roles, systems::Systems, users::UserId};

/// Over a remote store a person is looked up at most once in so long.
const REMEMBERED_MS: i64 = 1_000;
const MOST: usize = 4096;

/// Somebody who may act: PUBLIC and not blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub user: UserId,
    pub permissions: Permissions,
}

/// Somebody as he was found, without what his roles give: the catalogue has a time of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    user: UserId,
    granted: Vec<String>,
    roles: Vec<String>,
}

impl Found {
    async fn person(self, systems: &Systems) -> Result<Person, Error> {
        let names: Vec<&str> = self.roles.iter().map(String::as_str).collect();
        let permissions = roles::held_by(systems, self.granted, &names).await?;
        Ok(Person { user: self.user, permissions })
    }
}

/// Who was looked up lately, by `authUserId`. Only where the store is far away: our own is asked each time.
#[derive(Clone)]
pub struct People(Arc<Lately>);

struct Lately {
    found: Cache<String, (i64, Option<Found>)>,
    /// So often was somebody forgotten.
    forgotten: AtomicU64,
}

impl Default for People {
    fn default() -> Self {
        Self(Arc::new(Lately { found: Cache::new(MOST), forgotten: AtomicU64::new(0) }))
    }
}

impl People {
    /// What was known of that person holds no more: whoever changes or removes him says so.
    pub fn forget(&self, identity: &str) {
        self.0.forgotten.fetch_add(1, Ordering::SeqCst);
        self.0.found.remove(identity);
    }

    /// The person as he was found at most a second ago; nothing when nobody with that identity may act.
    pub async fn recent(&self, app: &App, identity: &str) -> Result<Option<Person>, Error> {
        if app.systems.store.name() == "embedded" {
            return find(app, identity).await;
        }
        let now = app.clock.now_ms();
        if let Some((at, found)) = self.0.found.get(identity)
            && (0..REMEMBERED_MS).contains(&(now - at))
        {
            return person(app, found).await;
        }
        let forgotten = self.0.forgotten.load(Ordering::SeqCst);
        let found = look_up(app, identity).await?;
        // Somebody who was changed while we looked may have been found as he was before.
        if forgotten == self.0.forgotten.load(Ordering::SeqCst) {
            self.0.found.insert(identity.to_owned(), (now, found.clone()));
            if forgotten != self.0.forgotten.load(Ordering::SeqCst) {
                self.0.found.remove(identity);
            }
        }
        person(app, found).await
    }
}

/// The person as he stands now.
pub async fn find(app: &App, identity: &str) -> Result<Option<Person>, Error> {
    person(app, look_up(app, identity).await?).await
}

async fn person(app: &App, found: Option<Found>) -> Result<Option<Person>, Error> {
    match found {
        Some(found) => found.person(&app.systems).await.map(Some),
        None => Ok(None),
    }
}

async fn look_up(app: &App, identity: &str) -> Result<Option<Found>, Error> {
    let found = app.systems.store.find(&[("authUserId", identity)]).await.map_err(|failure| failure.into_error())?;
    let expired_until_ms = app.systems.expired_until_ms();
    let Some(user) = found.iter().find(|user| !user.identity_blocked(expired_until_ms)) else { return Ok(None) };
    let granted = app.systems.grants.of(user.id.as_str()).await?;
    let roles = user.roles().into_iter().map(str::to_owned).collect();
    Ok(Some(Found { user: user.id.clone(), granted, roles }))
}
