//! A user is made for an identity that exists.

use serde_json::{Value, json};
use user_manager::{
    error::{Code, Error},
    users::{self, UserId, create::Draft},
};

use crate::{
    twins::fault::{Fault, Lasts, Plan},
    worlds::{PASSWORD, Place, World, everywhere, within},
};

async fn adopt(world: &World, identity: &str, fields: Value) -> Result<UserId, Error> {
    let draft = Draft { fields: fields.as_object().unwrap().clone(), ..Draft::default() };
    users::adopt(&world.app, &world.inside(), identity.to_owned(), draft).await
}

#[tokio::test]
async fn an_identity_that_exists_gets_a_user_and_keeps_its_password() {
    everywhere(async |world| {
        let identity = world.lonely("ada@example.org").await;
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        let id = adopt(world, &identity, json!({ "userGroup": "users", "name": "Ada" })).await.unwrap();
        let user = world.get(&format!("/users/{id}")).await.is(200);
        assert_eq!((user.text("email"), user.text("authUserId")), ("ada@example.org".to_owned(), identity));
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn an_identity_that_is_unknown_linked_or_another_one_is_not_adopted() {
    everywhere(async |world| {
        let identity = world.lonely("ada@example.org").await;
        let linked = world.get(&format!("/users/{}", world.admin().id)).await.text("authUserId");
        let before = world.people();
        for (identity, fields, code) in [
            ("no-such-identity", json!({ "userGroup": "users" }), Code::IdentityUnknown),
            (&linked, json!({ "userGroup": "users" }), Code::IdentityLinked),
            (&identity, json!({ "userGroup": "users", "email": "bob@example.org" }), Code::IdentityMismatch),
            (&identity, json!({ "userGroup": "users", "username": "bob" }), Code::IdentityMismatch),
            (&identity, json!({ "userGroup": "users", "name": 7 }), Code::ValidationFailed),
        ] {
            assert_eq!(adopt(world, identity, fields.clone()).await.unwrap_err().code(), code, "{fields}");
        }
        world.settled().await;
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn an_adoption_that_fails_leaves_the_identity_as_it_was() {
    within(&Place::KEYCLOAK, async |world| {
        let identity = world.lonely("ada@example.org").await;
        let before = world.people();
        let failed = Fault::Status { status: 500, done: false, wait: None };
        world.provider().plan(Plan::on("PUT", "/users/", failed).lasting(Lasts::EachTime)).await;
        let told = adopt(world, &identity, json!({ "userGroup": "users", "blocked": true })).await;
        assert_eq!(told.unwrap_err().code(), Code::UpstreamFailed);
        world.mend().await;
        world.settled().await;
        world.is_as(&before);
        adopt(world, &identity, json!({ "userGroup": "users" })).await.unwrap();
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn one_identity_adopted_twice_at_once_gets_one_user() {
    everywhere(async |world| {
        let identity = world.lonely("ada@example.org").await;
        let before = world.people();
        let fields = || json!({ "userGroup": "users" });
        let (one, other) = tokio::join!(adopt(world, &identity, fields()), adopt(world, &identity, fields()));
        let lost = if one.is_ok() { other } else { one };
        assert_eq!(lost.unwrap_err().code(), Code::IdentityLinked);
        assert_eq!(world.people().users.len(), before.users.len() + 1);
    })
    .await;
}

#[tokio::test]
async fn with_id_makes_a_user_of_an_identity_over_http() {
    everywhere(async |world| {
        let identity = world.lonely("ada@example.org").await;
        let linked = world.get(&format!("/users/{}", world.admin().id)).await.text("authUserId");
        let fields = |identity: &str| json!({ "authUserId": identity, "userGroup": "users", "name": "Ada" });
        let before = world.people();
        world.post("/users/with-id", fields("no-such-identity")).await.refuses(400, "identity-unknown");
        world.post("/users/with-id", fields(&linked)).await.refuses(409, "identity-linked");
        world.post("/users/with-id", json!({ "userGroup": "users" })).await.refuses(400, "validation-failed");
        for wrong in ["..", &"x".repeat(256), "a\nb"] {
            world.post("/users/with-id", fields(wrong)).await.refuses(400, "invalid-value");
        }
        let other = json!({ "authUserId": identity, "userGroup": "users", "email": "bob@example.org" });
        let refused = world.post("/users/with-id", other).await.refuses(400, "identity-mismatch");
        assert_eq!(refused.text("field"), "email");
        world.settled().await;
        world.is_as(&before);

        let made = world.post("/users/with-id/", fields(&identity)).await.is(200);
        made.operation();
        assert_eq!(made.body, json!({ "_id": made.id() }));
        let user = world.get(&format!("/users/{}", made.id())).await.is(200);
        assert_eq!(user.text("name"), "Ada");
        assert_eq!((user.text("email"), user.text("authUserId")), ("ada@example.org".to_owned(), identity));
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn a_blocked_user_blocks_the_identity_that_he_gets() {
    everywhere(async |world| {
        world.post("/roles/", json!({ "roleId": "reader", "permissions": [] })).await.is(200);
        let identity = world.lonely("ada@example.org").await;
        let fields = json!({ "authUserId": identity, "userGroup": "users", "blocked": true, "roles": ["reader"] });
        let id = world.post("/users/with-id", fields).await.is(200).id();
        assert_eq!(world.people().identities[&identity]["enabled"], json!(false));
        let user = world.get(&format!("/users/{id}")).await.is(200);
        assert_eq!((&user.body["blocked"], &user.body["roles"]), (&json!(true), &json!(["reader"])));
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
    })
    .await;
}
