//! Groups: a JSON Schema and a label. The documents are compiled in from `schemas/groups/`; their schemas are compiled once.
//! Must not know what is done with a user.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

use crate::{
    error::{Code, Error, Finding},
    users::{METADATA, STANDARD},
};

const DOCUMENTS: [&str; 2] =
    [include_str!("../schemas/groups/administrators.json"), include_str!("../schemas/groups/users.json")];

/// Backtracking steps of a pattern with look-around, so that no user can make one run for ever.
const BACKTRACK_LIMIT: usize = 100_000;
/// More are not told.
const FINDINGS: usize = 20;

/// All groups.
#[derive(Debug, Clone)]
pub struct Groups(Arc<HashMap<String, Arc<Group>>>);

/// One group and its compiled schema.
#[derive(Debug)]
pub struct Group {
    pub name: String,
    /// `authUserCreationDisabled`: its users live in the store only.
    store_only: bool,
    validator: Validator,
    /// The members that its schema names.
    properties: Vec<String>,
    /// Those of them that are dates.
    dates: Vec<String>,
}

impl Groups {
    /// The groups that come with the program, compiled at the first call.
    pub fn built_in() -> Result<Self, String> {
        static BUILT_IN: OnceLock<Result<Groups, String>> = OnceLock::new();
        BUILT_IN.get_or_init(Self::compile_built_in).clone()
    }

    fn compile_built_in() -> Result<Self, String> {
        let groups = DOCUMENTS.iter().map(|document| {
            let document: Value = serde_json::from_str(document).map_err(|error| error.to_string())?;
            Group::compile(&document).map(|group| (group.name.clone(), Arc::new(group)))
        });
        Ok(Self(Arc::new(groups.collect::<Result<_, String>>()?)))
    }

    /// The group that a user says he is in. `validation-failed` when he says nothing, `group-unknown` when there is none.
    pub fn of(&self, fields: &Map<String, Value>) -> Result<Arc<Group>, Error> {
        match fields.get("userGroup") {
            Some(Value::String(name)) => self.0.get(name).cloned().ok_or_else(|| {
                Error::new(Code::GroupUnknown, format!("There is no group called {name}")).field("userGroup")
            }),
            Some(_) => Err(failed("", vec![finding("/userGroup", "type", "must be a string")])),
            None => Err(failed("", vec![finding("", "required", "userGroup is required")])),
        }
    }
}

impl Group {
    fn compile(document: &Value) -> Result<Self, String> {
        let name = document["userGroup"].as_str().ok_or("a group without userGroup")?.to_owned();
        let schema = &document["crudSchema"];
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT))
            .build(schema)
            .map_err(|error| format!("the schema of {name} does not compile: {error}"))?;
        let properties = schema["properties"].as_object();
        let is_date = |schema: &Value| matches!(schema["format"].as_str(), Some("date-time" | "date"));
        let dates = properties.iter().flat_map(|named| named.iter()).filter(|(_, schema)| is_date(schema));
        let store_only = document["authUserCreationDisabled"] == Value::Bool(true);
        Ok(Self {
            name,
            store_only,
            validator,
            dates: dates.map(|(member, _)| member.clone()).collect(),
            properties: properties.map(|named| named.keys().cloned().collect()).unwrap_or_default(),
        })
    }

    /// Whether a user of this group has an account at the identity provider, and with it roles.
    pub fn has_identities(&self) -> bool {
        !self.store_only
    }

    /// Whether that member is a date: `expirationDate`, and what its schema calls one (RFC 3339).
    pub fn is_date(&self, member: &str) -> bool {
        member == "expirationDate" || self.dates.iter().any(|date| date == member)
    }

    /// Whether a user of this group may look so. Standard members are checked by us, the rest by the schema; members that
    /// neither knows are refused also under an open schema.
    pub fn check(&self, fields: &Map<String, Value>) -> Result<(), Error> {
        let mut user = fields.clone();
        // What the system sets and nobody writes is no matter of the schema.
        user.retain(|name, _| {
            !METADATA.contains(&name.as_str()) && !["authUserId", "expirationId"].contains(&name.as_str())
        });
        let mut findings: Vec<Finding> = Vec::new();
        for (name, value) in &user {
            let known = STANDARD.contains(&name.as_str()) || self.properties.contains(name);
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            if !known {
                findings.push(finding(&pointer, "unknown-member", "is no member of a user of this group"));
            } else if let Some(wrong) = standard_type(name, value) {
                findings.push(finding(&pointer, "type", wrong));
            }
        }
        let user = Value::Object(user);
        for error in self.validator.iter_errors(&user).take(FINDINGS) {
            // The error's own text quotes the value, which is the user's.
            let keyword = error.kind().keyword();
            let pointer = error.instance_path().as_str();
            if findings.iter().any(|known| known.pointer == pointer && known.keyword == keyword) {
                continue;
            }
            findings.push(finding(
                pointer,
                keyword,
                format!("does not satisfy {keyword} at {}", error.schema_path().as_str()),
            ));
        }
        findings.truncate(FINDINGS);
        if findings.is_empty() { Ok(()) } else { Err(failed(&self.name, findings)) }
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
            Group::compile(&document).unwrap()
        };
        assert!(!group(json!(true)).has_identities());
        for otherwise in [json!(false), json!(null), json!("true")] {
            assert!(group(otherwise.clone()).has_identities(), "{otherwise}");
        }
    }
}
