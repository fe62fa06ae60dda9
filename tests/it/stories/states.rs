//! A person moves from one state to another, and his identity with him.

use serde_json::json;
use user_manager::users::{self, State, UserId, rules::Precondition};

use crate::{
    twins::fault::{Fault, Lasts, Plan},
    worlds::{PASSWORD, Place, World, everywhere, within},
};

async fn moves(world: &World, id: &str, to: State) {
    let id = UserId::parse(id).unwrap();
    users::change_state(&world.app, &world.inside(), &id, to).await.unwrap();
}

/// `__STATE__` of somebody, wherever he stands, and whether his identity may log in.
fn stands(world: &World, id: &str) -> (String, Option<bool>) {
    let people = world.people();
    let user = &people.users[id];
    let identity = user["authUserId"].as_str().map(|identity| people.identities[identity]["enabled"] == json!(true));
    (user["__STATE__"].as_str().unwrap().to_owned(), identity)
}

fn is(state: &str, identity: Option<bool>) -> (String, Option<bool>) {
    (state.to_owned(), identity)
}

#[tokio::test]
async fn whoever_is_not_public_cannot_log_in_and_whoever_is_again_can() {
    everywhere(async |world| {
        let id = world.user("ada@example.org").await;
        let login = world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        let ada = world.nobody().holding(&id, &login.text("accessToken"));
        for (to, may) in [(State::Draft, false), (State::Public, true), (State::Trash, false), (State::Draft, false)] {
            moves(world, &id, to).await;
            assert_eq!(stands(world, &id), is(to.as_str(), Some(may)));
            let expected = if may { 200 } else { 401 };
            world.nobody().logs_in("ada@example.org", PASSWORD).await.is(expected);
            if !may {
                ada.get("/operations/").await.refuses(401, "token-revoked");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_soft_deleted_person_stays_in_the_store_and_his_identity_goes() {
    everywhere(async |world| {
        let id = world.user("ada@example.org").await;
        let path = format!("/users/{id}");
        let identity = world.get(&path).await.is(200).text("authUserId");
        let told = world.post(&format!("{path}/soft-delete"), json!({ "_id": id, "anything": [1] })).await.is(204);
        told.operation();
        world.settled().await;
        assert_eq!(stands(world, &id), is("DELETED", None));
        assert!(!world.people().identities.contains_key(&identity));
        world.get(&path).await.refuses(404, "user-not-found");
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        // Once more, and nothing happens.
        let before = world.snapshot();
        let again = world.post(&format!("{path}/soft-delete/"), json!({})).await.is(204);
        assert_eq!(again.header("x-operation-id"), None);
        assert_eq!(world.snapshot(), before);
    })
    .await;
}

#[tokio::test]
async fn an_identity_that_is_not_to_be_deleted_is_blocked_and_keeps_the_names() {
    for place in Place::ALL {
        let world = World::with(place, &[("AUTH_HARD_DELETE", "false")]).await;
        let id = world.user("ada@example.org").await;
        world.post(&format!("/users/{id}/soft-delete"), json!({})).await.is(204);
        world.settled().await;
        assert_eq!(stands(&world, &id), is("DELETED", Some(false)));
        let new = json!({ "userGroup": "users", "email": "ada@example.org" });
        world.post("/users/", new).await.refuses(409, "name-taken");
        // He comes back with the identity that he had.
        moves(&world, &id, State::Trash).await;
        world.post(&format!("/users/{id}/restore"), json!({})).await.is(204);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        world.settled().await;
    }
}

#[tokio::test]
async fn soft_delete_begins_from_every_state() {
    everywhere(async |world| {
        for (number, from) in [State::Public, State::Draft, State::Trash].into_iter().enumerate() {
            let id = world.user(&format!("person-{number}@example.org")).await;
            if from != State::Public {
                moves(world, &id, from).await;
            }
            world.post(&format!("/users/{id}/soft-delete"), json!({})).await.is(204);
            world.settled().await;
            assert_eq!(stands(world, &id), is("DELETED", None), "from {from:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_soft_delete_that_is_cut_off_stands_in_trash_and_asking_again_goes_on() {
    within(&Place::CRUD, async |world| {
        let id = world.user("ada@example.org").await;
        let path = format!("/users/{id}/soft-delete");
        let failed = Fault::Status { status: 500, done: false, wait: None };
        // Read, read, moved to TRASH, read; then read, unlinked, read, moved to DELETED.
        world.store().plan(Plan::nth(8, failed, Lasts::On)).await;
        let ada = UserId::parse(&id).unwrap();
        let told = users::soft_delete(&world.app, &world.inside(), &ada, Precondition::None).await.unwrap_err();
        assert_eq!(told.code().row().0, "resumable");
        let call = "CRUD POST /users/:id/state responded with a 500 status code";
        assert_eq!(told.message(), format!("Error while soft deleting user: {call}"));
        let (state, identity) = stands(world, &id);
        assert_eq!(state, "TRASH");
        assert_ne!(identity, Some(true));
        world.mend().await;
        world.post(&path, json!({})).await.is(204);
        world.settled().await;
        assert_eq!(stands(world, &id), is("DELETED", None));
    })
    .await;
}

#[tokio::test]
async fn a_soft_delete_is_resumed_by_asking_again_whichever_call_to_the_store_failed() {
    let failed = Fault::Status { status: 500, done: false, wait: None };
    within(&Place::CRUD, async |world| {
        let mut told_so = Vec::new();
        for nth in 1.. {
            let id = world.user(&format!("person-{nth}@example.org")).await;
            let identity = world.people().users[&id]["authUserId"].as_str().unwrap().to_owned();
            let path = format!("/users/{id}/soft-delete");
            world.store().plan(Plan::nth(nth, failed, Lasts::On)).await;
            let told = world.post(&path, json!({})).await;
            let (struck, then) = (world.store().struck(), world.people());
            world.mend().await;
            if struck == 0 {
                told.is(204);
                break;
            }
            let told = told.is(500);
            let state = then.users[&id]["__STATE__"].as_str().unwrap();
            let may_log_in = then.identities.get(&identity).is_some_and(|identity| identity["enabled"] == true);
            match told.code() {
                "upstream-failed" => assert_eq!((state, may_log_in), ("PUBLIC", true), "call {nth}"),
                "resumable" => assert!(["TRASH", "DELETED"].contains(&state) && !may_log_in, "call {nth}: {state}"),
                code => assert_eq!(code, "outcome-pending", "call {nth}"),
            }
            if told.code() != "outcome-pending" {
                let sentence = told.message();
                assert!(sentence.contains(": CRUD ") && sentence.ends_with(" with a 500 status code"), "{sentence}");
            }
            told_so.push(told.code().to_owned());
            world.post(&path, json!({})).await.is(204);
            world.settled().await;
            assert_eq!(stands(world, &id), is("DELETED", None), "call {nth}");
        }
        for code in ["upstream-failed", "outcome-pending", "resumable"] {
            assert!(told_so.iter().any(|told| told == code), "{told_so:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_soft_delete_that_the_provider_fails_stands_in_trash_and_goes_on_by_itself() {
    within(&Place::KEYCLOAK, async |world| {
        let id = world.user("ada@example.org").await;
        let path = format!("/users/{id}/soft-delete");
        let failed = Fault::Status { status: 500, done: false, wait: None };
        world.provider().plan(Plan::on("DELETE", "/users/", failed).lasting(Lasts::EachTime)).await;
        let told = world.post(&path, json!({})).await.refuses(500, "resumable");
        let call = "Auth DELETE /admin/realms/:realm/users/:id responded with a 500 status code";
        assert_eq!(told.message(), format!("Error while soft deleting user: {call}"));
        assert_eq!((&told.body["statusCode"], &told.body["error"]), (&json!(500), &json!("Internal Server Error")));
        assert_eq!(stands(world, &id), is("TRASH", Some(false)));
        world.mend().await;
        world.settled().await;
        assert_eq!(stands(world, &id), is("DELETED", None));
        world.post(&path, json!({})).await.is(204);
    })
    .await;
}

#[tokio::test]
async fn a_person_is_restored_from_trash_as_he_was() {
    everywhere(async |world| {
        let id = world.user("ada@example.org").await;
        let before = world.people();
        let path = format!("/users/{id}/restore");
        let refused = world.post(&path, json!({})).await.refuses(400, "transition-not-allowed");
        assert_eq!(refused.message(), "transition from PUBLIC to PUBLIC not allowed.");
        moves(world, &id, State::Trash).await;
        world.post(&path, json!({ "stateTo": "PUBLIC", "row": { "any": 1 } })).await.is(204).operation();
        world.settled().await;
        world.is_as(&before);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);

        moves(world, &id, State::Trash).await;
        world.post(&path, json!({ "stateTo": "DRAFT" })).await.is(204);
        assert_eq!(stands(world, &id), is("DRAFT", Some(false)));
        world.post(&path, json!({})).await.refuses(400, "transition-not-allowed");
    })
    .await;
}

#[tokio::test]
async fn his_own_block_outlasts_a_restore_unless_public_is_to_lift_it() {
    for place in Place::ALL {
        for (setting, may) in [("own", false), ("always", true)] {
            let world = World::with(place, &[("PUBLIC_UNBLOCKS", setting)]).await;
            let id = world.user("ada@example.org").await;
            world.patch(&format!("/users/{id}"), json!({ "$set": { "blocked": true } })).await.is(200);
            moves(&world, &id, State::Trash).await;
            world.post(&format!("/users/{id}/restore"), json!({})).await.is(204);
            assert_eq!(stands(&world, &id), is("PUBLIC", Some(may)));
            assert_eq!(world.people().users[&id]["blocked"], json!(!may), "{setting}");
            world.settled().await;
        }
    }
}

#[tokio::test]
async fn names_of_somebody_deleted_are_free_and_taken_again_when_he_comes_back() {
    within(&[Place::Embedded, Place::RemoteIdentities], async |world| {
        let id = world.user("ada@example.org").await;
        world.post(&format!("/users/{id}/soft-delete"), json!({})).await.is(204);
        world.settled().await;
        let other = world.user("ADA@example.org").await;
        let id = UserId::parse(&id).unwrap();
        let back = users::change_state(&world.app, &world.inside(), &id, State::Trash).await.unwrap_err();
        assert_eq!((back.code().row().0, back.field.as_deref()), ("name-taken", Some("email")));

        world.patch(&format!("/users/{other}"), json!({ "$set": { "email": "other@example.org" } })).await.is(200);
        moves(world, id.as_str(), State::Trash).await;
        world
            .post("/users/", json!({ "userGroup": "users", "email": "Ada@Example.org" }))
            .await
            .refuses(409, "name-taken");
        world.post(&format!("/users/{id}/restore"), json!({})).await.is(204);
        // His identity is gone: he is registered anew.
        world.post("/users/register", json!({ "_id": id, "password": PASSWORD })).await.is(204);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn the_last_administrator_stays_public() {
    everywhere(async |world| {
        let id = UserId::parse(&world.admin().id).unwrap();
        let before = world.people();
        world.post(&format!("/users/{id}/soft-delete"), json!({})).await.refuses(409, "last-admin");
        for to in [State::Draft, State::Trash] {
            let refused = users::change_state(&world.app, &world.inside(), &id, to).await.unwrap_err();
            assert_eq!(refused.code().row().0, "last-admin");
        }
        world.settled().await;
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn nobody_moves_a_person_who_holds_what_he_lacks() {
    everywhere(async |world| {
        let above = world.caller(&["x:y"]).await;
        let writer = world.caller(&["users:write", "users:delete"]).await;
        let id = &above.id;
        let before = world.people();
        writer.post(&format!("/users/{id}/soft-delete"), json!({})).await.refuses(403, "person-above");
        writer.post("/users/register", json!({ "_id": id })).await.refuses(403, "person-above");
        moves(world, id, State::Trash).await;
        writer.post(&format!("/users/{id}/restore"), json!({})).await.refuses(403, "person-above");
        world.post(&format!("/users/{id}/restore"), json!({})).await.is(204);
        world.settled().await;
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_neither_restored_nor_deleted() {
    everywhere(async |world| {
        let id = world.user("ada@example.org").await;
        let tag = format!("\"{}\"", world.get(&format!("/users/{id}")).await.is(200).text("updatedAt"));
        moves(world, &id, State::Trash).await;
        let before = world.people();
        let stale = world.admin().with("if-match", &tag);
        stale.post(&format!("/users/{id}/restore"), json!({})).await.refuses(412, "changed-meanwhile");
        stale.post(&format!("/users/{id}/soft-delete"), json!({})).await.refuses(412, "changed-meanwhile");
        world.settled().await;
        world.is_as(&before);
        world.admin().with("if-match", "*").post(&format!("/users/{id}/restore"), json!({})).await.is(204);
    })
    .await;
}

#[tokio::test]
async fn a_soft_delete_that_cannot_read_the_user_says_so() {
    within(&Place::CRUD, async |world| {
        let id = UserId::parse(&world.user("ada@example.org").await).unwrap();
        let before = world.people();
        let failed = Fault::Status { status: 500, done: false, wait: None };
        world.store().plan(Plan::nth(1, failed, Lasts::On)).await;
        let told = users::soft_delete(&world.app, &world.inside(), &id, Precondition::None).await.unwrap_err();
        assert_eq!(told.code().row().0, "upstream-failed");
        let call = "CRUD GET /users/:id responded with a 500 status code";
        assert_eq!(told.message(), format!("Error while deleting user: {call}"));
        world.mend().await;
        world.is_as(&before);
    })
    .await;
}
