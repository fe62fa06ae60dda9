//! A `UserRepresentation`, as Keycloak answers it and takes it back whole.

use serde_json::{Map, Value, json};

use crate::{
    error::{Code, Error},
    identity::Account,
};

/// The attribute that says which operation wrote the account last.
pub const MARK: &str = "um_operation";
/// The verified address that a change replaced, so that undoing it gives back a verified one.
const VERIFIED: &str = "um_verified_email";

#[derive(Debug, Clone)]
pub struct Person(Map<String, Value>);

impl Person {
    /// Nothing when it is none.
    pub fn from_body(body: Value) -> Option<Self> {
        let Value::Object(body) = body else { return None };
        let whole = body.get("id").is_some_and(Value::is_string)
            && body.get("username").is_some_and(Value::is_string)
            && body.get("enabled").is_some_and(Value::is_boolean);
        whole.then_some(Self(body))
    }

    pub fn id(&self) -> &str {
        self.text("id").unwrap_or_default()
    }

    pub fn account(&self) -> Account {
        let username = self.text("username").map(str::to_owned);
        let email = self.text("email").map(str::to_owned);
        Account {
            // The e-mail that stands in for a username is none.
            username: username.filter(|username| email.as_ref().is_none_or(|email| !same(email, username))),
            email,
            enabled: self.enabled(),
            mark: self.mark().map(str::to_owned),
            revision: None,
        }
    }

    /// Whether names and enablement are these. Keycloak stores names in lower case.
    pub fn shows(&self, account: &Account) -> bool {
        let email = match (self.text("email"), account.email.as_deref()) {
            (Some(one), Some(other)) => same(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let username = login_name(account).is_ok_and(|name| self.text("username").is_some_and(|held| same(held, name)));
        email && username && self.enabled() == account.enabled
    }

    /// Whether it has one of the names of that account.
    pub fn is_named_as(&self, account: &Account) -> bool {
        let bears = |name: Option<&str>, held: Option<&str>| matches!((name, held), (Some(a), Some(b)) if same(a, b));
        bears(login_name(account).ok(), self.text("username")) || bears(account.email.as_deref(), self.text("email"))
    }

    /// Whether that operation wrote it, alone or torn with another.
    pub fn bears(&self, mark: Option<&str>) -> bool {
        mark.is_some_and(|mark| self.marks().any(|held| held == mark))
    }

    /// The one mark; nothing when there is none or when two writers tore it.
    pub fn mark(&self) -> Option<&str> {
        let mut marks = self.marks();
        marks.next().filter(|_| marks.next().is_none())
    }

    /// The whole body that makes it that account: what is not ours stays as it is.
    pub fn becoming(&self, account: &Account, way: Way) -> Result<Value, Error> {
        let mut body = self.0.clone();
        let mut attributes = match body.remove("attributes") {
            Some(Value::Object(attributes)) => attributes,
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | None => {
                Map::new()
            }
        };
        let (old, new) = (self.text("email"), account.email.as_deref());
        if old.map(str::to_lowercase) != new.map(str::to_lowercase) {
            // Keycloak leaves `emailVerified` as it was, which would vouch for an address that nobody has looked at.
            let verified = self.0.get("emailVerified") == Some(&json!(true));
            let before = attributes.remove(VERIFIED);
            match (way, old) {
                (Way::Forth, Some(old)) if verified => {
                    attributes.insert(VERIFIED.to_owned(), json!([old]));
                    body.insert("emailVerified".to_owned(), json!(false));
                }
                (Way::Back, _) if new.is_some() && before == Some(json!([new])) => {
                    body.insert("emailVerified".to_owned(), json!(true));
                }
                (Way::Forth | Way::Back, _) => {
                    body.insert("emailVerified".to_owned(), json!(false));
                }
            }
        }
        match &account.mark {
            Some(mark) => attributes.insert(MARK.to_owned(), json!([mark])),
            None => attributes.remove(MARK),
        };
        body.insert("username".to_owned(), json!(login_name(account)?));
        // With attributes in the body everything is replaced, and a missing e-mail is removed.
        match new {
            Some(email) => body.insert("email".to_owned(), json!(email)),
            None => body.remove("email"),
        };
        body.insert("enabled".to_owned(), json!(account.enabled));
        body.insert("attributes".to_owned(), Value::Object(attributes));
        Ok(Value::Object(body))
    }

    fn enabled(&self) -> bool {
        self.0.get("enabled") == Some(&Value::Bool(true))
    }

    fn marks(&self) -> impl Iterator<Item = &str> {
        let held = self.0.get("attributes").and_then(|attributes| attributes.get(MARK)).and_then(Value::as_array);
        held.into_iter().flatten().filter_map(Value::as_str)
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

/// Whether an account is written by an operation or put back by its undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Forth,
    Back,
}

/// Keycloak's username of an account of ours.
pub fn login_name(account: &Account) -> Result<&str, Error> {
    let name = account.username.as_deref().or(account.email.as_deref());
    name.ok_or_else(|| {
        Error::new(Code::ValidationFailed, "An identity needs a username or an e-mail").field("username")
    })
}

/// The field of the user that Keycloak's username came from.
pub fn login_field(account: &Account) -> &'static str {
    if account.username.is_some() { "username" } else { "email" }
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
