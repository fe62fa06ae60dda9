//! What the cells are about in each collection: its documents, and what is done to them.

use serde_json::{Map, Value, json};
use url::Url;
use user_manager::{
    clock::Clock,
    config::Calls,
    query::{Filter, Query},
    store::{Collection, crud_service::CrudService},
    users::Change,
};

use super::Case;
use crate::twins::crud::{Crud, Row};

pub const ADA: &str = "ada@example.org";
/// Somebody else's.
const TAKEN: &str = "ada2@example.org";

#[derive(Debug, Clone, Copy)]
pub struct Documents {
    pub of: Collection,
    path: &'static str,
    /// Unique.
    name: &'static str,
    /// A text that several share.
    label: &'static str,
    /// What a document may lack.
    spare: &'static str,
}

impl Documents {
    pub const ALL: [Self; 3] = [
        Self { of: Collection::Users, path: "/users", name: "email", label: "name", spare: "metadata" },
        Self { of: Collection::Groups, path: "/ums-config", name: "userGroup", label: "label", spare: "crudSchema" },
        Self { of: Collection::Roles, path: "/roles", name: "roleId", label: "name", spare: "description" },
    ];

    /// The service with that collection, and nothing in it.
    pub fn crud(&self) -> Crud {
        let mut crud = Crud::default();
        match self.of {
            Collection::Users => crud,
            Collection::Groups => crud.beside.remove(0),
            Collection::Roles => crud.beside.remove(1),
        }
    }

    pub fn driver(&self, url: &Url, calls: &Calls) -> CrudService {
        CrudService::new(url, self.path, calls, Clock::system()).unwrap().keeping(self.of)
    }

    /// Of that name; users have two.
    pub fn document(&self, name: &str, username: &str) -> Map<String, Value> {
        let (spare, label) = (json!({ "a": 1 }), "Ada");
        let document = match self.of {
            Collection::Users => {
                json!({ "userGroup": "staff", "email": name, "username": username, "name": label, "metadata": spare })
            }
            Collection::Groups => json!({ "userGroup": name, "label": label, "crudSchema": spare }),
            Collection::Roles => {
                json!({ "roleId": name, "name": label, "description": "Counts", "permissions": ["x:y"] })
            }
        };
        document.as_object().unwrap().clone()
    }

    /// One of many that are of no account.
    pub fn one_of_a_crowd(&self, number: usize) -> Value {
        json!({ self.of.marker(): format!("crowd-{number}"), self.label: "N" })
    }

    /// The row of that id which stands there for nobody. It bears the text that is listed.
    pub fn fence(&self, id: &str) -> Value {
        let name = if self.of == Collection::Users { "__fence".to_owned() } else { format!("__fence-{id}") };
        json!({ self.of.marker(): name, self.label: "Ada" })
    }

    pub fn is_fence(&self, row: &Row) -> bool {
        row[self.of.marker()].as_str().unwrap().starts_with("__fence")
    }

    /// Of what is to be inserted.
    pub fn fields(&self, case: Case) -> Map<String, Value> {
        self.document(if case == Case::InsertTaken { TAKEN } else { ADA }, "ada")
    }

    pub fn change(&self, case: Case) -> Change {
        let set = |field: &str, value: &str| Change {
            set: [(field.to_owned(), json!(value))].into_iter().collect(),
            unset: vec![],
        };
        match case {
            Case::ChangeField | Case::ChangeElsewhere => {
                Change { unset: vec![self.spare.to_owned()], ..set(self.label, "Countess") }
            }
            Case::ChangeName => set(self.name, "countess@example.org"),
            Case::ChangeTaken => set(self.name, TAKEN),
            _ => Change::default(),
        }
    }

    /// Whom [`Case::Find`] looks up.
    pub fn wanted(&self) -> [(&'static str, &'static str); 2] {
        let other = if self.of == Collection::Users { ("username", "ada.2") } else { (self.name, "ada@example.com") };
        [(self.name, ADA), other]
    }

    /// What the lists and the count mean.
    pub fn query(&self, case: Case) -> Query {
        match case {
            Case::ListMany => Query::everybody(),
            _ => Query::everybody_where(Filter::equals(self.label, "Ada")),
        }
    }

    /// Whether the case means it.
    pub fn means(&self, case: Case, row: &Row) -> bool {
        match case {
            Case::Find => self.wanted().iter().any(|(field, value)| row[*field] == *value),
            Case::ListMany => !self.is_fence(row),
            _ => !self.is_fence(row) && row[self.label] == "Ada",
        }
    }
}
