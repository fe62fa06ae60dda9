//! What there is in a world, read from where it lies and not through the program.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::twins::{crud, keycloak};

/// Users, identities, grants and operations, each by its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub people: People,
    /// Their states.
    pub operations: BTreeMap<String, String>,
}

/// Without what an operation may leave that was put back: times of change, marks, fences.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct People {
    pub users: BTreeMap<String, Value>,
    pub identities: BTreeMap<String, Value>,
    pub grants: Vec<(String, String)>,
    /// Those of groups and roles.
    pub documents: BTreeMap<String, Value>,
}

impl People {
    /// What one has and the other has not, for a reader.
    pub fn difference(&self, other: &Self) -> String {
        let lines = |people: &Self| -> Vec<String> {
            let users = people.users.iter().map(|(id, user)| format!("user {id} {user}"));
            let identities = people.identities.iter().map(|(id, identity)| format!("identity {id} {identity}"));
            let grants = people.grants.iter().map(|(user, permission)| format!("grant {user} {permission}"));
            let documents = people.documents.iter().map(|(id, document)| format!("document {id} {document}"));
            users.chain(identities).chain(grants).chain(documents).collect()
        };
        let (before, after) = (lines(self), lines(other));
        let only = |sign: &str, one: &[String], two: &[String]| -> Vec<String> {
            one.iter().filter(|line| !two.contains(line)).map(|line| format!("{sign} {line}")).collect()
        };
        [only("-", &before, &after), only("+", &after, &before)].concat().join("\n")
    }
}

/// The file of our own state, read beside the program.
pub struct State(Connection);

impl State {
    pub fn of(directory: &Path) -> Self {
        let file = directory.join("user-manager.db");
        Self(Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap())
    }

    pub fn documents(&self, collection: &str) -> BTreeMap<String, Value> {
        let mut rows = self.0.prepare("SELECT id, body FROM document WHERE collection = ?1").unwrap();
        let rows = rows.query_map([collection], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
        rows.map(Result::unwrap).map(|(id, body)| (id, serde_json::from_str(&body).unwrap())).collect()
    }

    pub fn grants(&self) -> Vec<(String, String)> {
        self.pairs("SELECT user, permission FROM \"grant\" ORDER BY user, permission")
    }

    pub fn timers(&self) -> usize {
        self.pairs("SELECT user, user FROM timer").len()
    }

    pub fn mails(&self) -> usize {
        self.pairs("SELECT id, kind FROM mail").len()
    }

    pub fn operations(&self) -> BTreeMap<String, String> {
        self.pairs("SELECT id, state FROM operation").into_iter().collect()
    }

    /// Names that are held, operations that are not settled, bodies that are kept.
    pub fn leftovers(&self) -> Vec<String> {
        let held = self.pairs("SELECT name, operation FROM hold");
        let held = held.into_iter().map(|(name, operation)| format!("{operation} holds {name}"));
        let unsettled =
            self.pairs("SELECT id, kind || ' ' || state FROM operation WHERE state NOT IN ('done', 'undone')");
        let unsettled = unsettled.into_iter().map(|(operation, what)| format!("{operation} {what} is not settled"));
        let bodies = self.pairs(
            "SELECT operation, name FROM step JOIN operation ON operation.id = step.operation
             WHERE body IS NOT NULL AND state IN ('done', 'undone')",
        );
        let bodies = bodies.into_iter().map(|(operation, step)| format!("{operation} keeps the body of {step}"));
        held.chain(unsettled).chain(bodies).collect()
    }

    fn pairs(&self, sql: &str) -> Vec<(String, String)> {
        let mut rows = self.0.prepare(sql).unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }
}

/// The rows of a twin, without the fences that given up creations leave.
pub fn crud_users(rows: &BTreeMap<String, crud::Row>) -> BTreeMap<String, Value> {
    let users = rows.iter().filter(|(_, row)| row["userGroup"] != "__fence");
    users.map(|(id, row)| (id.clone(), Value::Object(row.clone()))).collect()
}

/// The groups and roles of a twin.
pub fn crud_documents(crud: &crud::Crud) -> BTreeMap<String, Value> {
    let rows = crud.beside.iter().flat_map(|collection| &collection.rows);
    let is_fence = |row: &crud::Row| {
        let marker = row.get("roleId").or_else(|| row.get("userGroup"));
        marker.and_then(Value::as_str).is_some_and(|name| name.starts_with("__fence"))
    };
    rows.filter(|(_, row)| !is_fence(row)).map(|(id, row)| (id.clone(), Value::Object(row.clone()))).collect()
}

/// The people of a twin, without the mark of who wrote them last.
pub fn keycloak_people(people: &BTreeMap<String, keycloak::Person>) -> BTreeMap<String, Value> {
    let shown = |person: &keycloak::Person| {
        let attributes = person.attributes.iter().filter(|(name, _)| *name != "um_operation");
        json!({
            "username": person.username, "email": person.email, "enabled": person.enabled,
            "firstName": person.first_name, "lastName": person.last_name, "emailVerified": person.email_verified,
            "password": person.password, "requiredActions": person.required_actions, "realmRoles": person.realm_roles,
            "attributes": attributes.collect::<BTreeMap<_, _>>(),
        })
    };
    people.iter().map(|(id, person)| (id.clone(), shown(person))).collect()
}

/// Takes out the members that no comparison is about.
pub fn without(members: &[&str], mut documents: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    for document in documents.values_mut() {
        document.as_object_mut().unwrap().retain(|name, _| !members.contains(&name.as_str()));
    }
    documents
}
