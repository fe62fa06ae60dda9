//! A login that is refused says nothing of why, neither by its answer nor by what is asked for it.

use std::time::Duration;

use serde_json::{Value, json};
use user_manager::clock::rfc3339;

use crate::worlds::{PASSWORD, World, everywhere};

const MINUTE: Duration = Duration::from_secs(60);

/// Status, headers and body, but for what names the request; and what twins were asked for it.
async fn answer(world: &World, name: &str, password: &str) -> (u16, Vec<String>, Value, Vec<String>) {
    let log = |world: &World| {
        let crud = world.crud.iter().flat_map(|crud| crud.log());
        crud.chain(world.keycloak.iter().flat_map(|keycloak| keycloak.log())).collect::<Vec<_>>()
    };
    let before = log(world).len();
    let mut reply = world.nobody().logs_in(name, password).await;
    reply.body["requestId"] = Value::Null;
    let headers = reply.headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
    let headers = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    (reply.status, headers, reply.body, log(world).split_off(before))
}

/// With how each of them cannot log in.
async fn people(world: &World) -> Vec<(&'static str, String, &'static str)> {
    let path = async |email: &str| format!("/users/{}", world.user(email).await);
    let blocked = path("blocked@example.org").await;
    world.patch(&blocked, json!({ "$set": { "blocked": true } })).await.is(200);
    let draft = path("draft@example.org").await;
    let trash = path("trash@example.org").await;
    for (path, state) in [(&draft, "DRAFT"), (&trash, "TRASH")] {
        let id = path.rsplit('/').next().unwrap();
        let moved = json!([{ "filter": { "_id": id }, "stateTo": state }]);
        assert_eq!(world.post("/users/state", moved).await.is(200).body, json!(1));
    }
    let gone = path("gone@example.org").await;
    world.delete(&gone).await.is(204);
    let user_only = json!({ "userGroup": "users", "email": "only@example.org" });
    world.post("/users/?postponeAuthUserCreation=true", user_only).await.is(200);
    let date = rfc3339(world.now_ms() + 60_000);
    let expiring =
        json!({ "userGroup": "users", "email": "late@example.org", "password": PASSWORD, "expirationDate": date });
    let late = format!("/users/{}", world.post("/users/", expiring).await.is(200).id());
    world.passes(MINUTE + Duration::from_secs(1));
    world.until("the date has come", async || world.get(&late).await.body["blocked"] == json!(true)).await;
    world.settled().await;

    let mut people = Vec::new();
    for (what, name) in [
        ("blocked", "blocked@example.org"),
        ("DRAFT", "draft@example.org"),
        ("TRASH", "trash@example.org"),
        ("deleted", "gone@example.org"),
        ("a user without an identity", "only@example.org"),
        ("expired", "late@example.org"),
        ("nobody", "nobody@example.org"),
    ] {
        people.extend([(what, name.to_owned(), "wrong horse battery"), (what, name.to_owned(), PASSWORD)]);
    }
    if world.keycloak.is_none() {
        let bare = json!({ "userGroup": "users", "email": "bare@example.org" });
        world.post("/users/", bare).await.is(200);
        people.push(("no password", "bare@example.org".to_owned(), PASSWORD));
    }
    people
}

#[tokio::test]
async fn whatever_a_login_is_refused_for_is_answered_and_costs_the_same() {
    everywhere(async |world| {
        world.user("ada@example.org").await;
        let people = people(world).await;
        let wrong = answer(world, "ada@example.org", "wrong horse battery").await;
        assert_eq!((wrong.0, &wrong.2["code"]), (401, &json!("login-refused")));
        assert_eq!(
            wrong.3.len(),
            usize::from(world.keycloak.is_some()),
            "the provider, and nobody else: {:?}",
            wrong.3
        );
        for (what, name, password) in people {
            assert_eq!(answer(world, &name, password).await, wrong, "{what}, with {password:?}");
        }
    })
    .await;
}
