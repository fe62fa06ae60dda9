//! Another system fails in the middle of an operation.

use serde_json::json;

use crate::{
    twins::fault::{Fault, Lands, Lasts, Plan},
    worlds::{PASSWORD, Place, Reply, World, impatiently, within},
};

const FAILED: Fault = Fault::Status { status: 500, done: false, wait: None };
const FAILED_BUT_DONE: Fault = Fault::Status { status: 500, done: true, wait: None };
const REFUSED: Fault = Fault::Status { status: 403, done: false, wait: None };

async fn create_ada(world: &World) -> Reply {
    world.post("/users/", json!({ "userGroup": "users", "email": "ada@example.org", "password": PASSWORD })).await
}

/// Told `sentence`, everything as it was, the log says so, and the name is free.
async fn nothing_is_left(world: &World, reply: Reply, code: &str, sentence: &str) {
    let reply = reply.refuses(500, code);
    assert_eq!(reply.message(), sentence);
    assert_eq!(reply.text("operationId"), reply.operation());
    world.mend().await;
    world.settled().await;
    let log = world.operation(&reply.operation()).await;
    assert_eq!(log.text("state"), "undone");
    assert!(sentence.ends_with(&log.text("error")), "{sentence}: {}", log.body);
    create_ada(world).await.is(200);
}

#[tokio::test]
async fn a_creation_that_the_provider_fails_leaves_nothing_behind() {
    within(&Place::KEYCLOAK, async |world| {
        let before = world.people();
        for (fault, code) in [(FAILED, "upstream-failed"), (REFUSED, "upstream-refused")] {
            world.provider().plan(Plan::on("POST", "/users", fault).lasting(Lasts::EachTime)).await;
            let reply = create_ada(world).await;
            world.mend().await;
            world.settled().await;
            world.is_as(&before);
            let number = if fault == FAILED { 500 } else { 403 };
            let sentence = format!(
                "Error while creating user: Auth POST /admin/realms/:realm/users responded with a {number} status code"
            );
            nothing_is_left(world, reply, code, &sentence).await;
            let id = world.people().users.into_iter().find(|(_, user)| user["email"] == "ada@example.org").unwrap().0;
            world.delete(&format!("/users/{id}")).await.is(204);
            world.settled().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_creation_whose_every_answer_was_lost_leaves_nothing_behind() {
    within(&Place::KEYCLOAK, async |world| {
        let before = world.people();
        for fault in [Fault::CutDone, FAILED_BUT_DONE] {
            world.provider().plan(Plan::on("POST", "/users", fault).lasting(Lasts::EachTime)).await;
            let reply = create_ada(world).await.refuses(500, "upstream-failed");
            let call = "Error while creating user: Auth POST /admin/realms/:realm/users";
            assert!(reply.message().starts_with(call), "{}", reply.message());
            world.mend().await;
            world.settled().await;
            world.is_as(&before);
        }
    })
    .await;
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_once_succeeds_once() {
    within(&Place::KEYCLOAK, async |world| {
        let before = world.people().identities.len();
        world.provider().plan(Plan::on("POST", "/users", Fault::CutDone)).await;
        create_ada(world).await.is(200);
        assert_eq!(world.people().identities.len(), before + 1);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
    })
    .await;
    within(&Place::CRUD, async |world| {
        let before = world.people().users.len();
        world.store().plan(Plan::on("POST", "/import", Fault::CutDone)).await;
        create_ada(world).await.is(200);
        assert_eq!(world.people().users.len(), before + 1);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn an_account_that_lands_after_we_gave_up_does_not_stay() {
    impatiently(&Place::KEYCLOAK, async |world| {
        let before = world.people();
        let hung = Fault::Hung(Lands::WhenTold);
        world.provider().plan(Plan::on("POST", "/users", hung).lasting(Lasts::EachTime)).await;
        let reply = create_ada(world).await;
        world.mend().await;
        world.is_as(&before);
        // Its names are kept, since it may still land.
        world.provider().land_late();
        assert_eq!(world.people().identities.len(), before.identities.len() + 1);
        world.settled().await;
        world.is_as(&before);
        let sentence = "Error while creating user: Auth POST /admin/realms/:realm/users did not answer in time";
        nothing_is_left(world, reply, "upstream-failed", sentence).await;
    })
    .await;
}

#[tokio::test]
async fn a_creation_that_the_store_refuses_leaves_nothing_behind() {
    within(&Place::CRUD, async |world| {
        let before = world.people();
        world.store().plan(Plan::on("POST", "/import", REFUSED)).await;
        let reply = create_ada(world).await;
        world.is_as(&before);
        let sentence = "Error while creating user: CRUD POST /users/import responded with a 403 status code";
        nothing_is_left(world, reply, "upstream-refused", sentence).await;
    })
    .await;
    within(&Place::CRUD, async |world| {
        let before = world.people();
        world.store().plan(Plan::on("PATCH", "/users/", FAILED).lasting(Lasts::EachTime)).await;
        let reply = create_ada(world).await;
        world.mend().await;
        world.settled().await;
        world.is_as(&before);
        let sentence = "Error while creating user: CRUD PATCH /users/:id responded with a 500 status code";
        nothing_is_left(world, reply, "upstream-failed", sentence).await;
    })
    .await;
}

#[tokio::test]
async fn an_insert_that_lands_after_we_gave_up_does_not_stay() {
    impatiently(&Place::CRUD, async |world| {
        let before = world.people();
        let hung = Fault::Hung(Lands::WhenTold);
        // The fence leaves by the same route, so it comes through only when the store is well again.
        world.store().plan(Plan::on("POST", "/import", hung).lasting(Lasts::EachTime)).await;
        create_ada(world).await.refuses(500, "outcome-pending");
        world.mend().await;
        world.settled().await;
        world.is_as(&before);
        world.store().land_late();
        world.is_as(&before);
        create_ada(world).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn nothing_leaves_when_a_system_cannot_be_reached() {
    let at_once = Plan::nth(1, Fault::Refused, Lasts::On);
    within(&Place::CRUD, async |world| {
        let before = world.people();
        world.store().plan(at_once).await;
        let reply = create_ada(world).await.refuses(500, "upstream-failed");
        assert!(reply.message().ends_with(" could not be reached"), "{}", reply.message());
        world.mend().await;
        world.is_as(&before);
    })
    .await;
    within(&[Place::RemoteIdentities], async |world| {
        let before = world.people();
        world.provider().plan(at_once).await;
        let reply = create_ada(world).await.refuses(500, "upstream-failed");
        let sentence = "Error while creating user: Auth POST /admin/realms/:realm/users could not be reached";
        assert_eq!(reply.message(), sentence);
        world.mend().await;
        world.settled().await;
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn a_change_that_the_provider_fails_is_put_back() {
    within(&Place::KEYCLOAK, async |world| {
        let id = world.user("ada@example.org").await;
        let before = world.people();
        world.provider().plan(Plan::on("PUT", "/users/", FAILED).lasting(Lasts::EachTime)).await;
        let change = json!({ "$set": { "email": "new@example.org", "name": "New", "blocked": true } });
        let reply = world.patch(&format!("/users/{id}"), change).await.refuses(500, "upstream-failed");
        let sentence =
            "Error while updating user: Auth PUT /admin/realms/:realm/users/:id responded with a 500 status code";
        assert_eq!(reply.message(), sentence);
        world.mend().await;
        world.settled().await;
        world.is_as(&before);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn a_change_that_the_store_refuses_is_not_made() {
    within(&Place::CRUD, async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        let before = world.people();
        world.store().plan(Plan::on("PATCH", "/users/", REFUSED)).await;
        let change = json!({ "$set": { "name": "New", "blocked": true } });
        let reply = world.patch(&path, change.clone()).await.refuses(500, "upstream-refused");
        let sentence = "Error while updating user: CRUD PATCH /users/:id responded with a 403 status code";
        assert_eq!(reply.message(), sentence);
        assert_eq!((&reply.body["statusCode"], &reply.body["error"]), (&json!(500), &json!("Internal Server Error")));
        world.mend().await;
        world.settled().await;
        world.is_as(&before);
        world.patch(&path, change).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn a_deletion_that_cannot_read_the_user_says_so() {
    within(&Place::CRUD, async |world| {
        // Only he is not read: whoever asks is found by another request.
        let path: &'static str = format!("/users/{}", world.user("ada@example.org").await).leak();
        let before = world.snapshot();
        world.store().plan(Plan::on("GET", path, FAILED).lasting(Lasts::EachTime)).await;
        let reply = world.delete(path).await.refuses(500, "upstream-failed");
        let sentence = "Error while deleting user: CRUD GET /users/:id responded with a 500 status code";
        assert_eq!(reply.message(), sentence);
        assert_eq!((&reply.body["statusCode"], &reply.body["error"]), (&json!(500), &json!("Internal Server Error")));
        world.mend().await;
        assert_eq!(world.snapshot(), before);
        world.delete(path).await.is(204);
    })
    .await;
}

#[tokio::test]
async fn a_deletion_past_its_point_of_no_return_goes_on_by_itself() {
    within(&Place::KEYCLOAK, async |world| {
        let before = world.people();
        let path = format!("/users/{}", world.user("ada@example.org").await);
        world.provider().plan(Plan::on("DELETE", "/users/", FAILED).lasting(Lasts::EachTime)).await;
        let reply = world.delete(&path).await.refuses(500, "resumable");
        let sentence =
            "Error while deleting user: Auth DELETE /admin/realms/:realm/users/:id responded with a 500 status code";
        assert_eq!(reply.message(), sentence);
        assert_eq!(world.operation(&reply.operation()).await.text("state"), "committed");
        world.get(&path).await.refuses(404, "user-not-found");
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.mend().await;
        world.settled().await;
        world.delete(&path).await.refuses(404, "user-not-found");
        world.is_as(&before);
        assert_eq!(world.operation(&reply.operation()).await.text("state"), "done");
    })
    .await;
}

#[tokio::test]
async fn a_login_says_what_failed() {
    within(&Place::KEYCLOAK, async |world| {
        world.user("ada@example.org").await;
        world.provider().plan(Plan::on("POST", "/token", FAILED)).await;
        let reply = world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(500, "upstream-failed");
        let call = "Error while logging in: Auth POST /realms/:realm/protocol/openid-connect/token";
        assert_eq!(reply.message(), format!("{call} responded with a 500 status code"));
        assert_eq!(reply.header("x-operation-id"), None);
    })
    .await;
}
