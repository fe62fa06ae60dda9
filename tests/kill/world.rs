//! A state, the systems behind it, and the people in them; the program is started over it as often as one likes.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use user_manager::{
    access::Caller,
    app::App,
    clock::Clock,
    config::Config,
    identity::Account,
    users::{self, UserId, create::Draft},
};

use crate::{
    program::{Program, State},
    snapshot::{self, crud_users, keycloak_people, without},
    twins::{Twin, crud::Crud, keycloak, keycloak::Keycloak},
};

const PASSWORD: &str = "correct horse battery";
const ROOT: &str = "root@example.org";
const ADA: &str = "ada@example.org";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Everything in our own state.
    Embedded,
    /// Users at a crud-service, identities at Keycloak.
    Remote,
}

impl Place {
    pub const ALL: [Self; 2] = [Self::Embedded, Self::Remote];
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Create,
    /// The provider has the name already, the store does not.
    CreateRefused,
    /// Of an identity that exists.
    Adopt,
    Register,
    Update,
    Restore,
    SoftDelete,
    Delete,
}

impl Asked {
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::CreateRefused,
        Self::Adopt,
        Self::Register,
        Self::Update,
        Self::Restore,
        Self::SoftDelete,
        Self::Delete,
    ];
}

/// Users, identities and grants by what people are called, without what differs from run to run.
pub type People = BTreeMap<String, Vec<Value>>;

pub struct World {
    pub state: State,
    settings: Vec<(String, String)>,
    crud: Option<Twin<Crud>>,
    keycloak: Option<Twin<Keycloak>>,
    /// `_id` of whom operations are about: of one with an identity, of one without, of one in TRASH.
    ada: String,
    shelved: String,
    trashed: String,
    /// `authUserId` without a user.
    lonely: String,
}

impl World {
    /// With an administrator, somebody whom operations are about, somebody who stands by, and a name that only the provider
    /// knows.
    pub async fn make(place: Place) -> Self {
        let state = State::new();
        let mut settings = vec![("CALL_TIMEOUT".to_owned(), "2s".to_owned())];
        let mut set = |name: &str, value: &str| settings.push((name.to_owned(), value.to_owned()));
        let (mut crud, mut keycloak) = (None, None);
        if place == Place::Remote {
            let (store, provider) =
                (Twin::start(Crud::default()).await, Twin::start(Keycloak::new(Clock::system())).await);
            set("CRUD_SERVICE", store.url().as_str());
            keycloak::settings(provider.url().as_str()).into_iter().for_each(|(name, value)| set(name, value));
            set("KEYCLOAK_CREATE", "marker");
            set("AUTH_LATE_WINDOW", "2500ms");
            (crud, keycloak) = (Some(store), Some(provider));
        }
        let directory = ("DATA_DIR".to_owned(), state.path().display().to_string());
        let config = Config::resolve(settings.iter().cloned().chain([directory])).unwrap().config;
        let app = App::open(config, Clock::system()).await.unwrap();
        person(&app, "administrators", ROOT, Some(PASSWORD), &["users:admin"]).await;
        person(&app, "users", "ada@example.org.uk", None, &["x:y"]).await;
        let ada = person(&app, "users", ADA, None, &["x:y"]).await;
        let identity = &app.systems.identity;
        let lonely = Account {
            username: Some("lonely".to_owned()),
            email: Some("lonely@example.org".to_owned()),
            enabled: true,
            mark: Some("seed".to_owned()),
            revision: None,
        };
        let lonely = identity.create(identity.choose_id().as_ref(), &lonely, None).await.unwrap();
        let caller = Caller::inside("test", "system", "seed");
        let fields = json!({ "userGroup": "users", "email": "shelved@example.org" }).as_object().unwrap().clone();
        let shelved = users::create_user_only(&app, &caller, Draft { fields, ..Draft::default() }).await.unwrap();
        let trashed = person(&app, "users", "trashed@example.org", None, &[]).await;
        users::change_state(&app, &caller, &UserId::parse(&trashed).unwrap(), users::State::Trash).await.unwrap();
        app.stop().await;
        let shelved = shelved.to_string();
        Self { state, settings, crud, keycloak, ada, shelved, trashed, lonely }
    }

    /// A new life of the program.
    pub fn start(&self, line: &[&str]) -> Program {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let started = tokio::task::block_in_place(|| Program::try_start(&self.state, line, &settings));
        started.unwrap_or_else(|stopped| panic!("it did not start: {stopped:?}"))
    }

    pub async fn token(&self, program: &Program) -> String {
        program.log_in(ROOT, PASSWORD).await.unwrap()
    }

    /// The status and the answer, if there is one.
    pub async fn ask(&self, program: &Program, asked: Asked) -> Option<(u16, Value)> {
        let token = self.token(program).await;
        let ada = format!("/users/{}", self.ada);
        let (restore, soft_delete) = (format!("/users/{}/restore", self.trashed), format!("{ada}/soft-delete"));
        let create = |username: &str| json!({ "userGroup": "users", "email": "new@example.org", "username": username });
        let (method, path, body) = match asked {
            Asked::Create => (Method::POST, "/users/", Some(create("new"))),
            Asked::CreateRefused => (Method::POST, "/users/", Some(create("lonely"))),
            Asked::Adopt => {
                // Which blocks it.
                let fields = json!({ "userGroup": "users", "authUserId": self.lonely, "blocked": true });
                (Method::POST, "/users/with-id", Some(fields))
            }
            Asked::Register => (Method::POST, "/users/register", Some(json!({ "_id": self.shelved }))),
            Asked::Restore => (Method::POST, restore.as_str(), Some(json!({}))),
            Asked::SoftDelete => (Method::POST, soft_delete.as_str(), Some(json!({}))),
            Asked::Update => {
                let set = json!({ "name": "Countess", "email": "countess@example.org", "blocked": true });
                (Method::PATCH, ada.as_str(), Some(json!({ "$set": set })))
            }
            Asked::Delete => (Method::DELETE, ada.as_str(), None),
        };
        program.try_ask(method, path, &token, body).await
    }

    /// Waits until nothing is left to do, or until the program has ended.
    pub async fn settled(&self, mut program: Option<&mut Program>) {
        let clock = Clock::system();
        let mut left = Vec::new();
        for _ in 0..6000 {
            left = snapshot::State::of(self.state.path()).leftovers();
            if left.is_empty() || program.as_mut().is_some_and(|program| program.has_ended()) {
                return;
            }
            clock.pause(Duration::from_millis(10)).await;
        }
        panic!("not settled: {left:?}");
    }

    pub fn people(&self) -> People {
        let state = snapshot::State::of(self.state.path());
        let users = match &self.crud {
            Some(crud) => crud_users(&crud.world().rows),
            None => state.documents("users"),
        };
        let identities = match &self.keycloak {
            Some(keycloak) => keycloak_people(&keycloak.world().people),
            None => state.documents("identities"),
        };
        let identities = without(&["mark", "version", "notBeforeMs", "password"], identities);
        let links: BTreeMap<&String, String> = identities.iter().map(|(id, identity)| (id, name(identity))).collect();
        let ids: BTreeMap<&String, String> = users.iter().map(|(id, user)| (id, name(user))).collect();

        let mut people = People::new();
        for (user, permission) in state.grants() {
            let user = ids.get(&user).cloned().unwrap_or_else(|| format!("nobody, who was {user}"));
            people.entry(user).or_default().push(json!({ "granted": permission }));
        }
        let volatile = ["_id", "createdAt", "creatorId", "updatedAt", "updaterId"];
        for mut user in without(&volatile, users.clone()).into_values() {
            if let Some(identity) = user["authUserId"].as_str() {
                let linked = links.get(&identity.to_owned()).cloned();
                user["authUserId"] = linked.unwrap_or_else(|| "nobody".to_owned()).into();
            }
            people.entry(name(&user)).or_default().push(json!({ "user": user }));
        }
        for identity in identities.values() {
            people.entry(name(identity)).or_default().push(json!({ "identity": identity }));
        }
        people
    }
}

/// How somebody is called.
fn name(document: &Value) -> String {
    let name = document["email"].as_str().or(document["username"].as_str());
    name.unwrap_or("nameless").to_lowercase()
}

/// His `_id`.
async fn person(app: &App, group: &str, email: &str, password: Option<&str>, permissions: &[&str]) -> String {
    let fields = json!({ "userGroup": group, "email": email, "name": "Somebody" });
    let draft = Draft {
        fields: fields.as_object().unwrap().clone(),
        password: password.map(Into::into),
        grant: permissions.iter().map(|&permission| permission.to_owned()).collect(),
        ..Draft::default()
    };
    users::create(app, &Caller::inside("test", "system", "seed"), draft).await.unwrap().to_string()
}
