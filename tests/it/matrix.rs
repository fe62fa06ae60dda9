//! What planes S and K share: the worlds, the operations, and what "wholly before or wholly after" means.

pub mod faulty;
pub mod model;
pub mod time;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};
use user_manager::{
    access::Caller,
    app::{App, open_stores},
    clock::rfc3339,
    config::Config,
    error::{Code, Error, kept::Kept, reply::Frame},
    groups::{self, built_in},
    idempotency::{Once, once},
    identity::{self, Account, Identity},
    roles::{self, Roles},
    saga::{Answering, Key},
    state::{Journal, sqlite::Sqlite},
    store::{self, Store},
    systems::Systems,
    users::{self, Change, State, UserId, create::Draft, rules::Precondition},
};

pub use crate::memory::memory;

use self::{
    faulty::{FaultyGrants, FaultyIdentity, FaultyStore, FaultyTimers, Script},
    model::Unfenced,
    time::Hand,
};

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
    Adopt,
    AdoptBlocked,
    Register,
    /// Somebody in TRASH.
    RegisterTrash,
    /// The provider has the name already.
    RegisterRefused,
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
    pub const ALL: [Self; 53] = [
        Self::Create,
        Self::CreateBlocked,
        Self::CreateAdministrator,
        Self::CreateExpiring,
        Self::CreateRefused,
        Self::CreateUserOnly,
        Self::CreateDraft,
        Self::Adopt,
        Self::AdoptBlocked,
        Self::Register,
        Self::RegisterTrash,
        Self::RegisterRefused,
        Self::PublicToDraft,
        Self::PublicToTrash,
        Self::AdministratorToTrash,
        Self::DraftToPublic,
        Self::DraftToPublicUnblocking,
        Self::DraftToTrash,
        Self::TrashToDraft,
        Self::DeletedToTrash,
        Self::DeletedAloneToTrash,
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
            Self::Register => users::register(app, &caller, &user(SHELVED), None).await,
            Self::RegisterTrash => users::register(app, &caller, &user(SHELVED_TRASH), None).await,
            Self::RegisterRefused => users::register(app, &caller, &user(SHELVED_HIDDEN), None).await,
            Self::PublicToDraft => to(ADA, State::Draft).await,
            Self::PublicToTrash => to(ADA, State::Trash).await,
            Self::AdministratorToTrash => to(ADMIN, State::Trash).await,
            Self::DraftToPublic | Self::DraftToPublicUnblocking => to(DRAFT, State::Public).await,
            Self::DraftToTrash => to(DRAFT, State::Trash).await,
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

    /// Refused by something that only shows after the first effect.
    pub fn is_refused(self) -> bool {
        matches!(self, Self::CreateRefused | Self::RegisterRefused | Self::PatchRefused)
    }

    /// What the program is set to.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
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
    fn success(&self, _: Option<&str>, _: Value) -> Result<String, Error> {
        Ok(Kept::of(axum::response::Response::new(axum::body::Body::empty()))?.text())
    }

    fn failure(&self, operation: Option<&str>, error: &Error) -> String {
        let frame =
            Frame { request_id: "r", operation_id: operation, problem: false, precise: false, login_refused: 401 };
        Kept::of_error(error, &frame).text()
    }
}

const ADA: &str = "000000000000000000000001";
const BLOCKED: &str = "000000000000000000000002";
const ADMIN: &str = "000000000000000000000003";
/// A group without users, and a role that nobody has.
const GROUP: &str = "0000000000000000000000a1";
const ROLE: &str = "0000000000000000000000a2";
/// His date has come; it comes in some years; he has gone from the store; he was given more time there.
const DUE: &str = "000000000000000000000008";
const LATER: &str = "000000000000000000000009";
const GONE: &str = "00000000000000000000000b";
const OVERTAKEN: &str = "00000000000000000000000c";
/// Users without an identity: PUBLIC, in TRASH, and one whose username another identity has.
const SHELVED: &str = "000000000000000000000010";
const SHELVED_TRASH: &str = "000000000000000000000011";
const SHELVED_HIDDEN: &str = "000000000000000000000012";
/// In their states with their identities, all of them blocked; he in DRAFT by his own `blocked` too.
const DRAFT: &str = "000000000000000000000013";
const TRASH: &str = "000000000000000000000014";
const DELETED: &str = "000000000000000000000015";
/// Without an identity.
const DELETED_ALONE: &str = "000000000000000000000016";
/// Whoever an operation of the sweep may touch, and his identity.
const SUBJECTS: [&str; 26] = [
    GROUP,
    ROLE,
    ADA,
    "ada-identity",
    BLOCKED,
    "blocked-identity",
    ADMIN,
    "admin-identity",
    DUE,
    "due-identity",
    LATER,
    "later-identity",
    GONE,
    "gone-identity",
    OVERTAKEN,
    "overtaken-identity",
    SHELVED,
    SHELVED_TRASH,
    SHELVED_HIDDEN,
    DRAFT,
    "drafted-identity",
    TRASH,
    "trashed-identity",
    DELETED,
    "deleted-identity",
    DELETED_ALONE,
];
/// An identity without a user.
const LONELY: &str = "lonely-identity";

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
    directory: tempfile::TempDir,
    model: Arc<Unfenced>,
}

/// One process life over a world.
pub struct Life {
    pub app: App,
    pub script: Arc<Script>,
}

/// What there is, without what differs from run to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    users: BTreeMap<String, Value>,
    identities: BTreeMap<String, Value>,
    grants: Vec<(String, String)>,
    /// Those of groups and roles, by name.
    documents: BTreeMap<String, Value>,
    /// Whose, when, and the identity that it carries.
    timers: Vec<(String, i64, String)>,
    /// Everything of everybody whom the operation has nothing to do with, to the last byte.
    bystanders: Vec<String>,
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
        Self { operation, drivers, hand: Hand::default(), directory, model }
    }

    /// Opens the world as a new process would. `journal` may stand before the real one.
    pub async fn live(&self, journal: impl FnOnce(Arc<dyn Journal>) -> Arc<dyn Journal>) -> Life {
        let script = Script::new(self.hand.clone());
        let (state, real) = open_state(self.directory.path(), &self.hand).await;
        let config = config(self.directory.path(), self.operation.settings());
        let systems = self.systems(&state, &script).await;
        let app = App::assemble_with(config, systems, state, journal(real)).await.unwrap();
        Life { app, script }
    }

    async fn systems(&self, state: &Arc<Sqlite>, script: &Arc<Script>) -> Systems {
        let clock = self.hand.clock();
        let stores = open_stores(&config(self.directory.path(), &[]), state, &clock).await.unwrap();
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
            expiry: true,
            clock,
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        let db = Connection::open_with_flags(self.directory.path().join("state.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .unwrap();
        let untouched = |id: &str| !(SUBJECTS.contains(&id) || id == LONELY) && is_seeded(id);
        let mut rows =
            db.prepare("SELECT id, body, created_ms, updated_ms FROM document ORDER BY collection, id").unwrap();
        let rows = rows
            .query_map([], |row| {
                let times = (row.get::<_, i64>(2)?, row.get::<_, i64>(3)?);
                Ok((
                    row.get::<_, String>(0)?,
                    format!("{}: {} {times:?}", row.get::<_, String>(0)?, row.get::<_, String>(1)?),
                ))
            })
            .unwrap();
        let mut bystanders: Vec<String> =
            rows.map(Result::unwrap).filter(|(id, _)| untouched(id)).map(|(_, row)| row).collect();
        let accounts = self.model.accounts().into_iter().filter(|(id, _)| untouched(id));
        bystanders.extend(accounts.map(|account| format!("{account:?}")));
        let documents = |collection: &str| -> Vec<(String, Map<String, Value>)> {
            let mut rows = db.prepare("SELECT id, body FROM document WHERE collection = ?1 ORDER BY id").unwrap();
            let rows = rows.query_map([collection], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
            rows.map(Result::unwrap).map(|(id, body)| (id, serde_json::from_str(&body).unwrap())).collect()
        };
        let identities: Vec<(String, Map<String, Value>)> = match self.drivers {
            Drivers::Embedded => documents("identities"),
            Drivers::Unfenced => {
                let accounts = self.model.accounts().into_iter();
                accounts.map(|(id, account)| (id, object(serde_json::to_value(account).unwrap()))).collect()
            }
        };
        let names: BTreeMap<&str, String> = identities.iter().map(|(id, body)| (id.as_str(), name(body))).collect();
        let users = documents("users").into_iter().map(|(id, mut body)| {
            for volatile in ["_id", "createdAt", "updatedAt", "updaterId"] {
                body.remove(volatile);
            }
            if is_seeded(&id) {
                body.insert("_id".to_owned(), id.into());
            }
            if let Some(linked) = body.get("authUserId").and_then(Value::as_str) {
                // A link is compared by whom it leads to.
                let linked = names.get(linked).cloned().unwrap_or_else(|| "nobody".to_owned());
                body.insert("authUserId".to_owned(), linked.into());
            }
            (name(&body), Value::Object(body))
        });
        let mut seen: BTreeMap<String, Value> = BTreeMap::new();
        for (name, body) in users {
            assert!(seen.insert(name.clone(), body).is_none(), "two users are called {name}");
        }
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        for (id, body) in &identities {
            let mut body = body.clone();
            // Who wrote it last, and when sessions ended, are no part of what a person is.
            for volatile in ["mark", "revision", "version", "notBeforeMs"] {
                body.remove(volatile);
            }
            if is_seeded(id) {
                body.insert("id".to_owned(), id.as_str().into());
            }
            let name = name(&body);
            assert!(known.insert(name.clone(), Value::Object(body)).is_none(), "two identities are called {name}");
        }
        let mut kept: BTreeMap<String, Value> = BTreeMap::new();
        for collection in ["ums-config", "roles"] {
            for (id, mut body) in documents(collection) {
                body.remove("updaterId");
                if is_seeded(&id) {
                    body.insert("_id".to_owned(), id.into());
                }
                let called = body.get("roleId").or_else(|| body.get("userGroup")).cloned().unwrap_or_default();
                let seen = kept.insert(format!("{collection} {called}"), Value::Object(body));
                assert!(seen.is_none(), "two documents are called {called}");
            }
        }
        let mut grants = db.prepare("SELECT user, permission FROM \"grant\" ORDER BY user, permission").unwrap();
        let grants = grants.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).unwrap();
        let ids: BTreeMap<String, String> =
            documents("users").into_iter().map(|(id, body)| (id, name(&body))).collect();
        let grants = grants
            .map(Result::unwrap)
            .map(|(user, permission)| (ids.get(&user).cloned().unwrap_or_else(|| "nobody".to_owned()), permission));
        let mut timers = db.prepare("SELECT user, due_ms, identity FROM timer ORDER BY user").unwrap();
        let timers =
            timers.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, Option<String>>(2)?)));
        let timers = timers.unwrap().map(Result::unwrap).map(|(user, due_ms, identity)| {
            let whose = if is_seeded(&user) { Some(user) } else { ids.get(&user).cloned() };
            let carries = identity.map(|id| names.get(id.as_str()).cloned().unwrap_or_else(|| "nobody".to_owned()));
            (whose.unwrap_or_else(|| "nobody".to_owned()), due_ms, carries.unwrap_or_default())
        });
        let mut timers: Vec<_> = timers.collect();
        timers.sort();
        Snapshot { users: seen, identities: known, grants: grants.collect(), documents: kept, timers, bystanders }
    }

    /// The names that operations hold now.
    pub fn held(&self) -> Vec<String> {
        held(&self.file())
    }

    /// How many operations were ever begun.
    pub fn began(&self) -> u32 {
        let db = Connection::open_with_flags(self.file(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        db.query_row("SELECT count(*) FROM operation", [], |row| row.get(0)).unwrap()
    }

    /// Where its state lies.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("state.db")
    }

    /// What is left of names and operations: nothing, once all is settled.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = self.held().into_iter().map(|name| format!("held {name}")).collect::<Vec<_>>();
        let db = Connection::open_with_flags(self.directory.path().join("state.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .unwrap();
        let texts = |sql: &str| -> Vec<String> {
            db.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        left.extend(texts(
            "SELECT 'unsettled ' || id || ' ' || state FROM operation WHERE state NOT IN ('done', 'undone')",
        ));
        left.extend(texts("SELECT 'kept a body ' || operation FROM step WHERE body IS NOT NULL"));
        left
    }
}

/// The names that operations hold, by the state in that file.
pub fn held(file: &Path) -> Vec<String> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut names = db.prepare("SELECT name FROM hold ORDER BY name").unwrap();
    names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Whether somebody with that id stood there before.
fn is_seeded(id: &str) -> bool {
    id.starts_with("0000000000000000000000") || id.ends_with("-identity")
}

/// How a person is called in a snapshot.
fn name(body: &Map<String, Value>) -> String {
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    text("email").or_else(|| text("username")).unwrap_or("nameless").to_lowercase()
}

fn names() -> Vec<String> {
    vec!["email".to_owned(), "username".to_owned()]
}

fn config(directory: &Path, settings: &[(&str, &str)]) -> Arc<Config> {
    let directory = ("DATA_DIR", directory.to_str().unwrap());
    let pairs = settings.iter().copied().chain([directory]);
    Config::resolve(pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap().config
}

async fn open_state(directory: &Path, hand: &Hand) -> (Arc<Sqlite>, Arc<dyn Journal>) {
    use user_manager::state::{Keys, sqlite::journal::SqliteJournal};
    let state = Sqlite::open(&directory.join("state.db"), hand.clock()).unwrap();
    let key = state.get_or_put("journal-chain-key", vec![7; 32]).await.unwrap();
    let journal = SqliteJournal::open(state.clone(), key, hand.clock()).await.unwrap();
    (state, Arc::new(journal))
}

/// The world before anything was asked, made once and copied for every cell.
pub struct Template {
    directory: tempfile::TempDir,
    accounts: Vec<(String, Account)>,
}

impl Template {
    pub async fn make() -> Self {
        let directory = tempfile::tempdir_in(memory()).unwrap();
        let accounts = people();
        for drivers in Drivers::ALL {
            let hand = Hand::default();
            let place = directory.path().join(format!("{drivers:?}"));
            std::fs::create_dir(&place).unwrap();
            let (state, journal) = open_state(&place, &hand).await;
            drop(journal);
            seed(&state, &hand, &accounts).await;
        }
        Self { directory, accounts }
    }

    fn file(&self, drivers: Drivers) -> PathBuf {
        self.directory.path().join(format!("{drivers:?}")).join("state.db")
    }
}

/// The accounts of everybody, with the ids by which users name them.
fn people() -> Vec<(String, Account)> {
    let account = |id: &str, email: &str, username: &str, enabled: bool| {
        let account = Account {
            username: Some(username.to_owned()),
            email: Some(email.to_owned()),
            enabled,
            mark: Some(format!("seed-{id}")),
            revision: None,
        };
        (id.to_owned(), account)
    };
    vec![
        account("ada-identity", "Ada@x.org", "ada", true),
        account("blocked-identity", "blocked@x.org", "blocked", false),
        account("admin-identity", "admin@x.org", "admin", true),
        account("other-admin-identity", "admin2@x.org", "admin2", true),
        account("bystander-identity", "ada@x.org.uk", "ada1", true),
        account("draft-identity", "draft@x.org", "draft", false),
        account("due-identity", "due@x.org", "due", true),
        account("later-identity", "later@x.org", "later", true),
        account("gone-identity", "gone@x.org", "gone", true),
        account("overtaken-identity", "overtaken@x.org", "overtaken", true),
        account("drafted-identity", "drafted@x.org", "drafted", false),
        account("trashed-identity", "trashed@x.org", "trashed", false),
        account("deleted-identity", "deleted@x.org", "deleted", false),
        account(LONELY, "lonely@x.org", "lonely", true),
        account("hidden-identity", "hidden@x.org", "hidden", true),
    ]
}

async fn seed(state: &Arc<Sqlite>, hand: &Hand, accounts: &[(String, Account)]) {
    use user_manager::state::Grants;
    let store = store::embedded::Embedded::open(state.clone(), &names()).await.unwrap();
    let stores = open_stores(&config(Path::new("data"), &[]), state, &hand.clock()).await.unwrap();
    built_in::put(state.as_ref(), stores.groups.as_ref(), hand.now_ms()).await.unwrap();
    let group = |name: &str| json!({"userGroup": name, "label": name, "crudSchema": {"properties": {"name": {}}}});
    for (id, name) in [(GROUP, "guests"), ("0000000000000000000000a3", "guests2")] {
        stores.groups.insert(&user(id), &object(group(name)), "seed").await.unwrap();
    }
    let catalogue = stores.roles.unwrap();
    let role = |name: &str| json!({"roleId": name, "permissions": ["users:read", "users:admin"]});
    for (id, name) in [(ROLE, "boss"), ("0000000000000000000000a4", "boss2")] {
        catalogue.insert(&user(id), &object(role(name)), "seed").await.unwrap();
    }
    let identities = identity::embedded::Embedded::open(state.clone(), hand.clock(), 1, 1).await.unwrap();
    for (id, account) in accounts {
        identities.create(Some(id), account, None).await.unwrap();
    }
    let stand = async |id: &str, fields: Value, to: State| {
        store.insert(&user(id), &object(fields), "seed").await.unwrap();
        if to != State::Public {
            let stored = store.get(&user(id), &Default::default()).await.unwrap().unwrap();
            store.set_state(&user(id), &stored.revision, to, "seed").await.unwrap();
        }
    };
    let person = |group: &str, email: &str, username: &str, identity: &str| json!({"userGroup": group, "email": email, "username": username, "authUserId": identity, "name": "N", "phone": "+39 012"});
    stand(ADA, person("users", "Ada@x.org", "ada", "ada-identity"), State::Public).await;
    stand(BLOCKED, person("users", "blocked@x.org", "blocked", "blocked-identity"), State::Public).await;
    let blocked = store.get(&user(BLOCKED), &Default::default()).await.unwrap().unwrap();
    let change = Change { set: object(json!({"blocked": true})), unset: Vec::new() };
    store.change(&user(BLOCKED), &blocked.revision, &change, "seed").await.unwrap();
    stand(ADMIN, person("administrators", "admin@x.org", "admin", "admin-identity"), State::Public).await;
    let other = "000000000000000000000004";
    stand(other, person("administrators", "admin2@x.org", "admin2", "other-admin-identity"), State::Public).await;
    for admin in [ADMIN, other] {
        state.grant(admin, &["users:admin".to_owned()]).await.unwrap();
    }
    stand("000000000000000000000005", person("users", "ada@x.org.uk", "ada1", "bystander-identity"), State::Public)
        .await;
    stand("000000000000000000000006", person("users", "draft@x.org", "draft", "draft-identity"), State::Draft).await;
    stand("000000000000000000000007", json!({"userGroup": "users", "email": "trash@x.org"}), State::Trash).await;
    let alone = |email: &str, username: &str| json!({"userGroup": "users", "email": email, "username": username});
    stand(SHELVED, alone("shelved@x.org", "shelved"), State::Public).await;
    stand(SHELVED_TRASH, alone("shelved2@x.org", "shelved2"), State::Trash).await;
    stand(SHELVED_HIDDEN, alone("shelved3@x.org", "hidden"), State::Public).await;
    let mut drafted = person("users", "drafted@x.org", "drafted", "drafted-identity");
    drafted["blocked"] = json!(true);
    stand(DRAFT, drafted, State::Draft).await;
    stand(TRASH, person("users", "trashed@x.org", "trashed", "trashed-identity"), State::Trash).await;
    stand(DELETED, person("users", "deleted@x.org", "deleted", "deleted-identity"), State::Deleted).await;
    stand(DELETED_ALONE, alone("departed@x.org", "departed"), State::Deleted).await;
    seed_timers(state, hand, &stand).await;
}

/// People with a date, and their timers.
async fn seed_timers(state: &Arc<Sqlite>, hand: &Hand, stand: &impl AsyncFn(&str, Value, State)) {
    use user_manager::state::{Timer, Timers};
    let past_ms = hand.now_ms() - 1000;
    let future_ms = hand.now_ms() + 100_000_000_000;
    for (id, name, date_ms, due_ms) in [
        (DUE, "due", Some(past_ms), past_ms),
        (LATER, "later", Some(future_ms), future_ms),
        (GONE, "gone", None, past_ms),
        (OVERTAKEN, "overtaken", Some(future_ms), past_ms),
    ] {
        let identity = format!("{name}-identity");
        if let Some(date_ms) = date_ms {
            let fields = json!({"userGroup": "users", "email": format!("{name}@x.org"), "username": name,
                "authUserId": identity, "expirationDate": rfc3339(date_ms)});
            stand(id, fields, State::Public).await;
        }
        state.set(id, Some(Timer { due_ms, identity: Some(identity) })).await.unwrap();
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

/// What a cell showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Before,
    After,
    Broken(String),
}

/// Compares the world with the two that it may be, and what the caller was told with what is true.
pub fn judge(world: &World, before: &Snapshot, after: &Snapshot, told: Option<&Result<(), Error>>) -> Seen {
    let left = world.leftovers();
    if !left.is_empty() {
        return Seen::Broken(format!("left over: {left:?}"));
    }
    let now = world.snapshot();
    let seen = match (now == *before, now == *after) {
        (true, _) => Seen::Before,
        (_, true) => Seen::After,
        _ => return Seen::Broken(format!("half: {}", difference(before, after, &now))),
    };
    let promised = matches!(told, Some(Err(error)) if error.code() == Code::Resumable);
    if told.is_none_or(|told| is_true(told, &now, before, after)) && (!promised || now == *after) {
        seen
    } else {
        Seen::Broken(format!("told {told:?}, and it is {seen:?}"))
    }
}

/// Whether what the caller was told holds in that world.
pub fn is_true(told: &Result<(), Error>, now: &Snapshot, before: &Snapshot, after: &Snapshot) -> bool {
    match told.as_ref().map_err(Error::code) {
        // It goes on by itself: whichever it will be.
        Err(Code::OutcomePending | Code::Resumable) => true,
        Ok(()) => now == after,
        Err(_) => now == before,
    }
}

fn difference(before: &Snapshot, after: &Snapshot, now: &Snapshot) -> String {
    let mut lines = Vec::new();
    let mut compare =
        |what: &str, b: &BTreeMap<String, Value>, a: &BTreeMap<String, Value>, n: &BTreeMap<String, Value>| {
            let names: std::collections::BTreeSet<_> = b.keys().chain(a.keys()).chain(n.keys()).collect();
            for name in names {
                let (b, a, n) = (b.get(name), a.get(name), n.get(name));
                if n != b || n != a {
                    lines.push(format!("{what} {name}: before {b:?} after {a:?} now {n:?}"));
                }
            }
        };
    compare("user", &before.users, &after.users, &now.users);
    compare("identity", &before.identities, &after.identities, &now.identities);
    compare("document", &before.documents, &after.documents, &now.documents);
    if now.bystanders != before.bystanders {
        lines.push(format!("bystanders: before {:?} now {:?}", before.bystanders, now.bystanders));
    }
    lines.push(format!("grants: before {:?} after {:?} now {:?}", before.grants, after.grants, now.grants));
    lines.push(format!("timers: before {:?} after {:?} now {:?}", before.timers, after.timers, now.timers));
    lines.join("; ")
}
