//! The caller, and what he may do.

pub mod gate;
mod issuer;
pub mod login;
pub mod people;
pub mod sessions;
pub mod throttle;
pub mod tokens;
pub mod userinfo;

use std::sync::{Arc, OnceLock};

use self::tokens::Door;
use crate::{
    error::{Code, Error},
    identity::AuthUserId,
    query::Filter,
    saga::{Answer, Asked, Key},
    state::journal::Origin,
    users::UserId,
};

/// Implies every permission string, ours or not.
pub const ADMIN: &str = "users:admin";

/// Who asks, and what he may do.
#[derive(Debug, Clone)]
pub struct Caller {
    pub origin: Origin,
    /// The caller's own user and identity, where he is a person.
    pub user: Option<UserId>,
    pub identity: Option<AuthUserId>,
    /// The session in which he asks, where he asks in one, and who keeps it.
    pub session: Option<(Door, String)>,
    pub permissions: Permissions,
    /// ANDed to every read and to the first read of every change.
    pub rows: Filter,
    /// Set as soon as the request has begun an operation; becomes `x-operation-id`.
    pub operation: Arc<OnceLock<String>>,
    /// Of his request: the operation that it begins is the one that is not begun again.
    pub key: Option<Key>,
}

impl Caller {
    /// The program itself, or an operator at its command line: may do everything.
    pub fn inside(actor: impl Into<String>, by: &str, request_id: impl Into<String>) -> Self {
        Self {
            origin: Origin {
                actor: actor.into(),
                by: by.to_owned(),
                address: None,
                request_id: request_id.into(),
                part_of: None,
            },
            user: None,
            identity: None,
            session: None,
            permissions: Permissions(vec![ADMIN.to_owned()]),
            rows: Filter::Everything,
            operation: Arc::default(),
            key: None,
        }
    }

    /// What an operation is begun with that he asks for.
    pub fn asks(
        &self,
        kind: &'static str,
        doing: &'static str,
        subject: Option<&UserId>,
        names: Vec<String>,
        answer: Answer,
    ) -> Asked {
        Asked {
            kind,
            doing,
            origin: self.origin.clone(),
            subject: subject.map(UserId::to_string),
            names,
            begun: Arc::clone(&self.operation),
            answer,
            key: self.key.clone(),
        }
    }

    pub fn is(&self, user: &UserId) -> bool {
        self.user.as_ref() == Some(user)
    }

    pub fn require(&self, permission: &str) -> Result<(), Error> {
        if self.permissions.holds(permission) {
            return Ok(());
        }
        Err(Error::new(Code::PermissionRequired, format!("The permission {permission} is required")).field(permission))
    }
}

/// Permission strings; those that we do not know are carried along.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions(pub Vec<String>);

impl Permissions {
    pub fn holds(&self, permission: &str) -> bool {
        self.0.iter().any(|held| held == permission || held == ADMIN)
    }

    /// Nobody acts on a person who holds something that he lacks.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|permission| self.holds(permission))
    }
}
