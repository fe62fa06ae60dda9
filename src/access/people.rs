//! Whose identity it is that a token or a login names, and what he may do.

use std::sync::Arc;

use super::Permissions;
use crate::{
    app::App, error::Error, identity::AuthUserId, lately::Lately, query::Filter, roles, state::Commits,
    systems::Systems, users::UserId,
};

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

/// Who was looked up lately, by `authUserId`. Cheap to copy.
#[derive(Clone)]
pub struct People(Arc<Known>);

enum Known {
    /// All that makes him lies in our own state: as he stands now.
    Here(Lately<Option<Person>>),
    /// His user does not.
    Far(Lately<Option<Found>>),
}

impl People {
    /// Of a store that has these commits, or of one far away.
    pub fn new(commits: Option<Commits>) -> Self {
        Self(Arc::new(match commits {
            Some(commits) => Known::Here(Lately::new(Some(commits))),
            None => Known::Far(Lately::default()),
        }))
    }

    /// What was known of that person holds no more: whoever changes or removes him says so.
    pub fn forget(&self, identity: &str) {
        match &*self.0 {
            Known::Here(known) => known.forget(identity),
            Known::Far(known) => known.forget(identity),
        }
    }

    /// The person as he was found at most a second ago; nothing when nobody with that identity may act.
    pub async fn recent(&self, app: &App, identity: &str) -> Result<Option<Person>, Error> {
        let now_ms = app.clock.now_ms();
        match &*self.0 {
            Known::Here(known) => known.recent_or(identity, now_ms, || find(app, identity)).await,
            Known::Far(known) => {
                let found = known.recent_or(identity, now_ms, || look_up(app, identity)).await?;
                person(app, found).await
            }
        }
    }
}

/// The person as he stands now.
pub async fn find(app: &App, identity: &str) -> Result<Option<Person>, Error> {
    person(app, look_up(app, identity).await?).await
}

/// Whose identity that is, whether he may act or not.
pub async fn whose(app: &App, identity: &str) -> Result<Option<UserId>, Error> {
    let found = app.systems.store.find(&[("authUserId", identity)]).await.map_err(|failure| failure.into_error())?;
    Ok(found.into_iter().next().map(|user| user.id))
}

/// The same of a user, and his identity.
pub async fn find_user(app: &App, id: &UserId) -> Result<Option<(Person, Option<AuthUserId>)>, Error> {
    let found = app.systems.store.get(id, &Filter::Everything).await.map_err(|failure| failure.into_error())?;
    let expired_until_ms = app.systems.expired_until_ms();
    let Some(user) = found.filter(|user| !user.identity_blocked(expired_until_ms)) else { return Ok(None) };
    let permissions = roles::held(&app.systems, &user).await?;
    let identity = user.auth_user_id().map(str::to_owned);
    Ok(Some((Person { user: user.id, permissions }, identity)))
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
