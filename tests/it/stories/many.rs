//! Many persons move from one state to another at once, each by an operation of his own.

use std::time::Duration;

use serde_json::{Value, json};
use user_manager::{
    access::Caller,
    query::Filter,
    users::{self, State, change_states::Move},
};

use crate::{
    twins::fault::{Fault, Lasts, Plan},
    worlds::{PASSWORD, Place, Reply, World, everywhere, within},
};

const PATH: &str = "/users/state";

/// So many in the group `users`, all called by that name.
async fn people(world: &World, name: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let email = format!("{name}-{number}@example.org");
        let body = json!({ "userGroup": "users", "email": email, "name": name, "password": PASSWORD });
        ids.push(world.post("/users/", body).await.is(200).id());
    }
    ids
}

fn to(name: &str, state: &str) -> Value {
    json!([{ "filter": { "name": name }, "stateTo": state }])
}

#[track_caller]
fn counts(reply: Reply, count: u64) -> Reply {
    let reply = reply.is(200);
    assert_eq!(reply.body, json!(count));
    reply
}

/// How many of them stand there, with an identity that may log in or not.
fn standing(world: &World, ids: &[String], state: &str, enabled: Option<bool>) -> usize {
    let people = world.people();
    let stands = |id: &&String| {
        let user = &people.users[*id];
        let identity = user["authUserId"].as_str().and_then(|identity| people.identities.get(identity));
        user["__STATE__"] == state && identity.map(|identity| identity["enabled"] == true) == enabled
    };
    ids.iter().filter(stands).count()
}

#[tokio::test]
async fn whoever_is_meant_moves_and_his_identity_with_him() {
    everywhere(async |world| {
        let ids = people(world, "wanted", 3).await;
        let others = people(world, "other", 1).await;
        let told = counts(world.post(PATH, to("wanted", "TRASH")).await, 3);
        assert_eq!(standing(world, &ids, "TRASH", Some(false)), 3);
        world.nobody().logs_in("wanted-0@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.nobody().logs_in("other-0@example.org", PASSWORD).await.is(200);

        // Each is an operation of his own, and the whole is one that is made of them.
        let batch = world.operation(&told.operation()).await;
        assert_eq!((batch.text("kind"), batch.text("state")), ("change-states".to_owned(), "done".to_owned()));
        let request = told.header("x-request-id").unwrap();
        let listed = world.get(&format!("/operations/?request={request}")).await.is(200);
        let listed = listed.body.as_array().unwrap();
        let parts: Vec<&Value> = listed.iter().filter(|one| one["kind"] == "change-state").collect();
        assert_eq!((listed.len(), parts.len()), (4, 3));
        assert!(parts.iter().all(|part| part["state"] == "done" && part["partOf"] == told.operation()), "{parts:?}");

        // Who stands there already, or can not go there, does not count.
        assert_eq!(counts(world.post(PATH, to("wanted", "TRASH")).await, 0).header("x-operation-id"), None);
        counts(world.post(PATH, to("wanted", "PUBLIC")).await, 0);
        counts(world.post(PATH, to("nobody", "DRAFT")).await, 0);
        // One after the other: from TRASH to DRAFT, and on to PUBLIC.
        let both = json!([
            { "filter": { "_id": { "$in": ids } }, "stateTo": "DRAFT" },
            { "filter": { "name": "wanted" }, "stateTo": "PUBLIC" },
        ]);
        counts(world.post(&format!("{PATH}/"), both).await, 6);
        assert_eq!(standing(world, &ids, "PUBLIC", Some(true)), 3);
        world.nobody().logs_in("wanted-0@example.org", PASSWORD).await.is(200);
        assert_eq!(standing(world, &others, "PUBLIC", Some(true)), 1);
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn to_deleted_goes_only_from_trash_and_takes_the_identity() {
    everywhere(async |world| {
        let ids = people(world, "gone", 2).await;
        counts(world.post(PATH, to("gone", "DELETED")).await, 0);
        let both = json!([
            { "filter": { "name": "gone" }, "stateTo": "TRASH" },
            { "filter": { "name": "gone" }, "stateTo": "DELETED" },
        ]);
        let writer = world.caller(&["users:write"]).await;
        let before = world.snapshot();
        let refused = writer.post(PATH, both.clone()).await.refuses(403, "permission-required");
        assert!(refused.message().contains("users:delete"), "{refused:?}");
        assert_eq!(world.snapshot(), before);
        let clerk = world.caller(&["users:write", "users:delete"]).await;
        counts(clerk.post(PATH, both).await, 4);
        world.settled().await;
        assert_eq!(standing(world, &ids, "DELETED", None), 2);
    })
    .await;

    for place in Place::ALL {
        let world = World::with(place, &[("AUTH_HARD_DELETE", "false")]).await;
        let ids = people(&world, "gone", 1).await;
        counts(world.post(PATH, to("gone", "TRASH")).await, 1);
        counts(world.post(PATH, to("gone", "DELETED")).await, 1);
        world.settled().await;
        assert_eq!(standing(&world, &ids, "DELETED", Some(false)), 1);
    }
}

#[tokio::test]
async fn nothing_changes_where_they_are_too_many_not_so_many_or_above_the_caller() {
    for place in Place::ALL {
        let world = &World::with(place, &[("BULK_CAP", "2")]).await;
        let ids = people(world, "wanted", 3).await;
        let before = world.snapshot();
        let refused = world.post(PATH, to("wanted", "DRAFT")).await.refuses(400, "too-many-matches");
        assert_eq!(refused.message(), "3 users match; repeat with expect=3");
        let refused = world.post(&format!("{PATH}?expect=2"), to("wanted", "DRAFT")).await;
        let refused = refused.refuses(409, "count-differs");
        assert_eq!(refused.message(), "3 users match, not 2; nothing has been changed");
        for odd in ["-1", "", "3.0", "many", "99999999999999999999999"] {
            let path = format!("{PATH}?expect={odd}");
            world.post(&path, to("wanted", "DRAFT")).await.refuses(400, "invalid-parameter");
        }
        // Everybody but one is his to move.
        let writer = world.caller(&["users:write"]).await;
        let everybody = json!([{ "filter": {}, "stateTo": "DRAFT" }]);
        let before_all = world.snapshot();
        writer.post(&format!("{PATH}?expect=5"), everybody).await.refuses(403, "person-above");
        assert_eq!(world.snapshot(), before_all);
        assert_eq!(standing(world, &ids, "PUBLIC", Some(true)), 3);
        assert_eq!(world.snapshot().people.identities.len(), before.people.identities.len() + 1);
        counts(world.post(&format!("{PATH}?expect=3"), to("wanted", "DRAFT")).await, 3);
        world.settled().await;
    }
}

#[tokio::test]
async fn of_those_outside_the_row_filter_nobody_moves() {
    everywhere(async |world| {
        let ours = people(world, "ours", 2).await;
        let theirs = people(world, "theirs", 2).await;
        let caller = Caller { rows: Filter::equals("name", "ours"), ..world.inside() };
        let moves = vec![Move { filter: Filter::equals("userGroup", "users"), to: State::Draft }];
        let came = users::change_states(&world.app, &caller, moves, None).await.unwrap();
        assert_eq!(came.told().unwrap(), 2);
        world.settled().await;
        assert_eq!(standing(world, &ours, "DRAFT", Some(false)), 2);
        assert_eq!(standing(world, &theirs, "PUBLIC", Some(true)), 2);
    })
    .await;
}

#[tokio::test]
async fn where_it_fails_for_some_the_answer_says_for_how_many_and_stays_the_same() {
    within(&Place::CRUD, async |world| {
        let ids = people(world, "wanted", 5).await;
        let failed = Fault::Status { status: 403, done: false, wait: None };
        world.store().plan(Plan::on("POST", "/state", failed).lasting(Lasts::Once)).await;
        let asker = world.admin().with("idempotency-key", "once");
        let told = asker.post(PATH, to("wanted", "TRASH")).await.refuses(500, "partly-changed");
        assert_eq!(told.message(), "4 of 5 users changed");
        world.settled().await;
        assert_eq!(standing(world, &ids, "TRASH", Some(false)), 4);
        assert_eq!(standing(world, &ids, "PUBLIC", Some(true)), 1);
        let batch = world.operation(&told.operation()).await;
        assert_eq!((batch.text("state"), batch.text("error")), ("done".to_owned(), "4 of 5 users changed".to_owned()));

        let again = asker.post(PATH, to("wanted", "TRASH")).await.refuses(500, "partly-changed");
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.message(), "4 of 5 users changed");
        assert_eq!(standing(world, &ids, "PUBLIC", Some(true)), 1);
        // Without the key it is another request, and goes on with who is left.
        counts(world.post(PATH, to("wanted", "TRASH")).await, 1);
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_no_list_of_changes_is_refused_with_its_place() {
    everywhere(async |world| {
        people(world, "wanted", 1).await;
        let before = world.snapshot();
        let filter = json!({ "name": "wanted" });
        for (body, code, pointer) in [
            (json!([]), "validation-failed", ""),
            (json!([7]), "validation-failed", "/0"),
            (json!([{ "stateTo": "DRAFT" }]), "validation-failed", "/0/filter"),
            (json!([{ "filter": [], "stateTo": "DRAFT" }]), "validation-failed", "/0/filter"),
            (json!([{ "filter": filter }]), "validation-failed", "/0/stateTo"),
            (json!([{ "filter": filter, "stateTo": "draft" }]), "validation-failed", "/0/stateTo"),
            (
                json!([{ "filter": filter, "stateTo": "DRAFT" }, { "filter": filter, "stateTo": 1 }]),
                "validation-failed",
                "/1/stateTo",
            ),
            (json!([{ "filter": filter, "stateTo": "DRAFT", "force": true }]), "validation-failed", "/0/force"),
        ] {
            let refused = world.post(PATH, body).await.refuses(400, code);
            assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{:?}", refused.body);
        }
        for filter in [
            json!({ "_q": "{}" }),
            json!({ "_st": "TRASH" }),
            json!({ "$where": "1" }),
            json!({ "name": { "$near": 1 } }),
        ] {
            world.post(PATH, json!([{ "filter": filter, "stateTo": "DRAFT" }])).await.refuses(400, "invalid-query");
        }
        world.post(PATH, json!({ "filter": {}, "stateTo": "DRAFT" })).await.refuses(400, "invalid-json");
        assert_eq!(world.snapshot(), before);
    })
    .await;
}

#[tokio::test]
async fn a_filter_that_is_too_long_for_the_store_says_so_and_moves_nobody() {
    everywhere(async |world| {
        let ids = people(world, "wanted", 2).await;
        let mut named: Vec<String> = (0..400).map(|n| format!("{n:024x}")).collect();
        named.extend(ids.clone());
        let long = json!({ "$and": [{ "_id": { "$in": named } }, { "_id": { "$nin": &named[..300] } }] });
        let before = world.snapshot();
        let query: String = url::form_urlencoded::byte_serialize(long.to_string().as_bytes()).collect();
        let changed = world.patch(&format!("/users/{}?_q={query}", ids[0]), json!({ "$set": { "name": "met" } })).await;
        let told = world.post(PATH, json!([{ "filter": long, "stateTo": "DRAFT" }])).await;
        if Place::CRUD.contains(&world.place) {
            for refused in [changed, told] {
                let refused = refused.refuses(400, "invalid-query");
                assert!(refused.message().contains("longer than the store takes"), "{}", refused.message());
            }
            assert_eq!(world.snapshot(), before);
        } else {
            assert_eq!(changed.is(200).text("name"), "met");
            counts(told, 2);
            assert_eq!(standing(world, &ids, "DRAFT", Some(false)), 2);
        }
    })
    .await;
}

#[tokio::test]
async fn many_who_take_too_long_are_counted_truly_under_their_operation_and_under_their_key() {
    for place in Place::KEYCLOAK {
        let world = &World::with(place, &[("ANSWER_WITHIN", "200ms"), ("NAMES_WAIT", "100ms")]).await;
        let ids = people(world, "wanted", 3).await;
        world.provider().plan(Plan::on("PUT", "/users/", Fault::Slow(Duration::from_secs(4)))).await;
        let asker = world.admin().with("idempotency-key", "k");
        let pending = asker.post(PATH, to("wanted", "DRAFT")).await.refuses(500, "outcome-pending");
        let operation = pending.operation();
        assert_eq!(pending.text("operationId"), operation);
        let running = world.operation(&operation).await;
        assert_eq!((running.text("kind"), running.text("state")), ("change-states".to_owned(), "running".to_owned()));
        asker.post(PATH, to("wanted", "DRAFT")).await.refuses(409, "idempotency-running");
        let settled = async || world.operation(&operation).await.text("state") == "done";
        world.until("all of them have moved", settled).await;
        assert_eq!(standing(world, &ids, "DRAFT", Some(false)), 3);
        let told = counts(asker.post(PATH, to("wanted", "DRAFT")).await, 3);
        assert_eq!((told.operation(), told.header("idempotency-replayed")), (operation, Some("true")));
        world.settled().await;
    }
}

#[tokio::test]
async fn those_who_may_do_everything_go_one_after_the_other_and_never_all() {
    for place in Place::ALL {
        let world = &World::with(place, &[("NAMES_WAIT", "300ms")]).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(world.caller(&["users:admin"]).await.id);
        }
        if Place::KEYCLOAK.contains(&place) {
            let slow = Plan::on("PUT", "/users/", Fault::Slow(Duration::from_millis(500))).lasting(Lasts::EachTime);
            world.provider().plan(slow).await;
        }
        let before = world.snapshot();
        let everybody = json!([{ "filter": {}, "stateTo": "TRASH" }]);
        world.post(PATH, everybody).await.refuses(409, "last-admin");
        assert_eq!(world.snapshot(), before);
        let them = json!([{ "filter": { "_id": { "$in": ids } }, "stateTo": "TRASH" }]);
        counts(world.post(PATH, them).await, 3);
        assert_eq!(standing(world, &ids, "TRASH", Some(false)), 3);
        world.settled().await;
    }
}
