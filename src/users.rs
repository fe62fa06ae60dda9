//! The vocabulary: a user, what may be asked for a new one, what may be changed. One operation a file below.
//! Knows no HTTP and no driver.

pub mod adopt;
pub mod change_state;
pub mod change_states;
pub mod create;
pub mod create_identity;
pub mod delete;
pub mod expire;
pub mod grant;
pub mod identity_of;
pub mod list;
pub mod mail_link;
pub mod passwords;
pub mod register;
pub mod reset;
pub mod rules;
pub mod soft_delete;
pub mod steps;
pub mod update;

pub use adopt::adopt;
pub use change_state::{change_state, restore};
pub use change_states::change_states;
pub use create::{create, create_user_only};
pub use create_identity::create_identity;
pub use delete::delete;
pub use grant::grant;
pub use identity_of::{identity_not_above, identity_of};
pub use list::{count, get, get_if, list};
pub use mail_link::mail_link;
pub use register::register;
pub use soft_delete::soft_delete;
pub use update::{update, update_if};

pub use crate::query::State;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{access::people::People, app::App, clock, config::Config, fold::fold, systems::Systems};

/// What an operation on a person needs beside what carries it out.
#[derive(Clone)]
pub struct Means {
    pub systems: Systems,
    pub config: Arc<Config>,
    pub people: People,
}

impl Means {
    pub fn of(app: &App) -> Self {
        Self { systems: app.systems.clone(), config: app.config.clone(), people: app.people.clone() }
    }
}

/// Whether somebody new is mailed a link to choose a password. Nobody is who has no e-mail, no identity or may not log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Welcome {
    Mailed,
    #[default]
    Silent,
}

/// `_id`: 24 lower-case hex digits, the first eight the seconds since 1970. Names the person everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

impl UserId {
    /// A new one.
    pub fn new(now_ms: i64) -> Self {
        let mut random = [0; 8];
        // The generator of the operating system does not fail once it has been seeded; see `fill` itself.
        if aws_lc_rs::rand::fill(&mut random).is_err() {
            let made = uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 0, 0));
            random.copy_from_slice(&made.as_bytes()[8..]);
        }
        let mut hex = format!("{:08x}", (now_ms / 1000) & 0xffff_ffff);
        for byte in random {
            hex.push_str(&format!("{byte:02x}"));
        }
        Self(hex)
    }

    /// Upper case is accepted and becomes lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| Self(text.to_ascii_lowercase()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for UserId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text).ok_or("not an _id")
    }
}

impl From<UserId> for String {
    fn from(id: UserId) -> Self {
        id.0
    }
}

/// The members that the store makes and nobody else may set.
pub const METADATA: [&str; 6] = ["_id", "creatorId", "createdAt", "updaterId", "updatedAt", "__STATE__"];

/// What no caller sets, and no schema is asked about.
pub const NOT_SETTABLE: [&str; 8] =
    ["_id", "creatorId", "createdAt", "updaterId", "updatedAt", "__STATE__", "authUserId", "expirationId"];

/// What a user has beside the fields of his group's schema.
pub const STANDARD: [&str; 8] =
    ["username", "email", "blocked", "userGroup", "roles", "expirationDate", "expirationId", "authUserId"];

/// The fields that nobody may share, folded.
pub const NAMES: [&str; 2] = ["email", "username"];

/// `updatedAt` as it was read: what a later write is conditional on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision(pub String);

/// A user as the store holds him: the whole document, metadata included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub revision: Revision,
    pub state: State,
    /// Everything, `_id` and metadata included, as it is answered.
    pub document: Map<String, Value>,
}

impl User {
    /// Nothing when it is no document of a store (no `_id`, `updatedAt` or `__STATE__`).
    pub fn from_document(document: Map<String, Value>) -> Option<Self> {
        let text = |field: &str| document.get(field).and_then(Value::as_str);
        Some(Self {
            id: UserId::parse(text("_id")?)?,
            revision: Revision(text("updatedAt")?.to_owned()),
            state: State::parse(text("__STATE__")?)?,
            document,
        })
    }

    pub fn text(&self, field: &str) -> Option<&str> {
        self.document.get(field).and_then(Value::as_str)
    }

    pub fn group(&self) -> &str {
        self.text("userGroup").unwrap_or_default()
    }

    /// The names of his roles.
    pub fn roles(&self) -> Vec<&str> {
        let named = self.document.get("roles").and_then(Value::as_array).into_iter().flatten();
        named.filter_map(Value::as_str).collect()
    }

    pub fn auth_user_id(&self) -> Option<&str> {
        self.text("authUserId")
    }

    /// What the user says of himself; see [`User::identity_blocked`] for what his identity should be.
    pub fn blocked(&self) -> bool {
        self.document.get("blocked") == Some(&Value::Bool(true))
    }

    /// Neither he nor an identity of his bears his names any more: others may have them.
    pub fn released(&self) -> bool {
        self.state == State::Deleted && self.auth_user_id().is_none()
    }

    /// Whether his identity should be blocked: see [`bars_identity`].
    pub fn identity_blocked(&self, expired_until_ms: i64) -> bool {
        bars_identity(&self.document, self.state, expired_until_ms)
    }

    /// Without `_id` and the other metadata.
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = self.document.clone();
        fields.retain(|field, _| !METADATA.contains(&field.as_str()));
        fields
    }
}

/// The one rule by which an identity is blocked: its user is blocked, or not PUBLIC, or his date has come by then.
pub fn bars_identity(fields: &Map<String, Value>, state: State, expired_until_ms: i64) -> bool {
    let date = fields.get("expirationDate").and_then(Value::as_str).and_then(clock::parse_rfc3339);
    let blocked = fields.get("blocked") == Some(&Value::Bool(true));
    blocked || state != State::Public || date.is_some_and(|at| at <= expired_until_ms)
}

/// What has changed of a document: absolute values only, so that it may be sent twice.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub set: Map<String, Value>,
    pub unset: Vec<String>,
}

impl Change {
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty()
    }

    /// The document as it would become.
    pub fn apply(&self, document: &mut Map<String, Value>) {
        for (field, value) in &self.set {
            document.insert(field.clone(), value.clone());
        }
        for field in &self.unset {
            document.remove(field);
        }
    }

    /// Whether the document looks as if this had been done to it.
    pub fn shows_in(&self, document: &Map<String, Value>) -> bool {
        self.set.iter().all(|(field, value)| document.get(field) == Some(value))
            && self.unset.iter().all(|field| !document.contains_key(field))
    }

    /// What puts the document back, as far as it still shows this change.
    pub fn inverse(&self, before: &Map<String, Value>) -> Self {
        let fields = self.set.keys().chain(&self.unset);
        let mut inverse = Self::default();
        for field in fields {
            match before.get(field) {
                Some(value) => {
                    inverse.set.insert(field.clone(), value.clone());
                }
                None => inverse.unset.push(field.clone()),
            }
        }
        inverse
    }
}

/// `email:<folded>`, `username:<folded>`: what an operation holds so that nobody else can take it meanwhile.
pub fn held_name(field: &str, value: &str) -> String {
    format!("{field}:{}", fold(value))
}
