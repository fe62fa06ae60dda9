//! Who stands in every world before anything is asked: somebody for each operation to act upon, and others like him.

use std::sync::Arc;

use serde_json::{Value, json};
use user_manager::{
    app::open_stores,
    clock::rfc3339,
    groups::built_in,
    identity::{self, Account, Identity},
    metrics::Metrics,
    state::sqlite::Sqlite,
    store::{self, Store},
    users::{Change, State},
};

use super::{config, object, time::Hand, user};

pub const ADA: &str = "000000000000000000000001";
pub const BLOCKED: &str = "000000000000000000000002";
pub const ADMIN: &str = "000000000000000000000003";
/// A group without users, and a role that nobody has.
pub const GROUP: &str = "0000000000000000000000a1";
pub const ROLE: &str = "0000000000000000000000a2";
/// His date has come; it comes in some years; he has gone from the store; he was given more time there.
pub const DUE: &str = "000000000000000000000008";
pub const LATER: &str = "000000000000000000000009";
pub const GONE: &str = "00000000000000000000000b";
pub const OVERTAKEN: &str = "00000000000000000000000c";
/// Users without an identity: PUBLIC, in TRASH, and one whose username another identity has.
pub const SHELVED: &str = "000000000000000000000010";
pub const SHELVED_TRASH: &str = "000000000000000000000011";
pub const SHELVED_HIDDEN: &str = "000000000000000000000012";
/// In their states with their identities, all of them blocked; he in DRAFT by his own `blocked` too.
pub const DRAFT: &str = "000000000000000000000013";
pub const TRASH: &str = "000000000000000000000014";
pub const DELETED: &str = "000000000000000000000015";
/// Without an identity.
pub const DELETED_ALONE: &str = "000000000000000000000016";
/// An identity without a user.
pub const LONELY: &str = "lonely-identity";

/// The accounts of everybody, with the ids by which users name them.
pub fn accounts() -> Vec<(String, Account)> {
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

pub async fn seed(state: &Arc<Sqlite>, hand: &Hand, accounts: &[(String, Account)]) {
    use user_manager::state::Grants;
    let store = store::embedded::Embedded::open(state.clone(), &names()).await.unwrap();
    let stores = open_stores(&config(&[]), state, &hand.clock(), &Metrics::default()).await.unwrap();
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

fn names() -> Vec<String> {
    vec!["email".to_owned(), "username".to_owned()]
}
