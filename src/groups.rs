//! Groups: what a user of each must look like, and whether he has an identity. Their documents lie in the store; a schema is
//! compiled once, for as long as its document says the same. Must not know what is done with a user.

pub mod built_in;
pub mod documents;
mod fields;
mod schema;
pub mod trial;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value};

pub use schema::{Fault, Schema};

use crate::{
    clock::Clock,
    error::{Code, Error, FINDINGS, Finding, segment},
    lately::Lately,
    query::{Fields, Query},
    store::Store,
    users::{NOT_SETTABLE, STANDARD, State, User},
};

/// All groups. Cheap to copy.
#[derive(Clone)]
pub struct Groups(Arc<Inside>);

struct Inside {
    store: Arc<dyn Store>,
    clock: Clock,
    /// Known where the store has no document of that name: what such a group says, and the group.
    otherwise: HashMap<String, (Map<String, Value>, Known)>,
    /// By name.
    compiled: Mutex<HashMap<String, Compiled>>,
    /// By name. Only where the store is far away: our own is asked each time.
    lately: Lately<Known>,
    /// What users may have, over all groups.
    fields: Lately<Arc<Fields>>,
}

/// Under this name all fields are remembered.
const ALL: &str = "";

/// A group, or why its document makes none.
pub type Known = Result<Arc<Group>, Fault>;

/// A group, and what the document said of which it was made.
struct Compiled {
    document: Map<String, Value>,
    group: Known,
}

/// What a group asks of the passwords of its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Characters (NIST SP 800-63B 3.1.1.2 asks for at least 8 and recommends 15; the length counts, not the classes).
    pub min_length: usize,
    /// Whether those are refused that everybody would try first.
    pub refuse_common: bool,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_length: 10, refuse_common: true }
    }
}

/// One group and its compiled schema.
#[derive(Debug)]
pub struct Group {
    pub name: String,
    /// `authUserCreationDisabled`: its users live in the store only.
    store_only: bool,
    passwords: PasswordPolicy,
    schema: Schema,
}

impl Groups {
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Result<Self, String> {
        let mut otherwise = HashMap::new();
        // Our own state was given them as documents.
        if store.name() != "embedded" {
            for document in built_in::documents()? {
                let group = Group::compile(&document).map_err(|fault| fault.message)?;
                otherwise.insert(group.name.clone(), (document, Ok(Arc::new(group))));
            }
        }
        let (compiled, lately, fields) = (Mutex::default(), Lately::default(), Lately::default());
        Ok(Self(Arc::new(Inside { store, clock, otherwise, compiled, lately, fields })))
    }

    /// The group that a user says he is in. `validation-failed` when he says nothing, `group-unknown` when there is none,
    /// `group-unusable` when its document makes no sense.
    pub async fn of(&self, fields: &Map<String, Value>) -> Result<Arc<Group>, Error> {
        let name = match fields.get("userGroup") {
            Some(Value::String(name)) => name,
            Some(_) => return Err(failed("", vec![finding("/userGroup", "type", "must be a string")])),
            None => return Err(failed("", vec![finding("", "required", "userGroup is required")])),
        };
        match self.named(name).await? {
            Some(Ok(group)) => Ok(group),
            Some(Err(fault)) => {
                tracing::error!(group = %name, pointer = fault.pointer, why = fault.message, "a group is unusable");
                Err(Error::new(Code::GroupUnusable, format!("The document of the group {name} makes no sense")))
            }
            None => {
                let message = format!("There is no group called {name}");
                Err(Error::new(Code::GroupUnknown, message).field("userGroup"))
            }
        }
    }

    /// As it stands now, over a remote store as it stood at most a second ago.
    pub async fn named(&self, name: &str) -> Result<Option<Known>, Error> {
        let inside = &self.0;
        let now_ms = inside.clock.now_ms();
        if let Some(group) = inside.lately.recent(name, now_ms) {
            return Ok(Some(group));
        }
        let looking = inside.lately.look(now_ms);
        let group = inside.look_up(name).await?;
        if let Some(group) = &group
            && inside.store.name() != "embedded"
        {
            inside.lately.remember(name, group.clone(), looking);
        }
        Ok(group)
    }

    /// What every group says, those that come with the program too where nothing stands in their place.
    pub async fn documents(&self) -> Result<Vec<Map<String, Value>>, Error> {
        let rows = self.0.store.list(&Query::everybody().in_states(&[State::Public])).await?;
        let mut documents: Vec<_> = rows.iter().map(User::fields).collect();
        for (name, (document, _)) in &self.0.otherwise {
            if !rows.iter().any(|row| row.group() == name) {
                documents.push(document.clone());
            }
        }
        Ok(documents)
    }

    /// The groups whose documents make no sense, and where.
    pub async fn unusable(&self) -> Result<Vec<(String, Fault)>, Error> {
        let documents = self.documents().await?;
        let names = documents.iter().filter_map(|document| document.get("userGroup").and_then(Value::as_str));
        let names: BTreeSet<&str> = names.collect();
        let mut found = Vec::new();
        for name in names {
            if let Some(Err(fault)) = self.named(name).await? {
                found.push((name.to_owned(), fault));
            }
        }
        Ok(found)
    }

    /// What was known of that group holds no more: whoever writes its document says so.
    pub fn forget(&self, name: &str) {
        self.0.lately.forget(name);
        self.0.fields.forget(ALL);
        self.0.compiled().remove(name);
    }
}

impl Inside {
    /// As it stands now.
    async fn look_up(&self, name: &str) -> Result<Option<Known>, Error> {
        let mut found = self.store.find(&[("userGroup", name)]).await?;
        found.retain(|row| row.state == State::Public);
        match (found.pop(), found.is_empty()) {
            (None, _) => {
                self.compiled().remove(name);
                Ok(self.otherwise.get(name).map(|(_, group)| group.clone()))
            }
            (Some(row), true) => Ok(Some(self.compile(name, row.fields()))),
            (Some(_), false) => {
                let message = "more than one document has that name".to_owned();
                Ok(Some(Err(Fault { pointer: "/userGroup".to_owned(), message })))
            }
        }
    }

    fn compile(&self, name: &str, document: Map<String, Value>) -> Known {
        if let Some(compiled) = self.compiled().get(name)
            && compiled.document == document
        {
            return compiled.group.clone();
        }
        let group = Group::compile(&document).map(Arc::new);
        self.compiled().insert(name.to_owned(), Compiled { document, group: group.clone() });
        group
    }

    fn compiled(&self) -> MutexGuard<'_, HashMap<String, Compiled>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    /// From the document's members; pointers lead into it.
    pub fn compile(document: &Map<String, Value>) -> Result<Self, Fault> {
        let lacks = |pointer: &str, message: &str| Fault { pointer: pointer.to_owned(), message: message.to_owned() };
        let name = document.get("userGroup").and_then(Value::as_str);
        let name = name.ok_or_else(|| lacks("/userGroup", "a group has a name"))?.to_owned();
        let schema = document.get("crudSchema").ok_or_else(|| lacks("/crudSchema", "a group has a schema"))?;
        let schema = Schema::compile(schema)
            .map_err(|fault| Fault { pointer: format!("/crudSchema{}", fault.pointer), ..fault })?;
        let store_only = document.get("authUserCreationDisabled") == Some(&Value::Bool(true));
        let passwords = documents::passwords(document)?;
        Ok(Self { name, store_only, passwords, schema })
    }

    /// Whether a user of this group has an account at the identity provider, and with it roles.
    pub fn has_identities(&self) -> bool {
        !self.store_only
    }

    /// Whether that member is a date: `expirationDate`, and what its schema calls one (RFC 3339).
    pub fn is_date(&self, member: &str) -> bool {
        member == "expirationDate" || self.schema.properties.get(member).is_some_and(|property| property.date)
    }

    pub fn password_policy(&self) -> PasswordPolicy {
        self.passwords
    }

    /// Whether a user of this group may look so. Standard members are checked by us, the rest by the schema; members that
    /// neither knows are refused also under an open schema.
    pub fn check(&self, fields: &mut Map<String, Value>) -> Result<(), Error> {
        let findings = self.findings(fields);
        if findings.is_empty() { Ok(()) } else { Err(failed(&self.name, findings)) }
    }

    /// What is wrong with such a user, up to the limit. The members are lent, and come back as they were: the validator wants
    /// a value that owns them, and a copy would cost as much as all the rest.
    pub fn findings(&self, fields: &mut Map<String, Value>) -> Vec<Finding> {
        let mut user = std::mem::take(fields);
        let kept: Vec<_> = NOT_SETTABLE.iter().filter_map(|name| user.remove_entry(*name)).collect();
        let user = Value::Object(user);
        let findings = self.findings_in(&user);
        if let Value::Object(user) = user {
            *fields = user;
        }
        fields.extend(kept);
        findings
    }

    fn findings_in(&self, user: &Value) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for (name, value) in user.as_object().into_iter().flatten() {
            let known = STANDARD.contains(&name.as_str()) || self.schema.properties.contains_key(name);
            let pointer = || format!("/{}", segment(name));
            if !known {
                findings.push(finding(&pointer(), "unknown-member", "is no member of a user of this group"));
            } else if let Some(wrong) = standard_type(name, value) {
                findings.push(finding(&pointer(), "type", wrong));
            }
        }
        for found in self.schema.findings(user) {
            if !findings.iter().any(|known| known.pointer == found.pointer && known.keyword == found.keyword) {
                findings.push(found);
            }
        }
        findings.truncate(FINDINGS);
        findings
    }
}

/// What is wrong with a standard member's type, if anything.
fn standard_type(name: &str, value: &Value) -> Option<&'static str> {
    let right = match name {
        "email" | "username" => value.as_str().is_some_and(|text| !text.trim().is_empty()),
        "userGroup" | "expirationDate" => value.is_string(),
        "blocked" => value.is_boolean(),
        "roles" => value.as_array().is_some_and(|roles| roles.iter().all(Value::is_string)),
        _ => true,
    };
    match name {
        _ if right => None,
        "blocked" => Some("must be true or false"),
        "roles" => Some("must be a list of strings"),
        "email" | "username" => Some("must be a string that is not blank"),
        _ => Some("must be a string"),
    }
}

fn finding(pointer: &str, keyword: &str, message: impl Into<String>) -> Finding {
    Finding { pointer: pointer.to_owned(), keyword: keyword.to_owned(), message: message.into() }
}

fn failed(group: &str, findings: Vec<Finding>) -> Error {
    let count = findings.len();
    let of = if group.is_empty() { String::new() } else { format!(" of a user of the group {group}") };
    let things = if count == 1 { "1 thing is".to_owned() } else { format!("{count} things are") };
    let mut error = Error::new(Code::ValidationFailed, format!("{things} wrong with the members{of}"));
    error.findings = findings;
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_plain_true_takes_a_groups_users_their_identities() {
        let group = |disabled: Value| {
            let document = json!({ "userGroup": "guests", "crudSchema": {}, "authUserCreationDisabled": disabled });
            Group::compile(document.as_object().unwrap()).unwrap()
        };
        assert!(!group(json!(true)).has_identities());
        for otherwise in [json!(false), json!(null), json!("true")] {
            assert!(group(otherwise.clone()).has_identities(), "{otherwise}");
        }
    }
}
