//! Which names an operation holds, at each of its writes but the first and until its last.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use serde_json::json;
use user_manager::{
    access::Caller,
    app::App,
    error::Error,
    state::{
        self, Journal, Ledger, SessionStore,
        journal::{Appended, Begun, Entry, ListQuery, New, Record, Unsettled},
    },
    users::{self, UserId, rules::Precondition},
};

use crate::matrix::{Drivers, Look, Operation, Template, World};

const ADA: &str = "000000000000000000000001";
const ADMIN: &str = "000000000000000000000003";

#[tokio::test]
async fn an_operation_holds_the_person_his_names_old_and_new_and_the_last_administrator() {
    let ada = format!("user:{ADA}");
    let (old, new, name) = ("email:ada@x.org", "email:countess@x.org", "username:ada");
    let person = vec![old, name, ada.as_str()];
    holds(Operation::PatchEmail, &[&person[..], &[new]].concat()).await;
    holds(Operation::PatchUsername, &[&person[..], &["username:countess"]].concat()).await;
    holds(Operation::PatchBlocked, &person).await;
    holds(Operation::PatchRefused, &[&person[..], &["username:lonely"]].concat()).await;
    holds(Operation::Delete, &person).await;
    let admin = format!("user:{ADMIN}");
    let admin = ["admins", "email:admin@x.org", admin.as_str(), "username:admin"];
    holds(Operation::DeleteAdministrator, &admin).await;
    let block = async |app: &App| {
        let caller = Caller::inside("sweep", "system", "request-1");
        let change = json!({"$set": {"blocked": true}}).as_object().unwrap().clone();
        users::update(app, &caller, &UserId::parse(ADMIN).unwrap(), change, Precondition::None).await.map(|_| ())
    };
    held_by(Operation::PatchBlocked, block, &admin).await;
    holds(Operation::Create, &["email:new@x.org", "user:*"]).await;
    holds(Operation::CreateGroup, &["group:new", "groups"]).await;
    holds(Operation::PatchGroup, &["group:guests", "groups"]).await;
    holds(Operation::DeleteGroup, &["group:guests"]).await;
    holds(Operation::CreateRole, &["role:new"]).await;
    holds(Operation::PatchRole, &["admins", "role:boss"]).await;
    holds(Operation::DeleteRole, &["admins", "role:boss"]).await;
    holds(Operation::Adopt, &["email:lonely@x.org", "identity:lonely-identity", "user:*", "username:lonely"]).await;
}

async fn holds(operation: Operation, names: &[&str]) {
    held_by(operation, async |app: &App| operation.ask(app).await, names).await;
}

async fn held_by(operation: Operation, ask: impl AsyncFn(&App) -> Result<(), Error>, names: &[&str]) {
    let world = World::new(&Template::make().await, operation, Drivers::Embedded).await;
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let life = world.live(|inner| Arc::new(Looking { inner, file: world.file(), seen: seen.clone() })).await;
    let _ = ask(&life.app).await;
    life.app.sagas.idle().await;
    let mut wanted: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    wanted.sort();
    assert_eq!(*seen.lock().unwrap(), BTreeSet::from([wanted]), "{operation:?}");
    assert_eq!(world.look().held(), Vec::<String>::new());
}

/// Looks what is held before every write that follows a step's intent. A new person's `_id` is any.
struct Looking {
    inner: Arc<dyn Journal>,
    file: PathBuf,
    seen: Arc<Mutex<BTreeSet<Vec<String>>>>,
}

#[async_trait]
impl Journal for Looking {
    async fn begin(&self, new: New) -> Result<Begun, state::Error> {
        self.inner.begin(new).await
    }

    async fn append(&self, operation: &str, records: Vec<Record>) -> Result<Appended, state::Error> {
        let hold = records.iter().any(|record| matches!(record, Record::Hold { .. }));
        if !hold {
            let known = |name: &String| name.contains("user:0000") || !name.starts_with("user:");
            let name = |name: String| if known(&name) { name } else { "user:*".to_owned() };
            let mut names: Vec<String> = Look::at(&self.file).held().into_iter().map(name).collect();
            names.sort();
            self.seen.lock().unwrap().insert(names);
        }
        self.inner.append(operation, records).await
    }

    async fn take_over(&self, alive: Vec<String>) -> Result<Vec<Unsettled>, state::Error> {
        self.inner.take_over(alive).await
    }

    async fn read(&self, operation: &str) -> Result<Option<Entry>, state::Error> {
        self.inner.read(operation).await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<Entry>, state::Error> {
        self.inner.list(query).await
    }

    async fn parts(&self, operation: &str, request: &str) -> Result<user_manager::state::journal::Parts, state::Error> {
        self.inner.parts(operation, request).await
    }

    async fn unsettled(&self) -> Result<u64, state::Error> {
        self.inner.unsettled().await
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.inner.ledger()
    }

    fn sessions(&self) -> Arc<dyn SessionStore> {
        self.inner.sessions()
    }
}
