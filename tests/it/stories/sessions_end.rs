//! What ends a session, and who may.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use user_manager::{
    access::{
        gate::Arrival,
        people,
        sessions::{Way, ours},
    },
    clock,
};

use super::sessions::{OURS, Pair, form, logs_in, somebody};
use crate::twins::keycloak::LOGIN;
use crate::worlds::{PASSWORD, Place, World, everywhere, within};

const NEW: &str = "wrong donkey capacitor";

/// Neither of its tokens is good for anything.
async fn is_over(world: &World, pair: &Pair, why: &str) {
    let reply = pair.asker(world).get("/operations/").await;
    assert_eq!((reply.status, reply.code()), (401, "token-revoked"), "{why}");
    let reply = pair.refreshes(world).await;
    assert_eq!((reply.status, reply.code()), (401, "refresh-refused"), "{why}");
}

#[tokio::test]
async fn whatever_shuts_a_person_out_ends_his_sessions() {
    everywhere(async |world| {
        let state = |id: &str, to: &str| json!([{ "filter": { "_id": id }, "stateTo": to }]);
        for (number, why) in ["block", "trash", "soft-delete", "delete", "draft"].into_iter().enumerate() {
            let email = format!("person-{number}@example.org");
            let (pair, path) = {
                let pair = somebody(world, &email).await;
                let path = format!("/users/{}", pair.id);
                (pair.next(world).await, path)
            };
            match why {
                "block" => drop(world.patch(&path, json!({ "$set": { "blocked": true } })).await.is(200)),
                "trash" => drop(world.post("/users/state", state(&pair.id, "TRASH")).await.is(200)),
                "draft" => drop(world.post("/users/state", state(&pair.id, "DRAFT")).await.is(200)),
                "soft-delete" => drop(world.post(&format!("{path}/soft-delete"), json!({})).await.is(204)),
                _ => drop(world.delete(&path).await.is(204)),
            }
            world.settled().await;
            is_over(world, &pair, why).await;
            if why == "block" {
                // Whoever is let in again logs in again; what a provider issues tells whole seconds.
                world.passes(Duration::from_secs(1));
                world.patch(&path, json!({ "$set": { "blocked": false } })).await.is(200);
                is_over(world, &pair, "unblocked").await;
                logs_in(world, &pair.id, &email).await.next(world).await;
            }
        }
    })
    .await;
}

/// What is remembered of callers is no older than the last commit: no request that begins after a block was answered gets in,
/// however many ask meanwhile.
#[tokio::test]
async fn a_block_holds_for_the_very_next_request() {
    const ROUNDS: usize = 20;
    within(&[Place::Embedded], async |world| {
        for round in 0..ROUNDS {
            let pair = somebody(world, &format!("person-{round}@example.org")).await;
            let (path, blocked) = (format!("/users/{}", pair.id), AtomicBool::new(false));
            let asks = async || {
                let asker = pair.asker(world);
                let mut got_in = 0;
                loop {
                    let late = blocked.load(Ordering::SeqCst);
                    match asker.get("/userinfo").await.status {
                        200 if !late => got_in += 1,
                        401 if late => return got_in,
                        401 => {}
                        status => panic!("{status}, and the block had been answered: {late}"),
                    }
                }
            };
            let block = async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                world.patch(&path, json!({ "$set": { "blocked": true } })).await.is(200);
                blocked.store(true, Ordering::SeqCst);
            };
            let (one, other, third, ()) = tokio::join!(asks(), asks(), asks(), block);
            assert!(one + other + third > 0, "nobody asked before the block");
        }
    })
    .await;
}

#[tokio::test]
async fn a_date_that_comes_ends_sessions() {
    everywhere(async |world| {
        let until = user_manager::clock::rfc3339(world.now_ms() + 3_600_000);
        let body = json!({
            "userGroup": "users", "email": "ada@example.org", "password": PASSWORD, "expirationDate": until,
        });
        let id = world.post("/users/", body).await.is(200).id();
        let pair = logs_in(world, &id, "ada@example.org").await;
        world.passes(Duration::from_secs(3_601));
        pair.refreshes(world).await.refuses(401, "refresh-refused");
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_where_we_keep_it() {
    within(&OURS, async |world| {
        let one = somebody(world, "ada@example.org").await;
        let other = logs_in(world, &one.id, "ada@example.org").await;
        let change = json!({ "currentPassword": PASSWORD, "newPassword": NEW });
        one.asker(world).post("/users/me/change-password", change).await.is(204);
        is_over(world, &one, "his own").await;
        is_over(world, &other, "his other").await;
        let again = Pair::of(&one.id, &world.nobody().logs_in("ada@example.org", NEW).await.is(200));
        again.next(world).await;
    })
    .await;
}

/// As when the clock was so far ahead, and went back.
async fn ahead(world: &World, owner: &Pair, by: Duration) -> Pair {
    let identity = world.get(&format!("/users/{}", owner.id)).await.is(200).text("authUserId");
    let person = people::find(&world.app, &identity).await.unwrap().unwrap();
    let arrival = Arrival {
        request_id: "r".to_owned(),
        address: None,
        vouched: None,
        operation: Arc::default(),
        seen: Arc::default(),
    };
    let at_ms = clock::after(world.now_ms(), by);
    let opened = ours::open(&world.app, &arrival, Way::Json, identity, at_ms, &person).await.unwrap();
    Pair {
        id: owner.id.clone(),
        access: opened.access_token.expose_secret().to_owned(),
        refresh: opened.refresh_token.unwrap().expose_secret().to_owned(),
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_ends_no_session_earlier() {
    let world = World::with(Place::Embedded, &[("REFRESH_IDLE", "1h")]).await;
    let owner = somebody(&world, "ada@example.org").await;
    let pair = ahead(&world, &owner, Duration::from_hours(2)).await;
    let next = pair.next(&world).await;
    assert_eq!(pair.next(&world).await.access, next.access, "used again within the grace");
    world.passes(Duration::from_mins(150));
    next.next(&world).await;
    owner.refreshes(&world).await.refuses(401, "refresh-refused");
}

#[tokio::test]
async fn a_session_of_a_time_that_has_yet_to_come_ends_with_the_password_too() {
    within(&OURS, async |world| {
        let owner = somebody(world, "ada@example.org").await;
        let thief = ahead(world, &owner, Duration::from_mins(10)).await;
        thief.asker(world).get("/operations/").await.is(200);
        let change = json!({ "currentPassword": PASSWORD, "newPassword": NEW });
        owner.asker(world).post("/users/me/change-password", change).await.is(204);
        is_over(world, &thief, "of a time to come").await;
    })
    .await;
}

#[tokio::test]
async fn what_was_ended_stays_ended_in_the_next_process() {
    within(&OURS, async |world| {
        let blocked = somebody(world, "ada@example.org").await;
        let left = somebody(world, "bob@example.org").await;
        let stays = somebody(world, "eve@example.org").await;
        let path = format!("/users/{}", blocked.id);
        world.patch(&path, json!({ "$set": { "blocked": true } })).await.is(200);
        left.asker(world).post("/logout", json!({})).await.is(204);
        let (next, _directory) = world.starts_anew().await;
        let api = user_manager::api::Api::new(next);
        let answered = async |pair: &Pair| {
            let request = axum::extract::Request::builder()
                .uri("/operations")
                .header("authorization", format!("Bearer {}", pair.access))
                .body(axum::body::Body::empty())
                .unwrap();
            api.answer(request, None).await.status().as_u16()
        };
        assert_eq!(answered(&blocked).await, 401);
        assert_eq!(answered(&left).await, 401);
        assert_eq!(answered(&stays).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_role_that_is_lost_closes_what_it_opened_and_the_session_stays() {
    everywhere(async |world| {
        let role = json!({ "roleId": "readers", "name": "Readers", "permissions": ["users:read"] });
        world.post("/roles/", role).await.is(200);
        let body =
            json!({ "userGroup": "users", "email": "ada@example.org", "password": PASSWORD, "roles": ["readers"] });
        let id = world.post("/users/", body).await.is(200).id();
        let pair = logs_in(world, &id, "ada@example.org").await;
        pair.asker(world).get("/users/").await.is(200);
        world.patch(&format!("/users/{id}"), json!({ "$set": { "roles": [] } })).await.is(200);
        pair.asker(world).get("/users/").await.refuses(403, "permission-required");
        pair.next(world).await.asker(world).get("/users/").await.refuses(403, "permission-required");
    })
    .await;
}

#[tokio::test]
async fn whoever_logs_out_leaves_one_session_and_it_is_told() {
    everywhere(async |world| {
        let one = somebody(world, "ada@example.org").await;
        let other = logs_in(world, &one.id, "ada@example.org").await;
        let next = one.next(world).await;
        // As a back office sends it: more than is needed.
        next.asker(world).with("x-request-id", "bye").post("/logout", json!({ "x": 1 })).await.is(204);
        is_over(world, &one, "its first token").await;
        is_over(world, &next, "its last token").await;
        next.asker(world).post("/logout", json!({})).await.refuses(401, "token-revoked");
        other.next(world).await.asker(world).get("/operations/").await.is(200);

        let events = world.get("/events/?action=log-out").await.is(200).body;
        assert_eq!(events.as_array().unwrap().len(), 1, "{events}");
        let event = &events[0];
        assert_eq!((&event["subject"], &event["requestId"]), (&json!(one.id), &json!("bye")));
        assert_eq!(event["actor"]["id"], json!(one.id));
    })
    .await;
}

#[tokio::test]
async fn a_token_is_revoked_by_whoever_has_it() {
    everywhere(async |world| {
        let forms = somebody(world, "ada@example.org").await;
        let json_ = logs_in(world, &forms.id, "ada@example.org").await;
        let access = logs_in(world, &forms.id, "ada@example.org").await;
        let stays = logs_in(world, &forms.id, "ada@example.org").await;
        let fields = [("token", forms.refresh.as_str()), ("token_type_hint", "refresh_token")];
        assert_eq!(form(world, "/oauth/revoke", &fields).await, (200, Value::Null));
        assert_eq!(form(world, "/oauth/revoke", &fields).await, (200, Value::Null), "again");
        world.nobody().post("/oauth/revoke", json!({ "token": json_.refresh })).await.is(200);
        form(world, "/oauth/revoke", &[("token", access.access.as_str())]).await;
        for pair in [&forms, &json_, &access] {
            pair.refreshes(world).await.refuses(401, "refresh-refused");
        }
        is_over(world, &access, "an access token that was revoked").await;

        for unknown in ["x", &format!("{}x", &stays.refresh[..stays.refresh.len() - 1]), &"A".repeat(91)] {
            assert_eq!(form(world, "/oauth/revoke", &[("token", unknown)]).await, (200, Value::Null), "{unknown}");
        }
        assert_eq!(form(world, "/oauth/revoke", &[]).await.1["error"], "invalid_request");
        world.nobody().post("/oauth/revoke", json!({})).await.refuses(400, "validation-failed");
        stays.next(world).await;
    })
    .await;
}

#[tokio::test]
async fn sessions_are_seen_and_ended_one_by_one_or_all() {
    everywhere(async |world| {
        let ada = somebody(world, "ada@example.org").await;
        let laptop = logs_in(world, &ada.id, "ada@example.org").await.next(world).await;
        let own = ada.asker(world).get("/users/me/sessions").await.is(200);
        assert_eq!(own.header("cache-control"), Some("no-store"));
        let rows = own.body.as_array().unwrap().clone();
        assert_eq!(rows.len(), 2, "{rows:#?}");
        let sids: Vec<String> = rows.iter().map(|row| row["sid"].as_str().unwrap().to_owned()).collect();
        let ours = world.keycloak.is_none();
        assert!(rows.iter().all(|row| row["createdAt"].is_string() && row["lastUsedAt"].is_string()));
        assert!(rows.iter().all(|row| row["address"] == if ours { "127.0.0.1" } else { "10.0.0.1" }), "{rows:#?}");
        assert!(!ours || rows.iter().all(|row| row["door"] == "json" && row["expireAt"].is_string()), "{rows:#?}");

        let path = format!("/users/{}/sessions", ada.id);
        let reader = world.caller(&["users:read"]).await;
        assert_eq!(reader.get(&path).await.is(200).body, own.body);
        reader.delete(&path).await.refuses(403, "permission-required");
        let clerk = world.caller(&["users:write"]).await;
        let bob = somebody(world, "bob@example.org").await;
        let bobs = bob.asker(world).get("/users/me/sessions").await.is(200).body[0]["sid"].as_str().unwrap().to_owned();
        clerk.delete(&format!("{path}/{bobs}")).await.refuses(404, "session-not-found");
        ada.asker(world).delete(&format!("/users/me/sessions/{bobs}")).await.refuses(404, "session-not-found");
        ada.asker(world).delete("/users/me/sessions/x").await.refuses(404, "session-not-found");
        clerk.delete("/users/5f0c00000000000000000009/sessions").await.refuses(404, "user-not-found");
        clerk.delete(&format!("/users/{}/sessions", world.admin().id)).await.refuses(403, "person-above");

        // The second is the laptop's, where they are in order.
        let laptops = if ours { sids[1].clone() } else { laptop.session() };
        clerk.delete(&format!("{path}/{laptops}")).await.is(204);
        is_over(world, &laptop, "ended by the clerk").await;
        clerk.delete(&format!("{path}/{laptops}")).await.refuses(404, "session-not-found");
        ada.asker(world).get("/operations/").await.is(200);
        ada.asker(world).delete("/users/me/sessions").await.is(204);
        is_over(world, &ada, "ended by himself").await;
        assert_eq!(reader.get(&path).await.is(200).body, json!([]));
        bob.next(world).await;

        let alone = json!({ "userGroup": "users", "email": "eve@example.org" });
        let alone = world.post("/users/?postponeAuthUserCreation=true", alone).await.is(200).id();
        assert_eq!(reader.get(&format!("/users/{alone}/sessions")).await.is(200).body, json!([]));
        clerk.delete(&format!("/users/{alone}/sessions")).await.is(204);
    })
    .await;
}

#[tokio::test]
async fn what_keycloak_keeps_of_an_ended_session_is_refused_here() {
    within(&Place::KEYCLOAK, async |world| {
        let pair = somebody(world, "ada@example.org").await;
        // Keycloak does not hear of it, and goes on.
        world.provider().world().may("manage-users", false);
        pair.asker(world).post("/logout", json!({})).await.refuses(500, "upstream-refused");
        is_over(world, &pair, "refused here all the same").await;
        let grant = [("grant_type", "refresh_token"), ("refresh_token", pair.refresh.as_str())];
        assert_eq!(form(world, "/oauth/token", &grant).await.1["error"], "invalid_grant", "by the other way too");
        let kept = |world: &World| world.provider().world().people.values().any(|person| !person.sessions.is_empty());
        assert!(kept(world), "Keycloak keeps it");

        // Whoever asks again has Keycloak told again.
        world.provider().world().may("manage-users", true);
        let path = format!("/users/{}/sessions", pair.id);
        world.delete(&format!("{path}/{}", pair.session())).await.is(204);
        let ended = world.provider().world().people.values().all(|person| !person.sessions.contains(&pair.session()));
        assert!(ended);
        world.delete(&format!("{path}/{}", pair.session())).await.refuses(404, "session-not-found");
    })
    .await;
}

#[tokio::test]
async fn a_refresh_that_never_reached_keycloak_may_be_asked_again_at_once() {
    within(&Place::KEYCLOAK, async |world| {
        let pair = somebody(world, "ada@example.org").await;
        world.provider().world().clients.get_mut(LOGIN.0).unwrap().enabled = false;
        pair.refreshes(world).await.refuses(500, "upstream-refused");
        world.provider().world().clients.get_mut(LOGIN.0).unwrap().enabled = true;
        pair.next(world).await;
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_revoked_again_and_again_is_told_once() {
    everywhere(async |world| {
        let pair = somebody(world, "ada@example.org").await;
        for _ in 0..3 {
            form(world, "/oauth/revoke", &[("token", pair.access.as_str())]).await;
        }
        let events = world.get("/events/?action=log-out").await.is(200).body;
        assert_eq!(events.as_array().unwrap().len(), 1, "{events}");
        assert_eq!(events[0]["subject"], json!(pair.id));
    })
    .await;
}

#[tokio::test]
async fn whoever_must_change_his_password_may_leave() {
    let world = World::at(Place::Embedded).await;
    let pair = somebody(&world, "ada@example.org").await;
    let identity = world.get(&format!("/users/{}", pair.id)).await.is(200).text("authUserId");
    world.app.own_identities.as_ref().unwrap().require_password_change(&identity).await.unwrap();
    pair.asker(&world).get("/userinfo").await.refuses(403, "password-change-required");
    pair.asker(&world).post("/logout", json!({})).await.is(204);
}
