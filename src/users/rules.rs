//! What must hold before anything is sent: preconditions, takeover, the last administrator, names that are taken.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{NAMES, State, User, UserId, held_name};
use crate::{
    access::{ADMIN, Caller, Permissions},
    clock,
    config::{SelfProtect, UniqueScope},
    error::{self, Code, Error},
    fold::fold,
    groups::{Group, Groups},
    identity::Account,
    query::{Filter, Query, parse::invalid_query},
    roles,
    saga::Saga,
    systems::{Systems, View},
};

/// `If-Match` (RFC 9110 13.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precondition {
    #[default]
    None,
    /// `*`
    Exists,
    /// Strong values without their quotes.
    AnyOf(Vec<String>),
}

impl Precondition {
    pub fn holds(&self, user: &User) -> bool {
        match self {
            Self::None | Self::Exists => true,
            Self::AnyOf(values) => values.contains(&user.revision.0),
        }
    }

    pub fn require(&self, user: &User) -> Result<(), Error> {
        if self.holds(user) { Ok(()) } else { Err(error::changed_meanwhile()) }
    }
}

/// The person as the caller may see him: PUBLIC, inside his row filter.
pub async fn visible(view: View<'_>, id: &UserId, rows: &Filter) -> Result<User, Error> {
    let found = view.user(id, rows).await?;
    found.filter(|user| user.state == State::Public).ok_or_else(error::user_not_found)
}

/// The person in whatever state, inside the caller's row filter.
pub async fn found(view: View<'_>, id: &UserId, rows: &Filter) -> Result<User, Error> {
    view.user(id, rows).await?.ok_or_else(error::user_not_found)
}

/// A store that speaks the query language judges a filter itself.
pub fn not_understood(error: Error) -> Error {
    match error.upstream_status() {
        Some(400) => invalid_query("the store does not understand the filter"),
        Some(_) | None => error,
    }
}

/// Nobody acts on a person who holds a permission that he lacks. What the person holds; nothing where no permission is asked
/// for, so that nobody is the last who holds one either.
pub async fn not_above(systems: &Systems, caller: &Caller, target: &User) -> Result<Permissions, Error> {
    if caller.unasked {
        return Ok(Permissions::default());
    }
    let held = roles::held(systems, target).await?;
    if caller.covers(&held) { Ok(held) } else { Err(above()) }
}

/// The same of a person who may be gone from the store.
pub async fn not_above_whoever(systems: &Systems, caller: &Caller, target: &UserId) -> Result<(), Error> {
    if let Some(user) = systems.store.get(target, &Filter::Everything).await? {
        return not_above(systems, caller, &user).await.map(|_| ());
    }
    let granted = Permissions(systems.grants.of(target.as_str()).await?);
    if caller.covers(&granted) { Ok(()) } else { Err(above()) }
}

fn above() -> Error {
    Error::new(Code::PersonAbove, "The person holds a permission that you lack")
}

/// The members of one's own user that only an administrator may change.
pub const PROTECTED: [&str; 4] = ["expirationDate", "roles", "blocked", "userGroup"];

pub fn not_own_protected<'a>(
    protect: SelfProtect,
    caller: &Caller,
    target: &UserId,
    mut changed: impl Iterator<Item = &'a str>,
) -> Result<(), Error> {
    let excepted = match protect {
        SelfProtect::On => false,
        SelfProtect::UnlessBackoffice => caller.backoffice,
        SelfProtect::Off => true,
    };
    if excepted || !caller.is(target) || caller.permissions.holds(ADMIN) {
        return Ok(());
    }
    match changed.find(|field| PROTECTED.contains(field)) {
        Some(field) => Err(Error::new(Code::OwnRecord, format!("Nobody changes his own {field}")).field(field)),
        None => Ok(()),
    }
}

/// The name that every operation holds which may take the last administrator away, so that two cannot each take one of the
/// last two.
pub const ADMINS: &str = "admins";

/// Who or what is taken away.
#[derive(Debug, Clone, Copy)]
pub enum Without<'a> {
    Person(&'a UserId),
    Persons(&'a [UserId]),
    /// What it gives, `roleId`.
    Role(&'a str),
}

/// Whether somebody else would be left who may do everything: PUBLIC, unblocked, with an identity and no end.
pub async fn not_last_admin(systems: &Systems, without: Without<'_>) -> Result<(), Error> {
    let until_ms = systems.expired_until_ms();
    let stays = |user: &User| {
        let taken = match without {
            Without::Person(person) => *person == user.id,
            Without::Persons(persons) => persons.contains(&user.id),
            Without::Role(_) => false,
        };
        !taken && administers(user, until_ms)
    };
    for other in systems.grants.holders(ADMIN).await? {
        let Some(other) = UserId::parse(&other) else { continue };
        let user = systems.store.get(&other, &Filter::Everything).await?;
        if user.as_ref().is_some_and(stays) {
            return Ok(());
        }
    }
    let mut giving = systems.roles.giving(ADMIN).await?;
    giving.retain(|role| !matches!(without, Without::Role(taken) if taken == role));
    if !giving.is_empty() {
        let unblocked = Filter::differs("blocked", true);
        let endless = Filter::equals("expirationDate", Value::Null);
        let filter = Filter::all([Filter::one_of("roles", giving), unblocked, endless]);
        let query = Query::everybody_where(filter).in_states(&[State::Public]);
        if systems.store.list(&query).await?.iter().any(stays) {
            return Ok(());
        }
    }
    Err(Error::new(Code::LastAdmin, "Nobody would be left who may do everything"))
}

/// Whether somebody who may do everything can also come and do it, today and tomorrow. `until_ms`: as
/// [`Systems::expired_until_ms`] has it.
pub fn administers(user: &User, until_ms: i64) -> bool {
    user.auth_user_id().is_some() && user.text("expirationDate").is_none() && !user.identity_blocked(until_ms)
}

/// The roles that somebody is given exist, and give nothing that the caller lacks. Without a catalogue a role is any text.
pub async fn may_give(systems: &Systems, caller: &Caller, fields: &Map<String, Value>) -> Result<(), Error> {
    let names = fields.get("roles").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<&str> = names.filter_map(Value::as_str).collect();
    if systems.roles.store().is_none() || names.is_empty() {
        return Ok(());
    }
    let gives = systems.roles.look_up(&names).await?;
    for (name, gives) in names.iter().zip(&gives) {
        let Some(gives) = gives else {
            let message = format!("There is no role called {name}");
            return Err(Error::new(Code::RoleUnknown, message).field("roles"));
        };
        if !caller.covers(gives) {
            return Err(role_above());
        }
    }
    Ok(())
}

pub fn role_above() -> Error {
    Error::new(Code::RoleAbove, "The role gives a permission that you lack")
}

/// What an operation on these fields holds: `email:…`, `username:…`.
pub fn names_in(fields: &Map<String, Value>) -> Vec<String> {
    let text = |field: &str| fields.get(field).and_then(Value::as_str).map(|value| held_name(field, value));
    NAMES.iter().filter_map(|field| text(field)).collect()
}

/// What every operation on that person holds: himself and his names.
pub fn names_of_person(user: &User) -> Vec<String> {
    let mut names = names_in(&user.document);
    names.push(format!("user:{}", user.id));
    names
}

/// The same of one that may take him away: where he may do everything, nobody else who may is taken away meanwhile.
pub fn names_to_remove(user: &User, held: &Permissions) -> Vec<String> {
    let mut names = names_of_person(user);
    if held.holds(ADMIN) {
        names.push(ADMINS.to_owned());
    }
    names
}

/// Holds what is needed beyond what is held already.
pub async fn hold_further(saga: &mut Saga, held: &[String], needed: Vec<String>) -> Result<(), Error> {
    if needed.iter().all(|name| held.contains(name)) { Ok(()) } else { saga.hold(needed).await }
}

/// Whether anybody but `except` has one of these names already, in any state.
pub async fn names_free(
    view: View<'_>,
    scope: UniqueScope,
    names: &[(&str, &str)],
    except: Option<&UserId>,
) -> Result<(), Error> {
    if scope == UniqueScope::Identities || names.is_empty() {
        return Ok(());
    }
    let folded: Vec<(&str, String)> = names.iter().map(|(field, value)| (*field, fold(value))).collect();
    let mut any: Vec<(&str, &str)> = names.to_vec();
    any.extend(folded.iter().map(|(field, value)| (*field, value.as_str())));
    any.sort_unstable();
    any.dedup();
    let others = view.users(&any).await?;
    let bears = |other: &&User| Some(&other.id) != except && !other.released();
    let Some(other) = others.iter().find(bears) else { return Ok(()) };
    let taken = folded.iter().find(|(field, value)| other.text(field).is_some_and(|text| fold(text) == *value));
    Err(error::name_taken(taken.map_or("name", |(field, _)| field)))
}

/// The names of an account as fields of a user.
pub fn fields_of(account: &Account) -> Map<String, Value> {
    let names = NAMES.into_iter().zip([&account.email, &account.username]);
    names.filter_map(|(field, name)| Some((field.to_owned(), Value::from(name.clone()?)))).collect()
}

/// The names among the fields.
pub fn names_of(fields: &Map<String, Value>) -> Vec<(&'static str, &str)> {
    NAMES.iter().filter_map(|field| Some((*field, fields.get(*field)?.as_str()?))).collect()
}

/// What nobody gives a new user.
pub fn settable(fields: &Map<String, Value>) -> Result<(), Error> {
    for name in fields.keys() {
        if super::NOT_SETTABLE.contains(&name.as_str()) {
            return Err(Error::new(Code::NotSettable, format!("{name} is not set by callers")).field(name));
        }
    }
    Ok(())
}

/// `expirationDate` as it is kept: UTC with milliseconds. Nothing where it is null, as the CRUD Service has it.
///
/// `expiration-past` where it is not in the future; asked only when it is set or changed.
pub fn expiration(value: &Value, now_ms: i64) -> Result<Option<String>, Error> {
    let at_ms = match value {
        Value::Null => return Ok(None),
        Value::String(text) => clock::parse_rfc3339(text),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let wrong = || error::invalid(Code::ValidationFailed, "/expirationDate", "must be a date and time (RFC 3339)");
    let at_ms = at_ms.ok_or_else(wrong)?;
    if at_ms <= now_ms {
        return Err(Error::new(Code::ExpirationPast, "The expirationDate is not in the future").field("expirationDate"));
    }
    Ok(Some(clock::rfc3339(at_ms)))
}

/// Of a new user: his date as it is kept, and the timer that goes with it.
pub fn expiring(fields: &mut Map<String, Value>, now_ms: i64) -> Result<Option<i64>, Error> {
    let Some(given) = fields.remove("expirationDate") else { return Ok(None) };
    let Some(date) = expiration(&given, now_ms)? else { return Ok(None) };
    let due_ms = clock::parse_rfc3339(&date);
    fields.insert("expirationDate".to_owned(), date.into());
    Ok(due_ms)
}

/// The state that the members ask for, taken out of them. PUBLIC where they say nothing.
pub fn take_state(fields: &mut Map<String, Value>) -> Result<State, Error> {
    let Some(given) = fields.remove("__STATE__") else { return Ok(State::Public) };
    // A person who begins deleted would be nobody from the start.
    let state = given.as_str().and_then(State::parse).filter(|state| *state != State::Deleted);
    state.ok_or_else(|| error::invalid(Code::ValidationFailed, "/__STATE__", "must be PUBLIC, DRAFT or TRASH"))
}

/// An identity needs a name to log in with.
pub fn identifiable(fields: &Map<String, Value>) -> Result<(), Error> {
    if names_of(fields).is_empty() {
        return Err(error::invalid(Code::ValidationFailed, "", "an email or a username is required"));
    }
    Ok(())
}

/// Nobody without an identity acts, and so nobody without one holds anything.
pub async fn may_have_roles(groups: &Groups, before: &User, after: &User) -> Result<(), Error> {
    let had = if before.group() == after.group() { before.roles() } else { Vec::new() };
    // Taking one away is never refused.
    let gets = after.roles().iter().any(|role| !had.contains(role));
    if !gets || groups.of(&after.document).await?.has_identities() {
        return Ok(());
    }
    let sentence = "The users of this group have no identity, and no roles";
    Err(Error::new(Code::GroupWithoutIdentities, sentence).field("roles"))
}

/// Not in a group whose users live in the store only.
pub async fn may_have_identity(groups: &Groups, fields: &Map<String, Value>) -> Result<Arc<Group>, Error> {
    let group = groups.of(fields).await?;
    if group.has_identities() {
        return Ok(group);
    }
    let sentence = "The users of this group have no identity";
    Err(Error::new(Code::GroupWithoutIdentities, sentence).field("userGroup"))
}
