//! The program as it is, over its own state and over twins of other systems, spoken to by HTTP. A story says what a caller
//! does and looks at the answer and at what there is then.
//!
//! A world that is dropped fails its test when an operation is not settled, a name is held, or a twin was asked something
//! that it should not be; so a story that has changed something ends with [`World::settled`].

mod asker;
mod mailbox;
mod routes;
pub mod snapshot;
mod time;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use user_manager::{
    access::Caller,
    api::server::serve,
    app::App,
    clock::Clock,
    config::Config,
    identity::{Account, AuthUserId},
    state::journal::{New, Origin},
    users::{self, create::Draft},
};

pub use self::{
    asker::{Asker, Page, Reply},
    mailbox::Mail,
    routes::template,
    snapshot::{People, Snapshot},
};
use self::{
    routes::under_usual_paths,
    snapshot::{State, crud_documents, crud_users, keycloak_people, without},
    time::Moved,
};
use crate::{
    matrix,
    twins::{
        Asked, Model, Twin,
        crud::Crud,
        keycloak::{self, Keycloak},
    },
};

/// Taken by every provider.
pub const PASSWORD: &str = "correct horse battery";
const ADMIN_EMAIL: &str = "root@example.org";

/// Which drivers a world has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Everything in our own state.
    Embedded,
    /// Users at a crud-service, identities at Keycloak.
    Remote,
    /// Users at a crud-service, identities in our own state.
    RemoteUsers,
    /// Users in our own state, identities at Keycloak.
    RemoteIdentities,
}

impl Place {
    pub const ALL: [Self; 4] = [Self::Embedded, Self::Remote, Self::RemoteUsers, Self::RemoteIdentities];
    /// Where identities are at Keycloak.
    pub const KEYCLOAK: [Self; 2] = [Self::Remote, Self::RemoteIdentities];
    /// Where users are at a crud-service.
    pub const CRUD: [Self; 2] = [Self::Remote, Self::RemoteUsers];
}

/// The program that runs, and everything behind it.
pub struct World {
    pub place: Place,
    pub app: Arc<App>,
    /// The twin that keeps the users, where one does.
    pub crud: Option<Twin<Crud>>,
    /// The twin that keeps the identities, where one does.
    pub keycloak: Option<Twin<Keycloak>>,
    admin: Asker,
    address: SocketAddr,
    time: Moved,
    callers: AtomicU32,
    settings: Vec<(String, String)>,
    /// Dropping it ends the server and every connection.
    _server: JoinSet<()>,
    directory: tempfile::TempDir,
}

/// Tells the story in every place.
pub async fn everywhere(story: impl AsyncFn(&World)) {
    within(&Place::ALL, story).await;
}

/// Tells the story in these places.
pub async fn within(places: &[Place], story: impl AsyncFn(&World)) {
    for &place in places {
        tell(place, &[], &story).await;
    }
}

/// Tells the story in these places, where nobody waits long: for an answer, for a name, before somebody should look.
pub async fn impatiently(places: &[Place], story: impl AsyncFn(&World)) {
    for &place in places {
        // Nobody's token ends while the window for late calls passes.
        let settings =
            [("CALL_TIMEOUT", "500ms"), ("NAMES_WAIT", "300ms"), ("ATTENTION_AFTER", "2m"), ("AUTH_LATE_WINDOW", "2m")];
        tell(place, &settings, &story).await;
    }
}

async fn tell(place: Place, settings: &[(&str, &str)], story: &impl AsyncFn(&World)) {
    eprintln!("in the world {place:?}");
    let world = World::with(place, settings).await;
    story(&world).await;
    world.settled().await;
}

impl World {
    pub async fn remote() -> Self {
        Self::at(Place::Remote).await
    }

    pub async fn mixed() -> Self {
        Self::at(Place::RemoteUsers).await
    }

    pub async fn at(place: Place) -> Self {
        Self::with(place, &[]).await
    }

    /// With further settings.
    pub async fn with(place: Place, settings: &[(&str, &str)]) -> Self {
        let time = Moved::default();
        let crud = if Place::CRUD.contains(&place) { Some(Twin::start(collections(settings)).await) } else { None };
        let keycloak = if Place::KEYCLOAK.contains(&place) { Some(keycloak(&time).await) } else { None };

        let directory = tempfile::tempdir_in(matrix::memory()).unwrap();
        let mut pairs = vec![
            ("DATA_DIR".to_owned(), directory.path().to_str().unwrap().to_owned()),
            ("CALL_TIMEOUT".to_owned(), "5s".to_owned()),
            // A machine that is busy with other tests is no reason to refuse anybody.
            ("MAX_IN_FLIGHT".to_owned(), "100000".to_owned()),
        ];
        let mut set = |name: &str, value: &str| pairs.push((name.to_owned(), value.to_owned()));
        if let Some(crud) = &crud {
            set("CRUD_SERVICE", crud.url().as_str());
            set("ROLES_CRUD_ENDPOINT", "/roles");
        }
        if let Some(keycloak) = &keycloak {
            keycloak::settings(keycloak.url().as_str()).into_iter().for_each(|(name, value)| set(name, value));
            set("KEYCLOAK_CREATE", "marker");
            set("AUTH_LATE_WINDOW", "20s");
        }
        pairs.retain(|(name, _)| settings.iter().all(|(other, _)| other != name));
        pairs.extend(settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        let config = Config::resolve(pairs.clone()).unwrap().config;

        let app = App::open(config, time.clock()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(serve(app.clone(), listener, std::future::pending()));

        let nobody = Asker::nobody(address);
        let admin = person(&app, &nobody, "administrators", ADMIN_EMAIL, &["users:admin"]).await;
        Self {
            place,
            app,
            crud,
            keycloak,
            admin,
            address,
            time,
            callers: AtomicU32::new(0),
            settings: pairs,
            _server: server,
            directory,
        }
    }

    /// Another process over a copy of the state, in the place of ours, which does nothing more by itself.
    pub async fn starts_anew(&self) -> (Arc<App>, tempfile::TempDir) {
        self.app.stop().await;
        let directory = tempfile::tempdir_in(matrix::memory()).unwrap();
        for file in std::fs::read_dir(self.directory.path()).unwrap().map(Result::unwrap) {
            let name = file.file_name();
            // Not the lock and the operator's door.
            if name.to_string_lossy().contains(".db") && !name.to_string_lossy().ends_with("-shm") {
                std::fs::copy(file.path(), directory.path().join(name)).unwrap();
            }
        }
        let mut settings = self.settings.clone();
        settings.retain(|(name, _)| name != "DATA_DIR");
        settings.push(("DATA_DIR".to_owned(), directory.path().to_str().unwrap().to_owned()));
        let config = Config::resolve(settings).unwrap().config;
        (App::open(config, self.time.clock()).await.unwrap(), directory)
    }

    /// He who may do everything.
    pub fn admin(&self) -> &Asker {
        &self.admin
    }

    pub fn nobody(&self) -> Asker {
        Asker::nobody(self.address)
    }

    /// Where a browser finds that.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Somebody new who holds these permissions and no other.
    pub async fn caller(&self, permissions: &[&str]) -> Asker {
        let number = self.callers.fetch_add(1, Ordering::SeqCst) + 1;
        let email = format!("caller-{number}@example.org");
        person(&self.app, &self.nobody(), "users", &email, permissions).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.ask(Method::DELETE, path, None).await
    }

    /// What the administrator asks; under a new token where his has ended, since time passes as the story likes.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let told = self.admin.ask(method.clone(), path, body.clone()).await;
        if told.code() != "token-expired" {
            return told;
        }
        let again = self.nobody().logs_in(ADMIN_EMAIL, PASSWORD).await.is(200);
        self.admin.holding(&self.admin.id, &again.text("accessToken")).ask(method, path, body).await
    }

    /// The twin that keeps the users.
    pub fn store(&self) -> &Twin<Crud> {
        self.crud.as_ref().unwrap()
    }

    /// The twin that keeps the identities.
    pub fn provider(&self) -> &Twin<Keycloak> {
        self.keycloak.as_ref().unwrap()
    }

    /// Every other system is well again.
    pub async fn mend(&self) {
        if let Some(crud) = &self.crud {
            crud.mend().await;
        }
        if let Some(keycloak) = &self.keycloak {
            keycloak.mend().await;
        }
    }

    /// The program's own caller, who may do everything; for operations that have no route.
    pub fn inside(&self) -> Caller {
        Caller::inside("test", "system", "request-1")
    }

    /// An account at the provider that no user has, with the usual password.
    pub async fn lonely(&self, email: &str) -> AuthUserId {
        let identity = &self.app.systems.identity;
        let account = Account {
            email: Some(email.to_owned()),
            enabled: true,
            mark: Some(email.to_owned()),
            ..Account::default()
        };
        identity.create(identity.choose_id().as_ref(), &account, Some(&PASSWORD.into())).await.unwrap()
    }

    /// A person in the group `users` with the usual password. His `_id`.
    pub async fn user(&self, email: &str) -> String {
        self.post("/users/", json!({ "userGroup": "users", "email": email, "password": PASSWORD })).await.is(200).id()
    }

    /// The operation as its log shows it.
    pub async fn operation(&self, id: &str) -> Reply {
        self.get(&format!("/operations/{id}")).await.is(200)
    }

    /// So much time passes at once.
    pub fn passes(&self, length: Duration) {
        self.time.passes(length);
    }

    /// Whoever waits and would wait least need not wait any longer.
    pub fn ends_next_pause(&self) {
        self.time.end_next_pause();
    }

    pub fn now_ms(&self) -> i64 {
        self.app.clock.now_ms()
    }

    /// Until no operation is at work any more; what only waits for time to pass does not wait long.
    pub async fn settled(&self) {
        let real = Clock::system();
        for _ in 0..1000 {
            // Longer than a call takes on a busy machine: else time runs away while somebody works.
            if real.within(Duration::from_millis(50), self.app.sagas.idle()).await.is_some() {
                return;
            }
            self.time.end_next_pause();
        }
        panic!("not settled: {:?}", self.state().leftovers());
    }

    /// Until that is so, without time passing faster than it does.
    pub async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let real = Clock::system();
        for _ in 0..1000 {
            if holds().await {
                return;
            }
            real.pause(Duration::from_millis(10)).await;
        }
        panic!("in the world {:?} it never came to be that {what}", self.place);
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot { people: self.people(), operations: self.state().operations() }
    }

    /// How many mails the state knows of.
    pub fn mails_kept(&self) -> usize {
        self.state().mails()
    }

    /// How many people have a timer.
    pub fn timers(&self) -> usize {
        self.state().timers()
    }

    /// Users, identities and grants.
    pub fn people(&self) -> People {
        let state = self.state();
        let users = match &self.crud {
            Some(crud) => crud_users(&crud.world().rows),
            None => state.documents("users"),
        };
        let identities = match &self.keycloak {
            Some(keycloak) => keycloak_people(&keycloak.world().people),
            None => state.documents("identities"),
        };
        People {
            users: without(&["updatedAt", "updaterId"], users),
            identities: without(&["mark", "version", "notBeforeMs"], identities),
            grants: state.grants(),
            documents: match &self.crud {
                Some(crud) => without(&["updatedAt", "updaterId"], crud_documents(&crud.world())),
                None => {
                    let mut documents = state.documents("ums-config");
                    documents.extend(state.documents("roles"));
                    without(&["updatedAt", "updaterId"], documents)
                }
            },
        }
    }

    /// Must be as it was.
    #[track_caller]
    pub fn is_as(&self, before: &People) {
        let now = self.people();
        assert!(now == *before, "in the world {:?} something changed:\n{}", self.place, before.difference(&now));
    }

    /// Every file of our own state, as it lies there.
    pub fn state_bytes(&self) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap()).collect()
    }

    fn state(&self) -> State {
        State::of(self.directory.path())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let left = self.state().leftovers();
        assert!(left.is_empty(), "the world {:?} was left with {left:#?}", self.place);
        let stored = self.crud.iter().flat_map(|crud| {
            let log = crud.log();
            let world = crud.world();
            log.into_iter().map(|line| under_usual_paths(&world, &line)).collect::<Vec<_>>()
        });
        let asked = stored.chain(self.keycloak.iter().flat_map(Twin::log));
        let unexpected: Vec<String> = asked.filter(|line| template(line).is_none()).collect();
        assert!(unexpected.is_empty(), "in the world {:?} twins were asked {unexpected:#?}", self.place);
    }
}

/// Each lies where the settings say.
fn collections(settings: &[(&str, &str)]) -> Crud {
    let mut crud = Crud::default();
    for &(name, path) in settings {
        match name {
            "USERS_CRUD_ENDPOINT" => crud.path = path.to_owned(),
            "UMS_CONFIG_CRUD_ENDPOINT" => crud.groups().path = path.to_owned(),
            _ => {}
        }
    }
    crud
}

/// Its keys are made beforehand, since that may take longer than somebody would wait for an answer.
async fn keycloak(time: &Moved) -> Twin<Keycloak> {
    let mut keycloak = Keycloak::new(time.clock());
    let path = format!("/realms/{}/protocol/openid-connect/certs", keycloak::REALM);
    keycloak.answer(&Asked {
        method: Method::GET,
        path,
        query: Vec::new(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
    });
    Twin::start(keycloak).await
}

/// A new person who has logged in.
async fn person(app: &App, nobody: &Asker, group: &str, email: &str, permissions: &[&str]) -> Asker {
    let caller = Caller::inside("test", "system", "seed");
    let fields = json!({ "userGroup": group, "email": email, "name": "Somebody" });
    let draft = Draft {
        fields: fields.as_object().unwrap().clone(),
        password: Some(PASSWORD.into()),
        grant: permissions.iter().map(|&permission| permission.to_owned()).collect(),
        ..Draft::default()
    };
    let id = users::create(app, &caller, draft).await.unwrap();
    // Where a login by JSON gives a cookie, a form gives tokens all the same.
    let token = match app.config.session_cookie {
        None => nobody.logs_in(email, PASSWORD).await.is(200).text("accessToken"),
        Some(_) => {
            let fields = [("grant_type", "password"), ("username", email), ("password", PASSWORD)];
            nobody.sends_form("/oauth/token", &fields).await.is(200).text("access_token")
        }
    };
    nobody.holding(id.as_str(), &token)
}

#[tokio::test]
#[should_panic(expected = "holds email:somebody@example.org")]
async fn a_world_in_which_a_name_is_still_held_is_not_left_in_silence() {
    let world = World::at(Place::Embedded).await;
    let new = New {
        id: "1".to_owned(),
        kind: "create-user".to_owned(),
        origin: Origin::default(),
        subject: None,
        names: vec!["email:somebody@example.org".to_owned()],
        began_ms: 0,
        key: None,
    };
    world.app.journal.begin(new).await.unwrap();
}
