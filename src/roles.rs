//! The role catalogue: which permissions a role gives. Over a remote store without one a role is any text and gives nothing.
//! Must not know what is done with a user.

pub mod documents;

use std::sync::Arc;

use serde_json::Value;

use crate::{
    access::Permissions,
    clock::Clock,
    error::Error,
    lately::Lately,
    query::{Filter, Query},
    store::Store,
    systems::Systems,
    users::{State, User},
};

/// So many are asked for at once.
const AT_ONCE: usize = 50;

/// What a role gives; nothing where the catalogue does not have it.
pub type Gives = Option<Arc<Permissions>>;

/// Cheap to copy.
#[derive(Clone)]
pub struct Roles(Option<Arc<Inside>>);

struct Inside {
    store: Arc<dyn Store>,
    clock: Clock,
    /// By `roleId`. Only where the store is far away: our own is asked each time.
    lately: Lately<Gives>,
}

impl Roles {
    /// The catalogue in that collection, or none.
    pub fn new(store: Option<Arc<dyn Store>>, clock: Clock) -> Self {
        let inside = |store| Inside { store, clock, lately: Lately::default() };
        Self(store.map(|store| Arc::new(inside(store))))
    }

    /// Where its documents lie, where there is one.
    pub fn store(&self) -> Option<&Arc<dyn Store>> {
        self.0.as_ref().map(|inside| &inside.store)
    }

    /// What each of these roles gives; nothing for one that the catalogue does not have. As it stands now, over a remote store
    /// as it stood at most a second ago.
    pub async fn look_up(&self, names: &[&str]) -> Result<Vec<Gives>, Error> {
        let Some(inside) = &self.0 else { return Ok(vec![None; names.len()]) };
        let now_ms = inside.clock.now_ms();
        let ours = inside.store.name() == "embedded";
        let looking = inside.lately.look(now_ms);
        let mut given = Vec::new();
        for names in names.chunks(AT_ONCE) {
            let mut known: Vec<_> = names.iter().map(|name| inside.lately.recent(name, now_ms)).collect();
            let missing = names.iter().zip(&known).filter(|(_, known)| known.is_none());
            let pairs: Vec<_> = missing.map(|(name, _)| ("roleId", *name)).collect();
            let rows = if pairs.is_empty() { Vec::new() } else { inside.store.find(&pairs).await? };
            for (name, known) in names.iter().zip(&mut known).filter(|(_, known)| known.is_none()) {
                let row = rows.iter().find(|row| row.state == State::Public && row.text("roleId") == Some(name));
                let gives = row.map(|row| Arc::new(permissions(row)));
                if !ours {
                    inside.lately.remember(name, gives.clone(), looking);
                }
                *known = Some(gives);
            }
            given.extend(known.into_iter().map(Option::flatten));
        }
        Ok(given)
    }

    /// The roles that give this permission, as they stand now.
    pub async fn giving(&self, permission: &str) -> Result<Vec<String>, Error> {
        let Some(inside) = &self.0 else { return Ok(Vec::new()) };
        let query = Query::everybody_where(Filter::equals("permissions", permission)).in_states(&[State::Public]);
        let rows = inside.store.list(&query).await?;
        Ok(rows.iter().filter_map(|row| row.text("roleId")).map(str::to_owned).collect())
    }

    /// What was known holds no more: whoever writes a role says so.
    pub fn forget(&self, name: &str) {
        if let Some(inside) = &self.0 {
            inside.lately.forget(name);
        }
    }
}

/// What a person holds: what his roles give, and what was granted to him alone. The only place that says so.
pub async fn held(systems: &Systems, user: &User) -> Result<Permissions, Error> {
    let granted = systems.grants.of(user.id.as_str()).await?;
    held_by(systems, granted, &user.roles()).await
}

/// The same of somebody of whom that much is known.
pub async fn held_by(systems: &Systems, granted: Vec<String>, roles: &[&str]) -> Result<Permissions, Error> {
    let mut all = granted;
    for gives in systems.roles.look_up(roles).await?.into_iter().flatten() {
        all.extend(gives.0.iter().cloned());
    }
    all.sort();
    all.dedup();
    Ok(Permissions(all))
}

/// The permissions that a role's document names.
pub fn permissions(role: &User) -> Permissions {
    let named = role.document.get("permissions").and_then(Value::as_array).into_iter().flatten();
    Permissions(named.filter_map(Value::as_str).map(str::to_owned).collect())
}
