//! A person whose time comes is blocked on both sides, once, whatever happens meanwhile.

use std::time::Duration;

use serde_json::{Value, json};
use user_manager::{
    clock::rfc3339,
    state::journal::ListQuery,
    users::{self, UserId},
};

use crate::{
    twins::fault::{Fault, Lasts, Plan},
    worlds::{PASSWORD, Place, World, everywhere, within},
};

/// Short enough that nobody's token ends meanwhile.
const MINUTE: Duration = Duration::from_secs(60);

fn in_ms(world: &World, ms: i64) -> String {
    rfc3339(world.now_ms() + ms)
}

async fn expiring(world: &World, email: &str, date: &str) -> String {
    let new = json!({ "userGroup": "users", "email": email, "password": PASSWORD, "expirationDate": date });
    format!("/users/{}", world.post("/users/", new).await.is(200).id())
}

/// Blocked in the store and at the provider.
async fn is_blocked(world: &World, path: &str) -> bool {
    let user = world.get(path).await.is(200);
    let identity = world.people().identities[&user.text("authUserId")]["enabled"].clone();
    user.body["blocked"] == json!(true) && identity == json!(false)
}

#[tokio::test]
async fn whoever_has_a_date_is_blocked_on_both_sides_when_it_comes() {
    everywhere(async |world| {
        let date = in_ms(world, 60_000);
        let path = expiring(world, "ada@example.org", &date).await;
        assert_eq!(world.get(&path).await.is(200).text("expirationDate"), date);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        world.passes(MINUTE + Duration::from_secs(1));
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.until("she is blocked", async || is_blocked(world, &path).await).await;
        world.settled().await;
        assert_eq!(world.timers(), 0);
        let log = world.get("/operations/?kind=expire-user").await.is(200);
        assert_eq!(log.body.as_array().unwrap().len(), 1);
        assert_eq!((&log.body[0]["actor"]["id"], &log.body[0]["state"]), (&json!("expiry"), &json!("done")));

        // It is a block like any other: a new date lifts nothing by itself.
        world.patch(&path, json!({ "$unset": { "expirationDate": true } })).await.is(200);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.patch(&path, json!({ "$set": { "blocked": false } })).await.is(200);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn a_date_that_is_given_later_blocks_on_both_sides_too() {
    everywhere(async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        assert_eq!(world.timers(), 0);
        let date = in_ms(world, 60_000);
        let changed = world.patch(&path, json!({ "$set": { "expirationDate": date } })).await.is(200);
        assert_eq!(changed.text("expirationDate"), date);
        assert_eq!(world.timers(), 1);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        world.passes(MINUTE + Duration::from_secs(1));
        world.until("she is blocked", async || is_blocked(world, &path).await).await;
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.settled().await;
        assert_eq!(world.timers(), 0);
    })
    .await;
}

#[tokio::test]
async fn an_identity_that_got_a_user_with_a_date_is_blocked_when_it_comes() {
    everywhere(async |world| {
        let identity = world.lonely("ada@example.org").await;
        let date = in_ms(world, 60_000);
        let fields = json!({ "authUserId": identity, "userGroup": "users", "expirationDate": date });
        let path = format!("/users/{}", world.post("/users/with-id", fields).await.is(200).id());
        assert_eq!(world.get(&path).await.is(200).text("expirationDate"), date);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        world.passes(MINUTE + Duration::from_secs(1));
        world.until("she is blocked", async || is_blocked(world, &path).await).await;
        assert_eq!(world.people().identities[&identity]["enabled"], json!(false));
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.settled().await;
        assert_eq!(world.timers(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_date_may_be_moved_and_taken_away() {
    everywhere(async |world| {
        let moved = expiring(world, "ada@example.org", &in_ms(world, 60_000)).await;
        let freed = expiring(world, "bob@example.org", &in_ms(world, 60_000)).await;
        let gone = expiring(world, "eve@example.org", &in_ms(world, 60_000)).await;
        assert_eq!(world.timers(), 3);
        let later = in_ms(world, 3 * 60_000);
        let after = world.patch(&moved, json!({ "$set": { "expirationDate": later } })).await.is(200);
        assert_eq!(after.text("expirationDate"), later);
        let null = json!({ "$set": { "expirationDate": Value::Null } });
        assert_eq!(world.patch(&freed, null).await.is(200).body.get("expirationDate"), None);
        world.delete(&gone).await.is(204);
        world.settled().await;
        assert_eq!(world.timers(), 1);
        world.passes(MINUTE * 2);
        for email in ["ada@example.org", "bob@example.org"] {
            world.nobody().logs_in(email, PASSWORD).await.is(200);
        }
        world.passes(MINUTE * 2);
        world.until("she is blocked", async || is_blocked(world, &moved).await).await;
        world.nobody().logs_in("bob@example.org", PASSWORD).await.is(200);
        world.settled().await;
        assert_eq!(world.timers(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_date_that_has_passed_is_refused_only_when_it_is_given() {
    everywhere(async |world| {
        let path = expiring(world, "ada@example.org", &in_ms(world, 60_000)).await;
        world.passes(MINUTE * 2);
        world.until("she is blocked", async || is_blocked(world, &path).await).await;
        world.settled().await;
        let before = world.people();
        let past = in_ms(world, -1000);
        let set = |date: &str| json!({ "$set": { "expirationDate": date } });
        world.patch(&path, set(&past)).await.refuses(400, "expiration-past");
        let new = json!({ "userGroup": "users", "email": "bob@example.org", "expirationDate": past });
        world.post("/users/", new).await.refuses(400, "expiration-past");
        for wrong in ["tomorrow", "", "2030-01-01", "1893456000"] {
            world.patch(&path, set(wrong)).await.refuses(400, "validation-failed");
        }
        world.patch(&path, json!({ "$set": { "expirationDate": 7 } })).await.refuses(400, "validation-failed");
        world.patch(&path, json!({ "$set": { "expirationId": "x" } })).await.refuses(400, "not-settable");
        world.is_as(&before);
        world.patch(&path, json!({ "$set": { "name": "Ada" } })).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn nobody_but_an_administrator_moves_his_own_date() {
    let world = World::at(Place::Embedded).await;
    let clerk = world.caller(&["users:write"]).await;
    let path = format!("/users/{}", clerk.id);
    world.patch(&path, json!({ "$set": { "expirationDate": in_ms(&world, 60_000) } })).await.is(200);
    for change in [
        json!({ "$unset": { "expirationDate": true } }),
        json!({ "$set": { "expirationDate": "2040-01-01T00:00:00Z" } }),
        json!({ "$currentDate": { "expirationDate": true } }),
    ] {
        clerk.patch(&path, change).await.refuses(403, "own-record");
    }
    let root = format!("/users/{}", world.admin().id);
    let end = json!({ "$set": { "expirationDate": "2040-01-01T00:00:00Z" } });
    world.patch(&root, end).await.refuses(409, "last-admin");
    world.settled().await;
}

#[tokio::test]
async fn where_nobody_is_protected_from_himself_a_clerk_moves_his_own_date() {
    for (protect, status) in [("off", 200), ("unless-backoffice", 403)] {
        let world = World::with(Place::Embedded, &[("SELF_PROTECT", protect)]).await;
        let clerk = world.caller(&["users:write"]).await.with("isbackoffice", "1");
        let end = json!({ "$set": { "expirationDate": in_ms(&world, 60_000) } });
        clerk.patch(&format!("/users/{}", clerk.id), end).await.is(status);
        world.settled().await;
    }
}

#[tokio::test]
async fn a_provider_that_is_away_when_the_time_comes_is_asked_until_it_is_back() {
    within(&Place::KEYCLOAK, async |world| {
        let path = expiring(world, "ada@example.org", &in_ms(world, 60_000)).await;
        world.provider().plan(Plan::nth(1, Fault::Refused, Lasts::On)).await;
        world.passes(MINUTE * 2);
        let tried = async || {
            let log = world.snapshot().operations;
            log.values().filter(|state| *state == "undone").count() >= 1
        };
        world.until("it was tried", tried).await;
        assert_eq!(world.timers(), 1);
        world.mend().await;
        let blocked = async || {
            world.passes(Duration::from_secs(5));
            is_blocked(world, &path).await
        };
        world.until("she is blocked", blocked).await;
        world.settled().await;
        assert_eq!(world.timers(), 0);
    })
    .await;
}

#[tokio::test]
async fn without_expiry_dates_are_kept_and_nobody_is_blocked() {
    for place in Place::ALL {
        let world = World::with(place, &[("EXPIRY", "timer-service")]).await;
        world.user("grace@example.org").await;
        expiring(&world, "ada@example.org", &in_ms(&world, 60_000)).await;
        world.passes(MINUTE * 2);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        assert_eq!(world.timers(), 1);
        assert_eq!(users::expire::dated(&world.app).await.unwrap(), 1);
        world.settled().await;
    }
}

#[tokio::test]
async fn whose_time_comes_while_we_are_down_is_blocked_at_the_next_start() {
    everywhere(async |world| {
        let path = expiring(world, "ada@example.org", &in_ms(world, 60_000)).await;
        let id = UserId::parse(path.trim_start_matches("/users/")).unwrap();
        let later = expiring(world, "later@example.org", &in_ms(world, 600_000)).await;
        let later = UserId::parse(later.trim_start_matches("/users/")).unwrap();
        world.settled().await;
        world.app.drain();
        world.passes(MINUTE * 2);
        let (app, _directory) = world.starts_anew().await;
        let blocked = async |id: &UserId| {
            let user = users::get(&app, &world.inside(), id).await.unwrap();
            let identity = user.auth_user_id().unwrap().to_owned();
            let account = app.systems.identity.get(&identity).await.ok().flatten().unwrap();
            (user.blocked(), !account.enabled, app.systems.timers.of(id.as_str()).await.unwrap().is_none())
        };
        world.until("she is blocked", async || blocked(&id).await == (true, true, true)).await;
        // Once, and nobody else.
        world.passes(MINUTE);
        app.sagas.idle().await;
        let expired = ListQuery { kind: Some("expire-user".to_owned()), limit: 9, ..ListQuery::default() };
        assert_eq!(app.journal.list(expired).await.unwrap().len(), 1);
        assert_eq!(blocked(&later).await, (false, false, false));
    })
    .await;
}
