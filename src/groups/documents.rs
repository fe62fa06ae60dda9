//! Which group documents are taken: what stands in one, what the other groups say of the same members, who still uses it.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde_json::{Map, Value};

use super::{Fault, Group, Groups, PasswordPolicy, schema::Property, schema::properties};
use crate::{
    access::Caller,
    app::App,
    documents::{self, Kept, Wrong},
    error::{Code, Error, Finding},
    query::{Filter, Query},
    store::Collection,
    systems::Systems,
    users::{User, UserId, rules::Precondition},
};

/// The members of a group document.
const MEMBERS: [&str; 5] = ["userGroup", "label", "crudSchema", "authUserCreationDisabled", "passwordPolicy"];
/// Held while any group is written, so that two cannot each give a member a type of its own.
const TYPES: &str = "groups";

/// `group-exists`, `invalid-schema`, `field-type-conflict`.
pub async fn create(app: &App, caller: &Caller, fields: Map<String, Value>) -> Result<UserId, Error> {
    documents::create(app, caller, Written::of(app), fields).await
}

/// As [`create`]; `userGroup` stays.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: &UserId,
    body: Map<String, Value>,
    only_if: Precondition,
) -> Result<User, Error> {
    documents::update(app, caller, Written::of(app), id, body, only_if).await
}

/// `group-in-use` while there is a user in it, in whatever state.
pub async fn delete(app: &App, caller: &Caller, id: &UserId, only_if: Precondition) -> Result<(), Error> {
    documents::delete(app, caller, Written::of(app), id, only_if).await
}

#[derive(Clone)]
struct Written {
    groups: Groups,
    systems: Systems,
}

impl Written {
    fn of(app: &App) -> Self {
        Self { groups: app.groups.clone(), systems: app.systems.clone() }
    }

    /// Whether another group gives one of its members another type.
    async fn fits_the_others(&self, group: &Group) -> Result<(), Error> {
        let others = self.groups.documents().await?;
        let others = others.iter().filter(|other| other.get("userGroup").and_then(Value::as_str) != Some(&group.name));
        for other in others {
            let theirs = properties(other.get("crudSchema").and_then(|schema| schema.get("properties")));
            if let Some(field) = conflict(&group.schema.properties, &theirs) {
                let whose = other.get("userGroup").and_then(Value::as_str).unwrap_or_default();
                let message = format!("The group {whose} gives the member {field} another type");
                return Err(Error::new(Code::FieldTypeConflict, message).field(field));
            }
        }
        Ok(())
    }
}

impl Kept for Written {
    const OF: Collection = Collection::Groups;
    const KINDS: [&'static str; 3] = ["create-group", "update-group", "delete-group"];
    const DOING: &'static str = "changing group";
    const HELD: &'static str = "group";

    async fn allow(&self, before: Option<&User>, after: Option<&Map<String, Value>>) -> Result<Vec<String>, Error> {
        let view = self.systems.view();
        let Some(fields) = after else {
            let name = before.map(User::group).unwrap_or_default();
            let users = Query::everybody_where(Filter::equals("userGroup", name));
            return match view.count(Collection::Users, &users).await? {
                0 => Ok(Vec::new()),
                count => Err(Error::new(Code::GroupInUse, format!("The group is in use: it has {count} users"))),
            };
        };
        let group = read(before, fields)?;
        if before.is_none() && !self.systems.groups.find(&[("userGroup", &group.name)]).await?.is_empty() {
            return Err(Self::OF.taken("userGroup"));
        }
        self.fits_the_others(&group).await?;
        Ok(vec![TYPES.to_owned()])
    }

    fn forget(&self, name: &str) {
        self.groups.forget(name);
    }
}

/// The group that such a document makes; `validation-failed` and `invalid-schema` with pointers into it.
fn read(before: Option<&User>, fields: &Map<String, Value>) -> Result<Group, Error> {
    let mut wrong = Wrong::default();
    wrong.strangers(before, fields, &MEMBERS);
    wrong.name(before, fields, "userGroup");
    wrong.name(before, fields, "label");
    match fields.get("crudSchema") {
        None => wrong.add("", "required", "crudSchema is required"),
        Some(Value::Object(_)) => {}
        Some(_) => wrong.add("/crudSchema", "type", "must be an object"),
    }
    if fields.get("authUserCreationDisabled").is_some_and(|value| !value.is_boolean()) {
        wrong.add("/authUserCreationDisabled", "type", "must be true or false");
    }
    if let Err(Fault { pointer, message }) = passwords(fields) {
        wrong.add(pointer, "passwordPolicy", message);
    }
    wrong.none("This is no group document")?;
    Group::compile(fields).map_err(refused)
}

/// Characters that a group may ask of a password.
const LENGTHS: RangeInclusive<u64> = 8..=256;

/// What stands under `passwordPolicy`.
pub fn passwords(document: &Map<String, Value>) -> Result<PasswordPolicy, Fault> {
    let mut policy = PasswordPolicy::default();
    let fault = |below: &str, message: String| Fault { pointer: format!("/passwordPolicy{below}"), message };
    let Some(said) = document.get("passwordPolicy") else { return Ok(policy) };
    let said = said.as_object().ok_or_else(|| fault("", "must be an object".to_owned()))?;
    for (name, value) in said {
        match (name.as_str(), value) {
            ("minLength", Value::Number(length)) if length.as_u64().is_some_and(|length| LENGTHS.contains(&length)) => {
                policy.min_length =
                    length.as_u64().and_then(|length| length.try_into().ok()).unwrap_or(policy.min_length);
            }
            ("minLength", _) => {
                let (least, most) = (LENGTHS.start(), LENGTHS.end());
                return Err(fault("/minLength", format!("must be a whole number from {least} to {most}")));
            }
            ("refuseCommon", Value::Bool(refuse)) => policy.refuse_common = *refuse,
            ("refuseCommon", _) => return Err(fault("/refuseCommon", "must be true or false".to_owned())),
            _ => return Err(fault("", "has the members minLength and refuseCommon only".to_owned())),
        }
    }
    Ok(policy)
}

/// What is wrong with a schema, told to who sent it.
pub fn refused(fault: Fault) -> Error {
    let Fault { pointer, message } = fault;
    let mut error = Error::new(Code::InvalidSchema, format!("{pointer}: {message}"));
    error.findings = vec![Finding { pointer, keyword: "invalid-schema".to_owned(), message }];
    error
}

/// The first member to which both give a type, and not the same.
fn conflict<'a>(one: &'a BTreeMap<String, Property>, two: &BTreeMap<String, Property>) -> Option<&'a str> {
    let typed = |(name, property): (&'a String, &'a Property)| Some((name, property.types.as_ref()?));
    let other = |name: &String| two.get(name).and_then(|property| property.types.as_ref());
    let mut typed = one.iter().filter_map(typed);
    typed.find(|(name, types)| other(name).is_some_and(|other| other != *types)).map(|(name, _)| name.as_str())
}
