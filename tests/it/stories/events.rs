//! What has happened is told once, in the order in which it did.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use user_manager::{access::Caller, events, query::Filter, state::ledger::EventQuery};

use crate::worlds::{Asker, PASSWORD, Place, World, everywhere};

/// Everything that is told to him after that event, read a few at a time.
pub async fn events_after(asker: &Asker, mut after: Option<String>) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let from = after.map(|id| format!("&after={id}")).unwrap_or_default();
        let page = asker.get(&format!("/events/?_l=3{from}")).await.is(200).body;
        let page = page.as_array().unwrap();
        all.extend(page.iter().cloned());
        match page.last() {
            Some(last) => after = Some(last["id"].as_str().unwrap().to_owned()),
            None => return all,
        }
    }
}

/// Every operation that is settled has one event with its outcome, and no event tells of another.
pub async fn tell_of_every_operation(world: &World, asker: &Asker) {
    let events = events_after(asker, None).await;
    assert!(events.windows(2).all(|pair| pair[0]["id"].as_str() < pair[1]["id"].as_str()), "{events:#?}");
    let told: Vec<(String, String)> = events
        .iter()
        .filter_map(|event| Some((event["operation"].as_str()?.to_owned(), event["outcome"].as_str()?.to_owned())))
        .collect();
    let as_map: BTreeMap<String, String> = told.iter().cloned().collect();
    assert_eq!(as_map.len(), told.len(), "an operation is told of twice");
    assert_eq!(as_map, world.snapshot().operations);
}

#[tokio::test]
async fn every_outcome_and_every_login_is_told_once() {
    everywhere(async |world| {
        let auditor = world.caller(&["events:read"]).await;
        let last = events_after(&auditor, None).await.pop().unwrap();
        let after = last["id"].as_str().unwrap().to_owned();

        let clerk = world.caller(&["users:write", "users:delete"]).await.with("x-request-id", "story-1");
        let ada = json!({ "userGroup": "users", "email": "ada@example.org", "password": PASSWORD });
        let made = clerk.post("/users/", ada.clone()).await.is(200);
        let path = format!("/users/{}", made.id());
        let refused = clerk.post("/users/", ada).await.refuses(409, "name-taken");
        // Nothing has begun, and nothing is told.
        clerk.post("/users/", json!({})).await.refuses(400, "validation-failed");
        world.nobody().logs_in("ada@example.org", "wrong horse battery").await.refuses(401, "login-refused");
        world.nobody().with("x-request-id", "login-1").logs_in("ada@example.org", PASSWORD).await.is(200);
        let changed = clerk.patch(&path, json!({ "$set": { "name": "Ada" } })).await.is(200);
        let deleted = clerk.delete(&path).await.is(204);
        world.settled().await;

        let events = events_after(&auditor, Some(after.clone())).await;
        // The clerk himself, and his login.
        let mine: Vec<&Value> = events.iter().skip(2).collect();
        let told: Vec<Value> = mine
            .iter()
            .map(|event| json!([event["action"], event["outcome"], event["requestId"], event["operation"]]))
            .collect();
        let expected = [
            json!(["create-user", "done", "story-1", made.operation()]),
            json!(["create-user", "undone", "story-1", refused.operation()]),
            json!(["log-in", "done", "login-1", null]),
            json!(["update-user", "done", "story-1", changed.operation()]),
            json!(["delete-user", "done", "story-1", deleted.operation()]),
        ];
        assert_eq!(told, expected);
        assert_eq!(mine[0]["actor"], json!({ "id": clerk.id, "by": "token", "address": "127.0.0.1" }));
        assert_eq!(mine[2]["actor"], json!({ "id": made.id(), "by": "password", "address": "127.0.0.1" }));
        assert!(mine.iter().all(|event| event["subject"] == json!(made.id()) || event["outcome"] == "undone"));
        assert!(!json!(mine).to_string().contains("ada@"), "{mine:?}");

        let listed = async |query: &str| {
            let found = auditor.get(&format!("/events/?after={after}&{query}")).await.is(200).body;
            found.as_array().unwrap().len()
        };
        assert_eq!(listed(&format!("actor={}", clerk.id)).await, 5);
        assert_eq!(listed(&format!("subject={}", made.id())).await, 4);
        assert_eq!(listed("action=log-in").await, 2);
        assert_eq!(listed(&format!("action=log-in&subject={}", made.id())).await, 1);
        assert_eq!(listed("action=nothing").await, 0);
        assert_eq!(listed("_l=2").await, 2);
        tell_of_every_operation(world, &auditor).await;

        world.caller(&["operations:read"]).await.get("/events/").await.refuses(403, "permission-required");
        // An event tells of anybody: whoever sees only some persons sees none.
        let filtered = Caller { rows: Filter::equals("userGroup", "users"), ..world.inside() };
        let query = EventQuery { limit: 9, ..EventQuery::default() };
        assert!(events::list(&world.app, &filtered, query).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn whoever_reads_on_from_the_last_misses_nothing_while_others_write() {
    let world = World::at(Place::Embedded).await;
    let auditor = world.caller(&["events:read"]).await;
    let person = |number: u32| json!({ "userGroup": "users", "email": format!("p{number}@example.org") });
    let writers = join_all((0..40).map(|number| world.post("/users/", person(number))));
    let reader = async {
        let mut seen: Vec<Value> = Vec::new();
        loop {
            let after = seen.last().map(|event| event["id"].as_str().unwrap().to_owned());
            seen.extend(events_after(&auditor, after).await);
            let made = |event: &&Value| event["action"] == "create-user" && event["actor"]["by"] == "token";
            if seen.iter().filter(made).count() == 40 {
                return seen;
            }
        }
    };
    let (replies, seen) = tokio::join!(writers, reader);
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(seen, events_after(&auditor, None).await);
    world.settled().await;
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_gone() {
    let world = World::with(Place::Embedded, &[("RETENTION", "2d")]).await;
    let keyed = world.admin().with("idempotency-key", "k");
    let made = keyed.post("/users/", json!({ "userGroup": "users", "email": "a@example.org" })).await.is(200);
    world.settled().await;
    world.passes(Duration::from_secs(3 * 86_400));
    world.until("all operations are gone", async || world.snapshot().operations.is_empty()).await;
    let login = world.nobody().logs_in("root@example.org", PASSWORD).await.is(200);
    let admin = world.admin().holding(&world.admin().id, &login.text("accessToken"));
    admin.get(&format!("/operations/{}", made.operation())).await.refuses(404, "operation-not-found");
    let told = admin.get("/events/").await.is(200).body;
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told[0]["action"], "log-in");
}

/// A process that is killed again and again after a minute must come to it as well.
#[tokio::test]
async fn what_has_had_its_time_goes_soon_after_the_start() {
    let world = World::with(Place::Embedded, &[("RETENTION", "5s")]).await;
    world.user("ada@example.org").await;
    world.settled().await;
    world.passes(Duration::from_secs(15));
    world.until("all operations are gone", async || world.snapshot().operations.is_empty()).await;
}
