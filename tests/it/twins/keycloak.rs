//! Keycloak 26 as our driver meets it: plain state behind the real HTTP surface, its surprises included.
//!
//! Kept: the silently ignored `id` of a creation, the two meanings of a PUT with and without attributes, attributes that
//! end with two values when two PUTs overlap, dropped unmanaged attributes, names unique across each other, a bare 500
//! where an import is refused, tokens bound to the host they were asked under.

mod admin;
mod tokens;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::json;
use url::Url;
use user_manager::{
    clock::Clock,
    config::{self, KeycloakCreate},
};

use super::{Answer, Asked, Model};

pub const REALM: &str = "people";
/// The service account that may do everything that the driver asks for.
pub const CLIENT: (&str, &str) = ("user-manager", "um-secret");
/// The client of the password grant.
pub const LOGIN: (&str, &str) = ("login", "login-secret");

/// What a program is told that uses the twin at that address.
pub fn settings(url: &str) -> [(&'static str, &str); 7] {
    [
        ("AUTH_MODULE", "keycloak"),
        ("KEYCLOAK_URL", url),
        ("KEYCLOAK_REALM", REALM),
        ("KEYCLOAK_CLIENT_ID", CLIENT.0),
        ("KEYCLOAK_CLIENT_SECRET", CLIENT.1),
        ("KEYCLOAK_LOGIN_CLIENT_ID", LOGIN.0),
        ("KEYCLOAK_LOGIN_CLIENT_SECRET", LOGIN.1),
    ]
}

/// The same for the driver alone, which makes accounts in that way.
pub fn config(base: Url, create: KeycloakCreate) -> config::Keycloak {
    config::Keycloak {
        base,
        realm: REALM.to_owned(),
        client_id: CLIENT.0.to_owned(),
        client_secret: CLIENT.1.into(),
        login_client_id: LOGIN.0.to_owned(),
        login_client_secret: Some(LOGIN.1.into()),
        create: Some(create),
        late_window: Duration::from_secs(300),
        mail: config::KeycloakMail { client_id: None, redirect_uri: None, lifespan: Duration::from_hours(12) },
    }
}

/// Everything that the twin knows. A request is answered in one go, as in one transaction.
pub struct Keycloak {
    clock: Clock,
    pub people: BTreeMap<String, Person>,
    pub clients: BTreeMap<String, Client>,
    pub realm_roles: BTreeSet<String>,
    /// Whether attributes that the user profile does not declare are kept (`unmanagedAttributePolicy`).
    pub keeps_unmanaged: bool,
    pub edit_username_allowed: bool,
    pub min_password: usize,
    /// The next PUTs with attributes overlap with somebody else's, who wrote this mark: both values stay.
    pub rivals: Vec<String>,
    /// What it has mailed, oldest first.
    pub mails: Vec<Mail>,
    /// Whether its realm names a mail server that takes mails.
    pub has_mail_server: bool,
    /// It signs with keys that it no longer publishes.
    pub keys_withdrawn: bool,
    /// Whether a refresh token is good once (`revokeRefreshToken`).
    pub rotates: bool,
    issued: BTreeMap<String, Issued>,
    refresh_tokens: BTreeMap<String, Refresh>,
    made: u64,
}

#[derive(Debug, Clone)]
pub struct Client {
    pub secret: Option<String>,
    pub enabled: bool,
    pub direct_grants: bool,
    /// What its service account may do; `None` = it has none.
    pub rights: Option<BTreeSet<&'static str>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    pub username: String,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub enabled: bool,
    pub email_verified: bool,
    pub attributes: BTreeMap<String, Vec<String>>,
    pub required_actions: Vec<String>,
    pub created_ms: i64,
    /// Seconds.
    pub not_before: i64,
    pub password: Option<String>,
    /// By wrong passwords, for a while.
    pub locked: bool,
    pub sessions: BTreeSet<String>,
    /// Clients that hold an offline token.
    pub offline: BTreeSet<String>,
    pub realm_roles: BTreeSet<String>,
}

#[derive(Clone)]
struct Refresh {
    person: String,
    session: String,
    client: String,
    scope: String,
    /// Seconds.
    issued: i64,
    used: bool,
}

/// A link with actions behind it, to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub to: String,
    pub actions: Vec<String>,
    pub client: Option<String>,
    pub redirect: Option<String>,
    /// Seconds.
    pub lifespan: u64,
}

struct Issued {
    client: String,
    host: String,
    expires_ms: i64,
}

impl Keycloak {
    pub fn new(clock: Clock) -> Self {
        let rights = ["manage-users", "view-users", "manage-realm"].into_iter().collect();
        let service =
            Client { secret: Some(CLIENT.1.to_owned()), enabled: true, direct_grants: false, rights: Some(rights) };
        let login = Client { secret: Some(LOGIN.1.to_owned()), enabled: true, direct_grants: true, rights: None };
        Self {
            clock,
            people: BTreeMap::new(),
            clients: [(CLIENT.0.to_owned(), service), (LOGIN.0.to_owned(), login)].into(),
            realm_roles: [default_roles()].into(),
            keeps_unmanaged: true,
            edit_username_allowed: true,
            min_password: 8,
            rivals: Vec::new(),
            mails: Vec::new(),
            has_mail_server: true,
            keys_withdrawn: false,
            rotates: false,
            issued: BTreeMap::new(),
            refresh_tokens: BTreeMap::new(),
            made: 0,
        }
    }

    /// Takes a right from the service account, or gives it back.
    pub fn may(&mut self, right: &'static str, allowed: bool) {
        let client = self.clients.get_mut(CLIENT.0).unwrap();
        let rights = client.rights.get_or_insert_default();
        if allowed {
            rights.insert(right);
        } else {
            rights.remove(right);
        }
    }

    /// As when the realm's not-before was raised: every token given out is refused from now on.
    pub fn forget_tokens(&mut self) {
        self.issued.clear();
    }

    /// The same for those of one client alone.
    pub fn forget_tokens_of(&mut self, client: &str) {
        self.issued.retain(|_, issued| issued.client != client);
    }

    /// Whether a refresh token would bring new ones.
    pub fn is_good(&self, token: &str) -> bool {
        self.refresh_tokens.get(token).is_some_and(|known| {
            let person = self.people.get(&known.person);
            let stands = person.is_some_and(|person| person.enabled && person.sessions.contains(&known.session));
            stands && !(self.rotates && known.used)
        })
    }

    /// Somebody who was there before us.
    pub fn stands(&mut self, id: &str, person: Person) {
        let created_ms = self.clock.now_ms();
        let realm_roles = [default_roles()].into();
        self.people.insert(id.to_owned(), Person { created_ms, realm_roles, ..person });
    }

    /// Everything of everybody, for comparing one moment with another.
    pub fn snapshot(&self) -> BTreeMap<String, Person> {
        self.people.clone()
    }

    fn new_id(&mut self) -> String {
        self.made += 1;
        format!("{:08x}-0000-4000-8000-{:012x}", self.made, self.made)
    }
}

impl Model for Keycloak {
    fn answer(&mut self, asked: &Asked) -> Answer {
        let path = asked.segments();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["realms", REALM, "protocol", "openid-connect", rest @ ..] => self.openid(asked, rest),
            ["admin", "realms", REALM, rest @ ..] => self.admin(asked, rest),
            ["realms", _, ..] => Answer::json(404, &json!({ "error": "Realm does not exist" })),
            ["admin", "realms", _, ..] => Answer::json(404, &json!({ "error": "Realm not found." })),
            _ => Answer::empty(404),
        }
    }

    fn refusal(&self, status: u16) -> Answer {
        match status {
            401 => Answer::json(401, &json!({ "error": "HTTP 401 Unauthorized" })),
            403 => Answer::json(403, &json!({ "error": "HTTP 403 Forbidden" })),
            404 => Answer::json(404, &json!({ "error": "User not found" })),
            409 => message(409, "User exists with same username"),
            500 => error(500, "unknown_error", "For more on this error consult the server log."),
            _ => Answer::empty(status),
        }
    }
}

impl Person {
    pub fn named(username: &str, email: &str) -> Self {
        Self { username: username.to_owned(), email: Some(email.to_owned()), enabled: true, ..Self::default() }
    }
}

fn host(asked: &Asked) -> String {
    asked.header("host").unwrap_or_default().to_owned()
}

fn message(status: u16, text: &str) -> Answer {
    Answer::json(status, &json!({ "errorMessage": text }))
}

fn error(status: u16, error: &str, description: &str) -> Answer {
    Answer::json(status, &json!({ "error": error, "error_description": description }))
}

fn default_roles() -> String {
    format!("default-roles-{REALM}")
}
