//! The requests that each operation sends to other systems, by name: what a change of an operation costs is seen here.

use std::time::Duration;

use serde_json::{Map, Value, json};
use user_manager::users::{self, State, UserId, Welcome, create::Draft, rules::Precondition};

use crate::worlds::{PASSWORD, World, template};

/// The requests that the twins got meanwhile: those to the store in their order, then those to the provider in theirs.
async fn made(world: &World, work: impl Future<Output = ()>) -> Vec<&'static str> {
    let (store, provider) = (world.store().log().len(), world.provider().log().len());
    work.await;
    world.settled().await;
    let (store, provider) = (world.store().log().split_off(store), world.provider().log().split_off(provider));
    // A group is looked up at most once a second: whether it is that time is nothing that an operation decides.
    let asked = store.iter().chain(&provider).map(|line| template(line).unwrap());
    asked.filter(|template| *template != "GET /ums-config/").collect()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

async fn patch(world: &World, id: &UserId, set: Value) {
    let change = object(json!({ "$set": set }));
    users::update(&world.app, &world.inside(), id, change, Precondition::None).await.unwrap();
}

fn draft(fields: Value) -> Draft {
    Draft { fields: object(fields), password: Some(PASSWORD.into()), ..Draft::default() }
}

const FIND: &str = "GET /users/";
const IMPORT: &str = "POST /users/import";
const READ: &str = "GET /users/:id";
const PATCH: &str = "PATCH /users/:id";
const STATE: &str = "POST /users/:id/state";
const DELETE: &str = "DELETE /users/:id";

const ACCOUNT: &str = "GET /admin/realms/:realm/users/:id";
const MAKE_ACCOUNT: &str = "POST /admin/realms/:realm/users";
const PUT_ACCOUNT: &str = "PUT /admin/realms/:realm/users/:id";
const DELETE_ACCOUNT: &str = "DELETE /admin/realms/:realm/users/:id";
const LOG_OUT: &str = "POST /admin/realms/:realm/users/:id/logout";
const CONSENTS: &str = "GET /admin/realms/:realm/users/:id/consents";
const TOKEN: &str = "POST /realms/:realm/protocol/openid-connect/token";

#[tokio::test]
async fn every_operation_sends_these_requests_over_the_remote_pair() {
    let world = &World::remote().await;
    let (app, caller) = (&world.app, world.inside());
    // What is asked once and then known: the collection's fields, whether the realm fits, a token, the keys.
    let first = users::create(app, &caller, draft(json!({ "userGroup": "users", "email": "first@example.org" })));
    let first = first.await.unwrap();
    let lonely = world.lonely("lonely@example.org").await;
    let mut ada = first.clone();

    let create = made(world, async {
        let fields = json!({ "userGroup": "users", "email": "ada@example.org", "name": "Ada" });
        ada = users::create(app, &caller, draft(fields)).await.unwrap();
    });
    let create = create.await;
    let adopt = made(world, async {
        let draft = Draft { fields: object(json!({ "userGroup": "users" })), ..Draft::default() };
        users::adopt(app, &caller, lonely, draft).await.unwrap();
    });
    let adopt = adopt.await;
    let read = made(world, async { drop(users::get(app, &caller, &ada).await.unwrap()) }).await;
    let log_in = made(world, async { drop(world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200)) }).await;
    world.passes(Duration::from_secs(2));
    let ask = made(world, async { drop(world.get("/operations/").await.is(200)) }).await;
    let ask_again = made(world, async { drop(world.get("/operations/").await.is(200)) }).await;
    let profile = made(world, patch(world, &ada, json!({ "name": "Ada L." }))).await;
    let email = made(world, patch(world, &ada, json!({ "email": "countess@example.org" }))).await;
    let block = made(world, patch(world, &ada, json!({ "blocked": true }))).await;
    let mut bob = first.clone();
    let later = made(world, async {
        let fields = object(json!({ "userGroup": "users", "email": "bob@example.org" }));
        bob = users::create_user_only(app, &caller, Draft { fields, ..Draft::default() }).await.unwrap();
    });
    let later = later.await;
    let register =
        made(world, async { users::register(app, &caller, &bob, None, Welcome::Silent).await.unwrap() }).await;
    let trash = made(world, async { users::change_state(app, &caller, &bob, State::Trash).await.unwrap() }).await;
    let restore = made(world, async {
        users::restore(app, &caller, &bob, State::Public, Precondition::None).await.unwrap();
    });
    let restore = restore.await;
    let mut soft_delete =
        made(world, async { users::soft_delete(app, &caller, &bob, Precondition::None).await.unwrap() }).await;
    // Two writes that fall into one millisecond are told apart by another one.
    let last = soft_delete.iter().rposition(|line| *line == STATE).unwrap();
    let touched = soft_delete[last..].contains(&PATCH);
    if touched {
        soft_delete.remove(last + 2);
    }
    let delete = made(world, async { users::delete(app, &caller, &first, Precondition::None).await.unwrap() }).await;

    let seen = json!({
        "create": create, "adopt": adopt, "create the user only": later, "register": register,
        "move to TRASH": trash, "restore": restore, "soft-delete": soft_delete, "read": read, "log in": log_in, "ask": ask, "ask again": ask_again,
        "change the profile": profile, "change the e-mail": email, "block": block, "delete": delete,
    });
    let expected = json!({
        "create": [FIND, IMPORT, READ, PATCH, MAKE_ACCOUNT],
        "adopt": [FIND, FIND, FIND, IMPORT, ACCOUNT, ACCOUNT],
        "create the user only": [FIND, IMPORT],
        "register": [READ, READ, FIND, PATCH, MAKE_ACCOUNT],
        "move to TRASH": [READ, READ, STATE, READ, ACCOUNT, ACCOUNT, PUT_ACCOUNT, ACCOUNT, LOG_OUT, CONSENTS],
        "restore": [READ, READ, STATE, READ, STATE, READ, ACCOUNT, ACCOUNT, PUT_ACCOUNT, ACCOUNT],
        "soft-delete": [
            READ, READ, STATE, READ, READ, PATCH, READ, STATE, READ, READ,
            ACCOUNT, ACCOUNT, PUT_ACCOUNT, ACCOUNT, LOG_OUT, CONSENTS, DELETE_ACCOUNT,
        ],
        "read": [READ],
        "log in": [FIND, TOKEN],
        "ask": [FIND],
        "ask again": [],
        "change the profile": [READ, READ, PATCH, ACCOUNT],
        "change the e-mail": [READ, READ, FIND, PATCH, ACCOUNT, ACCOUNT, PUT_ACCOUNT, ACCOUNT],
        "block": [READ, READ, PATCH, ACCOUNT, ACCOUNT, PUT_ACCOUNT, ACCOUNT, LOG_OUT, CONSENTS],
        "delete": [
            READ, READ, STATE, READ, DELETE,
            ACCOUNT, ACCOUNT, PUT_ACCOUNT, ACCOUNT, LOG_OUT, CONSENTS, DELETE_ACCOUNT,
        ],
    });
    assert!(seen == expected, "{seen:#}");
}
