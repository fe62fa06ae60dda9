//! Which role documents are taken, and by whom: nobody writes a role with a permission that he lacks, and somebody who may do
//! everything is always left.

use serde_json::{Map, Value};

use super::{Roles, permissions};
use crate::{
    access::{ADMIN, Caller, Permissions},
    app::App,
    documents::{self, Kept, Wrong},
    error::{Code, Error},
    query::{Filter, Query},
    store::Collection,
    systems::Systems,
    users::{
        User, UserId,
        rules::{self, Precondition, Without},
    },
};

const MEMBERS: [&str; 4] = ["roleId", "name", "description", "permissions"];
/// Characters of a permission.
const LONGEST: usize = 255;

/// `role-exists`, `role-above`.
pub async fn create(app: &App, caller: &Caller, fields: Map<String, Value>) -> Result<UserId, Error> {
    documents::create(app, caller, Written::by(app, caller), fields).await
}

/// `role-above` also where the role has had such a permission; `last-admin`. `roleId` stays.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: &UserId,
    body: Map<String, Value>,
    only_if: Precondition,
) -> Result<User, Error> {
    documents::update(app, caller, Written::by(app, caller), id, body, only_if).await
}

/// `role-in-use` while a user has it, in whatever state.
pub async fn delete(app: &App, caller: &Caller, id: &UserId, only_if: Precondition) -> Result<(), Error> {
    documents::delete(app, caller, Written::by(app, caller), id, only_if).await
}

#[derive(Clone)]
struct Written {
    roles: Roles,
    systems: Systems,
    caller: Caller,
}

impl Written {
    fn by(app: &App, caller: &Caller) -> Self {
        Self { roles: app.systems.roles.clone(), systems: app.systems.clone(), caller: caller.clone() }
    }

    async fn exists(&self, name: &str) -> Result<bool, Error> {
        let Some(store) = self.roles.store() else { return Ok(false) };
        Ok(!store.find(&[("roleId", name)]).await?.is_empty())
    }
}

impl Kept for Written {
    const OF: Collection = Collection::Roles;
    const KINDS: [&'static str; 3] = ["create-role", "update-role", "delete-role"];
    const DOING: &'static str = "changing role";
    const HELD: &'static str = "role";

    async fn allow(&self, before: Option<&User>, after: Option<&Map<String, Value>>) -> Result<Vec<String>, Error> {
        let new = match after {
            Some(fields) => read(before, fields)?,
            None => Permissions::default(),
        };
        let old = before.map(permissions).unwrap_or_default();
        if !self.caller.covers(&old) || !self.caller.covers(&new) {
            return Err(rules::role_above());
        }
        let mut names = Vec::new();
        if let Some(before) = before {
            let name = before.text("roleId").unwrap_or_default();
            if !self.caller.unasked && old.holds(ADMIN) && !new.holds(ADMIN) {
                rules::not_last_admin(&self.systems, Without::Role(name)).await?;
                names.push(rules::ADMINS.to_owned());
            }
            if after.is_none() {
                let users = Query::everybody_where(Filter::equals("roles", name));
                let count = self.systems.view().count(Collection::Users, &users).await?;
                if count > 0 {
                    let message = format!("The role is in use: {count} users have it");
                    return Err(Error::new(Code::RoleInUse, message));
                }
            }
        } else if let Some(name) = after.and_then(|fields| fields.get("roleId")?.as_str())
            && self.exists(name).await?
        {
            return Err(Self::OF.taken("roleId"));
        }
        Ok(names)
    }

    fn forget(&self, name: &str) {
        self.roles.forget(name);
    }
}

/// What such a role gives; `validation-failed` with pointers into the document.
fn read(before: Option<&User>, fields: &Map<String, Value>) -> Result<Permissions, Error> {
    let mut wrong = Wrong::default();
    wrong.strangers(before, fields, &MEMBERS);
    wrong.name(before, fields, "roleId");
    for name in ["name", "description"] {
        if fields.get(name).is_some_and(|value| !value.is_string()) {
            wrong.add(format!("/{name}"), "type", "must be a string");
        }
    }
    let mut named = Vec::new();
    match fields.get("permissions") {
        None => wrong.add("", "required", "permissions is required"),
        Some(Value::Array(items)) => {
            for (nth, item) in items.iter().enumerate() {
                match item.as_str() {
                    Some(permission) if is_permission(permission) => named.push(permission.to_owned()),
                    Some(_) => {
                        let message = "must be 1 to 255 visible ASCII characters";
                        wrong.add(format!("/permissions/{nth}"), "pattern", message);
                    }
                    None => wrong.add(format!("/permissions/{nth}"), "type", "must be a string"),
                }
            }
        }
        Some(_) => wrong.add("/permissions", "type", "must be a list of strings"),
    }
    wrong.none("This is no role")?;
    Ok(Permissions(named))
}

fn is_permission(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
