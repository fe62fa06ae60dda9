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

use serde_json::{Map, Value};

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
    /// Somebody else has decided what he may: no permission is asked for.
    pub unasked: bool,
    /// He asks through a back office for which a gateway vouches.
    pub backoffice: bool,
    /// ANDed to every read and to the first read of every change.
    pub rows: Filter,
    /// Fields of users that he sees and that he may write; nothing: all of them.
    pub read_columns: Option<Vec<String>>,
    pub write_columns: Option<Vec<String>>,
    /// Set as soon as the request has begun an operation; becomes `x-operation-id`.
    pub operation: Arc<OnceLock<String>>,
    /// Of his request: the operation that it begins is the one that is not begun again.
    pub key: Option<Key>,
}

impl Caller {
    /// Nobody in particular, who may do nothing.
    pub fn nobody(origin: Origin, operation: Arc<OnceLock<String>>) -> Self {
        Self {
            origin,
            user: None,
            identity: None,
            session: None,
            permissions: Permissions::default(),
            unasked: false,
            backoffice: false,
            rows: Filter::Everything,
            read_columns: None,
            write_columns: None,
            operation,
            key: None,
        }
    }

    /// The program itself, or an operator at its command line: may do everything.
    pub fn inside(actor: impl Into<String>, by: &str, request_id: impl Into<String>) -> Self {
        let origin = Origin {
            actor: actor.into(),
            by: by.to_owned(),
            address: None,
            request_id: request_id.into(),
            part_of: None,
        };
        Self { permissions: Permissions(vec![ADMIN.to_owned()]), ..Self::nobody(origin, Arc::default()) }
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

    /// Whether a gateway let somebody in whom it does not name.
    pub fn is_nobody(&self) -> bool {
        self.origin.by == "gateway" && self.user.is_none() && self.identity.is_none()
    }

    pub fn may(&self, permission: &str) -> bool {
        self.unasked || self.permissions.holds(permission)
    }

    /// Nobody acts on a person, or gives a role, with a permission that he lacks.
    pub fn covers(&self, held: &Permissions) -> bool {
        self.unasked || self.permissions.covers(held)
    }

    /// Of a user's document, what he may see.
    pub fn cut(&self, document: &mut Map<String, Value>) {
        if let Some(columns) = &self.read_columns {
            document.retain(|field, _| field == "_id" || columns.contains(field));
        }
    }

    /// # Errors
    /// `column-protected` for the first of these fields that he may not write.
    pub fn may_write<'a>(&self, mut fields: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let Some(columns) = &self.write_columns else { return Ok(()) };
        match fields.find(|field| !columns.iter().any(|column| column == field)) {
            Some(field) => {
                let sentence = format!("The field {field} is not yours to write");
                Err(Error::new(Code::ColumnProtected, sentence).field(field))
            }
            None => Ok(()),
        }
    }

    pub fn require(&self, permission: &str) -> Result<(), Error> {
        if self.may(permission) {
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

    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|permission| self.holds(permission))
    }
}
