//! Whose identity it is that a token or a login names, and what he may do.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use quick_cache::sync::Cache;

use super::Permissions;
use crate::{app::App, error::Error, users::UserId};

/// Over a remote store a person is looked up at most once in so long.
const REMEMBERED_MS: i64 = 1_000;
const MOST: usize = 4096;

/// Somebody who may act: PUBLIC and not blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub user: UserId,
    pub permissions: Permissions,
}

/// Who was looked up lately, by `authUserId`. Only where the store is far away: our own is asked each time.
#[derive(Clone)]
pub struct People(Arc<Lately>);

struct Lately {
    found: Cache<String, (i64, Option<Person>)>,
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
        if let Some((at, person)) = self.0.found.get(identity)
            && (0..REMEMBERED_MS).contains(&(now - at))
        {
            return Ok(person);
        }
        let forgotten = self.0.forgotten.load(Ordering::SeqCst);
        let person = find(app, identity).await?;
        // Somebody who was changed while we looked may have been found as he was before.
        if forgotten == self.0.forgotten.load(Ordering::SeqCst) {
            self.0.found.insert(identity.to_owned(), (now, person.clone()));
            if forgotten != self.0.forgotten.load(Ordering::SeqCst) {
                self.0.found.remove(identity);
            }
        }
        Ok(person)
    }
}

/// The person as he stands now.
pub async fn find(app: &App, identity: &str) -> Result<Option<Person>, Error> {
    let found = app.systems.store.find(&[("authUserId", identity)]).await.map_err(|failure| failure.into_error())?;
    let now = app.clock.now_ms();
    let Some(user) = found.iter().find(|user| !user.identity_blocked(now)) else { return Ok(None) };
    let permissions = Permissions(app.systems.grants.of(user.id.as_str()).await?);
    Ok(Some(Person { user: user.id.clone(), permissions }))
}
