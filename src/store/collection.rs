//! The collections that a store keeps: users, and beside them the documents of groups and roles.

use serde::{Deserialize, Serialize};

use crate::{
    error::{self, Code, Error},
    users::NAMES,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Collection {
    Users,
    Groups,
    Roles,
}

impl Collection {
    /// What it is called in our own state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Groups => "ums-config",
            Self::Roles => "roles",
        }
    }

    /// The member that every document has, a text. By it a row is known that only keeps others out.
    pub fn marker(self) -> &'static str {
        match self {
            Self::Users | Self::Groups => "userGroup",
            Self::Roles => "roleId",
        }
    }

    /// The members that no two documents may share.
    pub fn unique(self) -> &'static [&'static str] {
        match self {
            Self::Users => &NAMES,
            Self::Groups => &["userGroup"],
            Self::Roles => &["roleId"],
        }
    }

    /// Another document has the value of that member.
    pub fn taken(self, field: &str) -> Error {
        match self {
            Self::Users => error::name_taken(field),
            Self::Groups => Error::new(Code::GroupExists, "There is a group of that name").field(field),
            Self::Roles => Error::new(Code::RoleExists, "There is a role of that name").field(field),
        }
    }

    pub fn not_found(self) -> Error {
        match self {
            Self::Users => error::user_not_found(),
            Self::Groups => Error::new(Code::GroupNotFound, "Group not found"),
            Self::Roles => Error::new(Code::RoleNotFound, "Role not found"),
        }
    }
}
