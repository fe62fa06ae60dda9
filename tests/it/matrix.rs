//! What planes S and K share: the worlds, the operations, and what "wholly before or wholly after" means.

pub mod faulty;
pub mod model;
mod people;
mod snapshot;
pub mod time;

use std::{
    cell::{RefCell, RefMut},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use serde_json::{Map, Value, json};
use user_manager::{
    access::Caller,
    app::{App, open_stores},
    config::Config,
    error::{Error, kept::Kept, reply::Frame},
    groups,
    idempotency::{Once, once},
    identity::{self, Account, Identity},
    mail::Outbox,
    metrics::Metrics,
    query::Filter,
    roles::{self, Roles},
    saga::{Answering, Key},
    state::{
        Journal, Keys,
        sqlite::{Opening, Sqlite, journal::SqliteJournal},
    },
    store::Store,
    systems::Systems,
    users::{
        self, State, UserId, Welcome,
        change_states::{Came, Move},
        create::Draft,
        rules::Precondition,
    },
};

pub use self::snapshot::{Look, Seen, Snapshot, is_true, judge};
pub use crate::memory::memory;

use self::{
    faulty::{FaultyGrants, FaultyIdentity, FaultyMails, FaultyStore, FaultyTimers, Script},
    model::Unfenced,
    people::{
        ADA, ADMIN, BLOCKED, DELETED, DELETED_ALONE, DRAFT, DUE, GONE, GROUP, LATER, LONELY, OVERTAKEN, ROLE, SHELVED,
        SHELVED_HIDDEN, SHELVED_TRASH, TRASH,
    },
    time::Hand,
};

/// Names of variables and their values.
type Settings = &'static [(&'static str, &'static str)];

/// Which drivers stand behind an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drivers {
    /// Every fence final, ids chosen beforehand.
    Embedded,
    /// An identity provider without fences: marks and a window.
    Unfenced,
}

impl Drivers {
    pub const ALL: [Self; 2] = [Self::Embedded, Self::Unfenced];
}

/// Every operation with its variants. One that is missing here does not compile into a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    CreateBlocked,
    CreateAdministrator,
    CreateExpiring,
    /// The provider has the name already, the store does not.
    CreateRefused,
    /// The user only.
    CreateUserOnly,
    /// In state DRAFT, where that may be given.
    CreateDraft,
    /// And mailed a link to choose a password.
    CreateMailed,
    Adopt,
    AdoptBlocked,
    Register,
    /// Somebody in TRASH.
    RegisterTrash,
    /// The provider has the name already.
    RegisterRefused,
    /// A link to choose a password, and nothing else.
    MailLink,
    PublicToDraft,
    PublicToTrash,
    AdministratorToTrash,
    DraftToPublic,
    /// Which lifts his own block too.
    DraftToPublicUnblocking,
    DraftToTrash,
    TrashToDraft,
    DeletedToTrash,
    /// Whose names were free.
    DeletedAloneToTrash,
    /// Many at once, though he is the only one.
    ManyToTrash,
    ManyToDeleted,
    /// Three at once, some of whom may have moved and others not: no cell, but a test of its own.
    ThreeToDraft,
    Restore,
    RestoreToDraft,
    SoftDelete,
    SoftDeleteKeepingIdentity,
    SoftDeleteFromTrash,
    SoftDeleteFromTrashKeepingIdentity,
    SoftDeleteUserOnly,
    SoftDeleteAdministrator,
    PatchProfile,
    PatchEmail,
    PatchUsername,
    PatchBlocked,
    PatchUnblocked,
    PatchSeveral,
    /// To what is there already.
    PatchSame,
    /// The provider has the name already.
    PatchRefused,
    PatchExpirySet,
    PatchExpiryMoved,
    PatchExpiryUnset,
    Expire,
    /// Somebody has removed the user at the store.
    ExpireGone,
    /// He was given more time at the store itself.
    ExpireOvertaken,
    Delete,
    DeleteExpiring,
    DeleteKeepingIdentity,
    DeleteAdministrator,
    CreateGroup,
    PatchGroup,
    DeleteGroup,
    CreateRole,
    PatchRole,
    DeleteRole,
}

impl Operation {
    pub const ALL: [Self; 57] = [
        Self::Create,
        Self::CreateBlocked,
        Self::CreateAdministrator,
        Self::CreateExpiring,
        Self::CreateRefused,
        Self::CreateUserOnly,
        Self::CreateDraft,
        Self::CreateMailed,
        Self::Adopt,
        Self::AdoptBlocked,
        Self::Register,
        Self::RegisterTrash,
        Self::RegisterRefused,
        Self::MailLink,
        Self::PublicToDraft,
        Self::PublicToTrash,
        Self::AdministratorToTrash,
        Self::DraftToPublic,
        Self::DraftToPublicUnblocking,
        Self::DraftToTrash,
        Self::TrashToDraft,
        Self::DeletedToTrash,
        Self::DeletedAloneToTrash,
        Self::ManyToTrash,
        Self::ManyToDeleted,
        Self::Restore,
        Self::RestoreToDraft,
        Self::SoftDelete,
        Self::SoftDeleteKeepingIdentity,
        Self::SoftDeleteFromTrash,
        Self::SoftDeleteFromTrashKeepingIdentity,
        Self::SoftDeleteUserOnly,
        Self::SoftDeleteAdministrator,
        Self::PatchProfile,
        Self::PatchEmail,
        Self::PatchUsername,
        Self::PatchBlocked,
        Self::PatchUnblocked,
        Self::PatchSeveral,
        Self::PatchSame,
        Self::PatchRefused,
        Self::PatchExpirySet,
        Self::PatchExpiryMoved,
        Self::PatchExpiryUnset,
        Self::Expire,
        Self::ExpireGone,
        Self::ExpireOvertaken,
        Self::Delete,
        Self::DeleteExpiring,
        Self::DeleteKeepingIdentity,
        Self::DeleteAdministrator,
        Self::CreateGroup,
        Self::PatchGroup,
        Self::DeleteGroup,
        Self::CreateRole,
        Self::PatchRole,
        Self::DeleteRole,
    ];

    /// What is asked.
    pub async fn ask(self, app: &App) -> Result<(), Error> {
        self.ask_as(app, caller()).await
    }

    /// The same under an idempotency key.
    pub async fn ask_once(self, app: &App) -> Once<()> {
        let caller = caller();
        let key = app.codes.key(&caller, "key-1", &[format!("{self:?}").as_bytes()], app.clock.now_ms());
        once(app, caller, key, Arc::new(Plain), async |caller| self.ask_as(app, caller).await).await
    }

    async fn ask_as(self, app: &App, caller: Caller) -> Result<(), Error> {
        let patch = async |id: &str, body: Value| {
            let Value::Object(body) = body else { panic!("a patch is an object") };
            users::update(app, &caller, &user(id), body, Precondition::None).await.map(|_| ())
        };
        let create = async |fields: Value, grant: &[&str]| {
            let grant = grant.iter().map(|name| (*name).to_owned()).collect();
            users::create(app, &caller, Draft { fields: object(fields), grant, ..Draft::default() }).await.map(|_| ())
        };
        let adopt = async |fields: Value| {
            let draft = Draft { fields: object(fields), ..Draft::default() };
            users::adopt(app, &caller, LONELY.to_owned(), draft).await.map(|_| ())
        };
        let to = async |id: &str, to: State| users::change_state(app, &caller, &user(id), to).await;
        let many = async |id: &str, to: State| many_to(app, &caller, Filter::equals("_id", id), to).await;
        let soft_delete = async |id: &str| users::soft_delete(app, &caller, &user(id), Precondition::None).await;
        match self {
            Self::Create => create(json!({"userGroup": "users", "email": "new@x.org", "name": "New"}), &[]).await,
            Self::CreateBlocked => {
                create(json!({"userGroup": "users", "email": "new@x.org", "username": "new", "blocked": true}), &[])
                    .await
            }
            Self::CreateAdministrator => {
                create(json!({"userGroup": "administrators", "email": "new@x.org"}), &["users:admin", "x:y"]).await
            }
            Self::CreateExpiring => {
                let date = "2031-01-01T00:00:00+01:00";
                create(json!({"userGroup": "users", "email": "new@x.org", "expirationDate": date}), &[]).await
            }
            Self::CreateRefused => {
                create(json!({"userGroup": "users", "email": "new@x.org", "username": "lonely"}), &[]).await
            }
            Self::CreateUserOnly => {
                let fields = object(json!({"userGroup": "users", "email": "new@x.org", "name": "New"}));
                users::create_user_only(app, &caller, Draft { fields, ..Draft::default() }).await.map(|_| ())
            }
            Self::CreateDraft => {
                create(json!({"userGroup": "users", "email": "new@x.org", "__STATE__": "DRAFT"}), &[]).await
            }
            Self::CreateMailed => {
                let fields = object(json!({"userGroup": "users", "email": "new@x.org", "name": "New"}));
                let draft = Draft { fields, welcome: Welcome::Mailed, ..Draft::default() };
                users::create(app, &caller, draft).await.map(|_| ())
            }
            Self::MailLink => users::mail_link(app, &caller, "ada-identity".to_owned()).await,
            Self::Register => users::register(app, &caller, &user(SHELVED), None, Welcome::Silent).await,
            Self::RegisterTrash => users::register(app, &caller, &user(SHELVED_TRASH), None, Welcome::Silent).await,
            Self::RegisterRefused => users::register(app, &caller, &user(SHELVED_HIDDEN), None, Welcome::Silent).await,
            Self::PublicToDraft => to(ADA, State::Draft).await,
            Self::PublicToTrash => to(ADA, State::Trash).await,
            Self::AdministratorToTrash => to(ADMIN, State::Trash).await,
            Self::DraftToPublic | Self::DraftToPublicUnblocking => to(DRAFT, State::Public).await,
            Self::DraftToTrash => to(DRAFT, State::Trash).await,
            Self::ThreeToDraft => {
                many_to(app, &caller, Filter::one_of("_id", [ADA, LATER, OVERTAKEN]), State::Draft).await
            }
            Self::ManyToTrash => many(ADA, State::Trash).await,
            Self::ManyToDeleted => many(TRASH, State::Deleted).await,
            Self::TrashToDraft => to(TRASH, State::Draft).await,
            Self::DeletedToTrash => to(DELETED, State::Trash).await,
            Self::DeletedAloneToTrash => to(DELETED_ALONE, State::Trash).await,
            Self::Restore => users::restore(app, &caller, &user(TRASH), State::Public, Precondition::None).await,
            Self::RestoreToDraft => users::restore(app, &caller, &user(TRASH), State::Draft, Precondition::None).await,
            Self::SoftDelete | Self::SoftDeleteKeepingIdentity => soft_delete(ADA).await,
            Self::SoftDeleteFromTrash | Self::SoftDeleteFromTrashKeepingIdentity => soft_delete(TRASH).await,
            Self::SoftDeleteUserOnly => soft_delete(SHELVED).await,
            Self::SoftDeleteAdministrator => soft_delete(ADMIN).await,
            Self::Adopt => adopt(json!({"userGroup": "users", "name": "Adopted"})).await,
            Self::AdoptBlocked => adopt(json!({"userGroup": "users", "blocked": true})).await,
            Self::PatchProfile => patch(ADA, json!({"$set": {"name": "Ada L."}, "$unset": {"phone": true}})).await,
            Self::PatchEmail => patch(ADA, json!({"$set": {"email": "Countess@x.org"}})).await,
            Self::PatchUsername => patch(ADA, json!({"$set": {"username": "countess"}})).await,
            Self::PatchBlocked => patch(ADA, json!({"$set": {"blocked": true}})).await,
            Self::PatchUnblocked => patch(BLOCKED, json!({"$set": {"blocked": false}})).await,
            Self::PatchSeveral => {
                let set = json!({"blocked": true, "email": "c@x.org", "username": "c", "name": "C"});
                patch(ADA, json!({"$set": set, "$unset": {"phone": true}})).await
            }
            Self::PatchSame => patch(ADA, json!({"$set": {"name": "N", "email": "Ada@x.org"}})).await,
            Self::PatchRefused => patch(ADA, json!({"$set": {"username": "lonely", "name": "L"}})).await,
            Self::PatchExpirySet => patch(ADA, json!({"$set": {"expirationDate": "2031-01-01T00:00:00Z"}})).await,
            Self::PatchExpiryMoved => {
                patch(LATER, json!({"$set": {"expirationDate": "2031-01-01T00:00:00Z", "email": "l@x.org"}})).await
            }
            Self::PatchExpiryUnset => patch(LATER, json!({"$unset": {"expirationDate": true}})).await,
            Self::Expire => users::expire::expire(app, &user(DUE)).await,
            Self::ExpireGone => users::expire::expire(app, &user(GONE)).await,
            Self::ExpireOvertaken => users::expire::expire(app, &user(OVERTAKEN)).await,
            Self::DeleteExpiring => users::delete(app, &caller, &user(LATER), Precondition::None).await,
            Self::Delete | Self::DeleteKeepingIdentity => {
                users::delete(app, &caller, &user(ADA), Precondition::None).await
            }
            Self::DeleteAdministrator => users::delete(app, &caller, &user(ADMIN), Precondition::None).await,
            Self::CreateGroup => {
                let group = json!({"userGroup": "new", "label": "New", "crudSchema": {"required": ["email"]}});
                groups::documents::create(app, &caller, object(group)).await.map(|_| ())
            }
            Self::PatchGroup => {
                let change = object(
                    json!({"$set": {"crudSchema": {"required": ["email"]}, "label": "Others", "authUserCreationDisabled": true}}),
                );
                groups::documents::update(app, &caller, &user(GROUP), change, Precondition::None).await.map(|_| ())
            }
            Self::DeleteGroup => groups::documents::delete(app, &caller, &user(GROUP), Precondition::None).await,
            Self::CreateRole => {
                let role = json!({"roleId": "new", "permissions": ["users:admin"]});
                roles::documents::create(app, &caller, object(role)).await.map(|_| ())
            }
            Self::PatchRole => {
                let change = object(json!({"$pull": {"permissions": "users:admin"}, "$set": {"name": "Less"}}));
                roles::documents::update(app, &caller, &user(ROLE), change, Precondition::None).await.map(|_| ())
            }
            Self::DeleteRole => roles::documents::delete(app, &caller, &user(ROLE), Precondition::None).await,
        }
    }

    /// Nobody's request asks for it, and so no key.
    pub fn is_our_own(self) -> bool {
        matches!(self, Self::Expire | Self::ExpireGone | Self::ExpireOvertaken)
    }

    /// How many operations it is.
    pub fn operations(self) -> usize {
        if matches!(self, Self::ManyToTrash | Self::ManyToDeleted) { 2 } else { 1 }
    }

    /// Refused by something that only shows after the first effect.
    pub fn is_refused(self) -> bool {
        matches!(self, Self::CreateRefused | Self::RegisterRefused | Self::PatchRefused)
    }

    /// Whom it acts upon among those who stand there before, and his identity: nobody else is touched.
    fn subject(self) -> &'static [&'static str] {
        match self {
            Self::Create
            | Self::CreateBlocked
            | Self::CreateAdministrator
            | Self::CreateExpiring
            | Self::CreateRefused
            | Self::CreateUserOnly
            | Self::CreateDraft
            | Self::CreateMailed
            | Self::CreateGroup
            | Self::CreateRole => &[],
            Self::Adopt | Self::AdoptBlocked => &[LONELY],
            Self::Register => &[SHELVED],
            Self::RegisterTrash => &[SHELVED_TRASH],
            Self::RegisterRefused => &[SHELVED_HIDDEN],
            Self::SoftDeleteUserOnly => &[SHELVED],
            Self::PublicToDraft
            | Self::PublicToTrash
            | Self::ManyToTrash
            | Self::SoftDelete
            | Self::SoftDeleteKeepingIdentity
            | Self::PatchProfile
            | Self::PatchEmail
            | Self::PatchUsername
            | Self::PatchBlocked
            | Self::PatchSeveral
            | Self::PatchSame
            | Self::PatchRefused
            | Self::PatchExpirySet
            | Self::MailLink
            | Self::Delete
            | Self::DeleteKeepingIdentity => &[ADA, "ada-identity"],
            Self::PatchUnblocked => &[BLOCKED, "blocked-identity"],
            Self::AdministratorToTrash | Self::SoftDeleteAdministrator | Self::DeleteAdministrator => {
                &[ADMIN, "admin-identity"]
            }
            Self::DraftToPublic | Self::DraftToPublicUnblocking | Self::DraftToTrash => &[DRAFT, "drafted-identity"],
            Self::TrashToDraft
            | Self::ManyToDeleted
            | Self::Restore
            | Self::RestoreToDraft
            | Self::SoftDeleteFromTrash
            | Self::SoftDeleteFromTrashKeepingIdentity => &[TRASH, "trashed-identity"],
            Self::ThreeToDraft => &[ADA, "ada-identity", LATER, "later-identity", OVERTAKEN, "overtaken-identity"],
            Self::DeletedToTrash => &[DELETED, "deleted-identity"],
            Self::DeletedAloneToTrash => &[DELETED_ALONE],
            Self::PatchExpiryMoved | Self::PatchExpiryUnset | Self::DeleteExpiring => &[LATER, "later-identity"],
            Self::Expire => &[DUE, "due-identity"],
            Self::ExpireGone => &[GONE, "gone-identity"],
            Self::ExpireOvertaken => &[OVERTAKEN, "overtaken-identity"],
            Self::PatchGroup | Self::DeleteGroup => &[GROUP],
            Self::PatchRole | Self::DeleteRole => &[ROLE],
        }
    }

    /// What the program is set to.
    fn settings(self) -> Settings {
        const KEEPING: [Operation; 3] = [
            Operation::DeleteKeepingIdentity,
            Operation::SoftDeleteKeepingIdentity,
            Operation::SoftDeleteFromTrashKeepingIdentity,
        ];
        if KEEPING.contains(&self) {
            &[("AUTH_HARD_DELETE", "false")]
        } else if self == Self::CreateDraft {
            &[("CREATE_WITH_STATE", "true")]
        } else if self == Self::DraftToPublicUnblocking {
            &[("PUBLIC_UNBLOCKS", "always")]
        } else {
            &[]
        }
    }
}

async fn many_to(app: &App, caller: &Caller, filter: Filter, to: State) -> Result<(), Error> {
    users::change_states(app, caller, vec![Move { filter, to }], None).await.and_then(Came::told).map(|_| ())
}

fn caller() -> Caller {
    Caller::inside("sweep", "system", "request-1")
}

/// The same caller with a request under that key.
pub fn keyed(app: &App, caller: Caller, key: &str) -> Caller {
    let key = app.codes.key(&caller, key, &[], app.clock.now_ms());
    Caller { key: Some(Key { key, answering: Arc::new(Plain) }), ..caller }
}

/// A success without a body, an error as everywhere.
struct Plain;

impl Answering for Plain {
    fn success(&self, operation: Option<&str>, value: Value) -> Result<String, Error> {
        if let Ok(came) = serde_json::from_value::<Came>(value)
            && let Err(error) = came.told()
        {
            return Ok(self.failure(operation, &error));
        }
        Ok(Kept::of(axum::response::Response::new(axum::body::Body::empty()))?.text())
    }

    fn failure(&self, operation: Option<&str>, error: &Error) -> String {
        let frame =
            Frame { request_id: "r", operation_id: operation, problem: false, precise: false, login_refused: 401 };
        Kept::of_error(error, &frame).text()
    }
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Everything there is, in a directory of its own; lives on when a process dies.
pub struct World {
    operation: Operation,
    drivers: Drivers,
    pub hand: Hand,
    // Before the files that it looks at.
    look: RefCell<Option<Look>>,
    /// Of the life that was last.
    state: RefCell<Weak<Sqlite>>,
    config: Arc<Config>,
    directory: tempfile::TempDir,
    model: Arc<Unfenced>,
}

/// One process life over a world.
pub struct Life {
    pub app: App,
    pub script: Arc<Script>,
}

impl Drop for World {
    fn drop(&mut self) {
        // What is under way keeps the state open, whose clock keeps what is under way.
        self.hand.forget();
    }
}

impl World {
    /// The subject, bystanders with similar names, one in each other state; the same every time.
    pub async fn new(template: &Template, operation: Operation, drivers: Drivers) -> Self {
        let directory = tempfile::tempdir_in(memory()).unwrap();
        std::fs::copy(template.file(drivers), directory.path().join("state.db")).unwrap();
        let model = Arc::new(Unfenced::default());
        for (id, account) in &template.accounts {
            model::seed(&model, id, account.clone());
        }
        let config = template.config(operation);
        Self {
            operation,
            drivers,
            hand: Hand::default(),
            look: RefCell::default(),
            state: RefCell::default(),
            config,
            directory,
            model,
        }
    }

    /// Until the life that has ended has let go of its files, with all that it had handed to its writer.
    pub async fn let_go(&self) {
        while self.state.borrow().strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Another one that is the same, to be gone on with in another way; nothing where something is under way, which cannot be
    /// copied. Nobody may live in it.
    pub fn copy(&self) -> Option<Self> {
        let hand = self.hand.copy()?;
        let directory = tempfile::tempdir_in(memory()).unwrap();
        for file in std::fs::read_dir(self.directory.path()).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), directory.path().join(file.file_name())).unwrap();
        }
        let (operation, drivers, config) = (self.operation, self.drivers, self.config.clone());
        let model = Arc::new(self.model.copy());
        Some(Self {
            operation,
            drivers,
            hand,
            look: RefCell::default(),
            state: RefCell::default(),
            config,
            directory,
            model,
        })
    }

    /// Opens the world as a new process would. `journal` may stand before the real one.
    pub async fn live(&self, journal: impl FnOnce(Arc<dyn Journal>) -> Arc<dyn Journal>) -> Life {
        let script = Script::new(self.hand.clone());
        let (state, real) = open_state(self.directory.path(), &self.hand).await;
        *self.state.borrow_mut() = Arc::downgrade(&state);
        let systems = self.systems(&state, &script).await;
        let app = App::assemble_with(self.config.clone(), systems, state, journal(real)).await.unwrap();
        Life { app, script }
    }

    async fn systems(&self, state: &Arc<Sqlite>, script: &Arc<Script>) -> Systems {
        let clock = self.hand.clock();
        let stores = open_stores(&self.config, state, &clock, &Metrics::default()).await.unwrap();
        let faulty =
            |inner: Arc<dyn Store>| -> Arc<dyn Store> { Arc::new(FaultyStore { inner, script: script.clone() }) };
        let identity: Arc<dyn Identity> = match self.drivers {
            Drivers::Embedded => {
                Arc::new(identity::embedded::Embedded::open(state.clone(), clock.clone(), 1, 1).await.unwrap())
            }
            Drivers::Unfenced => self.model.clone(),
        };
        Systems {
            store: faulty(stores.users),
            groups: faulty(stores.groups),
            roles: Roles::new(stores.roles.map(faulty), clock.clone()),
            identity: Arc::new(FaultyIdentity { inner: identity, script: script.clone() }),
            grants: Arc::new(FaultyGrants { inner: state.clone(), script: script.clone() }),
            timers: Arc::new(FaultyTimers { inner: state.clone(), script: script.clone() }),
            revocations: state.clone(),
            mails: Outbox::new(
                Arc::new(FaultyMails { inner: state.clone(), script: script.clone() }),
                self.config.mail.per_identity,
                clock.clone(),
            ),
            expiry: true,
            clock,
            metrics: Metrics::default(),
        }
    }

    /// A look at what there is.
    pub fn look(&self) -> RefMut<'_, Look> {
        RefMut::map(self.look.borrow_mut(), |look| look.get_or_insert_with(|| Look::at(&self.file())))
    }

    pub fn snapshot(&self) -> Snapshot {
        self.look().snapshot(self)
    }

    /// How many operations were ever begun.
    pub fn began(&self) -> usize {
        self.look().texts("SELECT id FROM operation").len()
    }

    /// Where its state lies.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("state.db")
    }
}

/// Where the state lies a world says itself.
fn config(settings: &[(&str, &str)]) -> Arc<Config> {
    let pairs = settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Config::resolve(pairs).unwrap().config
}

async fn open_state(directory: &Path, hand: &Hand) -> (Arc<Sqlite>, Arc<dyn Journal>) {
    let few = Opening { readers: 1, queries: 1, ..Opening::default() };
    let state = Sqlite::open_as(&directory.join("state.db"), hand.clock(), few).unwrap();
    let key = state.get_or_put("journal-chain-key", vec![7; 32]).await.unwrap();
    let journal = SqliteJournal::open(state.clone(), key, hand.clock()).await.unwrap();
    (state, Arc::new(journal))
}

/// The world before anything was asked, made once and copied for every cell.
pub struct Template {
    directory: tempfile::TempDir,
    accounts: Vec<(String, Account)>,
    configs: Vec<(Settings, Arc<Config>)>,
}

impl Template {
    pub async fn make() -> Self {
        let directory = tempfile::tempdir_in(memory()).unwrap();
        let accounts = people::accounts();
        for drivers in Drivers::ALL {
            let hand = Hand::default();
            let place = directory.path().join(format!("{drivers:?}"));
            std::fs::create_dir(&place).unwrap();
            let (state, journal) = open_state(&place, &hand).await;
            drop(journal);
            people::seed(&state, &hand, &accounts).await;
        }
        let mut configs: Vec<(Settings, Arc<Config>)> = Vec::new();
        for settings in Operation::ALL.map(Operation::settings) {
            if configs.iter().all(|(known, _)| *known != settings) {
                configs.push((settings, config(settings)));
            }
        }
        let template = Self { directory, accounts, configs };
        for drivers in Drivers::ALL {
            // A first life makes the keys that all lives have.
            let world = World::new(&template, Operation::PatchSame, drivers).await;
            drop(world.live(|journal| journal).await);
            std::fs::copy(world.file(), template.file(drivers)).unwrap();
        }
        template
    }

    fn config(&self, operation: Operation) -> Arc<Config> {
        let mut configs = self.configs.iter();
        configs.find(|(settings, _)| *settings == operation.settings()).unwrap().1.clone()
    }

    fn file(&self, drivers: Drivers) -> PathBuf {
        self.directory.path().join(format!("{drivers:?}")).join("state.db")
    }
}

/// Whether these cells are to be run: all are, unless `CELL` names some: `Create/Embedded`.
pub fn wanted(name: &str) -> bool {
    chosen().is_none_or(|cells| name.starts_with(&cells))
}

pub fn wanted_all() -> bool {
    chosen().is_none()
}

#[expect(clippy::disallowed_methods, reason = "a cell can be run alone")]
fn chosen() -> Option<String> {
    std::env::var("CELL").ok()
}
